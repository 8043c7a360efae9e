import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, gaussian_posterior, mixture_draws, mixture_posterior

import sciddm as sd

A = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = np.array([0.7, -0.4])


def law_of_the_end(guided, **options):
    """Mean and covariance of x_0 by a solver without noise, exact where the guide is linear in x_t: from 0 and from one unit of each."""
    spread = float(guided.process.sigma(1.0))
    start = spread * np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
    ends, info = sd.sample(jax.random.key(0), guided, (4, 3), start=start, **options)
    ends = np.asarray(ends, float)
    return ends[0], (ends[1:] - ends[0]).T @ (ends[1:] - ends[0]), info


@pytest.mark.parametrize("method", ["pigdm", "mmps"])
@pytest.mark.parametrize("name", ["edm", "vp", "rectified"])
def test_guide_is_the_exact_posterior_of_an_isotropic_gaussian(method, name):
    mean, covariance = gaussian_posterior(np.zeros(3), 2.0 * np.eye(3), A, Y, 0.3)
    denoiser = gaussian_denoiser(getattr(sd.GaussianProcess, name)(), 2.0)
    options = {"prior_variance": 2.0} if method == "pigdm" else {}
    guided = getattr(sd.lookahead, method)(denoiser, sd.lookahead.Observation(A, Y, 0.3), **options)
    found, spread, _ = law_of_the_end(guided, solver="dpmpp2m", steps=60)
    # of sixty steps of second order
    np.testing.assert_allclose(found, mean, atol=0.01 * np.abs(mean).max())
    np.testing.assert_allclose(spread, covariance, atol=0.003 * covariance.max())


def test_mmps_is_the_exact_posterior_of_any_gaussian():
    covariance = np.array([[1.0, 0.6, 0.2], [0.6, 2.0, -0.5], [0.2, -0.5, 0.7]])
    prior = sd.oracle.GaussianMixture([1.0], [[0.5, -0.5, 1.0]], covariance)
    mean, exact = gaussian_posterior([0.5, -0.5, 1.0], covariance, A, Y, 0.3)
    guided = sd.lookahead.mmps(prior.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.3))
    found, spread, _ = law_of_the_end(guided, steps=60)
    np.testing.assert_allclose(found, mean, atol=0.05)
    np.testing.assert_allclose(spread, exact, atol=0.05 * exact.max())


# dopri8 is tsit5 with a longer table, and takes five times as long to compile as any other
SOLVERS = sorted(set(sd.solvers.SOLVERS) - {"dpmpp1", "ancestral", "dopri8"})


@pytest.mark.parametrize("solver", [*SOLVERS, pytest.param("dopri8", marks=pytest.mark.slow)])
def test_guides_compose_with_every_solver_and_with_guidance(solver):
    mean, covariance = gaussian_posterior(np.zeros(3), np.eye(3), A, Y, 0.5)
    conditional = sd.guidance.classifier_free(gaussian_denoiser(sd.GaussianProcess.vp(), 1.0), 1.0)
    guided = sd.lookahead.mmps(conditional, sd.lookahead.Observation(A, Y, 0.5))
    steps = 4 if solver in ("tsit5", "dopri8") else 100
    if solver in ("ddpm", "ddim-eta", "sde-dpmpp2m", "seeds2", "edm", "flow-sde", "euler-maruyama"):
        count = 2000
        samples, info = sd.sample(jax.random.key(0), guided, (count, 3), solver=solver, steps=steps)
        found, variance = np.mean(samples, 0), np.var(samples, 0)
    else:
        count = 4
        found, spread, info = law_of_the_end(guided, solver=solver, steps=steps)
        variance = np.diag(spread)
    np.testing.assert_allclose(found, mean, atol=0.06)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=0.12)
    if solver != "euler-maruyama":
        assert info["residual"].shape == info["guidance_norm"].shape == (steps, count)
        assert np.mean(info["residual"][-1]) < np.mean(info["residual"][0])


def test_all_guides_move_a_mixture_towards_its_posterior(mixture, sliced):
    obs = sd.lookahead.Observation(A, Y, 0.5)
    weights, means = np.asarray(mixture.weights, float), np.asarray(mixture.means, float)
    *posterior, _ = mixture_posterior(weights, means, 0.2 * np.eye(3), A, Y, 0.5)
    truth = mixture_draws(*posterior, 1000, 5)
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    prior = sliced(mixture_draws(weights, means, 0.2 * np.eye(3), 1000, 6), truth)
    distance = {}
    for name, guided in {
        "steer": sd.lookahead.steer(denoiser, obs), "pigdm": sd.lookahead.pigdm(denoiser, obs), "mmps": sd.lookahead.mmps(denoiser, obs),
        "x0": sd.lookahead.steer(denoiser, obs, through="x0"), "ahead": sd.lookahead.steer(denoiser, obs, depth=2),
    }.items():  # fmt: skip
        samples, _ = sd.sample(jax.random.key(0), guided, (1000, 3), steps=50)
        distance[name] = sliced(samples, truth)
    assert max(distance.values()) < prior
    assert distance["mmps"] < 0.25 * prior


def test_every_sample_may_have_its_own_time():
    process, obs = sd.GaussianProcess.vp(), sd.lookahead.Observation(A, Y, 0.5)
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: process.alpha(t)[..., None] * jnp.tanh(x), process)
    x_t, times = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32), np.array([0.2, 0.5, 0.9], np.float32)
    guides = (
        sd.lookahead.pigdm(denoiser, obs), sd.lookahead.mmps(denoiser, obs), sd.lookahead.steer(denoiser, obs),
        sd.lookahead.steer(denoiser, obs, through="x0"), sd.lookahead.steer(denoiser, obs, depth=2),
        sd.guidance.classifier_free(denoiser, 2.0),
    )  # fmt: skip

    @eqx.filter_jit
    def asked(x_t, t):
        return [guided(x_t, t) for guided in guides]

    together = asked(x_t, times)
    for i, t in enumerate(times):
        for row, alone in zip(together, asked(x_t[i : i + 1], jnp.asarray(t)), strict=True):
            np.testing.assert_allclose(row[i], alone[0], rtol=1e-4, atol=1e-5)
