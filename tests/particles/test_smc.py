"""Sequential Monte Carlo and its twists, against Gaussian chains whose every moment is known and against exact mixtures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from chain import EXACT, OBSERVATION, PROCESS, TAU, VARIANCE, Y, end_variance, gaussian, log_normal, populated
from gaussian_posterior import mixture_draws, mixture_posterior

import sciddm as sd
from sciddm import particles
from sciddm.particles.engine import lineage
from sciddm.particles.smc import particle_grid

STEPS = 12


def test_the_moment_matched_twist_of_a_gaussian_prior_is_exact_up_to_the_time_step():
    shares = []
    for steps in (12, 100):
        result, _ = populated(
            jax.random.key(0), particles.smc, gaussian(), OBSERVATION, (1,), num_particles=2000, steps=steps, solver=EXACT
        )
        shares.append(1.0 - np.min(result.info["ess"]) / 2000)
        np.testing.assert_allclose(result.log_evidence, log_normal(Y, VARIANCE + TAU), atol=0.02)
    assert shares[0] < 0.12 and shares[1] < 0.25 * shares[0]


@pytest.mark.parametrize("twist", ["mmps", "plain"])
def test_a_linear_reward_of_a_gaussian_prior_has_equal_weights(twist):
    # "mmps" knows the constant that "plain" lacks; x_s | x_t of the tilted law is the shifted kernel exactly
    b = np.array([1.5, -0.5])

    @eqx.filter_jit
    def tilted(key):
        result = particles.smc(
            key, gaussian(), lambda x, t: x @ b, (2,), num_particles=400, steps=STEPS, twist=twist, solver=EXACT
        )
        return result, result.mean(), result.ess

    result, mean, ess = tilted(jax.random.key(1))
    assert np.min(result.info["ess"]) > 400 * (1 - 1e-3) and ess > 400 * (1 - 1e-3)
    np.testing.assert_allclose(mean, VARIANCE * b, atol=0.15)
    np.testing.assert_allclose(result.log_evidence, 0.5 * VARIANCE * b @ b, rtol=2e-3)


sample = eqx.filter_jit(sd.oracle.GaussianMixture.sample)


def twenty_five(dimension, seen, seed):
    """The inverse problem of arXiv:2308.07983: 25 components sixteen apart, singular values of A and the noise uniform."""
    rng = np.random.default_rng(seed)
    means = np.array([np.tile([-8.0 * i, -8.0 * j], dimension // 2) for i in range(-2, 3) for j in range(-2, 3)])
    weights = rng.normal(size=25) ** 2
    prior = sd.oracle.GaussianMixture(weights, means, 1.0)
    left, _, right = np.linalg.svd(rng.normal(size=(seen, dimension)), full_matrices=False)
    values = np.sort(rng.uniform(size=seen))[::-1]
    A, noise_std = (left * values) @ right, rng.uniform() * values.max()
    x = np.asarray(sample(prior, jax.random.key(seed), 1))[0]
    y = A @ x + noise_std * rng.normal(size=seen)
    return prior, A, y, noise_std, mixture_posterior(weights, means, np.eye(dimension), A, y, noise_std)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_particles_are_the_posterior_of_a_mixture_where_no_plug_in_guide_is_and_descend_from_fewer_and_fewer(seed, sliced):
    prior, A, y, noise_std, (weights, means, covariance, evidence) = twenty_five(8, 2, seed)
    resampled, found, info, forebears = posterior_particles(
        jax.random.key(seed), prior.denoiser(PROCESS), sd.lookahead.Observation(A, y, noise_std)
    )
    truth, other = (mixture_draws(weights, means, covariance, 1000, i) for i in (7, 8))
    assert sliced(resampled, truth) < sliced(other, truth) + 0.3
    assert abs(found - evidence) < 0.3
    assert np.mean(info["ess"]) > 0.6 * 1000
    roots = [len(np.unique(row)) for row in np.asarray(forebears)]
    assert roots == sorted(roots) and (roots[0] < 1000) == np.any(info["resampled"])
    assert seed == 0 or np.any(info["resampled"])
    assert info["ess"].shape == info["resampled"].shape == (100,)


@eqx.filter_jit
def posterior_particles(key, denoiser, observation):
    """A thousand particles of equal weight, the log evidence, what is reported and the lineage, by a program that all problems share."""
    result = particles.smc(key, denoiser, observation, (8,), num_particles=1000)
    return result.resampled(jax.random.key(9)), result.log_evidence, result.info, lineage(result.info["ancestors"])


def exact_twist(prior, A, y, noise_std, process):
    """log p(y | x_t): a mixture again, of the components' own x_0 | x_t."""
    left, values, _ = np.linalg.svd(A, full_matrices=False)

    def log_h(x_t, t):
        alpha, sigma = process.alpha(t), process.sigma(t)
        responsibility = jax.nn.log_softmax(prior._log_joint(x_t, alpha, sigma), -1)
        shrink = alpha / (alpha**2 + sigma**2)
        expected = prior.means + shrink * (x_t[:, None] - alpha * prior.means)
        variance = noise_std**2 + sigma**2 / (alpha**2 + sigma**2) * values**2  # along the left singular vectors of A
        residual = (y - expected @ A.T) @ left
        density = jnp.sum(residual**2 / variance + jnp.log(2 * jnp.pi * variance), -1)
        return jax.nn.logsumexp(responsibility - 0.5 * density, -1)

    return log_h


@pytest.mark.parametrize("dimension, least, steps", [(8, 0.85, (40, 100)), (80, 0.65, (100,))])
def test_the_exact_twist_keeps_its_weights_nearly_equal_and_more_so_with_more_steps(dimension, least, steps):
    prior, A, y, noise_std, (*_, evidence) = twenty_five(dimension, 2, 1)
    process = sd.GaussianProcess.vp(beta_max=30.0)
    log_h, shares = exact_twist(prior, A, y, noise_std, process), []
    for number in steps:
        result, _ = populated(
            jax.random.key(0), particles.smc, prior.denoiser(process), sd.lookahead.Observation(A, y, noise_std), (dimension,),
            num_particles=400, steps=number, twist=log_h, ess_threshold=1.0, grid="logsnr",
        )  # fmt: skip
        shares.append(np.mean(result.info["ess"]) / 400)
    assert shares[-1] > least and (len(steps) == 1 or shares[0] < shares[1] - 0.03)
    assert abs(result.log_evidence - evidence) < 0.15


def test_steps_are_where_wide_data_are_decided_and_as_ever_for_data_as_wide_as_the_noise():
    for std in (1.0, 2.9, 3.1, 20.0):
        grid = particle_grid(sd.FunctionDenoiser(lambda x, t, cond: x, PROCESS, data_std=std))
        times = sd.grids.uniform_log_snr(PROCESS, 50) if isinstance(grid, str) else grid(PROCESS, 50)
        ends = PROCESS.log_snr(times[1:-1])[np.array([0, -1])]
        if std < 3:
            np.testing.assert_array_equal(times, sd.grids.uniform_log_snr(PROCESS, 50))
        else:  # as many steps between less of it, but for where the process begins
            first, last = max(-5.0 - 2.0 * np.log(std), float(PROCESS.log_snr(1.0))), 10.0 - 2.0 * np.log(std)
            np.testing.assert_allclose(ends, [first + (last - first) / 50, last - (last - first) / 50], rtol=1e-3)
        assert np.all(np.diff(times) < 0) and times[0] == 1 and times[-1] == 0
    assert particle_grid(gaussian()) == "logsnr"


def test_another_measurement_law_is_weighed_as_it_is_whatever_the_twist_takes_it_for():
    # the twist takes a Gaussian of the same variance; the last weight is the law's own
    observation = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), sd.lookahead.Laplace(0.4))
    result, _ = populated(
        jax.random.key(0), particles.smc, gaussian(), observation, (1,), num_particles=4000, steps=STEPS
    )
    x = np.linspace(-8, 8, 16001)
    prior = np.exp(log_normal(x, end_variance(STEPS)))
    exact = np.trapezoid(prior * scipy.stats.laplace(x, 0.4).pdf(Y), x)
    np.testing.assert_allclose(result.log_evidence, np.log(exact), atol=0.06)
    clipped = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), sd.lookahead.Clipped(0.4, low=0.0))
    result, _ = populated(jax.random.key(0), particles.smc, gaussian(), clipped, (1,), num_particles=100, steps=STEPS)
    assert np.isfinite(result.log_evidence)  # a bound of 0 is no exact value


@pytest.mark.parametrize(
    "options, word",
    [
        ({"twist": "nms"}, "twist 'nms'"),
        ({"twist": "pigdm", "potential": lambda x, t: x[:, 0]}, "needs an Observation"),
        ({"solver": "ddim"}, "no transition density"),
        ({"solver": "dpmpp2m"}, "no transition density"),
        ({"resample": "sytematic"}, "systematic"),
        ({"num_particles": None}, "num_particles or budget"),
        ({"budget": 100}, "num_particles or budget"),
        ({"num_particles": None, "budget": 11}, "12 network calls"),
        ({"num_particles": 0}, "at least 1"),
        ({"chunk": 3}, "divisor"),
        ({"grid": [1.0, 0.5, 0.1]}, "end at the data"),
        ({"potential": sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), 0.0)}, "noise_std"),
    ],
)
def test_what_can_t_be_weighed_is_refused_with_the_way_out(options, word):
    options = {"num_particles": 4, "steps": STEPS, "potential": OBSERVATION} | options
    with pytest.raises(ValueError, match=word):
        particles.smc(jax.random.key(0), gaussian(), options.pop("potential"), (1,), **options)


def test_a_denoiser_with_moves_of_its_own_is_refused():
    kicked = sd.lookahead.dps(gaussian(), OBSERVATION, scale=1.0)
    with pytest.raises(ValueError, match="proposal"):
        particles.smc(jax.random.key(0), kicked, OBSERVATION, (1,), num_particles=4, steps=4)
    with pytest.raises(ValueError, match="plain guide"):
        particles.smc(
            jax.random.key(0), sd.lookahead.repaint(gaussian(), OBSERVATION), OBSERVATION, (1,), num_particles=4
        )
