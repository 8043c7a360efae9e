import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import sciddm as sd
from sciddm.lookahead.steer import ahead


def scalar_moments(guided, steps):
    # a start at sigma_T misses the posterior mean there by O(y / sigma_T): 1000 leaves 6e-4 of it, 80 would leave 8e-3
    start = 1000.0 * jnp.array([[1.0], [-1.0]])
    ends, info = sd.sample(jax.random.key(0), guided, (2, 1), solver="heun", steps=steps, start=start)
    return float(ends.mean()), float(((ends[0] - ends[1]) / 2)[0] ** 2)


@pytest.mark.parametrize("tau", [1.0, 0.1])
def test_steer_equals_its_known_biased_value(tau):
    # prior N(0, 1), y = x + N(0, tau): variance v exp(-v/tau), not v tau / (v + tau); METHODS 4.1
    y = 1.0
    gaussian = sd.oracle.GaussianMixture([1.0], [[0.0]], 1.0).denoiser(sd.GaussianProcess.edm(sigma_max=1000.0))
    obs = sd.lookahead.Observation(lambda x: x, jnp.array([y]), np.sqrt(tau))
    mean, variance = scalar_moments(sd.lookahead.steer(gaussian, obs), 4000)
    integral = scipy.integrate.quad(lambda w: 2 * np.exp(w * w / (2 * tau)), 0, 1)[0]  # u = w^2
    assert variance == pytest.approx(np.exp(-1 / tau), rel=1e-3 if tau == 1.0 else 2e-2)
    assert mean == pytest.approx(y / (2 * tau) * np.exp(-1 / (2 * tau)) * integral, rel=2e-3)


def test_depth_zero_is_the_plug_in_and_depth_looks_further(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    x_t = jax.random.normal(jax.random.key(0), (4, 3))
    potential = lambda x, t: -jnp.sum((x - 1.0) ** 2, -1)  # noqa: E731
    process, t = denoiser.process, 0.6
    gradient = jax.grad(lambda x: potential(denoiser(x, t), t).sum())(x_t)
    expected = denoiser(x_t, t) + 0.5 * process.sigma(t) ** 2 / process.alpha(t) * gradient
    np.testing.assert_allclose(
        sd.lookahead.steer(denoiser, potential, scale=0.5)(x_t, t), expected, rtol=1e-4, atol=1e-5
    )
    # many steps ahead end where the solver itself ends
    end = ahead(denoiser, x_t, denoiser(x_t, t), jnp.asarray(t), None, 400)
    low = float(process.log_snr(t))
    grid = np.concatenate([[t], process.time(np.linspace(low, 10.0, 402)[1:-1]), [0.0]])
    solved, _ = sd.sample(jax.random.key(0), denoiser, (4, 3), solver="ddim", grid=grid, start=x_t)
    np.testing.assert_allclose(end, solved, atol=1e-4)
