import numpy as np
import pytest
import scipy.stats

from sciddm import metrics

rng = np.random.default_rng(0)


def test_coverage_of_a_perfect_ensemble_is_the_ideal_one():
    for members in (8, 16):
        draws = rng.normal(size=(members + 1, 40000))
        assert metrics.coverage(draws[:-1], draws[-1], 0.9) == pytest.approx(
            metrics.ideal_coverage(members, 0.9), abs=0.015
        )


def test_crps_of_a_normal_ensemble_is_its_closed_form():
    # CRPS of N(0, 1) at y: y (2 Phi(y) - 1) + 2 phi(y) - 1/sqrt(pi)
    truth = np.full(4000, 0.7)
    closed = 0.7 * (2 * scipy.stats.norm.cdf(0.7) - 1) + 2 * scipy.stats.norm.pdf(0.7) - 1 / np.sqrt(np.pi)
    assert metrics.crps(rng.normal(size=(8, 4000)), truth) == pytest.approx(closed, rel=0.05)


def test_relative_l2_and_sliced_distance_of_known_shifts():
    assert metrics.relative_l2(1.1 * np.ones(5), np.ones(5)) == pytest.approx(0.1)
    a = rng.normal(size=(500, 3))
    assert metrics.sliced_wasserstein(a, a) == 0
    # a shift by v moves every projection by |<v, direction>|, whose mean over the sphere of R^3 is |v| / 2
    assert metrics.sliced_wasserstein(a, a + np.array([2.0, 0.0, 0.0]), directions=2000) == pytest.approx(1.0, rel=0.05)
