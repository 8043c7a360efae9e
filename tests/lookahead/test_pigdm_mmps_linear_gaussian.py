import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd

A = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = jnp.array([0.7, -0.4])


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
        samples, _ = sd.sample(jax.random.key(0), guided, (8000, 3), solver="dpmpp2m", steps=60)
        np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.05 * float(jnp.abs(exact.mean).max()) + 0.02)
        np.testing.assert_allclose(jnp.cov(samples.T), exact.covariance, atol=0.05 * float(exact.covariance.max()))


def test_mmps_is_the_exact_posterior_of_any_gaussian():
    covariance = jnp.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.5], [0.2, -0.5, 0.7]])
    prior = sd.oracle.GaussianMixture([1.0], [[0.5, -0.5, 1.0]], covariance)
    exact = prior.posterior(A, Y, 0.3)
    guided = sd.lookahead.mmps(prior.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.3))
    samples, _ = sd.sample(jax.random.key(0), guided, (8000, 3), steps=60)
    np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.05)
    np.testing.assert_allclose(jnp.cov(samples.T), exact.covariance, atol=0.05 * float(exact.covariance.max()))


@pytest.mark.parametrize("solver", sorted(set(sd.solvers.SOLVERS) - {"dpmpp1", "ancestral"}))
def test_guides_compose_with_every_solver_and_with_guidance(solver):
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 1.0)
    exact = prior.posterior(A, Y, 0.5)
    conditional = sd.guidance.classifier_free(prior.denoiser(sd.GaussianProcess.vp()), 1.0)
    guided = sd.lookahead.mmps(conditional, sd.lookahead.Observation(A, Y, 0.5))
    steps = 4 if solver in ("tsit5", "dopri8") else 100
    samples, info = sd.sample(jax.random.key(0), guided, (3000, 3), solver=solver, steps=steps)
    np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.06)
    np.testing.assert_allclose(jnp.var(samples, 0), jnp.diag(exact.covariance), rtol=0.12)
    if solver != "euler-maruyama":
        assert info["residual"].shape == info["guidance_norm"].shape == (steps, 3000)
        assert float(info["residual"][-1].mean()) < float(info["residual"][0].mean())


def test_all_guides_move_a_mixture_towards_its_posterior(mixture, sliced):
    obs = sd.lookahead.Observation(A, Y, 0.5)
    truth = mixture.posterior(A, Y, 0.5).sample(jax.random.key(5), 1000)
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    prior = sliced(mixture.sample(jax.random.key(6), 1000), truth)
    distance = {}
    for name, guided in {
        "steer": sd.lookahead.steer(denoiser, obs), "pigdm": sd.lookahead.pigdm(denoiser, obs), "mmps": sd.lookahead.mmps(denoiser, obs),
        "x0": sd.lookahead.steer(denoiser, obs, through="x0"), "ahead": sd.lookahead.steer(denoiser, obs, depth=2),
    }.items():  # fmt: skip
        samples, _ = sd.sample(jax.random.key(0), guided, (1000, 3), steps=100)
        distance[name] = sliced(samples, truth)
    assert max(distance.values()) < prior
    assert distance["mmps"] < 0.25 * prior


def test_every_sample_may_have_its_own_time(mixture):
    denoiser, obs = mixture.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.5)
    x_t, times = jax.random.normal(jax.random.key(0), (3, 3)), jnp.asarray([0.2, 0.5, 0.9])
    for guided in (
        sd.lookahead.pigdm(denoiser, obs), sd.lookahead.mmps(denoiser, obs), sd.lookahead.steer(denoiser, obs),
        sd.lookahead.steer(denoiser, obs, through="x0"), sd.lookahead.steer(denoiser, obs, depth=2),
        sd.guidance.classifier_free(denoiser, 2.0),
    ):  # fmt: skip
        together = jax.jit(guided.__call__)(x_t, times)
        alone = jax.jit(guided.__call__)
        for i, t in enumerate(times):
            np.testing.assert_allclose(together[i], alone(x_t[i : i + 1], t)[0], rtol=1e-4, atol=1e-5)
