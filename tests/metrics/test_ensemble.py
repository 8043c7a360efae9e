import importlib
import math

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from sciddm import metrics
from sciddm.errors import UserError
from sciddm.metrics import ensemble

SCORES = {
    "crps": metrics.crps,
    "energy_score": lambda f, o, by=(): metrics.energy_score(f, o, "site", by),
    "spread_skill": metrics.spread_skill,
    "coverage": lambda f, o, by=(): metrics.coverage(f, o, 0.5, by),
    "brier": lambda f, o, by=(): metrics.brier(f, o, 0.3, by),
}


def labelled(members, truth):
    """Members (M, day, site) and truth (day, site) as DataArrays, the members' dimension between the others."""
    forecast = xr.DataArray(np.asarray(members, float), dims=("member", "day", "site"))
    return forecast.transpose("day", "member", "site"), xr.DataArray(np.asarray(truth, float), dims=("day", "site"))


def exchangeable(seed, members, shape=(30, 40), dry=0.0):
    """Members and truth of one law, given a signal that they share; a part of them ties at exactly 0 unless `dry` is far below."""
    rng = np.random.default_rng(seed)
    draws = np.maximum(0.5 * rng.standard_normal(shape) + rng.standard_normal((members + 1, *shape)), dry)
    return draws[1:], draws[0]


def mean_norm(dimension):
    """E|Z| of Z ~ N(0, I)."""
    return math.sqrt(2) * math.gamma((dimension + 1) / 2) / math.gamma(dimension / 2)


def test_crps_of_two_and_three_members_by_hand():
    # mean |x - y| = (1 + 2) / 2; sum |x - x'| = 2 * 3, over 2 * M(M-1) = 4 or 2 * M^2 = 8.
    two, one = np.array([[1.0], [4.0]]), np.array([2.0])
    assert metrics.crps(two, one) == pytest.approx(1.5 - 1.5)
    assert metrics.crps(two, one, estimator="ecdf") == pytest.approx(1.5 - 0.75)
    # (2 + 1 + 7) / 3 and sums of pairs 2 (3 + 9 + 6) = 36.
    three = np.array([[0.0], [3.0], [9.0]])
    assert metrics.crps(three, one) == pytest.approx(10 / 3 - 36 / 12)
    assert metrics.crps(three, one, estimator="ecdf") == pytest.approx(10 / 3 - 36 / 18)


@pytest.mark.parametrize("members", [2, 3, 10])
def test_fair_crps_expects_the_exact_gaussian_crps_of_any_number_of_members_and_ecdf_too_much_by_a_known_amount(
    members,
):
    # CRPS of N(0, 1) at y: y (2 Phi(y) - 1) + 2 phi(y) - 1/sqrt(pi). E|X - X'| = 2/sqrt(pi), of which ecdf takes off (M - 1)/M a half.
    x, y, count = np.random.default_rng(members).standard_normal((members, 200_000)), 0.7, 200_000
    exact = y * (2 * scipy.stats.norm.cdf(y) - 1) + 2 * scipy.stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    error = 4 * 1.0 / np.sqrt(count)  # a single score varies less than |X - X'| / 2 and |X - y| do, 1 together
    assert metrics.crps(x, np.full(count, y)) == pytest.approx(exact, abs=error)
    biased = metrics.crps(x, np.full(count, y), estimator="ecdf")
    assert biased == pytest.approx(exact + 1 / (members * np.sqrt(np.pi)), abs=error)


def test_one_member_has_the_absolute_error_and_the_name_tells_the_estimator():
    forecast, observed = labelled([[[3.0, 0.0], [8.0, 8.0]]], [[1.0, 1.0], [8.0, 4.0]])
    score = metrics.crps(forecast, observed, by="day")
    np.testing.assert_allclose(score, [1.5, 2.0])
    assert score.name == "absolute error" and metrics.crps(forecast.values[:, 0][None], observed.values) == 1.75
    norm = metrics.energy_score(forecast, observed, "site", "day")
    np.testing.assert_allclose(norm, [np.sqrt(5), 4.0])
    assert norm.name == "norm of the error"
    twice = xr.concat([forecast, forecast + 1], "member")
    for estimator in ("fair", "ecdf"):
        assert metrics.crps(twice, observed, (), estimator).name == f"CRPS {estimator}"
        assert metrics.energy_score(twice, observed, "site", (), estimator).name == f"energy score {estimator}"
    assert metrics.brier(twice, observed, 3.0).name == "Brier score, fair"
    assert metrics.brier(forecast, observed, 3.0).name == "Brier score"


@pytest.mark.parametrize("estimator", ["fair", "ecdf"])
def test_energy_score_of_one_dimension_is_the_crps(estimator):
    members, truth = exchangeable(1, 5, dry=-9.0)
    forecast, observed = labelled(members, truth)
    expected = metrics.crps(forecast, observed, "day", estimator)
    np.testing.assert_allclose(metrics.energy_score(forecast, observed, (), "day", estimator), expected)
    alone = metrics.energy_score(forecast.isel(site=[3]), observed.isel(site=[3]), "site", "day", estimator)
    np.testing.assert_allclose(alone, metrics.crps(forecast, observed, ("day", "site"), estimator).isel(site=3))


@pytest.mark.parametrize("members", [2, 5])
def test_energy_score_of_two_gaussians_has_its_known_value(members):
    # X ~ N(0, I), Y ~ N(0, 4 I) in three dimensions: E|X - Y| = sqrt(5) E|Z|, E|X - X'| = sqrt(2) E|Z|.
    rng, count, dimension = np.random.default_rng(2), 4000, 3
    x, y = rng.standard_normal((members, count, dimension)), 2 * rng.standard_normal((count, dimension))
    forecast, observed = labelled(x, y)
    exact, error = mean_norm(dimension) * (np.sqrt(5) - np.sqrt(0.5)), 4 * np.sqrt(5) / np.sqrt(count)
    assert float(metrics.energy_score(forecast, observed, "site")) == pytest.approx(exact, abs=error)
    bias = mean_norm(dimension) * np.sqrt(0.5) / members
    fair, ecdf = (metrics.energy_score(x, y, "axis_2", estimator=e) for e in ("fair", "ecdf"))
    assert fair == pytest.approx(exact, abs=error) and ecdf - fair == pytest.approx(bias, rel=0.05)


def test_energy_score_of_a_vector_with_a_gap_is_that_of_what_is_left():
    members, truth = exchangeable(3, 4, shape=(6, 5))
    gap = truth.copy()
    gap[:, 2:], gap[5] = np.nan, np.nan
    expected = metrics.energy_score(*labelled(members[:, :5, :2], truth[:5, :2]), "site")
    np.testing.assert_allclose(metrics.energy_score(*labelled(members, gap), "site"), expected)
    whole = metrics.energy_score(members, truth)  # the whole field is the vector
    flat = metrics.energy_score(members.reshape(4, 1, 30), truth.reshape(1, 30), "axis_2")
    assert whole == pytest.approx(flat)
    with pytest.raises(UserError, match="over and by share"):
        metrics.energy_score(members, truth, "axis_1", "axis_1")


@pytest.mark.parametrize("name", SCORES)
def test_entries_missing_on_either_side_count_nowhere(name):
    score, (members, truth) = SCORES[name], exchangeable(4, 5)
    holed, hidden = members.copy(), truth.copy()
    holed[2, :, 30:], hidden[:, 30:] = np.nan, np.nan
    expected = score(*labelled(members[..., :30], truth[:, :30]), "day")
    assert expected.dims == ("day",)
    np.testing.assert_allclose(score(*labelled(holed, truth), "day"), expected)
    np.testing.assert_allclose(score(*labelled(members, hidden), "day"), expected)
    nothing = score(*labelled(members, np.where(np.arange(30)[:, None] == 7, np.nan, truth)), "day")
    assert np.isnan(nothing[7]) and int(nothing.isnull().sum()) == 1


def test_entries_missing_on_either_side_are_not_counted_in_histograms():
    members, truth = exchangeable(4, 5)
    holed, hidden = members.copy(), truth.copy()
    holed[2, :, 30:], hidden[:, 20:] = np.nan, np.nan
    assert int(metrics.rank_histogram(holed, hidden).sum()) == 30 * 20
    assert int(metrics.rank_histogram(holed, truth).sum()) == 30 * 30
    assert int(metrics.reliability(holed, truth, 0.3)["count"].sum()) == 30 * 30
    seen = metrics.exceedance_probability(holed, 0.3)
    assert np.isnan(seen[:, 30:]).all()
    np.testing.assert_allclose(seen[:, :30], (members[..., :30] >= 0.3).mean(0), rtol=1e-6)


@pytest.mark.parametrize("members", [2, 5, 20])
def test_spread_over_skill_is_one_for_exchangeable_draws_of_any_number(members):
    # Numerator and denominator are means over 40,000 independent normals each: of variances, relative errors sqrt(2 / n) at most.
    rng = np.random.default_rng(2)
    draws = 30 * rng.standard_normal(40_000) + rng.standard_normal((members + 1, 40_000))
    ratio = metrics.spread_skill(draws[1:], draws[0])
    assert ratio == pytest.approx(1.0, abs=4 * 0.5 * np.sqrt(2 * 2 / 40_000))
    halved = draws[1:].mean(0) + 0.5 * (draws[1:] - draws[1:].mean(0))
    assert metrics.spread_skill(halved, draws[0]) == pytest.approx(0.5 * ratio)


def test_spread_of_one_member_is_not_a_number():
    assert math.isnan(metrics.spread_skill(np.ones((1, 3)), np.ones(3)))
    assert np.isnan(metrics.spread_skill(*labelled(np.ones((1, 3, 2)), np.ones((3, 2))), "day")).all()


def test_coverage_of_a_perfect_ensemble_is_the_ideal_one():
    for members in (8, 16):
        draws = np.random.default_rng(members).normal(size=(members + 1, 40000))
        found = metrics.coverage(draws[:-1], draws[-1], 0.9)
        assert found == pytest.approx(metrics.ideal_coverage(members, 0.9), abs=4 * 0.5 / np.sqrt(40000))


def test_rank_histogram_is_flat_for_exchangeable_draws_though_half_of_the_entries_are_ties():
    members, truth = exchangeable(3, 4, shape=(40, 400))
    assert 0.3 < (truth == 0).mean() < 0.6
    counts = metrics.rank_histogram(members, truth, seed=5)
    n = int(counts.sum())
    assert n == truth.size and counts.sizes["rank"] == 5
    # Given the signal entries are independent, so each count is binomial (n, 1/5).
    np.testing.assert_allclose(counts, n / 5, atol=4 * np.sqrt(n * 0.2 * 0.8))
    np.testing.assert_array_equal(counts, metrics.rank_histogram(members, truth, seed=5))
    assert (counts != metrics.rank_histogram(members, truth, seed=6)).any()


def test_rank_histogram_without_ties_is_the_count_of_members_below():
    members = np.array([[1.0] * 4, [2.0] * 4, [3.0] * 4])
    np.testing.assert_array_equal(metrics.rank_histogram(members, np.array([0.5, 1.5, 2.5, 9.0])), [1, 1, 1, 1])
    np.testing.assert_array_equal(metrics.rank_histogram(members, np.array([0.5, 0.5, 9.0, 9.0])), [2, 0, 0, 2])


def test_rank_histogram_and_reliability_agree_with_pysteps_where_it_has_no_ties_and_edges():
    ensscores = importlib.import_module("pysteps.verification.ensscores")
    probscores = importlib.import_module("pysteps.verification.probscores")
    rng = np.random.default_rng(4)
    x, y = 10 + rng.gamma(2, 8, (7, 30, 30)), 10 + rng.gamma(2, 8, (30, 30))
    np.testing.assert_array_equal(metrics.rank_histogram(x, y), ensscores.rankhist(x, y, normalize=False))
    diagram = metrics.reliability(x, y, 25.0, bins=10)
    reference = probscores.reldiag_init(25.0, n_bins=10, min_count=1)
    probscores.reldiag_accum(reference, (x >= 25.0).mean(0), y)
    seen, count = reference["num_idx"] > 0, np.maximum(reference["num_idx"], 1)
    np.testing.assert_array_equal(diagram["count"], reference["num_idx"])
    np.testing.assert_allclose(diagram["frequency"][seen], (reference["Y_sum"] / count)[seen])
    np.testing.assert_allclose(diagram["probability"][seen], (reference["X_sum"] / count)[seen])


def test_reliability_bins_probabilities_by_their_value_and_closes_the_last():
    # Probabilities 0, .5, .5, 1 of two members, in two bins: [0, .5) and [.5, 1].
    diagram = metrics.reliability(np.array([[0, 30, 0, 30], [0, 0, 30, 30]]), np.array([0, 30, 0, 25]), 25.0, bins=2)
    np.testing.assert_array_equal(diagram["count"], [1, 3])
    np.testing.assert_allclose(diagram["probability"], [0.0, 2 / 3])
    np.testing.assert_allclose(diagram["frequency"], [0.0, 2 / 3])
    assert diagram.attrs["base rate"] == 0.5
    # k of 20 members, whatever the last bit of k / 20 is.
    member, k = np.arange(20), np.arange(20)
    twentieths = np.where(member[:, None] < k, 30.0, 0.0)
    np.testing.assert_array_equal(metrics.reliability(twentieths, np.zeros(20), 25.0)["count"], [2] * 10)


def test_brier_score_is_fair():
    # p = 1/2 of two members, event happens: (1/2)^2 - (1/4)/(2 - 1) = 0; of one member with p = 0: 1.
    assert metrics.brier(np.array([[30.0], [0.0]]), np.array([30.0]), 25.0) == pytest.approx(0.0)
    assert metrics.brier(np.array([[0.0]]), np.array([30.0]), 25.0) == 1.0
    # An event of probability 1/2 that the members draw as the truth does: E (p - o)^2 = 1/4 whatever M.
    draws = np.random.default_rng(5).standard_normal((4, 100_000))
    assert metrics.brier(draws[1:], draws[0], 0.0) == pytest.approx(0.25, abs=4 * 0.3 / np.sqrt(100_000))


def test_large_ensembles_are_scored_in_pieces_and_score_the_same(monkeypatch):
    forecast, observed = labelled(*exchangeable(6, 5))
    whole = metrics.crps(forecast, observed, "day"), metrics.brier(forecast, observed, 0.3, "site")
    monkeypatch.setattr(ensemble, "LARGEST", 7 * 5 * 40)  # seven days, and two at the end
    xr.testing.assert_allclose(metrics.crps(forecast, observed, "day"), whole[0])
    xr.testing.assert_allclose(metrics.brier(forecast, observed, 0.3, "site"), whole[1])


@pytest.mark.parametrize("name", SCORES)
def test_arrays_score_as_labelled_fields_do_and_give_floats(name):
    members, truth = exchangeable(7, 4)
    arrays = SCORES | {"energy_score": lambda f, o: metrics.energy_score(f, o, "axis_2")}
    found, expected = arrays[name](members, truth), SCORES[name](*labelled(members, truth))
    assert type(found) is float and found == pytest.approx(float(expected))


def test_a_scalar_has_scores():
    assert (
        metrics.crps(np.array([1.0, 4.0]), 2.0, estimator="ecdf")
        == 0.75
        == metrics.energy_score([1.0, 4.0], 2.0, estimator="ecdf")
    )
    assert metrics.coverage([1.0, 4.0], 2.0) == 1.0 and metrics.brier([1.0, 4.0], 2.0, 1.5) == pytest.approx(0.0)


def test_what_does_not_belong_together_is_named():
    forecast, observed = labelled(np.zeros((2, 3, 4)), np.zeros((3, 4)))
    with pytest.raises(UserError, match=r"differ along \['day'\]"):
        metrics.crps(forecast, observed.isel(day=slice(2)))
    with pytest.raises(UserError, match="name the members"):
        metrics.crps(observed, observed)
    with pytest.raises(UserError, match="two DataArrays or two arrays"):
        metrics.crps(forecast, observed.values)
    with pytest.raises(UserError, match="coordinates of forecast and observed differ"):
        metrics.crps(forecast.assign_coords(day=[0, 1, 2]), observed.assign_coords(day=[1, 2, 3]))
    with pytest.raises(UserError, match=r"shapes \(2, 3\) and \(2, 3\)"):
        metrics.crps(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(UserError, match="no dimension 'hour'"):
        metrics.crps(forecast, observed, "hour")
    for score in (metrics.crps, metrics.energy_score):
        with pytest.raises(UserError, match="estimator: expected one of"):
            score(forecast, observed, estimator="pwm")
