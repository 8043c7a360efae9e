import numpy as np
import pytest

from domains.fields import baselines
from sciddm import metrics


@pytest.fixture(scope="module")
def linear():
    """Fields that hang together linearly through four numbers, with noise: given (N, 60), wanted (N, 80) and its mean for each."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((240, 4))
    given = z @ rng.standard_normal((4, 60)) + 0.02 * rng.standard_normal((240, 60))
    mean = 3.0 + z @ rng.standard_normal((4, 80))
    return given, mean + 0.5 * rng.standard_normal(mean.shape), mean


def test_regression_is_almost_as_good_as_the_law_the_fields_are_of(linear):
    given, wanted, mean = linear
    found = baselines.regression(given[:200], wanted[:200])
    drawn = [found.draw(x, 40, seed=i) for i, x in enumerate(given[200:])]
    rng = np.random.default_rng(1)
    ideal = [m + 0.5 * rng.standard_normal((40, 80)) for m in mean[200:]]
    ours, best = (np.mean([metrics.crps(d, y) for d, y in zip(each, wanted[200:], strict=True)]) for each in (drawn, ideal))
    assert ours < 1.1 * best
    spread = metrics.spread_skill(np.stack(drawn, 1), wanted[200:])
    assert 0.9 < spread < 1.15


def test_what_cannot_be_predicted_is_left_at_its_mean():
    rng = np.random.default_rng(0)
    given, wanted = rng.standard_normal((150, 30)), 7 + 2 * rng.standard_normal((150, 20))
    found = baselines.regression(given, wanted)
    assert 0.98 < found.score < 1.06
    assert np.sqrt(np.mean((found.estimate(rng.standard_normal((150, 30))) - wanted.mean(0)) ** 2)) < 0.2 * 2


def test_units_and_missing_values_of_what_is_given_do_not_matter(linear):
    given, wanted, _ = linear
    scale = np.where(np.arange(60) < 30, 1.0, 1e6)
    one, other = baselines.regression(given, wanted), baselines.regression(scale * given, wanted)
    np.testing.assert_allclose(one.estimate(given[:5]), other.estimate(scale * given[:5]), rtol=1e-6)
    holes = np.where(np.random.default_rng(0).uniform(size=given.shape) < 0.02, np.nan, given)
    assert baselines.regression(holes, wanted).score < 1.5 * one.score


def test_members_that_are_given_are_mapped_one_by_one(linear):
    given, wanted, _ = linear
    found = baselines.regression(given, wanted)
    drawn = found.draw(given[:12], 12, seed=3)
    residuals = drawn - found.estimate(given[:12])
    assert drawn.shape == (12, 80)
    rows = [np.flatnonzero(np.isclose(found.errors, r, atol=1e-6).all(1)) for r in residuals]
    assert len({int(row[0]) for row in rows}) == 12  # the error of another training field each


@pytest.mark.parametrize("memory", [0.0, 0.5, 1.0])
def test_forecasts_are_as_good_as_a_damped_walk_allows(memory):
    # x' = memory x + noise: for no memory the climate, for all of it persistence, is all that one can know.
    rng = np.random.default_rng(0)
    windows = np.zeros((200, 5, 12, 1))
    windows[:, 0] = rng.standard_normal((200, 12, 1)) * (5.0 if memory == 1.0 else (1 - memory**2) ** -0.5)
    for t in range(1, 5):
        windows[:, t] = memory * windows[:, t - 1] + rng.standard_normal((200, 12, 1))
    found = baselines.forecast(windows[:160], 2)
    assert found.lasting or memory < 1
    drawn = np.stack([found.draw(w[:2], 50, seed=i) for i, w in enumerate(windows[160:])], 1)
    assert drawn.shape == (50, 40, 3, 12, 1)
    error = np.sqrt(np.mean((drawn.mean(0) - windows[160:, 2:]) ** 2, (0, 2, 3)))
    ideal = np.sqrt(np.cumsum(memory ** (2 * np.arange(3))))
    np.testing.assert_allclose(error, ideal, rtol=0.25)
    land = windows[170, :2].copy()
    land[:, 3] = np.nan
    assert np.isnan(found.draw(land, 3)[:, :, 3]).all() and np.isfinite(found.draw(land, 3)[:, :, 4]).all()
