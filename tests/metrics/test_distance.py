import numpy as np
import pytest

from sciddm import metrics


def test_relative_l2_and_sliced_distance_of_known_shifts():
    assert metrics.relative_l2(1.1 * np.ones(5), np.ones(5)) == pytest.approx(0.1)
    a = np.random.default_rng(0).normal(size=(500, 3))
    assert metrics.sliced_wasserstein(a, a) == 0
    # a shift by v moves every projection by |<v, direction>|, whose mean over the sphere of R^3 is |v| / 2
    assert metrics.sliced_wasserstein(a, a + np.array([2.0, 0.0, 0.0]), directions=2000) == pytest.approx(1.0, rel=0.05)
