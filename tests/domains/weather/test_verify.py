import importlib

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


def test_crps_of_two_and_three_members_by_hand():
    two, one = ensemble([[[[1.0]]], [[[4.0]]]]), field([[[2.0]]])
    # mean |x - y| = (1 + 2) / 2; sum |x - x'| = 2 * 3, over 2 * M(M-1) = 4 or 2 * M^2 = 8.
    assert float(verify.crps(two, one).squeeze()) == pytest.approx(1.5 - 1.5)
    assert float(verify.crps(two, one, estimator="ecdf").squeeze()) == pytest.approx(1.5 - 0.75)
    three = ensemble(np.reshape([0.0, 3.0, 9.0], (3, 1, 1, 1)))
    # (2 + 1 + 7) / 3 and sums of pairs 2 (3 + 9 + 6) = 36.
    assert float(verify.crps(three, one).squeeze()) == pytest.approx(10 / 3 - 36 / 12)
    assert float(verify.crps(three, one, estimator="ecdf").squeeze()) == pytest.approx(10 / 3 - 36 / 18)
    assert verify.crps(three, one).name == "CRPS fair"


def test_crps_of_a_gaussian_ensemble_has_its_closed_form_whatever_the_number_of_members():
    # Members N(0, 1), truth N(0, 1): E CRPS = E|X - Y| - E|X - X'|/2 = 1 / sqrt(pi). Fair: for any M, ecdf: (1 + 1/M) as much.
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 1, 300, 300)), rng.standard_normal((1, 300, 300))
    standard_error = 0.6 / 300  # the score of one pixel varies by less than that of |X - Y|, 0.85
    fair = float(verify.crps(ensemble(x), field(y), by=()))
    ecdf = float(verify.crps(ensemble(x), field(y), by=(), estimator="ecdf"))
    assert fair == pytest.approx(1 / np.sqrt(np.pi), abs=4 * standard_error)
    assert ecdf == pytest.approx(1.25 / np.sqrt(np.pi), abs=4 * standard_error)


def test_crps_of_one_member_is_its_absolute_error_and_scores_keep_lead_times_apart():
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


@pytest.mark.parametrize("members", [2, 5, 20])
def test_spread_over_skill_is_one_for_exchangeable_draws_of_any_number(members):
    # Numerator and denominator are means over 40,000 independent normals each: of variances, relative errors sqrt(2 / n) at most.
    rng = np.random.default_rng(2)
    signal = 30 * rng.standard_normal((200, 200))
    draws = signal + rng.standard_normal((members + 1, 1, 200, 200))
    ratio = float(verify.spread_skill(ensemble(draws[1:]), field(draws[0]), by=()))
    assert ratio == pytest.approx(1.0, abs=4 * 0.5 * np.sqrt(2 * 2 / 40_000))
    halved = ensemble(draws[1:].mean(0) + 0.5 * (draws[1:] - draws[1:].mean(0)))
    assert float(verify.spread_skill(halved, field(draws[0]), by=())) == pytest.approx(0.5 * ratio)


def test_spread_of_one_member_is_not_a_number():
    assert np.isnan(verify.spread_skill(ensemble(np.ones((1, 3, 2, 2))), field(np.ones((3, 2, 2))))).all()


def test_rank_histogram_is_flat_for_exchangeable_draws_though_half_of_the_pixels_are_ties():
    forecast, observed = exchangeable(np.random.default_rng(3), 4, events=40, size=20, times=1)
    assert 0.3 < float((observed == 0).mean()) < 0.6
    counts = verify.rank_histogram(forecast, observed, seed=5)
    n = int(counts.sum())
    assert n == observed.size and counts.sizes["rank"] == 5
    # Given the signal pixels are independent, so each count is binomial (n, 1/5).
    np.testing.assert_allclose(counts, n / 5, atol=4 * np.sqrt(n * 0.2 * 0.8))
    np.testing.assert_array_equal(counts, verify.rank_histogram(forecast, observed, seed=5))
    assert (counts != verify.rank_histogram(forecast, observed, seed=6)).any()


def test_rank_histogram_without_ties_is_the_count_of_members_below():
    forecast = ensemble(np.reshape([[1.0] * 4, [2.0] * 4, [3.0] * 4], (3, 1, 2, 2)))
    counts = verify.rank_histogram(forecast, field([[[0.5, 1.5], [2.5, 9.0]]]))
    np.testing.assert_array_equal(counts, [1, 1, 1, 1])
    again = verify.rank_histogram(forecast, field([[[0.5, 0.5], [9.0, 9.0]]]))
    np.testing.assert_array_equal(again, [2, 0, 0, 2])


def test_rank_histogram_and_reliability_agree_with_pysteps_where_it_has_no_ties_and_edges():
    ensscores = importlib.import_module("pysteps.verification.ensscores")
    probscores = importlib.import_module("pysteps.verification.probscores")
    rng = np.random.default_rng(4)
    x, y = 10 + rng.gamma(2, 8, (7, 1, 30, 30)), 10 + rng.gamma(2, 8, (1, 30, 30))
    theirs = ensscores.rankhist(x[:, 0], y[0], normalize=False)
    np.testing.assert_array_equal(verify.rank_histogram(ensemble(x), field(y)), theirs)
    diagram = verify.reliability(ensemble(x), field(y), 25.0, bins=10)
    reference = probscores.reldiag_init(25.0, n_bins=10, min_count=1)
    probscores.reldiag_accum(reference, (x[:, 0] >= 25.0).mean(0), y[0])
    seen = reference["num_idx"] > 0
    np.testing.assert_array_equal(diagram["count"], reference["num_idx"])
    np.testing.assert_allclose(
        diagram["frequency"][seen], (reference["Y_sum"] / np.maximum(reference["num_idx"], 1))[seen]
    )
    np.testing.assert_allclose(
        diagram["probability"][seen], (reference["X_sum"] / np.maximum(reference["num_idx"], 1))[seen]
    )


def test_reliability_bins_probabilities_by_their_value_and_closes_the_last():
    # Probabilities 0, .5, .5, 1 of two members, in two bins: [0, .5) and [.5, 1].
    forecast = ensemble(np.reshape([[0, 30, 0, 30], [0, 0, 30, 30]], (2, 1, 2, 2)))
    diagram = verify.reliability(forecast, field([[[0, 30], [0, 25]]]), 25.0, bins=2)
    np.testing.assert_array_equal(diagram["count"], [1, 3])
    np.testing.assert_allclose(diagram["probability"], [0.0, 2 / 3])
    np.testing.assert_allclose(diagram["frequency"], [0.0, 2 / 3])
    assert diagram.attrs["base rate"] == 0.5
    # k of 20 members, whatever the last bit of k / 20 is.
    member, k = np.arange(20), np.arange(20)
    twentieths = ensemble(np.where(member[:, None] < k, 30.0, 0.0)[:, None, None, :])
    np.testing.assert_array_equal(verify.reliability(twentieths, field(np.zeros((1, 1, 20))), 25.0)["count"], [2] * 10)


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


def test_brier_score_is_fair():
    # p = 1/2 of two members, event happens: (1/2)^2 - (1/4)/(2 - 1) = 0; of one member with p = 0: 1.
    assert float(
        verify.brier(ensemble(np.reshape([30.0, 0.0], (2, 1, 1, 1))), field([[[30.0]]]), 25.0, ())
    ) == pytest.approx(0.0)
    assert float(verify.brier(ensemble([[[[0.0]]]]), field([[[30.0]]]), 25.0, ())) == 1.0


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


def test_power_of_a_sine_is_in_its_ring_and_has_the_wavelength_in_km():
    n, k = 64, 8
    wave = np.sqrt(2) * 3.0 * np.sin(2 * np.pi * k * np.arange(n) / n) * np.ones((n, 1))
    power = verify.spectrum(field(wave[None] + 17.0), spacing_km=2.0)
    assert float(power.wavelength[power.values.argmax()]) == 128 / k
    # A Hann window spreads a line over three neighbours: all of the variance 9 is between k - 2 and k + 2.
    ring = power * power.modes
    assert float(ring.sum()) == pytest.approx(9.0, rel=1e-6)
    assert float(ring[k - 3 : k + 2].sum()) == pytest.approx(9.0, rel=1e-6)


def test_power_of_all_modes_sums_to_the_windowed_variance():
    # Parseval, for a field without waves shorter than two pixels in any direction (the corners belong to no ring).
    n, rng = 32, np.random.default_rng(5)
    k = np.fft.fftfreq(n, 1 / n)
    z = np.fft.ifft2(np.fft.fft2(rng.standard_normal((n, n))) * (np.hypot(k[:, None], k) < 10)).real
    window = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)] * 2)
    z = z - (window * z).sum() / window.sum()
    power = verify.spectrum(field(z[None]), 1.0)
    assert float((power * power.modes).sum()) == pytest.approx(
        np.mean((window * z) ** 2) / np.mean(window**2), rel=1e-6
    )


def test_spectrum_of_white_noise_is_flat_and_of_its_variance():
    z = 2.0 * np.random.default_rng(6).standard_normal((400, 32, 32))
    power = verify.spectrum(field(z), 1.0)
    # Of 400 frames and at least 8 / 2 modes a ring, neighbours correlated by the window: under 5 % standard error.
    np.testing.assert_allclose(power[2:] * 32**2, 4.0, rtol=0.1)


def test_spectrum_agrees_with_pysteps_on_the_same_windowed_field():
    spectral = importlib.import_module("pysteps.utils.spectral")
    n, rng = 32, np.random.default_rng(7)
    z = rng.standard_normal((n, n))
    window = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)] * 2)
    windowed = window * (z - (window * z).sum() / window.sum())
    theirs = spectral.rapsd(windowed, fft_method=np.fft)  # |F|^2 / N^2, ring 0 first
    ours = verify.spectrum(field(z[None]), 1.0) * n**2 * np.mean(window**2)
    np.testing.assert_allclose(ours[: n // 2 - 1], theirs[1 : n // 2], rtol=1e-6)


def test_spectrum_error_is_of_members_and_not_of_their_mean():
    rng = np.random.default_rng(8)
    observed = rng.standard_normal((1, 32, 32))
    same = verify.spectrum_error_dB(ensemble(np.stack([observed, -observed])), field(observed))
    assert float(same["max"]) == pytest.approx(0.0, abs=1e-9)
    louder = verify.spectrum_error_dB(ensemble(np.sqrt(10) * observed[None]), field(observed))
    assert float(louder["max"]) == pytest.approx(10.0) == float(louder["mean"])
    assert float(louder.wavelength.min()) > 4


def test_a_field_that_is_not_square_has_no_spectrum():
    with pytest.raises(UserError, match="square fields, got 8 x 6"):
        verify.spectrum(field(np.zeros((1, 8, 6))), 1.0)


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


def test_a_forecast_of_another_shape_is_named():
    with pytest.raises(UserError, match=r"differ along \['time'\]"):
        verify.crps(ensemble(np.zeros((2, 3, 4, 4))), field(np.zeros((2, 4, 4))))
    with pytest.raises(UserError, match="name the members"):
        verify.crps(field(np.zeros((2, 4, 4))), field(np.zeros((2, 4, 4))))


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
