"""How far from the truth, or from a law?"""

import numpy as np


def relative_l2(estimate, truth) -> float:
    """|estimate - truth| / |truth|, both norms over all entries; dimensionless."""
    return float(np.linalg.norm(np.subtract(estimate, truth)) / np.linalg.norm(truth))


def sliced_wasserstein(a, b, *, directions: int = 100, seed: int = 0) -> float:
    """Mean 1-Wasserstein distance of two sets of equal size over random directions, in the units of the data.

    a, b: (n, ...), flattened to (n, d).                                            (Bonneel et al. 2015)
    """
    a, b = np.reshape(a, (len(a), -1)), np.reshape(b, (len(b), -1))
    lines = np.random.default_rng(seed).normal(size=(directions, a.shape[1]))
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    return float(np.abs(np.sort(a @ lines.T, axis=0) - np.sort(b @ lines.T, axis=0)).mean())
