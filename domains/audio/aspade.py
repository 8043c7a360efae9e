"""Declipping by sparsity: A-SPADE."""

import numpy as np
import scipy

from domains.audio.metrics import framed

REDUNDANCY = 2  # of the Fourier frame


def declip(
    samples,
    low: float = -np.inf,
    high: float = np.inf,
    *,
    rate: float = 8000,
    window: float = 0.064,
    step: int | None = None,
    every: int = 4,
    tolerance: float = 0.03,
    side=None,
    dtype=np.float64,
):
    """A clipped signal restored, window by window: what agrees with every sample and has few frequencies.

    min_x ||A x||_0 with x = y where low < y < high, x >= high where y >= high, x <= low where y <= low: by ADMM, for A the tight Fourier
    frame of twice redundancy, z = H_k(A x + u), x = P(A^H(z - u)), u += A x - z; k grows by `step` every `every` turns, until
    ||A x - z|| <= tolerance ||y||. Hann windows, three quarters of overlap; y is what they leave of the samples.
    (Kitić, Bertin, Gribonval 2015, algorithm 2, arXiv:1506.01830; Záviška et al. 2018, arXiv:1807.03612)

    Args:
      samples: (n,) or (n, channels); low, high: the levels that clip, in their units.
      window: seconds; step: one per 256 samples of a window where None, which is 2 at 8 kHz.
      side: like samples, of -1, 0 and 1, which of them are clipped and on which side, where low and high don't say.
      dtype: of what is computed window by window.
    Returns: samples, float64; those between the levels as they were, up to rounding.
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim > 1:
        options = {"rate": rate, "window": window, "step": step, "every": every, "tolerance": tolerance, "dtype": dtype}
        sides = [None] * samples.shape[1] if side is None else np.asarray(side).T
        return np.stack([declip(x, low, high, side=one, **options) for x, one in zip(samples.T, sides, strict=True)], -1)
    width = 4 * max(1, round(window * rate / 4))
    step = max(1, width // 256) if step is None else step
    hop, hann = width // 4, scipy.signal.get_window("hann", width)
    padded = np.pad(samples, width - hop)  # so that every sample is in four windows
    frames = framed(padded, width, hop)
    beyond = np.sign(framed(np.pad(side, width - hop), width, hop)) if side is not None else 1 * (frames >= high) - (frames <= low)
    y = (frames * hann).astype(dtype)
    below, above = np.where(beyond < 0, -np.inf, y), np.where(beyond > 0, np.inf, y)
    restored, clipped = y.copy(), beyond.any(-1)
    restored[clipped] = _spade(y[clipped], below[clipped], above[clipped], step, every, tolerance)
    summed = np.zeros(width + hop * (len(frames) - 1))
    for i, frame in enumerate(restored * (hann / 1.5)):  # squares of Hann windows at a quarter's hop sum to 1.5
        summed[i * hop : i * hop + width] += frame
    return summed[width - hop :][: len(samples)]


def _spade(y, below, above, step, every, tolerance):
    # Frames (N, width) between bounds of that shape, all at once; each is left as it is once it is near enough.
    result, active = y.copy(), np.arange(len(y))
    width = y.shape[-1]
    length = REDUNDANCY * width
    enough = tolerance * np.linalg.norm(y, axis=-1)
    bins, turn = length // 2 + 1, 0

    def analysed(x):
        return scipy.fft.rfft(x, length, norm="ortho")

    transform, u, k = analysed(y), 0.0, step
    while len(active) and k < bins:
        shifted = transform + u
        size = shifted.real**2 + shifted.imag**2
        z = np.where(size >= np.partition(size, bins - k, -1)[:, bins - k, None], shifted, 0.0)
        x = np.clip(scipy.fft.irfft(z - u, length, norm="ortho")[:, :width], below, above)
        transform = analysed(x)
        apart = transform - z
        distance = np.sqrt(2 * (apart.real**2 + apart.imag**2).sum(-1))
        result[active] = x
        going = distance > enough
        u = (u + apart)[going]
        active, transform, below, above, enough = active[going], transform[going], below[going], above[going], enough[going]
        turn += 1
        k += step * (turn % every == 0)
    return result
