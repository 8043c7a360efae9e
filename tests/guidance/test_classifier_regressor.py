import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd

A, Y, STD = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4]), 0.4
COVARIANCE = jnp.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.5], [0.2, -0.5, 0.7]])
GAUSSIAN = sd.oracle.GaussianMixture([1.0], [[0.5, -0.5, 1.0]], COVARIANCE)


def exact_log_prob(prior, process):
    """log p(y | x_t) = log p(y, x_t) - log p(x_t), x_t being an observation of x_0 too."""

    def one(x, t):
        alpha, sigma = process.alpha(t), process.sigma(t)
        rows, stds = alpha * jnp.eye(3), jnp.full(3, sigma)
        joint = prior.log_evidence(
            jnp.concatenate([A, rows]), jnp.concatenate([Y, x]), jnp.concatenate([jnp.full(2, STD), stds])
        )
        return joint - prior.log_evidence(rows, x, stds)

    return lambda x_t, t: jax.vmap(lambda x: one(x, t))(x_t)


def test_the_exact_classifier_makes_the_exact_conditional_denoiser(mixture):
    process = sd.GaussianProcess.vp()
    guided = eqx.filter_jit(sd.guidance.classifier(mixture.denoiser(process), exact_log_prob(mixture, process)))
    exact = eqx.filter_jit(mixture.posterior(A, Y, STD).denoiser(process))
    x_t = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    for t in np.float32([0.3, 0.6, 0.9]):
        np.testing.assert_allclose(guided(x_t, t), exact(x_t, t), atol=2e-3)


def posterior_std(row, process, t):
    """Standard deviation of y = row x_0 + noise given x_t, for the Gaussian prior."""
    alpha, sigma = process.alpha(t), process.sigma(t)
    gain = jnp.linalg.solve(alpha**2 * COVARIANCE + sigma**2 * jnp.eye(3), alpha * COVARIANCE)
    return jnp.sqrt((row @ (COVARIANCE - alpha * COVARIANCE @ gain) @ row.T)[0, 0] + STD**2)


@pytest.mark.parametrize("name", ["vp", "edm"])
def test_sampling_with_the_exact_classifier_gives_the_exact_posterior(name):
    process, row = getattr(sd.GaussianProcess, name)(), A[:1]
    prior, exact = GAUSSIAN.denoiser(process), GAUSSIAN.posterior(row, Y[:1], STD)

    def log_prob(x_t, t):
        return sd.lookahead.Observation(lambda x: prior(x, t) @ row.T, Y[:1], posterior_std(row, process, t))(x_t)

    guided = sd.guidance.classifier(prior, log_prob)
    samples, info = sd.sample(jax.random.key(0), guided, (8000, 3), steps=30)
    np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(samples.T), exact.covariance, atol=0.05 * float(exact.covariance.max()))
    assert info["guidance_norm"].shape == info["potential"].shape == (30, 8000)


def test_the_exact_regressor_makes_the_exact_conditional_denoiser():
    process = sd.GaussianProcess.vp()
    prior, row = GAUSSIAN.denoiser(process), A[:1]
    expected = lambda x_t, t: prior(x_t, t) @ row.T  # noqa: E731
    guided = sd.guidance.regressor(prior, expected, Y[:1], lambda t: posterior_std(row, process, t))
    exact = eqx.filter_jit(GAUSSIAN.posterior(row, Y[:1], STD).denoiser(process))
    evaluate, mean = eqx.filter_jit(guided.evaluate), jax.jit(expected)
    x_t = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    for t in np.float32([0.2, 0.6]):
        steered, report, _ = evaluate(x_t, t)
        np.testing.assert_allclose(steered, exact(x_t, t), atol=1e-3)
        np.testing.assert_allclose(report["residual"], np.abs(Y[0] - np.asarray(mean(x_t, t)))[:, 0], rtol=1e-5)
        assert report["guidance_norm"].shape == (20,)


def test_scale_multiplies_the_shift_and_nothing_acts_where_nothing_is_known():
    process = sd.GaussianProcess.rectified()
    prior, x_t = GAUSSIAN.denoiser(process), np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    log_prob = lambda x, t: -jnp.sum((x - 1.0) ** 2, -1)  # noqa: E731
    ask = eqx.filter_jit(lambda denoiser, x_t, t: denoiser(x_t, t))
    half, one = np.float32(0.5), np.float32(1.0)
    plain = np.asarray(ask(prior, x_t, half))
    scaled = [sd.guidance.classifier(prior, log_prob, jnp.asarray(w)) for w in (1.0, 3.0)]
    once, thrice = (ask(guided, x_t, half) - plain for guided in scaled)
    np.testing.assert_allclose(once, 0.5 * -2 * (x_t - 1.0), rtol=1e-4, atol=1e-5)  # sigma^2 / alpha = 0.5
    np.testing.assert_allclose(thrice, 3 * once, rtol=1e-4, atol=1e-5)
    at_noise = ask(scaled[0], x_t, one)
    np.testing.assert_allclose(at_noise, np.broadcast_to(GAUSSIAN.mean, (5, 3)), rtol=1e-6)
    with pytest.raises(ValueError, match="negative"):
        sd.guidance.regressor(prior, lambda x, t: x, jnp.zeros(3), -1.0)
    constant = sd.guidance.regressor(prior, lambda x, t: x[:, 0], 1.0, 0.5)
    expected = plain + 0.5 * (1.0 - x_t[:, :1]) / 0.25 * np.eye(3)[:1]
    np.testing.assert_allclose(eqx.filter_jit(constant)(x_t, 0.5), expected, rtol=1e-4, atol=1e-5)


def test_a_classifier_s_gradient_acts_through_the_covariance_of_the_noise():
    law = sd.SpectralField.power_law((4,), 2.0, 2.0)
    process = sd.GaussianProcess.rectified(noise=law)
    prior = sd.FunctionDenoiser(lambda x, t, cond: 0.5 * x, process)
    slope = np.random.default_rng(0).normal(size=(3, 4, 1)).astype(np.float32)
    x_t = np.ones_like(slope)
    guided = sd.guidance.classifier(prior, lambda x, t: jnp.sum(slope * x, (1, 2)))
    shift = eqx.filter_jit(guided)(x_t, np.float32(0.5)) - 0.5 * x_t
    np.testing.assert_allclose(shift, 0.5 * law.each("covariance", slope), rtol=1e-5, atol=1e-6)  # sigma^2 / alpha = 0.5
