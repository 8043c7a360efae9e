"""Gaps filled by autoregression: the classical answers to lost samples.

`fill_gaps` is hard to beat where a gap is shorter than the sound stays the same (20 ms of speech). From 60 ms on `extrapolated` is better,
which lets each side go on by its own law. Both are means, which fade to zero in the middle of a long gap; a seed draws what they leave out.
The settings are those of the best medians on speech at 8 kHz, gaps of 5 to 200 ms.
"""

import numpy as np
import scipy

ORDER, MOST = 64, 256  # coefficients at 8 kHz, more than a pitch period of a high voice; at any rate
RIDGE = 1e-9  # of the zeroth autocovariance, against singular equations of a pure tone


def fill_gaps(
    samples, hidden, *, rate: float = 8000, order: int | None = None, iterations: int = 5, context: float = 0.048, coefficients=None
):
    """Missing samples by turns with the coefficients of an autoregression around the gap.

    x_t + a_1 x_{t-1} + ... + a_p x_{t-p} = e_t. Given a, the missing samples are their conditional mean under the stationary Gaussian law;
    given all samples, a solves the Yule-Walker equations of the gap and its context under a Hann window. Gaps within a context of each
    other are solved together.     (Janssen, Veldhuis, Vries 1986, doi:10.1109/TASSP.1986.1164824)

    Args:
      samples: (n,) or (n, channels), whatever stands in the gaps; hidden: bool of that shape, or (n,).
      order: p; where None min(3 gap + 2, 64 at 8 kHz and more at more, context/3), the gap and the context in samples.
      context: seconds on either side of a gap; coefficients: (a_1, ..., a_p), where they are known.
    Returns: samples, float64, with the gaps filled; zero in a channel without any sample.
    """
    return _by_channel(_fill, samples, hidden, rate, order, iterations, context, coefficients)


def _fill(x, hidden, rate, order, iterations, context, coefficients):
    x, reach = _linear(x, hidden), round(context * rate)
    groups = _groups(hidden, reach)
    for _ in range(1 if coefficients is not None and len(groups) == 1 else iterations):
        for first, last in groups:
            start, stop = max(0, first - reach), min(len(x), last + reach)
            segment, missing = x[start:stop], hidden[start:stop].copy()
            missing[: first - start] = missing[last - start :] = False  # other groups, at what they are by now
            if coefficients is not None:
                a = np.asarray(coefficients, np.float64)
            else:
                most = min(3 * np.count_nonzero(missing) + 2, round(ORDER * rate / 8000), MOST, reach // 3)
                p = min(most if order is None else order, (len(segment) - 1) // 3)
                a = yule_walker(segment * np.hanning(len(segment) + 2)[1:-1], p)
            segment[missing] = conditional_mean(segment, missing, a)
    return x


def conditional_mean(x, missing, a):
    """E[x_m | the rest] under the stationary autoregression x_t = -sum_k a_k x_{t-k} + e_t of x (n,), missing (n,) bool, a (p,).

    Q_mm x_m = -Q_mk x_k with the precision, of 2p + 1 diagonals and exact at the ends, for c = (1, a_1, ..., a_p):
    Q_ij = sum_{l=0}^{min(i,j)} c_l c_{l+|i-j|} - sum_{l=n-max(i,j)}^{p} c_l c_{l+|i-j|}             (Gohberg & Semencul 1972)
    """
    n, p, where = len(x), len(a), np.flatnonzero(missing)
    c = np.concatenate([[1.0], a, np.zeros(p)])
    products = c[: p + 1] * np.lib.stride_tricks.sliding_window_view(c, p + 1)  # (d, l): c_l c_{l+d}
    sums = np.concatenate([np.zeros((p + 1, 1)), np.cumsum(products, 1)], 1)  # (d, m): of l < m

    def precision(low, d):  # between the samples low and low + d
        return sums[d, np.clip(low + 1, 0, p + 1)] - sums[d, p + 1] + sums[d, np.clip(n - low - d, 0, p + 1)]

    known, right = np.pad(np.where(missing, 0.0, x), p), np.zeros(len(where))
    for d in range(p + 1):
        right -= known[where + p + d] * precision(where, d)
        if d:
            right -= known[where + p - d] * precision(where - d, d)
    bands = np.zeros((min(p, len(where) - 1) + 1, len(where)))
    for k in range(len(bands)):
        low, apart = where[: len(where) - k], where[k:] - where[: len(where) - k]
        bands[k, : len(low)] = np.where(apart <= p, precision(low, np.minimum(apart, p)), 0.0)
    return scipy.linalg.solveh_banded(bands, right, lower=True)


def yule_walker(x, order: int):
    """Coefficients (order,) of the stationary autoregression with the autocovariances of x (n,), and a little white noise for safety."""
    r = np.fft.irfft(np.abs(np.fft.rfft(x, 2 * len(x))) ** 2)[: order + 1]
    if order < 1 or r[0] <= 0:
        return np.zeros(max(order, 0))
    return -scipy.linalg.solve_toeplitz(np.concatenate([[r[0] * (1 + RIDGE)], r[1:order]]), r[1:])


def burg(x, order: int):
    """Coefficients (order,) of the autoregression of least forward and backward error, always stationary, of x (n,), n > order.

    (Burg 1967; sharper than Yule-Walker on a short stretch, because nothing is assumed beyond its ends)
    """
    forward, backward, a = x[1:], x[:-1], np.zeros(0)
    for _ in range(order):
        energy = forward @ forward + backward @ backward
        k = -2 * (forward @ backward) / (energy * (1 + RIDGE)) if energy > 0 else 0.0
        a = np.append(a + k * a[::-1], k)
        forward, backward = (forward + k * backward)[1:], (backward + k * forward)[:-1]
    return a


def extrapolated(samples, hidden, *, rate: float = 8000, order: int | None = None, context: float = 0.064, seed: int | None = None):
    """Gaps by the autoregressions of either side, each run on into the gap, cross-faded by cos^2 and sin^2.

    (Kauppinen & Roth 2002, "Audio signal extrapolation: theory and applications", DAFx; coefficients by Burg)

    Args:
      samples: (n,) or (n, channels), whatever stands in the gaps; hidden: bool of that shape, or (n,).
      order: half of the context where None, 256 at most; context: seconds on either side, less where another gap is nearer.
      seed: where given, each side is driven by white noise as strong as its residual, cross-faded by cos and sin, so that a long gap
        does not fade to silence: nearer in spectrum, further in every sample. The draw differs from channel to channel.
    Returns: samples, float64, with the gaps filled; zero in a channel without any sample.
    """
    rng = None if seed is None else np.random.default_rng(seed)
    return _by_channel(_extrapolate, samples, hidden, round(context * rate), order, rng)


def _extrapolate(x, hidden, reach, order, rng):
    x, known, edges = x.copy(), x, _edges(hidden)
    if not len(edges):
        return x
    before, after = np.append(0, edges[:-1, 1]), np.append(edges[1:, 0], len(x))
    for (first, last), earliest, latest in zip(edges, before, after, strict=True):
        left, right = known[max(earliest, first - reach) : first], known[last : min(latest, last + reach)][::-1]
        angle = np.pi / 2 * np.arange(1, last - first + 1) / (last - first + 1)
        if not len(left) or not len(right):  # at an end of the signal there is one side only
            angle = np.full(last - first, 0.0 if len(left) else np.pi / 2)
        (l, l_noise), (r, r_noise) = (_onward(side, last - first, order, rng) for side in (left, right))
        r, r_noise = r[::-1], r_noise[::-1]
        x[first:last] = np.cos(angle) ** 2 * l + np.sin(angle) ** 2 * r + np.cos(angle) * l_noise + np.sin(angle) * r_noise
    return x


def _onward(side, count, order, rng):
    # The mean of so many samples after a side, and a draw of what is apart from it.
    p = min(len(side) // 2, MOST) if order is None else min(order, len(side) - 1)
    if p < 1:
        return np.zeros(count), np.zeros(count)
    c = np.concatenate([[1.0], burg(side, p)])
    state = scipy.signal.lfiltic([1.0], c, side[::-1][:p])
    mean, _ = scipy.signal.lfilter([1.0], c, np.zeros(count), zi=state)
    if rng is None:
        return mean, np.zeros(count)
    residual = scipy.signal.lfilter(c, [1.0], side)[p:].std()
    return mean, scipy.signal.lfilter([1.0], c, residual * rng.standard_normal(count))


def linear(samples, hidden):
    """Linear interpolation between the samples on either side of a gap, the nearest one at the ends. (n,) or (n, channels)."""
    return _by_channel(_linear, samples, hidden)


def _linear(x, hidden):
    x, there = x.copy(), np.flatnonzero(~hidden)
    x[hidden] = np.interp(np.flatnonzero(hidden), there, x[there]) if len(there) else 0.0
    return x


def _edges(hidden):
    return np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]]).astype(int))).reshape(-1, 2)


def _groups(hidden, reach):
    # Gaps nearer than the context are solved together, until they span so much that one law does not hold for all.
    groups = []
    for first, last in _edges(hidden):
        if groups and first - groups[-1][1] < reach and last - groups[-1][0] <= 2 * reach:
            groups[-1][1] = last
        else:
            groups.append([first, last])
    return groups


def _by_channel(fill, samples, hidden, *options):
    samples, hidden = np.asarray(samples, np.float64), np.asarray(hidden, bool)
    if samples.ndim == 1:
        return fill(samples, hidden, *options)
    hidden = np.broadcast_to(hidden if hidden.ndim > 1 else hidden[:, None], samples.shape)
    return np.stack([fill(x, h, *options) for x, h in zip(samples.T, hidden.T, strict=True)], -1)
