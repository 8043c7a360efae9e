"""What sounds are like, in numbers: level and brightness over time, and generated ones beside held-out ones."""

import numpy as np
import xarray as xr

from domains.audio import metrics
from sciddm.metrics import sliced_wasserstein

BANDS = 24  # of the spectrum, alike in width
FRAME, SILENT = 0.032, -100.0  # s; dB of full scale


def of_many(samples: np.ndarray, reference: np.ndarray, rate: float) -> dict[str, float]:
    """samples, reference: (N, n) waveforms.

    Long-term spectrum: root mean square over frequencies of the difference in dB. Bands: sliced Wasserstein distance of the levels of
    `BANDS` bands in frames of 64 ms. Pitch: difference of the medians over voiced frames; voiced: of the shares of frames.
    """
    x, y = (metrics.power(waves) for waves in (samples, reference))
    long_term = [10 * np.log10(np.maximum(one.mean((0, 1)), metrics.FLOOR)) for one in (x, y)]
    levels = [_bands(one) for one in (x, y)]
    count = min(map(len, levels))
    thinned = [one[np.linspace(0, len(one) - 1, count).astype(int)] for one in levels]
    pitches = [metrics.pitch(waves, rate) for waves in (samples, reference)]
    median = [float(np.median(hertz[voiced])) if voiced.any() else np.nan for hertz, voiced in pitches]
    return {
        "long-term spectrum [dB]": float(np.sqrt(np.mean((long_term[0] - long_term[1]) ** 2))),
        "bands, sliced Wasserstein [dB]": float(sliced_wasserstein(*thinned)),
        "median pitch off by [Hz]": float(abs(median[0] - median[1])),
        "voiced share off by": float(abs(pitches[0][1].mean() - pitches[1][1].mean())),
    }


def _bands(power):
    # (frames, BANDS) dB
    parts = np.array_split(power.reshape(-1, power.shape[-1]), BANDS, -1)
    return np.stack([10 * np.log10(np.maximum(part.mean(-1), 1e-7)) for part in parts], -1).astype(np.float32)


def quantities(native: xr.Dataset) -> xr.Dataset:
    """level [dB] of full scale 1 and brightness [Hz], the mean frequency of the power, (member, time) in frames of 32 ms, over channels."""
    first = native["waveform"].dims[0]
    waves, rate = np.asarray(native["waveform"].values, np.float64), float(native.attrs["rate"])
    waves = waves.reshape(*waves.shape[:2], -1)
    size = min(max(round(FRAME * rate), 2), waves.shape[1])
    frames = waves[:, : waves.shape[1] // size * size].reshape(len(waves), -1, size, waves.shape[2])
    power = (frames**2).mean((2, 3))
    spectrum = (np.abs(np.fft.rfft(frames * np.hanning(size)[:, None], axis=2)) ** 2).sum(3)
    hertz = np.fft.rfftfreq(size, 1 / rate)
    mean = (spectrum * hertz).sum(2) / np.maximum(spectrum.sum(2), 1e-30)
    dims, time = ("member", "time"), (np.arange(power.shape[1]) + 0.5) * size / rate
    level = 10 * np.log10(np.maximum(power, 10 ** (SILENT / 10)))
    found = {
        "level": (dims, level, {"units": "dB", "long_name": "level, full scale is 0"}),
        "brightness": (dims, mean, {"units": "Hz", "long_name": "mean frequency of the power"}),
    }
    coords = {"time": ("time", time, {"units": "s", "long_name": "middle of a frame"})}
    return xr.Dataset(found, coords | ({"member": native[first].values} if first in native.coords else {}))
