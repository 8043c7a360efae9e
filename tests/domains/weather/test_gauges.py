import importlib

import numpy as np
import pytest
import scipy.ndimage

from domains.weather import gauges
from sciddm.errors import UserError


def drawn(seed=0, count=60, size=32, sill=80.0, reach=30.0, error=0.0):
    """A Gaussian field of known covariance on the grid, and gauges of it."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1).reshape(-1, 2)
    k = gauges._covariance(grid, grid, sill, reach) + 1e-6 * np.eye(size**2)
    truth = 30 + (np.linalg.cholesky(k) @ rng.standard_normal(size**2)).reshape(size, size)
    points = grid[rng.choice(size**2, count, replace=False)]
    values = truth[tuple(points.T)] + error * rng.standard_normal(count)
    return truth, points, values


def test_kriging_passes_through_gauges_without_error_and_is_unsure_only_elsewhere():
    truth, points, values = drawn()
    mean, std = gauges.kriging(points, values, np.zeros(60), (32, 32))
    np.testing.assert_allclose(mean[tuple(points.T)], values, atol=1e-2)
    assert std[tuple(points.T)].max() < 0.01 < 1.0 < np.median(std)
    error = mean - truth
    assert error.std() < 0.75 * truth.std()
    # Its own standard deviation is that of its error.
    assert np.mean((error / std)[std > 1] ** 2) == pytest.approx(1.0, abs=0.35)


@pytest.mark.parametrize("ordinary", [True, False])
def test_a_gauge_far_from_all_others_has_the_weight_of_its_error(ordinary):
    # Simple kriging at the gauge: s / (s + e^2); at infinity 0. Ordinary: what is missing goes to all alike, by precision.
    points, errors = np.array([[0, 0], [0, 100], [100, 0]]), np.array([1.0, 2.0, 3.0])
    weights, variance = gauges._solve(points, errors, (101, 101), sill=4.0, reach=3.0, ordinary=ordinary)
    shrink = 4.0 / (4.0 + errors[0] ** 2)
    precision = 1 / (4.0 + errors**2)
    rest = (1 - shrink) * precision / precision.sum() if ordinary else np.zeros(3)
    np.testing.assert_allclose(weights[0], [shrink, 0, 0] + rest, atol=1e-6)
    expected = 4.0 - 4.0 * shrink + ((1 - shrink) ** 2 / precision.sum() if ordinary else 0.0)
    assert variance[0] == pytest.approx(expected, rel=1e-5)
    if ordinary:
        np.testing.assert_allclose(weights.sum(1), 1.0)
        np.testing.assert_allclose(weights[-1], precision / precision.sum(), atol=1e-6)


def test_kriging_agrees_with_pykrige_for_the_same_variogram():
    ok = importlib.import_module("pykrige.ok")
    _, points, values = drawn(error=2.0)
    parameters = {"psill": 80.0, "range": 30.0, "nugget": 4.0}
    theirs = ok.OrdinaryKriging(
        points[:, 1], points[:, 0], values, "exponential", variogram_parameters=parameters, exact_values=False
    )
    mean, variance = theirs.execute("grid", np.arange(32.0), np.arange(32.0))
    weights, ours = gauges._solve(points, np.full(60, 2.0), (32, 32), 80.0, 30.0, ordinary=True)
    np.testing.assert_allclose((weights @ values).reshape(32, 32), mean, atol=1e-3)
    # Theirs is the variance of a gauge there, with its nugget; ours of the rain.
    away = np.ones((32, 32), bool)
    away[tuple(points.T)] = False
    np.testing.assert_allclose(ours.reshape(32, 32)[away] + 4.0, variance[away], rtol=1e-3)


def test_the_covariance_is_found_from_the_gauges():
    found = [
        gauges._fit(p, v, np.full(90, 2.0), ordinary=True)
        for _, p, v in (drawn(s, 90, error=2.0) for s in range(5))
    ]
    sill, reach = np.exp(np.log(found).mean(0))
    # An exponential field's slope at 0, sill / reach, is what a small domain determines.
    assert sill / reach == pytest.approx(80 / 30, rel=0.25)
    assert 0.5 < sill / 80 < 2.0


def test_kriging_with_a_background_corrects_it_near_gauges_and_leaves_it_far_away():
    truth, points, values = drawn(count=40)
    background = truth + 6.0 * np.sin(np.arange(32) / 5.0)[None]
    mean, _ = gauges.kriging(points, values, np.full(40, 0.5), (32, 32), background)
    alone, _ = gauges.kriging(points, values, np.full(40, 0.5), (32, 32))
    rms = [np.sqrt(np.mean((x - truth) ** 2)) for x in (mean, background, alone)]
    assert rms[0] < 0.7 * rms[1] and rms[0] < 0.7 * rms[2]
    near = points[:, 1] < 4
    far, _ = gauges.kriging(
        points[near], values[near], np.full(near.sum(), 0.5), (32, 400), np.full((32, 400), 20.0)
    )
    assert abs(far[:, -1] - 20.0).max() < 0.5


def test_kriged_members_come_to_the_gauges_within_their_errors():
    truth, points, values = drawn(count=40)
    rng = np.random.default_rng(1)
    members = np.clip(
        truth + 8 * scipy.ndimage.gaussian_filter(rng.standard_normal((20, 32, 32)), (0, 3, 3)) * 10, 0, None
    )
    answer = gauges.kriged_members(points, values, np.full(40, 0.5), members, seed=2)
    at = (slice(None), *points.T)
    assert np.abs(answer[at] - values).mean() < 1.0 < np.abs(members[at] - values).mean()
    assert 0.2 < answer[at].std(0).mean() < 1.0  # errors of .5 drawn anew for each member
    np.testing.assert_array_equal(answer, gauges.kriged_members(points, values, np.full(40, 0.5), members, seed=2))
    assert np.mean((answer.mean(0) - truth) ** 2) < 0.5 * np.mean((members.mean(0) - truth) ** 2)


def test_gauges_that_cannot_be_kriged_are_refused():
    with pytest.raises(UserError, match="3 values at least, got 2"):
        gauges.kriging([[0, 0], [1, 1], [2, 2]], [1.0, np.nan, 2.0], 1.0, (4, 4))
    with pytest.raises(UserError, match="outside of the 4 x 4 pixels"):
        gauges.kriging([[0, 0], [1, 1], [2, 5]], [1.0, 1.0, 2.0], 1.0, (4, 4))
