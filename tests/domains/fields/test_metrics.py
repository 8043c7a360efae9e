"""Scores of fields, by closed forms."""

import numpy as np
import pytest
import xarray as xr

from domains.fields import metrics
from domains.fields.layout import Layout
from sciddm.metrics import radial_spectrum


def layout(*grid, variables=("u", "v"), latitudes=None, **options):
    dims = ("z", "y", "x")[-len(grid) :]
    coords = {} if latitudes is None else {"lat": (dims[-2], np.asarray(latitudes, float), {"units": "degrees_north"})}
    data = {name: (("time", *dims), np.zeros((0, *grid)), {"units": units}) for name, units in zip(variables, ("mm", "K"), strict=False)}
    return Layout(xr.Dataset(data, coords), tuple(variables), dims, time="time", **options)


@pytest.mark.parametrize("members", [2, 7, 19])
def test_an_honest_gaussian_ensemble_scores_what_is_ideal(members):
    rng, std = np.random.default_rng(0), np.array([1.0, 5.0])
    x, y = (std * rng.standard_normal((*shape, 60, 100, 2)) for shape in ((members,), ()))
    scores = metrics.ensemble_scores(layout(60, 100), x, y)
    for name, units, s in zip("uv", ("mm", "K"), std, strict=True):
        assert abs(scores[f"coverage/ideal of {name}"] - 1) < 5 * np.sqrt((members + 1) / (members - 1) / 6000)
        np.testing.assert_allclose(scores[f"spread/skill of {name}"], 1.0, atol=0.05)
        np.testing.assert_allclose(scores[f"CRPS of {name} [{units}]"], s / np.sqrt(np.pi), rtol=0.05)
        np.testing.assert_allclose(scores[f"RMSE of {name} [{units}]"], s * np.sqrt(1 + 1 / members), rtol=0.04)
    # in many dimensions lengths concentrate: sqrt(2) to the truth, and as much between members, half of which is left
    np.testing.assert_allclose(scores["energy score"], np.sqrt(2) / 2, rtol=0.03)
    assert len(scores) == 9


def test_too_narrow_an_ensemble_is_said_to_be_so():
    rng = np.random.default_rng(0)
    x, y = 0.5 * rng.standard_normal((9, 60, 100, 1)), rng.standard_normal((60, 100, 1))
    scores = metrics.ensemble_scores(layout(60, 100, variables=("u",)), x, y)
    assert scores["spread/skill of u"] < 0.6 and scores["coverage/ideal of u"] < 0.8


def test_areas_weigh_as_the_cosine_of_the_latitude():
    fields = layout(2, 1, variables=("u",), latitudes=[0, 60])  # weights 4/3 and 2/3
    scores = metrics.ensemble_scores(fields, np.array([[[[1.0]], [[5.0]]]]), np.array([[[0.0]], [[2.0]]]))
    assert scores["CRPS of u [mm]"] == pytest.approx((4 / 3 * 1 + 2 / 3 * 3) / 2)
    assert scores["RMSE of u [mm]"] == pytest.approx(np.sqrt((4 / 3 * 1 + 2 / 3 * 9) / 2))
    std = np.sqrt((4 / 3 * (0 - 2 / 3) ** 2 + 2 / 3 * (2 - 2 / 3) ** 2) / 2)
    assert scores["energy score"] == pytest.approx(np.sqrt((4 / 3 * 1 + 2 / 3 * 9) / 2) / std)
    members = np.array([[[[0.0]], [[0.0]]], [[[1.0]], [[1.0]]]])
    assert metrics.ensemble_scores(fields, members, np.array([[[0.5]], [[2.0]]]))["coverage/ideal of u"] == pytest.approx(2 / 3 * 3)


def test_what_is_masked_or_missing_does_not_count():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3, 6, 8, 2)), rng.standard_normal((3, 6, 8, 2))
    masked = np.zeros((6, 8, 2), bool)
    masked[:, 5:, 0] = masked[4:, :, 1] = True
    fields = layout(6, 8, masked=masked, frames=3)
    expected = metrics.ensemble_scores(layout(6, 5, variables=("u",), frames=3), x[:, :, :, :5, :1], y[:, :, :5, :1])
    for value in (np.nan, 1e9):
        found = metrics.ensemble_scores(fields, np.where(masked, value, x), np.where(masked, np.nan, y))
        assert {name: found[name] for name in expected if "energy" not in name} == pytest.approx(
            {name: value for name, value in expected.items() if "energy" not in name}
        )
        assert np.isfinite(list(found.values())).all()
    y[..., 1] = np.nan
    found = metrics.ensemble_scores(fields, x, y)
    assert np.isnan(found["CRPS of v [K]"]) and np.isfinite(found["CRPS of u [mm]"]) and np.isfinite(found["energy score"])
    assert np.isnan(metrics.ensemble_scores(fields, x, np.full_like(y, np.nan))["energy score"])


def test_one_member_has_its_error_and_no_spread():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 6, 8, 2)), rng.standard_normal((6, 8, 2))
    scores = metrics.ensemble_scores(layout(6, 8), x, y)
    assert scores["CRPS of u [mm]"] == pytest.approx(np.abs(x[0] - y)[..., 0].mean())
    assert np.isnan(scores["spread/skill of u"]) and np.isnan(scores["coverage/ideal of u"])
    assert scores["energy score"] == pytest.approx(np.sqrt(np.mean(((x[0] - y) / y.std((0, 1))) ** 2)))


def test_the_energy_score_does_not_depend_on_units():
    rng, scale = np.random.default_rng(0), np.array([1.0, 1e-4])
    x, y = rng.standard_normal((4, 6, 8, 2)), rng.standard_normal((6, 8, 2))
    one, other = (metrics.ensemble_scores(layout(6, 8), s * x, s * y)["energy score"] for s in (1.0, scale))
    assert one == pytest.approx(other)


def test_samples_that_are_the_data_are_without_error():
    x = np.random.default_rng(0).standard_normal((10, 3, 5, 7, 2))
    scores = metrics.sample_scores(layout(5, 7, frames=3), x, x)
    assert set(scores.values()) == {0.0} and len(scores) == 11


def test_sample_scores_are_what_was_done_to_the_data():
    x = np.random.default_rng(0).standard_normal((400, 12, 20, 2))
    fields = layout(12, 20)
    shifted = metrics.sample_scores(fields, x + [3.0, 0.0], x)
    for what in ("mean error", "1 % quantile error", "99 % quantile error"):
        assert shifted[f"{what} of u [mm]"] == pytest.approx(3.0) and shifted[f"{what} of v [K]"] == 0.0
    assert shifted["std error of u [mm]"] == pytest.approx(0.0, abs=1e-9)
    assert shifted["spectrum error of u [dB]"] == pytest.approx(0.0, abs=1e-9)
    doubled = metrics.sample_scores(fields, 2 * x, x)
    assert doubled["spectrum error of u [dB]"] == pytest.approx(20 * np.log10(2))
    assert doubled["std error of v [K]"] == pytest.approx(1.0, rel=0.01)
    assert doubled["sliced Wasserstein"] == pytest.approx(np.sqrt(2 / np.pi), rel=0.15)  # mean |z|, z standard normal


def test_sample_scores_leave_masked_points_out():
    x = np.random.default_rng(0).standard_normal((30, 6, 8, 2))
    masked = np.zeros((6, 8, 2), bool)
    masked[2:4, 3:] = True
    other = np.where(masked, 1e6, x)
    scores = metrics.sample_scores(layout(6, 8, masked=masked), other, np.where(masked, np.nan, x))
    assert set(scores.values()) == {0.0} and len(scores) == 11


@pytest.mark.parametrize("periodic", [True, False])
def test_the_spectrum_of_squares_is_the_one_of_the_core(periodic):
    z = np.random.default_rng(0).standard_normal((3, 16, 16))
    found = metrics.spectrum(layout(16, 16, periodic=("y", "x") if periodic else ()), z)
    np.testing.assert_allclose(found, radial_spectrum(z, window=None if periodic else "hann"))


@pytest.mark.parametrize("grid", [(48,), (20, 48), (9, 12, 16)])
def test_a_wave_has_its_power_at_its_own_scale(grid):
    # along the longest axis, where rings are as wide as its wavenumbers are apart
    wave = np.broadcast_to(3.0 * np.cos(2 * np.pi * 4 * np.arange(grid[-1]) / grid[-1]), (2, *grid))
    power = metrics.spectrum(layout(*grid, periodic=("z", "y", "x")), wave)
    assert np.argmax(power) == 3 and (np.delete(power, 3) < 1e-6 * power[3]).all()
    if len(grid) == 1:
        assert power[3] == pytest.approx(9 / 4)  # of each of two modes, and 9/2 is the variance


def test_white_noise_is_as_strong_at_every_scale():
    power = metrics.spectrum(layout(24, 40, periodic=("y", "x")), 2.0 * np.random.default_rng(0).standard_normal((400, 24, 40)))
    np.testing.assert_allclose(power * 24 * 40, 4.0, rtol=0.15)


def test_ranks_are_flat_for_an_honest_ensemble_and_weights_count():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 100, 50)), rng.standard_normal((100, 50))
    y[0, 0] = x[2, 0, 1] = np.nan
    counts = metrics.ranks(x, y)
    assert counts.shape == (5,) and counts.sum() == 4998
    assert np.abs(counts / 4998 - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 4998)
    np.testing.assert_allclose(metrics.ranks(x, y, np.full((100, 1), 2.0)), 2 * counts)
    weights = np.where(np.arange(100)[:, None] < 50, 1.0, 0.0)
    np.testing.assert_allclose(metrics.ranks(x, y, weights), metrics.ranks(x[:, :50], y[:50]))
    np.testing.assert_array_equal(metrics.ranks(np.array([[0.0], [1.0]]), np.array([0.5])), [0, 1, 0])
