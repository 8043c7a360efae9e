import jax
import numpy as np
import pytest
from gaussian_posterior import levels
from lookahead.common import SEEN, TAU, V, ask, scalar

import sciddm as sd


def annealed(process, steps, prior_variance, point=True):
    """Mean and variance of DAPS's chain with exact inner draws; `point`: where the flow ends, or the mean and spread of p(x_0 | x_t)."""
    _, _, sigma = levels(process, "logsnr", steps)
    sigma[-1] = 0.0
    m, c = 0.0, sigma[0] ** 2
    for i in range(steps):
        guess = 1 / (1 / sigma[i] ** 2 + 1 / prior_variance)
        end = np.sqrt(V / (V + sigma[i] ** 2)) if point else V / (V + sigma[i] ** 2)
        k = guess / (guess + TAU)
        m = (1 - k) * end * m + k * SEEN
        c = ((1 - k) * end) ** 2 * c + guess * TAU / (guess + TAU) + sigma[i + 1] ** 2
    return m, c


@pytest.mark.parametrize("prior_variance", [np.inf, V])
def test_daps_is_its_chain_on_a_gaussian_and_not_the_posterior(prior_variance):
    process, denoiser, obs = scalar()
    guided = sd.lookahead.daps(denoiser, obs, ode_steps=60, prior_variance=prior_variance)
    samples, info = sd.sample(jax.random.key(0), guided, (20000, 1), steps=12)
    m, c = annealed(process, 12, prior_variance)
    assert np.mean(samples) == pytest.approx(m, abs=0.02)
    assert np.var(samples) == pytest.approx(c, rel=0.04)
    assert abs(c / (V * TAU / (V + TAU)) - 1) > 0.05  # its known bias
    assert info["network_calls"] == 12 * 60


def test_daps_with_one_call_and_the_spread_of_a_gaussian_prior_is_exact():
    # the mean of p(x_0 | x_t) and its true spread: split Gibbs, whose law at each level is the posterior's
    process, denoiser, obs = scalar()
    guided = sd.lookahead.daps(denoiser, obs, ode_steps=1, prior_variance=V)
    samples, _ = sd.sample(jax.random.key(0), guided, (20000, 1), steps=40)
    assert np.mean(samples) == pytest.approx(V * SEEN / (V + TAU), abs=0.02)
    assert np.var(samples) == pytest.approx(V * TAU / (V + TAU), rel=0.05)
    assert annealed(process, 40, V, point=False)[1] == pytest.approx(V * TAU / (V + TAU), rel=0.02)


def test_langevin_steps_of_daps_draw_what_is_drawn_exactly():
    process, denoiser, obs = scalar("vp")
    x_t = np.full((20000, 1), 0.3, np.float32)
    exact = np.asarray(ask(sd.lookahead.daps(denoiser, obs), x_t, 0.6))
    moved = np.asarray(ask(sd.lookahead.daps(denoiser, obs, langevin_steps=100, stiffness=50.0), x_t, 0.6))
    guess = float((process.sigma(0.6) / process.alpha(0.6)) ** 2)
    curvature = 1 / guess + 1 / TAU
    bias = 1 / (1 - 0.5 * curvature / (1 / guess + 50.0))  # of steps of this length, on a Gaussian
    assert moved.mean() == pytest.approx(exact.mean(), abs=0.02)
    assert exact.var() == pytest.approx(1 / curvature, rel=0.03)
    assert moved.var() == pytest.approx(bias / curvature, rel=0.03)
    with pytest.raises(ValueError, match="langevin_steps"):
        sd.lookahead.daps(denoiser, lambda x, t: x[:, 0])
