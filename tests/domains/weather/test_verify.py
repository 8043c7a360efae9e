import numpy as np
import pytest
import xarray as xr

from domains.weather import verify
from sciddm.errors import UserError


def coordinates(values):
    times, height, width = np.shape(values)[-3:]
    return {"time": 5 * np.arange(1, times + 1), "y": np.arange(height), "x": np.arange(width)}


def ensemble(values):
    """DataArray of (event, member, time, y, x) or, of four dimensions, (member, time, y, x)."""
    dims = ("event", "member", "time", "y", "x")[-np.ndim(values) :]
    return xr.DataArray(np.asarray(values, float), dims=dims, coords=coordinates(values))


def field(values):
    dims = ("event", "time", "y", "x")[-np.ndim(values) :]
    return xr.DataArray(np.asarray(values, float), dims=dims, coords=coordinates(values))


def exchangeable(rng, members, events=6, size=24, times=2, wet=0.4):
    """Members and truth of one law, given a signal they share; a part of them is dry, exactly 0."""
    signal = rng.standard_normal((events, 1, times, 1, 1))
    noise = rng.standard_normal((events, members + 1, times, size, size))
    rain = np.maximum(20 * (signal + noise) + 15 * wet, 0.0)
    return ensemble(rain[:, 1:]), field(rain[:, 0])


def test_scores_keep_lead_times_apart_unless_told_otherwise():
    forecast, observed = ensemble([[[[3.0, 0.0]], [[8.0, 8.0]]]]), field([[[1.0, 1.0]], [[8.0, 4.0]]])
    score = verify.crps(forecast, observed)
    np.testing.assert_allclose(score.sel(time=[5, 10]), [1.5, 2.0])
    assert score.name == "absolute error" and float(verify.crps(forecast, observed, by=())) == 1.75


def test_missing_pixels_of_either_side_count_nowhere():
    rng = np.random.default_rng(1)
    forecast, observed = exchangeable(rng, 5)
    gap = (observed.x >= 16) & observed.notnull()
    inside = (slice(None),) * 3 + (slice(0, 16),)
    hidden = observed.where(~gap)
    holed = forecast.copy()
    holed[:, 2, :, :, 16:] = np.nan
    few, truth = forecast[(slice(None), *inside)], observed[inside]
    for score in (verify.crps, verify.spread_skill, lambda f, o: verify.brier(f, o, 15.0)):
        np.testing.assert_allclose(score(forecast, hidden), score(few, truth), rtol=1e-6)
        np.testing.assert_allclose(score(holed, observed), score(few, truth), rtol=1e-6)
    a, b = verify.categorical(forecast, hidden, 15.0), verify.categorical(few, truth, 15.0)
    xr.testing.assert_allclose(a, b)
    assert int(verify.rank_histogram(forecast, hidden).sum()) == truth.size
    assert int(verify.reliability(holed, observed, 15.0)["count"].sum()) == truth.size
    garbage = forecast.where(~gap, 70.0)
    dry = verify.fss(forecast.where(~gap, 0.0).transpose(*forecast.dims), observed.where(~gap, 0.0), 15.0)
    np.testing.assert_allclose(verify.fss(garbage, hidden, 15.0), dry)
    np.testing.assert_allclose(verify.fss(forecast, hidden, 15.0), dry)
    np.testing.assert_allclose(
        verify.spectrum_error_dB(garbage, hidden).ratio, verify.spectrum_error_dB(forecast, hidden).ratio, atol=1e-9
    )


def test_contingency_counts_and_their_scores_by_hand():
    forecast, observed = ensemble([[[[30, 30, 30, 0, 0, 25]]]]), field([[[30, 0, 25, 40, 0, 10]]])
    table = verify.categorical(forecast, observed, 25.0, by=())
    counts = [int(table[k]) for k in ("hits", "misses", "false_alarms", "correct_negatives")]
    assert counts == [2, 1, 2, 1]
    assert [float(table[k]) for k in ("CSI", "POD", "FAR", "bias")] == pytest.approx([2 / 5, 2 / 3, 1 / 2, 4 / 3])
    assert verify.categorical(forecast, observed, 25.0).CSI.dims == ("time",)


def test_the_mean_and_the_probability_of_an_ensemble_are_different_forecasts():
    forecast, observed = ensemble(np.reshape([0.0, 26.0, 26.0], (3, 1, 1, 1))), field([[[30.0]]])
    assert int(verify.categorical(forecast, observed, 25.0, ()).misses) == 1  # mean 17.3 dBZ
    assert int(verify.categorical(forecast, observed, 25.0, (), of="probability").hits) == 1
    with pytest.raises(UserError, match="'mean' or 'probability'"):
        verify.categorical(forecast, observed, 25.0, of="median")


@pytest.mark.parametrize("shift,expected", [(0, 1.0), (1, 2 / 3), (2, 1 / 3), (3, 0.0)])
def test_fss_of_a_shifted_pixel_by_hand(shift, expected):
    # One pixel is in 3 windows of width 3 along x (times 3 along y); shifted by s, 3 - s of them see both.
    # FSS = 1 - 2 s / (3 + 3) for s <= 3.
    forecast, observed = np.zeros((1, 1, 12, 12)), np.zeros((1, 12, 12))
    observed[0, 6, 5] = forecast[0, 0, 6, 5 + shift] = 40.0
    assert float(verify.fss(ensemble(forecast), field(observed), 25.0, window=3)) == pytest.approx(expected)


def test_fss_pools_its_sums_and_the_mean_of_events_does_not():
    forecast, observed = np.zeros((3, 1, 1, 12, 12)), np.zeros((3, 1, 12, 12))
    observed[0, 0, 4:8, 4:8] = forecast[0, 0, 0, 4:8, 4:8] = 40.0  # a block, right
    observed[1, 0, 5, 2], forecast[1, 0, 0, 5, 9] = (
        40.0,
        40.0,
    )  # a pixel, far off; the third event is dry and has no score
    pooled = verify.fss(ensemble(forecast), field(observed), 25.0, window=1)
    each = verify.fss_mean_of_events(ensemble(forecast), field(observed), 25.0, window=1)
    assert float(pooled) == pytest.approx(1 - 2 / 34) and pooled.name == "FSS pooled"
    assert float(each) == pytest.approx(0.5) and each.name == "FSS mean of events"
    dry = verify.fss(ensemble(forecast[2:]), field(observed[2:]), 25.0, window=1)
    assert np.isnan(dry)


def test_fss_of_an_ensemble_is_that_of_its_probability():
    # P = 1/2 where it rains: 1 - (1/4) / (1/4 + 1).
    forecast = ensemble(np.stack([np.full((1, 4, 4), 40.0), np.zeros((1, 4, 4))]))
    assert float(verify.fss(forecast, field(np.full((1, 4, 4), 40.0)), 25.0, window=3)) == pytest.approx(
        1 - 0.25 / 1.25
    )


def test_a_window_larger_than_the_field_is_refused():
    with pytest.raises(UserError, match="9 pixels do not fit into a field of 8 x 8"):
        verify.fss(ensemble(np.zeros((1, 1, 8, 8))), field(np.zeros((1, 8, 8))), 25.0, window=9)


def test_the_spectrum_of_rain_has_wavelengths_in_km():
    power = verify.spectrum(field(np.random.default_rng(5).standard_normal((2, 16, 16))), spacing_km=2.0)
    assert power.dims == ("wavelength",) and float(power.wavelength[0]) == 32.0 and float(power.wavelength[-1]) == 4.0
    assert power.units == "dBZ2" and power.wavelength.units == "km"


def test_the_table_scores_all_forecasts_on_the_same_pixels_and_against_persistence():
    rng = np.random.default_rng(9)
    forecast, observed = exchangeable(rng, 6, times=3)
    blind = forecast.isel(member=[0]).where(forecast.x < 12)
    rows = verify.table({"ensemble": forecast, "persistence": blind}, observed)
    assert rows["ensemble"]["scored"] == 0.5 == rows["persistence"]["scored"]
    half = {"event": slice(None), "x": slice(0, 12)}
    expected = float(verify.crps(forecast.isel(x=half["x"]), observed.isel(x=half["x"]), by=()))
    assert rows["ensemble"]["CRPS"] == pytest.approx(expected, rel=1e-6)
    assert rows["persistence"]["skill"] == 0.0
    assert rows["ensemble"]["skill"] == pytest.approx(1 - rows["ensemble"]["CRPS"] / rows["persistence"]["CRPS"])
    assert (
        np.isnan(rows["persistence"]["spread/skill"])
        and rows["persistence"]["CRPS"] == rows["persistence"]["CRPS ecdf"]
    )
    assert {
        "CRPS at 5 min",
        "CRPS at 15 min",
        "CSI 15 dBZ",
        "POD 25 dBZ",
        "FAR 35 dBZ",
        "FSS 25 dBZ",
        "spectrum dB",
    } <= set(rows["ensemble"])
    assert "CRPS at 30 min" not in rows["ensemble"]
    lines = verify.by_lead({"ensemble": forecast, "persistence": blind}, observed)
    assert lines.CRPS.dims == ("forecast", "time")
    assert float(lines.CRPS.sel(forecast="ensemble", time=5)) == pytest.approx(rows["ensemble"]["CRPS at 5 min"])


def test_rain_has_the_climate_of_itself_and_louder_rain_another():
    rng = np.random.default_rng(10)
    rain = np.maximum(20 + 10 * rng.standard_normal((20, 16, 16, 4)), 0)
    holed = rain.copy()
    holed[:, :4] = np.nan
    same = verify.climate(rain, rain, 2.0)
    assert same["spectrum dB"] == 0 and same["Wasserstein of dBZ"] == 0
    assert same["share of 25 dBZ"] == 1 == same["change of frames"]
    seen = verify.climate(rain, holed, 2.0)
    assert seen["Wasserstein of dBZ"] < 0.5 and seen["share of 25 dBZ"] == pytest.approx(1.0, rel=0.05)
    louder = verify.climate(rain + 5 * (rain > 0), rain, 2.0)
    assert louder["Wasserstein of dBZ"] == pytest.approx(5.0, rel=0.05) and louder["share of 25 dBZ"] > 1.3
    doubled = verify.climate(2 * rain, rain, 2.0)
    assert doubled["spectrum dB"] == pytest.approx(20 * np.log10(2), rel=1e-4) and doubled[
        "change of frames"
    ] == pytest.approx(2)


@pytest.mark.parametrize(
    "change",
    [
        {"time": [10, 15, 20]}, {"y": np.arange(8) + 0.5}, {"y": np.arange(8)[::-1]}, {"x": 1000.0 * np.arange(8)},
        {"y": xr.Variable("y", np.arange(8), {"units": "m"})},
    ],
)  # fmt: skip
def test_forecasts_on_other_coordinates_are_refused_and_never_cut_to_what_is_common(change):
    observed = field(np.random.default_rng(1).uniform(0, 50, (3, 8, 8)))
    observed["y"].attrs["units"] = "km"
    forecast = observed.expand_dims(member=2).assign_coords(change)
    for score in (lambda: verify.table({"a": forecast}, observed), lambda: verify.by_lead({"a": forecast}, observed),
                  lambda: verify.crps(forecast, observed), lambda: verify.fss(forecast, observed, 25.0)):  # fmt: skip
        with pytest.raises(UserError, match="coordinates of forecast and observed differ: '[txy]"):
            score()


def test_coordinates_of_single_precision_are_the_same():
    observed = field(np.random.default_rng(1).uniform(0, 50, (3, 8, 8))).assign_coords(y=2000.1 * np.arange(8))
    forecast = observed.expand_dims(member=2).assign_coords(y=(2000.1 * np.arange(8)).astype(np.float32))
    row = verify.table({"a": forecast}, observed)["a"]
    assert row["scored"] == 1.0 and row["CRPS"] == 0.0


def test_nothing_has_skill_against_a_dry_forecast_of_a_dry_day():
    dry = ensemble(np.zeros((2, 3, 8, 8)))
    row = verify.table({"a": dry, "persistence": dry[:1]}, dry[0])["a"]
    assert np.isnan(row["skill"]) and row["CRPS"] == 0


def test_scores_at_a_lead_are_those_to_a_hundredth_of_it():
    by_lead = xr.DataArray([1.0, 2.0], dims="time", coords={"time": [5.004, 9.0]})
    assert {lead: float(value) for lead, value in verify.at_leads(by_lead, (5, 10)).items()} == {5: 1.0}
