"""How loud a sound is: the root mean square of the frames in which something sounds, and the level at which models hear everything."""

import numpy as np

REFERENCE = 0.1  # full scale, 20 dB below it: active level of a sound as a model hears it
FRAME, RANGE = 0.032, 30.0  # s, and dB below the loudest frame down to which one counts as active


def active_level(samples, rate: float) -> float:
    """Root mean square over active frames, full scale; 0 of silence. samples: (n,) or (n, channels), whose powers are averaged."""
    samples = np.asarray(samples, np.float64).reshape(len(samples), -1)
    size = min(max(round(FRAME * rate), 1), len(samples))
    power = (samples[: len(samples) // size * size] ** 2).reshape(-1, size, samples.shape[1]).mean((1, 2))
    return float(np.sqrt(power[power >= power.max(initial=0.0) * 10 ** (-RANGE / 10)].mean())) if len(power) else 0.0


def active(samples, rate: float) -> np.ndarray:
    """(n,) bool: which samples are in active frames. samples: (n,)."""
    samples = np.asarray(samples, np.float64)
    size = min(max(round(FRAME * rate), 1), len(samples))
    power = (np.pad(samples, (0, -len(samples) % size)) ** 2).reshape(-1, size).mean(1)
    return np.repeat(power >= power.max() * 10 ** (-RANGE / 10), size)[: len(samples)]
