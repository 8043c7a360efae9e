"""Scores of generated sounds against held-out ones, by what their short-time spectra are like."""

import numpy as np

from domains.audio import metrics
from sciddm.metrics import sliced_wasserstein

BANDS = 24  # of the spectrum, alike in width


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
