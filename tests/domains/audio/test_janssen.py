import time

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from domains.audio import janssen

A = np.array([-1.6, 0.9])  # poles at .95 exp(+-.57 i)


def process(n, seed=0, a=A):
    noise = np.random.default_rng(seed).standard_normal(n + 500)
    return scipy.signal.lfilter([1.0], np.concatenate([[1.0], a]), noise)[500:]


def covariance(n, a=A):
    """Of the stationary law, from the squared frequency response, whose aliases are below rounding."""
    response = 1 / np.abs(np.fft.rfft(np.concatenate([[1.0], a]), 1 << 14)) ** 2
    return scipy.linalg.toeplitz(np.fft.irfft(response)[:n])


def dense_mean(x, hidden, a=A):
    """E[x_m | x_k] = C_mk C_kk^-1 x_k."""
    c = covariance(len(x), a)
    return c[np.ix_(hidden, ~hidden)] @ np.linalg.solve(c[np.ix_(~hidden, ~hidden)], x[~hidden])


@pytest.mark.parametrize("gaps", [[(150, 190)], [(140, 150), (153, 154), (160, 200)], [(0, 12)], [(1, 9)], [(295, 300)], [(298, 299)]])
def test_with_the_true_coefficients_the_fill_is_the_conditional_mean(gaps):
    x, hidden = process(300), np.zeros(300, bool)
    for first, last in gaps:
        hidden[first:last] = True
    spoilt = np.where(hidden, 1e3, x)  # what stands in the gap does not matter
    filled = janssen.fill_gaps(spoilt, hidden, coefficients=A, context=0.1)
    np.testing.assert_allclose(filled[hidden], dense_mean(x, hidden), atol=1e-8)
    np.testing.assert_array_equal(filled[~hidden], x[~hidden])


def test_the_conditional_mean_of_a_short_signal_is_exact_for_a_long_law():
    a = janssen.burg(process(4000), 6)
    x, hidden = process(20, 1), np.isin(np.arange(20), [0, 1, 5, 6, 12, 18])
    np.testing.assert_allclose(janssen.conditional_mean(x, hidden, a), dense_mean(x, hidden, a), atol=1e-8)


def test_the_fill_converges_to_the_conditional_mean_with_long_context():
    errors = []
    for seconds in (0.0125, 0.1, 0.8):
        found = []
        for seed in range(8):
            x, hidden = process(14000, seed), np.zeros(14000, bool)
            hidden[7000:7012] = True
            exact = janssen.fill_gaps(x, hidden, coefficients=A)[hidden]
            found.append(janssen.fill_gaps(x, hidden, order=2, context=seconds)[hidden] - exact)
        errors.append(np.sqrt(np.mean(np.square(found))))
    assert errors[2] < errors[1] / 2 < errors[0] / 2, errors
    assert errors[2] < 0.05 * process(14000).std(), errors


@pytest.mark.parametrize("estimate", [janssen.yule_walker, janssen.burg])
def test_coefficients_of_a_long_stretch_are_the_true_ones(estimate):
    np.testing.assert_allclose(estimate(process(200_000), 4), [*A, 0, 0], atol=0.01)


def test_a_tone_goes_on_through_a_gap():
    time_, hidden = np.arange(4000), np.zeros(4000, bool)
    hidden[2000:2040] = True
    x = np.sin(0.37 * time_) + 0.5 * np.cos(0.81 * time_)
    for fill, most in ((janssen.fill_gaps, 0.03), (janssen.extrapolated, 1e-3)):
        error = fill(np.where(hidden, 0, x), hidden) - x
        assert np.abs(error).max() < most, fill


def test_extrapolation_of_one_side_is_the_forecast_of_its_law():
    x, hidden = process(4000), np.arange(4000) >= 3990
    filled = janssen.extrapolated(x, hidden, order=2, context=0.4)
    a, forecast = janssen.burg(x[3990 - 3200 : 3990], 2), list(x[:3990])
    for _ in range(10):
        forecast.append(-a[0] * forecast[-1] - a[1] * forecast[-2])
    np.testing.assert_allclose(filled, forecast, atol=1e-10)
    mirrored = janssen.extrapolated(x[::-1], hidden[::-1], order=2, context=0.4)
    np.testing.assert_allclose(mirrored[::-1], filled, atol=1e-10)


def test_with_a_seed_a_long_gap_keeps_the_variance_of_the_process():
    x, hidden = process(40_000), np.zeros(40_000, bool)
    hidden[4000:36_000] = True
    quiet, drawn = (janssen.extrapolated(x, hidden, context=0.5, order=2, seed=seed)[8000:32_000] for seed in (None, 1))
    assert quiet.std() < 1e-6
    # the middle of two independent sides, cos^2 + sin^2 = 1
    np.testing.assert_allclose(drawn.std(), x.std(), rtol=0.1)
    np.testing.assert_array_equal(drawn, janssen.extrapolated(x, hidden, context=0.5, order=2, seed=1)[8000:32_000])


def test_linear_joins_the_neighbours_and_holds_the_ends():
    hidden = np.array([1, 0, 1, 1, 0, 1], bool)
    np.testing.assert_allclose(janssen.linear([9.0, 1, 9, 9, 4, 9], hidden), [1, 1, 2, 3, 4, 4])


@pytest.mark.parametrize("fill", [janssen.fill_gaps, janssen.extrapolated, janssen.linear])
def test_channels_are_filled_each_by_itself_and_nothing_is_made_of_nothing(fill):
    x = np.stack([process(1000, s) for s in range(3)], -1)
    hidden = np.zeros((1000, 3), bool)
    hidden[300:330, 0] = hidden[:, 1] = hidden[600:603, 2] = hidden[700:790, 2] = True
    filled = fill(x, hidden)
    for k in range(3):
        np.testing.assert_array_equal(filled[:, k], fill(x[:, k], hidden[:, k]))
    assert not filled[:, 1].any()
    np.testing.assert_array_equal(fill(x, hidden[:, 0])[~hidden[:, 0]], x[~hidden[:, 0]])
    silent = fill(np.zeros(1000), hidden[:, 0])
    assert not silent.any()


def test_half_the_samples_lost_at_random_come_back():
    x, hidden = process(4000), np.random.default_rng(1).random(4000) < 0.5
    filled = janssen.fill_gaps(np.where(hidden, 0, x), hidden)
    exact = dense_mean(x[:1000], hidden[:1000])
    best = np.sqrt(np.mean((exact - x[:1000][hidden[:1000]]) ** 2))
    assert np.sqrt(np.mean((filled - x)[hidden] ** 2)) < 1.3 * best


def test_half_a_second_at_44_khz_takes_seconds():
    x, hidden = process(60_000), np.zeros(60_000, bool)
    hidden[20_000:42_050] = True
    begin = time.perf_counter()
    assert np.isfinite(janssen.fill_gaps(x, hidden, rate=44_100, iterations=1)).all()
    assert time.perf_counter() - begin < 5
