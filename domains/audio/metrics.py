"""Scores of waveforms: SI-SDR, spectral distances, PESQ, STOI, pitch, and ranks of truth among members by time-frequency bin.

Waveforms are (..., n), full scale 1, time last; what broadcasts over leading axes says so. Spectra are of frames under a periodic Hann
window that start at 0, hop, 2 hop, ..., the last one filled up with zeros, so that every sample is in one.
"""

import functools
import warnings

import numpy as np
import scipy

from sciddm.errors import install
from sciddm.given import say

FLOOR = 1e-8  # of |STFT|^2 of a full scale of 1: about what rounding to 16 bits leaves in a frame of 512
LOWEST, HIGHEST = 50.0, 500.0  # Hz, of a pitch
VOICED = 0.6  # least normalised autocorrelation of a voiced frame
QUIET = 1e-3  # of the power of the loudest frame: less has no pitch
SHORTER = 0.9  # of the best correlation: a shorter period that has this much of it is the pitch, and the longer its multiple


def si_sdr(estimate, truth, *, where=None):
    """Scale-invariant signal-to-distortion ratio in dB.

    10 log10(|a y|^2 / |x - a y|^2), a = <x, y> / <y, y>, x the estimate, y the truth. Means are not removed.
    (Le Roux et al. 2019, eq. 3, arXiv:1811.02508)

    Args: estimate, truth: (..., n), broadcast; where: (n,) bool, the samples that count, all if None.
    Returns: (...), inf where equal up to scale, -inf of an estimate of zeros, NaN where the truth is zero.
    """
    x, y = np.broadcast_arrays(np.asarray(estimate, np.float64), np.asarray(truth, np.float64))
    if where is not None:
        x, y = x[..., where], y[..., where]
    energy, product = (y**2).sum(-1, keepdims=True), (x * y).sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        aligned = product / energy * y
        ratio = (aligned**2).sum(-1) / ((x - aligned) ** 2).sum(-1)
        score = 10 * np.log10(ratio)
    return np.where((x == 0).all(-1) & (energy[..., 0] > 0), -np.inf, score)[()]


def log_spectral_distance(
    estimate, truth, *, window: int = 512, hop: int = 128, floor: float = FLOOR, where=None, band=None, rate: float = 8000
):
    """Distance of the spectra in dB; 0 of equal signals, |20 log10 g| of a gain g where nothing is at the floor.

    mean over frames of sqrt(mean over bins of (10 log10 max(|X|^2, floor) - 10 log10 max(|Y|^2, floor))^2); papers that leave the
    factor 10 out print a tenth of it. (Gray & Markel 1976, doi:10.1109/TASSP.1976.1162849)

    Args:
      estimate, truth: (..., n), broadcast.
      window, hop: samples; floor: of the power.
      where: (n,) bool: only frames that hold a sample of it, whatever its weight.
      band: (low, high) Hz, both included: only bins in it, at `rate` samples a second.
    Returns: (...) dB, NaN without a frame.
    """
    x, y = (decibels(z, window, hop, floor) for z in (estimate, truth))
    if band is not None:
        inside = _inside(band, window, rate)
        x, y = x[..., inside], y[..., inside]
    if where is not None:
        touched = touching(where, window, hop)
        x, y = x[..., touched, :], y[..., touched, :]
    each = np.sqrt(((x - y) ** 2).mean(-1))
    return each.mean(-1) if each.shape[-1] else np.full(each.shape[:-1], np.nan)[()]


def multi_resolution_stft(estimate, truth, *, windows=(256, 512, 1024), floor: float = FLOOR):
    """Spectral convergence and log magnitude, averaged over windows with hops of a quarter; 0 of equal signals.

    | |Y| - |X| |_F / | |Y| |_F + mean |ln |Y| - ln |X||            (Yamamoto, Song, Kim 2020, eqs. 4-6, arXiv:1910.11480)

    Args: estimate, truth: (..., n), broadcast; windows: samples; floor: of the power. Returns: (...), without units.
    """
    total = 0.0
    for window in windows:
        x, y = (np.sqrt(np.maximum(power(z, window, window // 4), floor)) for z in (estimate, truth))
        convergence = np.sqrt(((y - x) ** 2).sum((-2, -1)) / (y**2).sum((-2, -1)))
        total = total + convergence + np.abs(np.log(y) - np.log(x)).mean((-2, -1))
    return total / len(windows)


def pesq_nb(estimate, truth, rate: int):
    """Narrow-band PESQ of speech (ITU-T P.862.1), about 1 (bad) to 4.55 (equal), by the package `pesq`.

    Args: estimate, truth: (..., n), broadcast; rate: 8000 or 16000 Hz, others are resampled to 8000.
    Returns: (...), NaN where there is no speech that PESQ finds; None without the package, with a remark.
    """
    return None if not _there("pesq") else _each(_pesq, estimate, truth, rate)


def stoi(estimate, truth, rate: int):
    """Short-time objective intelligibility (Taal et al. 2011, doi:10.1109/TASL.2011.2114881), up to 1, by the package `pystoi`.

    Args: estimate, truth: (..., n), broadcast; rate: Hz.
    Returns: (...), NaN where less than 30 frames (0.4 s) have speech; None without the package, with a remark.
    """
    return None if not _there("pystoi") else _each(_stoi, estimate, truth, rate)


def pitch(samples, rate: float = 8000, *, window: float = 0.04, hop: float = 0.01):
    """Pitch and voicing of frames, by the normalised autocorrelation: 50 to 500 Hz.

    r(l) = sum_i x_i x_{i+l} / sqrt(sum_i x_i^2 sum_i x_{i+l}^2), i over the window; the pitch is at the shortest peak with .9 of the
    highest one, refined by a parabola; a frame is voiced where that r is .6 or more and its power within 30 dB of the loudest frame's.
    (Talkin 1995, "A robust algorithm for pitch tracking", without its dynamic programming)

    Args: samples: (..., n); window, hop: seconds. Frames reach `window` and the longest period far.
    Returns: Hz (..., frames), and voiced (..., frames) bool; Hz of frames that are not voiced mean nothing.
    """
    samples = np.asarray(samples, np.float64)
    width, step = round(window * rate), round(hop * rate)
    shortest, longest = int(rate / HIGHEST), int(np.ceil(rate / LOWEST))
    frames = framed(samples, width + longest + 1, step)
    length = scipy.fft.next_fast_len(2 * width + longest + 1, real=True)
    first = np.fft.rfft(frames[..., :width], length)
    cross = np.fft.irfft(np.fft.rfft(frames, length) * first.conj(), length)[..., : longest + 2]
    summed = np.concatenate([np.zeros_like(frames[..., :1]), np.cumsum(frames**2, -1)], -1)
    energy = summed[..., width:] - summed[..., : longest + 2]
    scale = np.sqrt(np.maximum(energy[..., :1] * energy, 0))
    r = np.divide(cross, scale, out=np.zeros_like(cross), where=scale > 1e-12)
    inner = r[..., shortest:-1]
    peak = (inner >= r[..., shortest - 1 : -2]) & (inner >= r[..., shortest + 1 :])
    heights = np.where(peak, inner, -1.0)
    chosen = np.argmax(heights >= SHORTER * np.maximum(heights.max(-1, keepdims=True), 0), -1)
    lag = chosen + shortest
    before, at, after = (np.take_along_axis(r, (lag + d)[..., None], -1)[..., 0] for d in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(at), where=bend < 0)
    loud = energy[..., 0] > QUIET * energy[..., 0].max(-1, keepdims=True)
    voiced = (np.take_along_axis(heights, chosen[..., None], -1)[..., 0] >= VOICED) & loud
    return rate / (lag + np.clip(shift, -0.5, 0.5)), voiced


def pitch_within(estimate, truth, rate: float = 8000, *, cents: float = 50.0):
    """Share of the truth's voiced frames where the estimate is voiced with a pitch within so many cents (1200 log2 of the ratio).

    Args: estimate, truth: (..., n), broadcast. Returns: (...), NaN without a voiced frame.
    """
    (x, x_voiced), (y, y_voiced) = pitch(estimate, rate), pitch(truth, rate)
    right = x_voiced & y_voiced & (np.abs(1200 * np.log2(x / y)) <= cents)
    count = np.broadcast_to(y_voiced, right.shape).sum(-1)
    return np.divide(right.sum(-1), count, out=np.full(np.shape(count), np.nan), where=count > 0)[()]


def spectrum_ranks(
    members, truth, where=None, *, window: int = 512, hop: int = 128, floor: float = FLOOR, band=None, rate: float = 8000
):
    """Where the truth's log power lies among the members', pooled over time-frequency bins of the frames that touch `where`.

    Flat ranks, and a coverage of (M - 1)/(M + 1), are those of an honest ensemble. Bins where the truth and a member are both at the
    floor say nothing and are left out; neighbouring bins are dependent.

    Args: members: (M, n); truth: (n,); where: (n,) bool, all if None; band: (low, high) Hz.
    Returns: the share of bins between the least and the greatest member, NaN without a bin; how often the truth has each of the ranks
    0..M, (M + 1,) counts.
    """
    x, y = decibels(members, window, hop, floor), decibels(truth, window, hop, floor)
    inside = slice(None) if band is None else _inside(band, window, rate)
    touched = slice(None) if where is None else touching(where, window, hop)
    x, y = x[:, touched][..., inside], y[touched][..., inside]
    lowest = 10 * np.log10(floor)
    counted = ~((y <= lowest) & (x <= lowest).any(0))
    ranks = (x < y).sum(0)[counted]
    counts = np.bincount(ranks, minlength=len(x) + 1)
    return (counts[1:-1].sum() / counts.sum() if counts.sum() else np.nan), counts


def framed(samples, window: int, hop: int):
    """Frames of (..., n), at 0, hop, 2 hop, ..., the last filled up with zeros: (..., frames, window), read-only."""
    samples = np.asarray(samples, np.float64)
    length = window + hop * _last(samples.shape[-1], window, hop)
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, length - samples.shape[-1])])
    return np.lib.stride_tricks.sliding_window_view(padded, window, -1)[..., ::hop, :]


def power(samples, window: int = 512, hop: int = 128):
    """|STFT|^2 of (..., n) under a periodic Hann window, not normalised: (..., frames, window // 2 + 1)."""
    spectra = scipy.fft.rfft(framed(samples, window, hop) * scipy.signal.get_window("hann", window))
    return spectra.real**2 + spectra.imag**2


def decibels(samples, window: int = 512, hop: int = 128, floor: float = FLOOR):
    """10 log10 max(|STFT|^2, floor) of (..., n): (..., frames, window // 2 + 1) dB."""
    return 10 * np.log10(np.maximum(power(samples, window, hop), floor))


def touching(where, window: int = 512, hop: int = 128):
    """Which frames hold a sample of `where`, (n,) bool: (frames,) bool."""
    return framed(np.asarray(where, bool), window, hop).any(-1)


def _last(n, window, hop):
    return max(0, -(-(n - window) // hop))


def _inside(band, window, rate):
    hertz = np.fft.rfftfreq(window, 1 / rate)
    return (hertz >= band[0]) & (hertz <= band[1])


@functools.cache  # one remark, however many clips
def _there(package):
    try:
        __import__(package)
    except ImportError:
        say(f"no {package}, and no score by it: {install('audio')}")
        return False
    return True


def _each(score, estimate, truth, rate):
    x, y = np.broadcast_arrays(np.asarray(estimate, np.float64), np.asarray(truth, np.float64))
    rows = zip(x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1]), strict=True)
    return np.array([score(a, b, rate) for a, b in rows]).reshape(x.shape[:-1])[()]


def _pesq(estimate, truth, rate):
    import pesq

    if not (truth.any() and estimate.any()):
        return np.nan
    if rate not in (8000, 16000):
        import soxr

        estimate, truth = (soxr.resample(z, rate, 8000) for z in (estimate, truth))
        rate = 8000
    try:
        return pesq.pesq(rate, truth, estimate, "nb")
    except (pesq.PesqError, ValueError):  # too short, or nothing that it takes for speech
        return np.nan


def _stoi(estimate, truth, rate):
    import pystoi

    if not truth.any():
        return np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return pystoi.stoi(truth, estimate, rate)
        except (RuntimeWarning, ValueError):  # too little speech
            return np.nan
