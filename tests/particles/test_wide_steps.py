"""Particles on steps as wide as the denoiser's covariance says: the evidence is the data's own at any number of steps, and unbiased."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from end_law import end_law
from gaussian_posterior import levels, mixture_posterior
from scipy.stats import norm

import sciddm as sd
from sciddm import particles

PROCESS = sd.GaussianProcess.vp()
MEAN, COVARIANCE = np.array([0.5, -0.3]), np.array([[0.5, 0.25], [0.25, 0.2]])
DENOISER = sd.oracle.GaussianMixture([1.0], MEAN[None], COVARIANCE).denoiser(PROCESS)
A, Y, STD = np.array([[1.0, -0.5]]), np.array([1.6]), 0.3
OBSERVATION = sd.lookahead.Observation(A, Y, STD)
EXACT, DIAGONAL = (sd.solvers.DDPM(covariance=kind) for kind in ("exact", "diagonal"))
HIGH = particles.Exceeds(lambda x: x[:, 0], 1.5)


def evidence(mean, covariance, potential=OBSERVATION):
    if potential is HIGH:
        return norm.sf((1.5 - mean[0]) / covariance[0, 0] ** 0.5)
    return np.exp(mixture_posterior(np.ones(1), mean[None], covariance, A, Y, STD)[3])


def chain(solver, steps):
    """Mean and covariance that the discrete steps end with."""
    return end_law(DENOISER, solver, levels(PROCESS, "logsnr", steps)[0], (2,))


@pytest.mark.parametrize("steps", [1, 3])
def test_the_exact_step_and_the_step_given_what_is_measured_need_no_weights_of_gaussian_data(steps):
    result = particles.smc(jax.random.key(0), DENOISER, OBSERVATION, (2,), num_particles=64, steps=steps, solver=EXACT)
    np.testing.assert_allclose(np.exp(result.log_evidence), evidence(MEAN, COVARIANCE), rtol=2e-3)
    assert result.ess > 64 * (1 - 1e-3)


@pytest.mark.parametrize(
    "method, solver, steps, options",
    [
        (particles.smc, sd.solvers.DDPM(), 10, {}),
        (particles.smc, DIAGONAL, 5, {}),
        (particles.smc, EXACT, 5, {"twist": "pigdm"}),
        (particles.smc, EXACT, 5, {"potential": HIGH}),
        (particles.fk_steering, EXACT, 5, {"every": 2}),
    ],
)
def test_the_evidence_of_every_twist_is_unbiased_for_its_own_chain(method, solver, steps, options):
    options = dict(options)
    potential = options.pop("potential", OBSERVATION)

    @eqx.filter_jit
    def many(key):
        def one(key):
            return method(key, DENOISER, potential, (2,), num_particles=128, steps=steps, solver=solver, **options).log_evidence

        return particles.for_each(key, one, count=48, chunk=8)

    own, data = evidence(*chain(solver, steps), potential), evidence(MEAN, COVARIANCE, potential)
    z = np.exp(np.asarray(many(jax.random.key(0)), float)) / own
    assert abs(z.mean() - 1.0) < 4.0 * z.std(ddof=1) / np.sqrt(48) < 0.3
    # the plug-in's own is far from the data's, the exact step's is the data's
    if solver is EXACT:
        np.testing.assert_allclose(own, data, rtol=3e-3)
    elif solver is not DIAGONAL:
        assert abs(own / data - 1.0) > 0.1 and abs(z.mean() * own / data - 1.0) > 0.1


def test_wide_steps_take_points_without_drift_in_chunks_or_at_once():
    process = sd.GaussianProcess.cosine(noise=sd.ZeroCentreOfMass())
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: 0.4 * process.noise.each("project", x), process)
    observation = sd.lookahead.Observation(lambda x: x[:, 0], jnp.array([0.3, -0.2]), 0.2)
    whole, parts = (
        particles.smc(
            jax.random.key(0), denoiser, observation, (3, 2), num_particles=8, steps=3, chunk=chunk,
            solver=sd.solvers.DDPM(covariance="low_rank", probes=2),
        )
        for chunk in (None, 4)
    )  # fmt: skip
    np.testing.assert_allclose(parts.particles, whole.particles, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(whole.particles.sum(1), 0.0, atol=1e-5)
    assert np.all(np.isfinite(whole.log_weights))


def test_methods_that_weigh_by_one_width_refuse_another_in_words():
    with pytest.raises(ValueError, match="mcgdiff"):
        particles.mcgdiff(0, DENOISER, OBSERVATION, (2,), num_particles=4, steps=4, solver=EXACT)
    with pytest.raises(ValueError, match="without covariance"):
        particles.feynman_kac(0, particles.anneal(DENOISER, 2.0), (2,), num_particles=4, steps=4, solver=EXACT)
