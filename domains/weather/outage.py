"""Where a radar does not see."""

import numpy as np


def outage(rng: np.random.Generator, shape) -> np.ndarray:
    """Where a radar does not see, (y, x, frame): a sector of all frames, as behind a mountain, or all of one frame or more."""
    height, width, frames = shape
    if rng.random() < 0.5:
        y, x = np.mgrid[:height, :width] - rng.uniform(0, 1, (2, 1, 1)) * np.array([height, width])[:, None, None]
        first, wide = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.2)
        sector = np.mod(np.arctan2(y, x) - first, 2 * np.pi) < wide
        return np.broadcast_to(sector[..., None], shape)
    silent = rng.random(frames) < 0.4
    silent[rng.integers(frames)] = True  # one at least, and not all of them
    if silent.all():
        silent[rng.integers(frames)] = False
    return np.broadcast_to(silent, shape)
