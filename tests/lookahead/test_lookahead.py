import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import sciddm as sd
from sciddm.lookahead.conjugate_gradient import conjugate_gradient

A = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = jnp.array([0.7, -0.4])


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


@pytest.mark.parametrize("method", ["pigdm", "mmps"])
def test_guide_is_the_exact_posterior_of_an_isotropic_gaussian(method):
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 2.0)
    exact = prior.posterior(A, Y, 0.3)
    for name in ("edm", "vp", "rectified"):
        denoiser = prior.denoiser(getattr(sd.GaussianProcess, name)())
        obs = sd.lookahead.Observation(A, Y, 0.3)
        guided = (
            sd.lookahead.pigdm(denoiser, obs, prior_variance=2.0)
            if method == "pigdm"
            else sd.lookahead.mmps(denoiser, obs)
        )
        samples, _ = sd.sample(jax.random.key(0), guided, (20000, 3), solver="dpmpp2m", steps=100)
        np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.05 * float(jnp.abs(exact.mean).max()) + 0.02)
        np.testing.assert_allclose(jnp.cov(samples.T), exact.covariance, atol=0.05 * float(exact.covariance.max()))


def test_mmps_is_the_exact_posterior_of_any_gaussian():
    covariance = jnp.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.5], [0.2, -0.5, 0.7]])
    prior = sd.oracle.GaussianMixture([1.0], [[0.5, -0.5, 1.0]], covariance)
    exact = prior.posterior(A, Y, 0.3)
    guided = sd.lookahead.mmps(prior.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.3))
    samples, _ = sd.sample(jax.random.key(0), guided, (20000, 3), steps=100)
    np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.05)
    np.testing.assert_allclose(jnp.cov(samples.T), exact.covariance, atol=0.05 * float(exact.covariance.max()))


@pytest.mark.parametrize("solver", sd.solvers.SOLVERS)
def test_guides_compose_with_every_solver_and_with_guidance(solver):
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 1.0)
    exact = prior.posterior(A, Y, 0.5)
    conditional = sd.guidance.classifier_free(prior.denoiser(sd.GaussianProcess.vp()), 1.0)
    guided = sd.lookahead.mmps(conditional, sd.lookahead.Observation(A, Y, 0.5))
    samples, info = sd.sample(jax.random.key(0), guided, (8000, 3), solver=solver, steps=100)
    np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.06)
    np.testing.assert_allclose(jnp.var(samples, 0), jnp.diag(exact.covariance), rtol=0.12)
    if solver != "euler-maruyama":
        assert info["residual"].shape == info["guidance_norm"].shape == (100, 8000)
        assert float(info["residual"][-1].mean()) < float(info["residual"][0].mean())


def test_all_guides_move_a_mixture_towards_its_posterior(mixture, sliced):
    obs = sd.lookahead.Observation(A, Y, 0.5)
    truth = mixture.posterior(A, Y, 0.5).sample(jax.random.key(5), 2000)
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    prior = sliced(mixture.sample(jax.random.key(6), 2000), truth)
    distance = {}
    for name, guided in {
        "steer": sd.lookahead.steer(denoiser, obs), "pigdm": sd.lookahead.pigdm(denoiser, obs), "mmps": sd.lookahead.mmps(denoiser, obs),
        "x0": sd.lookahead.steer(denoiser, obs, through="x0"), "ahead": sd.lookahead.steer(denoiser, obs, depth=2),
    }.items():  # fmt: skip
        samples, _ = sd.sample(jax.random.key(0), guided, (2000, 3), steps=200)
        distance[name] = sliced(samples, truth)
    assert max(distance.values()) < prior
    assert distance["mmps"] < 0.25 * prior


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
    from sciddm.lookahead.steer import ahead

    end = ahead(denoiser, x_t, denoiser(x_t, t), jnp.asarray(t), None, 400)
    low = float(process.log_snr(t))
    grid = np.concatenate([[t], process.time(np.linspace(low, 10.0, 402)[1:-1]), [0.0]])
    solved, _ = sd.sample(jax.random.key(0), denoiser, (4, 3), solver="ddim", grid=grid, start=x_t)
    np.testing.assert_allclose(end, solved, atol=1e-4)


def test_log_likelihood_is_normalised():
    obs = sd.lookahead.Observation(A, Y, jnp.array([0.3, 0.8]))
    x = jax.random.normal(jax.random.key(0), (6, 3))
    expected = scipy.stats.norm(Y, [0.3, 0.8]).logpdf(np.asarray(x @ A.T)).sum(1)
    np.testing.assert_allclose(obs.log_likelihood(x), expected, rtol=1e-4)
    each = sd.lookahead.Observation(lambda v: v[:, :2], x[:, :2], 1.0)
    np.testing.assert_allclose(each.log_likelihood(x), np.full(6, -np.log(2 * np.pi)), rtol=1e-5)


def test_operators_agree_with_their_adjoints_by_dot_product():
    ops = sd.lookahead.operators
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    for operator in (
        ops.Downsample(2), ops.Mask(jnp.arange(16.0).reshape(4, 4, 1) % 3 == 0), ops.Points(jnp.array([1, 7, 9])),
        ops.Points(jnp.array([[1, 7], [2, 3]])), ops.Matrix(jax.random.normal(jax.random.key(1), (3, 16))),
    ):  # fmt: skip
        obs = sd.lookahead.Observation(operator, 0.0, 1.0)
        prediction, adjoint = obs.linearize(x)
        u = jax.random.normal(jax.random.key(2), prediction.shape)
        np.testing.assert_allclose(jnp.vdot(prediction, u), jnp.vdot(x, adjoint(u)), rtol=1e-5)
        np.testing.assert_allclose(obs.forward(x)(x), prediction, rtol=1e-5)


def test_conjugate_gradient_solves_each_sample_alone():
    root = jax.random.normal(jax.random.key(0), (5, 6, 6))
    matrices = root @ root.transpose(0, 2, 1) + jnp.eye(6)
    b = jax.random.normal(jax.random.key(1), (5, 6))
    solve = lambda m, v, n: conjugate_gradient(lambda p: jnp.einsum("bij,bj->bi", m, p), v, n, 1e-6)  # noqa: E731
    np.testing.assert_allclose(
        solve(matrices, b, 20), jnp.linalg.solve(matrices, b[..., None])[..., 0], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(solve(matrices, b, 3)[:2], solve(matrices[:2], b[:2], 3), atol=1e-5)


def test_a_value_that_does_not_fit_is_named():
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 1.0).denoiser(sd.GaussianProcess.vp())
    with pytest.raises(ValueError, match="value of shape"):
        sd.lookahead.pigdm(prior, sd.lookahead.Observation(A, jnp.zeros(3), 0.1))(jnp.zeros((4, 3)), 0.5)
    with pytest.raises(ValueError, match="negative"):
        sd.lookahead.Observation(A, Y, -0.1)
