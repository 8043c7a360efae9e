"""What signal processing does without a prior: filters, Wiener's gain, spectral subtraction, deconvolution, factors of spectrograms.

Waveforms are (..., n) with time last. Noise is suppressed in short-time Fourier transforms of Hann windows of 32 ms every 8 ms, which the
dual window inverts exactly. The settings are those of the best medians on speech at 8 kHz, 0 to 10 dB.
"""

import contextlib
import warnings

import numpy as np
import scipy

from sciddm.errors import UserError, install

WINDOW, HOP = 0.032, 0.008  # seconds
STOP, TRANSITION = 60.0, 0.1  # dB of the low-pass; of the cut-off
LEAST = 1e-12  # of a power: less is zero


def low_pass_taps(rate: float, cutoff: float):
    """Taps of the linear-phase low-pass that `low_pass` applies: odd in number, symmetric, of sum 1.

    A sinc under a Kaiser window, of amplitude 1/2 at `cutoff`, within .0012 of 1 below .95 of it and of 0 (58 dB) above 1.05:
    147 taps at 8 kHz for 2 kHz.                           (Kaiser 1974; Oppenheim & Schafer, Discrete-time signal processing, 7.5)

    Args: rate: Hz; cutoff: Hz, less than rate/2.
    """
    count, beta = scipy.signal.kaiserord(STOP, TRANSITION * cutoff / (rate / 2))
    return scipy.signal.firwin(count | 1, cutoff, window=("kaiser", beta), fs=rate)


def low_pass(samples, rate: float, cutoff: float):
    """The samples (..., n) through the filter of `low_pass_taps`, without delay and as long; taken as zero beyond the ends."""
    samples, taps = np.asarray(samples, np.float64), low_pass_taps(rate, cutoff)
    delay = len(taps) // 2
    whole = scipy.signal.oaconvolve(samples, taps.reshape((1,) * (samples.ndim - 1) + (-1,)), axes=-1)
    return whole[..., delay : delay + samples.shape[-1]]


def band_limited(samples, rate: float, cutoff: float):
    """The samples (..., n) taken at 2 cutoff and interpolated back to `rate` by soxr's longest sinc: nothing above the cut-off.

    Raises: UserError without soxr.
    """
    try:
        import soxr
    except ImportError:
        raise UserError(f"this baseline needs soxr: {install('audio')}") from None
    samples = np.asarray(samples, np.float64)
    columns = samples.reshape(-1, samples.shape[-1]).T
    coarse = soxr.resample(columns, rate, 2 * cutoff, quality="VHQ")
    fine = soxr.resample(coarse, 2 * cutoff, rate, quality="VHQ")[: len(columns)]
    fine = np.pad(fine, ((0, len(columns) - len(fine)), (0, 0)))
    return fine.T.reshape(samples.shape)


def wiener(samples, noise_std, *, rate: float = 8000, spectrum=None, memory: float = 0.96, least: float = 0.01):
    """Noise suppressed by Wiener's gain xi / (1 + xi), xi the a-priori ratio of signal to noise in every bin.

    xi_t = memory G_{t-1}^2 gamma_{t-1} + (1 - memory) max(gamma_t - 1, 0), at least `least`, gamma = |Y|^2 / E|N|^2: decision-directed.
    (Ephraim & Malah 1984, eq. 51, doi:10.1109/TASSP.1984.1164453; the gain of Scalart & Vieira Filho 1996)

    Args:
      samples: (..., n); noise_std: standard deviation of white noise, or (bins,) the root of the noise's density in its units, which is
        constant for white noise, at frequencies 0..rate/2.
      spectrum: (bins,) power density of the signal, where it is stationary and known: xi is its ratio to the noise's, nothing is decided.
    Returns: (..., n).
    """
    transform, spectra, noise = _spectra(samples, noise_std, rate)
    if spectrum is not None:
        signal = np.asarray(spectrum, np.float64)
        gain = (signal / np.maximum(signal + noise, LEAST))[:, None]
    else:
        gamma = _posterior(transform, spectra, noise)
        gain, before = np.empty_like(gamma), np.maximum(gamma[..., 0] - 1, 0)
        for t in range(gamma.shape[-1]):
            xi = np.maximum(memory * before + (1 - memory) * np.maximum(gamma[..., t] - 1, 0), least)
            gain[..., t] = xi / (1 + xi)
            before = gain[..., t] ** 2 * gamma[..., t]
    return _inverse(transform, spectra * gain, samples)


def spectral_subtraction(samples, noise_std, *, rate: float = 8000, over: float = 4.0, floor: float = 0.02):
    """Noise suppressed by taking its power away: |X|^2 = max(|Y|^2 - over E|N|^2, floor E|N|^2), with the phase of Y.

    (Boll 1979, doi:10.1109/TASSP.1979.1163209; over and floor of Berouti, Schwartz, Makhoul 1979, doi:10.1109/ICASSP.1979.1170788)

    Args: samples: (..., n); noise_std: as in `wiener`. Returns: (..., n).
    """
    transform, spectra, noise = _spectra(samples, noise_std, rate)
    gamma = np.maximum(_posterior(transform, spectra, noise), LEAST)
    gain = np.sqrt(np.maximum(gamma - over, floor) / gamma)
    return _inverse(transform, spectra * np.minimum(gain, 1.0), samples)


def wiener_deconvolution(samples, response, noise_std, *, spectrum=None):
    """What was heard through a known response, with white noise on top: conj(H) S / (|H|^2 S + noise_std^2) Y.

    Without noise the inverse filter, exact if H has no zeros and the whole convolution was heard.      (Wiener 1949)

    Args:
      samples: (n,); response: (m,), from time 0 on; noise_std: in units of the samples.
      spectrum: (bins,) power density S of the signal at frequencies 0..rate/2; where None it is that of the samples over 256 of them,
        less the noise's and over |H|^2 smoothed as much.
    Returns: (n,).
    """
    samples, response = np.asarray(samples, np.float64), np.asarray(response, np.float64)
    length = scipy.fft.next_fast_len(len(samples) + len(response) - 1, real=True)
    heard, h = scipy.fft.rfft(samples, length), scipy.fft.rfft(response, length)
    if noise_std == 0:
        return scipy.fft.irfft(heard / np.where(np.abs(h) > LEAST, h, np.inf), length)[: len(samples)]
    places = np.linspace(0, 1, len(h))
    if spectrum is None:
        _, density = scipy.signal.welch(samples, 1.0, nperseg=min(256, len(samples)), detrend=False)
        density = np.interp(places, np.linspace(0, 1, len(density)), density / 2)  # one-sided
        smooth = scipy.ndimage.uniform_filter1d(np.abs(h) ** 2, max(1, length // 128), mode="reflect")
        signal = np.maximum(density - noise_std**2, 1e-2 * noise_std**2) / np.maximum(smooth, LEAST)
    else:
        signal = np.interp(places, np.linspace(0, 1, len(spectrum)), spectrum)
    estimate = h.conj() * signal * heard / (np.abs(h) ** 2 * signal + noise_std**2)
    return scipy.fft.irfft(estimate, length)[: len(samples)]


def nmf_separate(mixture, examples_a, examples_b, *, rate: float = 8000, components: int = 160, iterations: int = 60, seed: int = 0):
    """A mixture of two kinds of sound taken apart by spectra that were learnt of each alone.

    |X_a| = W_a H_a and |X_b| = W_b H_b of least Kullback-Leibler divergence, then |Y| = W_a H_a + W_b H_b with both W kept; each source is
    (W H)^2 over the sum of both, times Y, in windows of 128 ms every 32.
    (Lee & Seung 2001; Smaragdis, Raj, Shashanka 2007, doi:10.1007/978-3-540-74494-8_52)

    Args: mixture: (n,); examples_a, examples_b: (m,), or lists of such; components: spectra of each, fewer where examples are short.
    Returns: a (n,), b (n,), whose sum is the mixture.
    """
    from sklearn.decomposition import NMF, non_negative_factorization  # loads slowly

    options = {"solver": "mu", "beta_loss": "kullback-leibler", "max_iter": iterations, "tol": 1e-4}
    transform = _transform(rate, 4 * WINDOW, 4 * HOP)
    learnt = []
    for examples in (examples_a, examples_b):
        examples = [examples] if np.ndim(examples[0]) == 0 else examples
        heights = np.concatenate([np.abs(_stft(transform, x)).T for x in examples])
        heights = heights[heights.sum(-1) > 1e-3 * heights.sum(-1).max()] + LEAST  # silence teaches nothing
        count = min(components, *heights.shape)
        model = NMF(count, init="nndsvda", random_state=seed, **options)
        with _unfinished():
            learnt.append(model.fit(heights).components_)
    spectra = _stft(transform, mixture)
    basis = np.concatenate(learnt)
    with _unfinished():
        weights, _, _ = non_negative_factorization(np.abs(spectra).T + LEAST, H=basis, update_H=False, n_components=len(basis), **options)
    count = len(learnt[0])
    a, b = ((weights[:, part] @ basis[part]).T ** 2 for part in (slice(count), slice(count, None)))
    first = _inverse(transform, spectra * (a / np.maximum(a + b, LEAST**2)), mixture)
    return first, np.asarray(mixture, np.float64) - first


def _transform(rate, window=WINDOW, hop=HOP):
    hann = scipy.signal.get_window("hann", round(window * rate))
    return scipy.signal.ShortTimeFFT(hann, round(hop * rate), rate)


def _spectra(samples, noise_std, rate):
    # The transform, its values, and the density of the noise in each of its bins.
    transform = _transform(rate)
    noise_std = np.asarray(noise_std, np.float64)
    noise = np.interp(np.linspace(0, 1, transform.f_pts), np.linspace(0, 1, noise_std.size), noise_std.ravel())
    return transform, _stft(transform, samples), noise**2


def _stft(transform, samples):
    samples = np.asarray(samples, np.float64)
    short = max(0, transform.m_num - samples.shape[-1])  # it takes no less than half a window
    return transform.stft(np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, short)]))


def _inverse(transform, spectra, samples):
    n = np.shape(samples)[-1]
    return transform.istft(spectra, k1=max(n, transform.m_num))[..., :n]


def _posterior(transform, spectra, noise):
    # |Y|^2 over E|N|^2.
    expected = (transform.win**2).sum() * noise[:, None]
    return (spectra.real**2 + spectra.imag**2) / np.maximum(expected, LEAST)


@contextlib.contextmanager
def _unfinished():
    # More turns than asked for change the spectra, but not what can be heard.
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
