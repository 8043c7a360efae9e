import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from gaussian_posterior import gaussian_denoiser

import sciddm as sd
from sciddm.lookahead.gradients import guidance_norm
from sciddm.lookahead.steer import ahead


def scalar_moments(guided, steps):
    # a start at sigma_T misses the posterior mean there by O(y / sigma_T): 1e4 leaves 1e-4 of it, 80 would leave 8e-3
    start = 1e4 * np.array([[1.0], [-1.0]])
    ends, info = sd.sample(jax.random.key(0), guided, (2, 1), solver="heun", steps=steps, grid="logsnr", start=start)
    high, low = np.asarray(ends)[:, 0]
    return (high + low) / 2, ((high - low) / 2) ** 2


@pytest.mark.parametrize("tau", [1.0, 0.1])
def test_steer_equals_its_known_biased_value(tau, x64):
    # prior N(0, 1), y = x + N(0, tau): variance v exp(-v/tau), not v tau / (v + tau); double precision, for it is 5e-5 at tau = 0.1
    y = 1.0
    gaussian = gaussian_denoiser(sd.GaussianProcess.edm(sigma_max=1e4), 1.0)
    obs = sd.lookahead.Observation(lambda x: x, np.array([y]), np.sqrt(tau))
    mean, variance = scalar_moments(sd.lookahead.steer(gaussian, obs), 4000)
    integral = scipy.integrate.quad(lambda w: 2 * np.exp(w * w / (2 * tau)), 0, 1)[0]  # u = w^2
    assert variance == pytest.approx(np.exp(-1 / tau), rel=1e-3)
    assert mean == pytest.approx(y / (2 * tau) * np.exp(-1 / (2 * tau)) * integral, rel=1e-3)


def test_depth_zero_is_the_plug_in_and_depth_looks_further(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    x_t, process, t = points(), denoiser.process, 0.6

    @jax.jit
    def asked(x_t):
        gradient = jax.grad(lambda x: potential_at_one(denoiser(x, t), t).sum())(x_t)
        guided = sd.lookahead.steer(denoiser, potential_at_one, scale=0.5)(x_t, t)
        end = ahead(denoiser, x_t, denoiser(x_t, t), jnp.asarray(t), None, 400)
        return guided, denoiser(x_t, t) + 0.5 * process.sigma(t) ** 2 / process.alpha(t) * gradient, end

    guided, expected, end = asked(x_t)
    np.testing.assert_allclose(guided, expected, rtol=1e-4, atol=1e-5)
    # many steps ahead end where the solver itself ends
    low = float(process.log_snr(t))
    grid = np.concatenate([[t], process.time(np.linspace(low, 10.0, 402)[1:-1]), [0.0]])
    solved, _ = sd.sample(jax.random.key(0), denoiser, (4, 3), solver="ddim", grid=grid, start=x_t)
    np.testing.assert_allclose(end, solved, atol=1e-4)


def points():
    return np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def naive(denoiser, x, t, depth, constant):
    """Where `depth` steps end, unrolled by hand; the first `constant` evaluations carry no gradient."""
    process = denoiser.process
    low, high = process.log_snr(t), 10.0
    now, kept = t, lambda i, value: jax.lax.stop_gradient(value) if i < constant else value
    x0_hat = kept(0, denoiser(x, t))
    for i in range(1, depth + 1):
        s = process.time(low + (high - low) * i / (depth + 1))
        ratio = process.sigma(s) / process.sigma(now)
        x = process.alpha(s) * x0_hat + ratio * (x - process.alpha(now) * x0_hat)
        x0_hat, now = kept(i, denoiser(x, s)), s
    return x0_hat


def potential_at_one(x, t):
    return -jnp.sum((x - 1.0) ** 2, -1)


@pytest.mark.parametrize("truncate", [1, 2, 3, None])
def test_depth_differentiates_as_the_unrolled_steps_do(mixture, truncate):
    denoiser, t = mixture.denoiser(sd.GaussianProcess.vp()), 0.6
    x_t, process = points(), denoiser.process

    @jax.jit
    def expected(x_t):
        constant = 0 if truncate is None else 3 - truncate
        gradient = jax.grad(lambda x: potential_at_one(naive(denoiser, x, t, 2, constant), t).sum())(x_t)
        return denoiser(x_t, t) + process.sigma(t) ** 2 / process.alpha(t) * gradient

    guided = sd.lookahead.steer(denoiser, potential_at_one, depth=2, truncate=truncate)
    np.testing.assert_allclose(eqx.filter_jit(guided)(x_t, t), expected(x_t), rtol=1e-3, atol=1e-4)


def test_truncated_to_one_the_steps_before_pass_their_share_of_x_t_alone(mixture):
    denoiser, t = mixture.denoiser(sd.GaussianProcess.vp()), 0.6
    x_t, process = points(), denoiser.process

    @jax.jit
    def by_hand(x_t):
        low = process.log_snr(t)
        s_1, s_2 = process.time(low + (10.0 - low) / 3), process.time(low + (10.0 - low) * 2 / 3)
        alpha, sigma = (jnp.stack([f(s) for s in (t, s_1, s_2)]) for f in (process.alpha, process.sigma))
        x0_hat = denoiser(x_t, t)
        x_1 = alpha[1] * x0_hat + sigma[1] / sigma[0] * (x_t - alpha[0] * x0_hat)
        estimate = denoiser(x_1, s_1)
        x_2 = alpha[2] * estimate + sigma[2] / sigma[1] * (x_1 - alpha[1] * estimate)
        gradient = sigma[2] / sigma[0] * jax.grad(lambda x: potential_at_one(denoiser(x, s_2), t).sum())(x_2)
        return x0_hat + sigma[0] ** 2 / alpha[0] * gradient

    guided = sd.lookahead.steer(denoiser, potential_at_one, depth=2, truncate=1)
    np.testing.assert_allclose(eqx.filter_jit(guided)(x_t, t), by_hand(x_t), rtol=1e-4, atol=1e-5)


def test_truncate_out_of_range_is_refused(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    for truncate in (0, 4):
        with pytest.raises(ValueError, match="truncate"):
            sd.lookahead.steer(denoiser, lambda x, t: x[:, 0], depth=2, truncate=truncate)


@pytest.mark.parametrize("process", [sd.GaussianProcess.vp(), sd.GaussianProcess.edm()], ids=["vp", "edm"])
def test_the_reported_guidance_norm_is_that_of_grad_log_h_over_that_of_the_score(mixture, process):
    denoiser, t = mixture.denoiser(process), 0.6
    potential = lambda x, t: -2.0 * jnp.sum((x - 1.0) ** 2, -1)  # noqa: E731
    alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
    x_t = np.sqrt(np.float32(alpha**2 + sigma**2)) * points()
    marginal = sd.oracle.GaussianMixture(mixture.weights, alpha * np.asarray(mixture.means), alpha**2 * 0.2 + sigma**2)

    @jax.jit
    def asked(x_t):
        guide = jax.grad(lambda x: potential(denoiser(x, t), t).sum())(x_t)
        return guide, marginal.score(x_t), sd.lookahead.steer(denoiser, potential).evaluate(x_t, t)[1]["guidance_norm"]

    guide, score, reported = asked(x_t)
    expected = np.linalg.norm(guide, axis=1) / np.linalg.norm(score, axis=1)
    np.testing.assert_allclose(reported, expected, rtol=2e-3)


def test_no_guidance_has_norm_zero_even_where_there_is_no_score():
    process, x = sd.GaussianProcess.vp(), np.ones((4, 3), np.float32)
    t = np.array([0.0, 0.3, 0.6, 1.0], np.float32)

    @jax.jit
    def norms(x):
        still = (x, 0.5 * x), (process.alpha(t)[:, None] * x, x)
        return [guidance_norm(process, x_t, t, x0_hat, x0_hat) for x_t, x0_hat in still]

    np.testing.assert_array_equal(norms(x), np.zeros((2, 4)))
