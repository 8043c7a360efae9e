"""Classical answers: baselines, kriging, kriging_law, kriging_fit, regression."""

import numpy as np
import pytest
import xarray as xr
from scipy.spatial.distance import cdist

from domains.fields import baselines, kriging
from domains.fields.baselines import Prior
from domains.fields.kriging_law import spacing_of
from domains.fields.layout import Layout
from sciddm import metrics


def grid(*axes):
    return np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], -1)


PLACES = grid(np.arange(14.0), 2.0 * np.arange(20))
TRUE = Prior(np.array([5.0, 16.0]), std=3.0, mean=5.0)


@pytest.fixture(scope="module")
def fields():
    law = TRUE.at(PLACES)
    root = np.linalg.cholesky(law.covariance(law) + 1e-9 * np.eye(len(PLACES)))
    return 5.0 + np.random.default_rng(0).standard_normal((140, len(PLACES))) @ root.T


@pytest.fixture(scope="module")
def fitted(fields):
    return baselines.fit_prior(fields[:120], PLACES, observed=15, noise_std=0.1)


def observed(fields, i, count=15, std=0.1):
    rng = np.random.default_rng(i)
    at = rng.permutation(len(PLACES))[:count]
    return PLACES[at], fields[i, at] + std * rng.standard_normal(count)


def test_draws_have_the_mean_and_covariance_of_the_closed_form():
    places, targets = np.array([[0.0], [1.0], [3.5]]), np.array([[0.5], [1.0], [2.0], [9.0]])
    values, noise = np.array([1.0, 2.5, -1.0]), np.array([0.1, 0.5, 0.3])

    def covariance(a, b):  # the Matern of 3/2, by hand
        r = np.sqrt(3) * cdist(a, b) / 2.0
        return 4.0 * (1 + r) * np.exp(-r)

    gain = covariance(targets, places) @ np.linalg.inv(covariance(places, places) + np.diag(noise**2))
    mean = 0.5 + gain @ (values - 0.5)
    expected = covariance(targets, targets) - gain @ covariance(places, targets)
    draws = baselines.kriging(places, values, noise, targets, 40_000, prior=Prior(np.array([2.0]), 2.0, 0.5))
    error = np.sqrt(np.diag(expected) / len(draws))
    np.testing.assert_array_less(np.abs(draws.mean(0) - mean), 4 * error)
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=4 * 4.0 * np.sqrt(2 / len(draws)))


def test_an_exact_value_without_nugget_is_kept_and_a_missing_one_left_out():
    places, prior = np.array([[0.0], [1.0], [2.0]]), Prior(np.array([1.0]), 2.0, 1.0)
    draws = baselines.kriging(places, [3.0, np.nan, 0.0], 0.0, places, 50, prior=prior)
    np.testing.assert_allclose(draws[:, [0, 2]], np.broadcast_to([3.0, 0.0], (50, 2)), atol=1e-4)
    assert draws[:, 1].std() > 0.3


def test_blocks_leave_the_law_of_every_target_as_it_is(monkeypatch):
    places, values, targets = np.array([[0.0], [4.0]]), np.array([1.0, -1.0]), np.linspace(0, 5, 12)[:, None]
    prior = Prior(np.array([1.5]), 1.0, 0.0)
    whole = baselines.kriging(places, values, 0.1, targets, 20_000, prior=prior)
    monkeypatch.setattr(kriging, "TOGETHER", 5)
    monkeypatch.setattr(kriging, "BLOCK", 4)
    parts = baselines.kriging(places, values, 0.1, targets, 20_000, prior=prior)
    np.testing.assert_allclose(parts.mean(0), whole.mean(0), atol=0.05)
    np.testing.assert_allclose(parts.std(0), whole.std(0), atol=0.03)
    assert abs(np.corrcoef(parts[:, 3], parts[:, 4])[0, 1]) < 0.05 < np.corrcoef(whole[:, 3], whole[:, 4])[0, 1]


def test_the_law_of_training_fields_is_found_again(fitted):
    np.testing.assert_allclose(fitted.lengths, TRUE.lengths, rtol=0.15)
    assert fitted.smoothness == 1.5 and fitted.nugget < 0.01
    np.testing.assert_allclose([np.mean(fitted.mean), np.mean(fitted.std)], [5.0, 3.0], atol=0.4)


def test_kriging_covers_as_it_should_and_beats_what_has_no_law(fields, fitted):
    scores = {"trained": [], "alone": [], "radial": [], "nearest": [], "true": []}
    covered = []
    for i in range(124, 140):
        places, values = observed(fields, i)
        draws = baselines.kriging(places, values, 0.1, PLACES, 39, prior=fitted)
        covered.append(metrics.coverage(draws, fields[i], 1.0))
        scores["trained"].append(metrics.crps(draws, fields[i]))
        scores["true"].append(metrics.crps(baselines.kriging(places, values, 0.1, PLACES, 39, prior=TRUE), fields[i]))
        if i % 2:  # each of these takes a second
            scores["alone"].append(metrics.crps(baselines.kriging(places, values, 0.1, PLACES, 39), fields[i]))
        scores["radial"].append(np.abs(baselines.radial_basis(places, values, PLACES) - fields[i]).mean())
        scores["nearest"].append(np.abs(baselines.nearest(places, values, PLACES) - fields[i]).mean())
    mean = {name: np.mean(values) for name, values in scores.items()}
    assert abs(np.mean(covered) - 38 / 40) < 0.03
    assert mean["trained"] < 1.03 * mean["true"]
    assert mean["trained"] < mean["alone"] < mean["radial"] < mean["nearest"]


def test_patterns_of_the_training_fields_are_used_where_a_stationary_law_does_not_know_them():
    rng = np.random.default_rng(2)
    y, x = PLACES.T
    patterns = np.stack([np.sin(x * k / 12 + k) * np.cos(y * k / 5) for k in (1, 2, 3)])
    fields = rng.standard_normal((80, 3)) @ patterns + 0.02 * rng.standard_normal((80, len(PLACES)))
    prior = baselines.fit_prior(fields[:70], PLACES, observed=10, noise_std=0.02)
    at = rng.permutation(len(PLACES))[:10]
    error = [
        np.abs(baselines.kriging(PLACES[at], f[at], 0.02, PLACES, 30, prior=law).mean(0) - f).mean()
        for f in fields[70:] for law in (prior, None)
    ]  # fmt: skip
    assert prior.share > 0.5
    assert np.mean(error[::2]) < 0.2 * np.mean(error[1::2])


def test_the_law_of_a_grid_is_known_between_its_points_too():
    places = grid(3600.0 * np.arange(6), 0.01 * np.arange(15), 5.0 * np.arange(9))  # axes of quite different units
    np.testing.assert_allclose(spacing_of(places), [3600.0, 0.01, 5.0])
    plane = places @ [1e-4, 10.0, 0.05]
    law = Prior(np.array([1e4, 0.1, 20.0]), std=1.0 + plane, mean=plane, places=places, anomalies=plane[None], share=0.5)
    exact = law.at(places[[7, 100]])
    np.testing.assert_allclose(exact.mean, plane[[7, 100]])
    between = law.at(places[:1] + [[1800.0, 0.005, 2.5]])  # the middle of a cell
    expected = 0.18 + 0.05 + 0.125
    np.testing.assert_allclose([between.mean[0], between.std[0], between.anomalies[0, 0]], [expected, 1 + expected, expected])


def test_few_training_fields_and_few_values_still_give_a_law():
    rng = np.random.default_rng(0)
    prior = baselines.fit_prior(rng.standard_normal((3, 30)), np.arange(30.0)[:, None])
    assert np.isfinite(baselines.kriging([[1.0]], [2.0], 0.1, np.arange(30.0)[:, None], 4, prior=prior)).all()
    for count in (0, 1, 2, 4):
        draws = baselines.kriging(rng.uniform(size=(count, 2)), rng.standard_normal(count), 0.1, rng.uniform(size=(6, 2)), 3)
        assert draws.shape == (3, 6) and np.isfinite(draws).all()


def test_the_sphere_and_periodic_axes_close():
    coords = {
        "lat": ("lat", np.linspace(-80, 80, 5), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(0.0, 360, 45), {"units": "degrees_east"}),
        "phase": ("phase", np.arange(10.0)),
    }
    header = xr.Dataset({"u": (("n", "phase", "lat", "lon"), np.zeros((0, 10, 5, 8)))}, coords)
    globe = Layout(header, ("u",), ("lat", "lon"))
    pole = baselines.euclidean(globe, [[90, 10], [90, 200], [0, 0], [0, 360], [0, 180]])
    np.testing.assert_allclose(pole[[0, 2]], pole[[1, 3]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(pole[2] - pole[4]), 2.0)
    ring = baselines.euclidean(Layout(header, ("u",), ("phase",), periodic=("phase",)), [[0.0], [9.0], [1.0], [5.0]])
    distance = np.linalg.norm(ring - ring[0], axis=1)
    np.testing.assert_allclose(distance[1], distance[2])
    np.testing.assert_allclose(distance[3], 10 / np.pi)


def test_radial_basis_is_exact_for_planes_and_copes_with_few_values():
    places = np.random.default_rng(0).uniform(size=(30, 2)) * [1.0, 1000.0]
    plane = places @ [2.0, 0.01] + 1.0
    np.testing.assert_allclose(baselines.radial_basis(places[:20], plane[:20], places[20:]), plane[20:], rtol=1e-6)
    assert np.isfinite(baselines.radial_basis(places[:1], plane[:1], places)).all()
    line = np.stack([np.arange(6.0), np.zeros(6)], 1)
    assert np.isfinite(baselines.radial_basis(line, np.arange(6.0), line + 0.3)).all()


def blocks(field, factor):
    for axis, f in enumerate(factor):
        starts = np.arange(0, field.shape[axis], f)
        sizes = np.diff([*starts, field.shape[axis]]).reshape([-1 if i == axis else 1 for i in range(field.ndim)])
        field = np.add.reduceat(field, starts, axis) / sizes
    return field


def test_splines_keep_the_block_means_and_are_near_the_field_between():
    y, x = np.meshgrid(np.linspace(0, 1, 11), np.linspace(0, 3, 18), indexing="ij")
    field = np.sin(2 * y + x) + 0.3 * x * y
    fine = baselines.finer(blocks(field, (4, 3)), field.shape, (4, 3))
    np.testing.assert_allclose(blocks(fine, (4, 3)), blocks(field, (4, 3)), atol=1e-3)
    steps = np.repeat(np.repeat(blocks(field, (4, 3)), 4, 0)[:11], 3, 1)
    assert np.abs(fine - field).mean() < 0.35 * np.abs(steps - field).mean()


def test_splines_wrap_leave_frames_alone_and_fill_blocks_that_were_not_seen():
    angle = 2 * np.pi * np.arange(24) / 24
    wave = np.stack([np.sin(angle), np.cos(angle), np.ones(24)])[..., None]
    coarse = blocks(wave, (1, 4))
    fine = baselines.finer(coarse, (3, 24), (1, 4), periodic=(1,))
    np.testing.assert_allclose(fine, wave, atol=0.02)
    coarse[2, 3] = np.nan
    np.testing.assert_allclose(baselines.finer(coarse, (3, 24), (1, 4), periodic=(1,))[2], 1.0, atol=1e-12)


def test_persistence_lasts_and_climatology_repeats_nobody():
    frames = np.arange(24.0).reshape(3, 4, 2)
    np.testing.assert_array_equal(baselines.persistence(frames, 5), np.stack([frames[-1]] * 5))
    drawn = baselines.climatology(np.arange(10.0), 6, seed=1)
    assert len(set(drawn)) == 6 and set(drawn) <= set(range(10))
    assert len(baselines.climatology(np.arange(3.0), 6)) == 3
