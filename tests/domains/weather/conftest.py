"""Shared by the tests of rain: a domain, and a sequence and figures for the tests of pictures."""

import matplotlib
import numpy as np
import pytest
from small_rain import weather_config

import sciddm as sd

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


@pytest.fixture(scope="session")
def domain(tmp_path_factory):
    """Events of 18 frames of 32 x 32 pixels; no test changes it."""
    return sd.get_domain(weather_config(tmp_path_factory.mktemp("cache")))
