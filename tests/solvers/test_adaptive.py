import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd
from sciddm.solvers import Adaptive

SOLVER = Adaptive(diffrax.Tsit5(), 1e-4, 1e-4)


def test_a_sample_s_steps_do_not_depend_on_its_neighbours(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    start = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32) * np.array([[1], [1], [1], [1], [1], [8]])
    many, info = sd.sample(jax.random.key(0), denoiser, (6, 3), solver=SOLVER, steps=3, start=start)
    others = np.concatenate([start[:4] * 0.7, start[4:]])
    few, fewer = sd.sample(jax.random.key(0), denoiser, (6, 3), solver=SOLVER, steps=3, start=others)
    np.testing.assert_allclose(many[4:], few[4:], atol=1e-5)
    evaluations = np.asarray(info["evaluations"])
    np.testing.assert_array_equal(evaluations[:, 4:], fewer["evaluations"][:, 4:])
    assert len(set(evaluations.sum(0).tolist())) > 1  # each its own
    assert int(info["network_calls"]) == int(evaluations.max(1).sum())


def test_what_is_given_one_a_sample_finds_its_sample(mixture):
    # Observations of shape (B, 1): a solver that stepped each sample alone would not fit them.
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    values = jnp.linspace(-1.0, 2.0, 5)[:, None]
    guided = sd.lookahead.pigdm(denoiser, sd.lookahead.Observation(jnp.eye(3)[:1], values, 0.05))
    samples, info = sd.sample(jax.random.key(0), guided, (5, 3), solver=SOLVER, steps=3)
    assert np.all(
        np.diff(samples[:, 0]) > 0
    )  # pigdm's guess of the spread is too narrow to end on the values themselves
    np.testing.assert_allclose(samples[:, 0], values[:, 0], atol=0.6)
    assert info["residual"].shape == (3, 5)


def test_conditions_are_split_with_the_samples():
    process = sd.GaussianProcess.rectified()
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: jnp.broadcast_to(cond["target"], x.shape), process)
    target = jnp.arange(4.0)[:, None]
    samples, _ = sd.sample(jax.random.key(0), denoiser, (4, 2), cond={"target": target}, solver=SOLVER, steps=2)
    np.testing.assert_allclose(samples, jnp.broadcast_to(target, (4, 2)), atol=1e-3)
