"""Shared by the tests of pictures of rain."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture
def closed():
    """Figures, after the test."""
    yield
    plt.close("all")


@pytest.fixture
def rain():
    """(16, 24, 24) dBZ, a sector missing."""
    y, x = np.mgrid[:24, :24]
    frames = np.stack([55 * np.exp(-((x - 6 - t / 2) ** 2 + (y - 12) ** 2) / 30.0) for t in range(16)])
    frames[frames < 2] = 0.0
    frames[:, 18:, 18:] = np.nan
    return frames
