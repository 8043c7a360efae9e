import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_process import PROCESSES

import sciddm as sd
from sciddm.denoiser import PREDICTIONS, target, x0_coefficients


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", PROCESSES)
def test_the_target_as_output_gives_back_x_0(name, prediction):
    process, key = PROCESSES[name](), jax.random.key(1)
    x_0 = jax.random.normal(key, (7, 5))
    t = jnp.linspace(0.05, 0.9, 7)
    x_t, eps = process.perturb(key, x_0, t)
    out = target(process, prediction, x_0, eps, t, 0.7)
    denoiser = sd.NetworkDenoiser(lambda x, noise_level, cond: out, process, prediction, 0.7)
    tolerance = 2e-4 * float(jnp.max(process.sigma(t) / process.alpha(t)) + 1)
    np.testing.assert_allclose(denoiser(x_t, t), x_0, atol=tolerance)


@pytest.mark.parametrize("name", PROCESSES)
def test_edm_preconditioning_has_unit_variance_and_finite_ends(name):
    process = PROCESSES[name]()
    t = jnp.linspace(0.0, 1.0, 33)
    c_skip, c_out = x0_coefficients(process, "edm", t, 0.5)
    alpha, sigma = process.alpha(t), process.sigma(t)
    assert bool(jnp.all(jnp.isfinite(c_skip) & jnp.isfinite(c_out)))
    # the error of the skip path is what the network must supply: var(x_0 - c_skip x_t) = c_out^2 (Karras et al., eq. 129)
    np.testing.assert_allclose((1 - c_skip * alpha) ** 2 * 0.25 + c_skip**2 * sigma**2, c_out**2, rtol=1e-4, atol=1e-7)


def test_score_eps_and_velocity_are_those_of_the_exact_density(mixture):
    process = sd.GaussianProcess.vp()
    denoiser, t = mixture.denoiser(process), 0.3
    x_t = jax.random.normal(jax.random.key(0), (9, 3))
    alpha, sigma = process.alpha(t), process.sigma(t)
    noisy = sd.oracle.GaussianMixture(mixture.weights, alpha * mixture.means, alpha**2 * mixture.variances + sigma**2)
    np.testing.assert_allclose(denoiser.score(x_t, t), noisy.score(x_t), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(denoiser.eps(x_t, t), -sigma * noisy.score(x_t), rtol=1e-4, atol=1e-5)
    ode = process.drift(t) * x_t - 0.5 * process.diffusion2(t) * noisy.score(x_t)
    np.testing.assert_allclose(denoiser.velocity(x_t, t), ode, rtol=1e-4, atol=1e-5)


def test_denoise_with_vjp_is_the_symmetric_posterior_covariance(mixture):
    process, t = sd.GaussianProcess.vp(), 0.4
    x_t = jax.random.normal(jax.random.key(2), (4, 3))
    x0_hat, vjp = sd.denoise_with_vjp(mixture.denoiser(process), x_t, t)
    rows = jnp.stack([vjp(jnp.broadcast_to(axis, (4, 3))) for axis in jnp.eye(3)], 1)
    np.testing.assert_allclose(rows, rows.transpose(0, 2, 1), atol=1e-5)
    for one, row in zip(x_t, rows, strict=True):
        posterior = mixture.posterior(process.alpha(t) * jnp.eye(3), one, process.sigma(t))
        np.testing.assert_allclose(row * process.sigma(t) ** 2 / process.alpha(t), posterior.covariance, atol=2e-4)
    np.testing.assert_array_equal(x0_hat, mixture.denoiser(process)(x_t, t))


def test_time_may_be_scalar_per_sample_or_per_element(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.cosine())
    x_t = jax.random.normal(jax.random.key(3), (6, 3))
    np.testing.assert_allclose(denoiser(x_t, 0.5), denoiser(x_t, jnp.full((6,), 0.5)), rtol=1e-6)
    pointwise = sd.NetworkDenoiser(lambda x, c, cond: x, sd.GaussianProcess.vp(), "v")
    np.testing.assert_allclose(pointwise(x_t, jnp.full((6, 3), 0.5)), pointwise(x_t, 0.5), rtol=1e-6)


def test_an_unknown_prediction_is_named():
    with pytest.raises(ValueError, match="noise.*none of"):
        sd.NetworkDenoiser(lambda x, c, cond: x, sd.GaussianProcess.vp(), "noise")
