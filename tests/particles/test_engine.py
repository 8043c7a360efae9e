"""Weights and law of the particle loop, against Gaussian chains whose every moment is known and against exact mixtures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import LOUD, OBSERVATION, PROCESS, TAU, VARIANCE, Y, end_variance, gaussian, log_normal, populated
from gaussian_posterior import mixture_posterior

import sciddm as sd
from sciddm import particles
from sciddm.particles.engine import lineage

STEPS = 12


def exact_evidence(steps=STEPS):
    return log_normal(Y, end_variance(steps) + TAU)


def test_without_a_potential_particles_are_the_samples_of_the_solver(mixture):
    nothing = lambda x, t: jnp.zeros(x.shape[0])  # noqa: E731
    denoiser = mixture.denoiser(PROCESS)
    result, _ = populated(jax.random.key(3), particles.smc, denoiser, nothing, (3,), num_particles=6, steps=30)
    samples, _ = sd.sample(jax.random.key(3), denoiser, (6, 3), solver="ddpm", steps=30, grid="logsnr")
    # but for the spread of the last step
    np.testing.assert_allclose(result.particles, samples, atol=0.05)
    assert not np.array_equal(result.particles, samples)
    np.testing.assert_allclose(result.log_weights, 0.0, atol=1e-4)


COUNT = 3000
likelihood = jax.jit(lambda x: OBSERVATION(x))


def test_weights_that_were_not_resampled_are_carried_to_the_end():
    # the model's own steps, never resampled: whatever the twist, all that is left is the likelihood of x_0
    for twist in ("none", "plain", "mmps"):
        result = own_steps(jax.random.key(0), twist)
        assert not np.any(result.info["resampled"])
        np.testing.assert_allclose(result.log_weights, likelihood(result.particles), rtol=1e-4, atol=1e-3)


@eqx.filter_jit
def own_steps(key, twist):
    denoiser = gaussian()
    return particles.smc(
        key, denoiser, OBSERVATION, (1,), num_particles=COUNT, steps=STEPS, twist=twist, proposal=denoiser, ess_threshold=0.0
    )  # fmt: skip


def test_any_guide_proposes_at_calls_of_its_own_and_kicks_are_weighed():
    denoiser, values = gaussian(), []
    guides = {
        "pigdm": sd.lookahead.pigdm(denoiser, OBSERVATION, prior_variance=VARIANCE),
        "dps": sd.lookahead.dps(denoiser, OBSERVATION, scale=0.004),  # moves x_s after the step
        "lgd": sd.lookahead.lgd(denoiser, OBSERVATION, scale=0.2),  # random
    }
    own = np.asarray(own_steps(jax.random.key(0), "none").particles)
    for guide in guides.values():
        result, _ = populated(
            jax.random.key(0), particles.smc, denoiser, OBSERVATION, (1,), num_particles=COUNT, steps=STEPS, proposal=guide
        )
        assert result.info["network_calls"] == COUNT * STEPS * 2
        values.append(float(result.log_evidence))
        assert np.abs(result.particles - own).max() > 1e-2  # it really proposed
    np.testing.assert_allclose(values, exact_evidence(), atol=0.08)


@pytest.mark.parametrize(
    "law, shape, projector",
    [
        (sd.ZeroCentreOfMass(), (2, 2), np.kron(np.eye(2) - 0.5, np.eye(2))),
        (sd.Masked(jnp.array([1, 0, 1, 1])), (4,), np.diag([1, 0, 1, 1])),
        (sd.SpectralField.power_law((2, 2), 3.0, 1.0, nugget=0.05), (2, 2, 1), np.eye(4)),
    ],
    ids=["zero centre of mass", "masked", "spectral"],
)
def test_every_noise_law_weighs_on_its_own_support(law, shape, projector):
    weights, means = np.array([0.4, 0.6]), np.array([[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, -1.0, -1.0]]) @ projector
    prior = sd.oracle.GaussianMixture(weights, means, 0.3 * projector)
    A, y = np.array([[1.0, 0.5, 0.0, -1.0]]), np.array([1.2])
    result, mean = populated(
        jax.random.key(0), particles.smc, prior.denoiser(sd.GaussianProcess.vp(noise=law), shape), sd.lookahead.Observation(A, y, 0.3),
        shape, num_particles=2000,
    )  # fmt: skip
    share, centres, _, evidence = mixture_posterior(weights, means, 0.3 * projector, A, y, 0.3)
    flat = np.asarray(result.particles).reshape(2000, 4)
    np.testing.assert_allclose(np.reshape(mean, 4), share @ centres, atol=0.1)
    np.testing.assert_allclose(result.log_evidence, evidence, atol=0.1)
    np.testing.assert_allclose(flat @ projector, flat, atol=1e-4)


def test_a_pytree_is_weighed_as_the_one_vector_that_it_is():
    A, y = np.array([[1.0, 0.5, -1.0]]), np.array([1.2])
    weights, means = np.array([0.4, 0.6]), np.array([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]])
    flat = sd.oracle.GaussianMixture(weights, means, 0.3).denoiser(PROCESS)

    def join(x):
        return jnp.concatenate([x["a"], x["b"]], -1)

    def expected(x_t, t, cond):
        x0_hat = flat(join(x_t), t)
        return {"a": x0_hat[:, :1], "b": x0_hat[:, 1:]}

    observation = sd.lookahead.Observation(lambda x: join(x) @ jnp.asarray(A.T, jnp.float32), y, 0.3)
    denoiser, shape = sd.FunctionDenoiser(expected, PROCESS), {"a": (1,), "b": (2,)}
    result, mean = populated(jax.random.key(0), particles.smc, denoiser, observation, shape, num_particles=2000)
    share, centres, _, evidence = mixture_posterior(weights, means, 0.3 * np.eye(3), A, y, 0.3)
    np.testing.assert_allclose(result.log_evidence, evidence, atol=0.1)
    np.testing.assert_allclose(np.concatenate([mean["a"], mean["b"]]), share @ centres, atol=0.1)


def test_the_lineage_names_each_final_particle_s_forebears():
    ancestors = np.array([[0, 0, 2], [1, 1, 0], [2, 1, 0]])
    np.testing.assert_array_equal(jax.jit(lineage)(ancestors), [[0, 0, 0], [0, 1, 1], [2, 1, 0]])


def test_a_second_call_compiles_nothing_and_chunks_change_nothing():
    traces = []

    def expected(x_t, t, cond):
        traces.append(1)
        return 0.5 * x_t

    denoiser = sd.FunctionDenoiser(expected, PROCESS)
    options = {"num_particles": 8, "steps": 5, "twist": "plain"}
    for y in (0.1, 0.7):
        observation = sd.lookahead.Observation(np.array([[1.0]]), np.array([y]), 0.5 + y)
        whole = particles.smc(jax.random.key(0), denoiser, observation, (1,), **options)
        traced = len(traces)
    assert len(traces) == traced
    parts = particles.smc(jax.random.key(0), denoiser, observation, (1,), chunk=2, **options)
    np.testing.assert_allclose(parts.particles, whole.particles, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parts.log_weights, whole.log_weights, rtol=1e-4, atol=1e-5)


def test_the_last_step_has_the_spread_of_x_0_under_a_unit_prior():
    result, _ = populated(
        jax.random.key(0), particles.smc, gaussian(LOUD), OBSERVATION, (1,), num_particles=4000, steps=1, twist="none",
        ess_threshold=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(np.var(result.particles), end_variance(1, LOUD), rtol=3.0 * np.sqrt(2.0 / 4000))
