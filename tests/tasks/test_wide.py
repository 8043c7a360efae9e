"""A sample wider than the model: its windows agree, see their own part of the condition, and follow an observation of the whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tasks.chain import WINDOW, Chain, Unscored, covariance, gaussian, model

import sciddm as sd
from sciddm.config import base_config
from sciddm.tasks.base import task_options
from sciddm.tasks.wide import Wide


class Scored(Unscored, Wide):
    """Of the core, as it stands."""

def test_windows_of_a_white_law_make_the_white_law_of_the_whole():
    domain = Chain()
    task = Scored(domain, overlap=0.5)
    example = np.zeros((10, 1), np.float32)
    problem = task.problem(jax.random.key(0), example)
    plain = gaussian(lambda x_t, cond: jnp.zeros_like(x_t), jnp.eye(WINDOW))
    z = (np.asarray(task.solve(model(domain, plain), jax.random.key(1), problem, 3000)) - 1) / 2
    assert z.shape == (3000, 10, 1)
    np.testing.assert_allclose(z.var(0), 1.0, atol=0.12)


def test_the_whole_is_steered_by_an_observation_of_the_whole_and_each_window_sees_its_part_of_cond():
    domain, seen = Chain(), []

    def network(x_t, t, cond):
        seen.append(jax.tree.map(jnp.shape, cond))
        return 0.0 * x_t + cond["place"]

    class Conditioned(Scored):
        def condition(self, example):
            return {"place": jnp.asarray(example)[None], "label": jnp.ones((1, 5))}

    task = Conditioned(domain, overlap=0.5)
    place = np.arange(10, dtype=np.float32)[:, None]
    problem = task.problem(jax.random.key(0), place)
    denoiser = sd.FunctionDenoiser(network, sd.GaussianProcess.vp())
    z = (np.asarray(task.solve(model(domain, denoiser), jax.random.key(1), problem, 2)) - 1) / 2
    np.testing.assert_allclose(z[..., 0], np.tile(np.arange(10.0), (2, 1)), atol=1e-3)
    assert seen[-1]["place"][1:] == (WINDOW, 1) and seen[-1]["label"][1:] == (5,)
    plain = gaussian(lambda x_t, cond: jnp.zeros_like(x_t), jnp.asarray(covariance(WINDOW), jnp.float32))
    steered = Scored(domain, overlap=0.5, method="mmps(iterations=6)")
    whole = sd.lookahead.Observation(sd.lookahead.operators.Points(jnp.array([9])), jnp.array([2.0]), 0.05)
    problem = sd.Problem(whole, np.zeros((10, 1), np.float32))
    z = (np.asarray(steered.solve(model(domain, plain), jax.random.key(1), problem, 400)) - 1) / 2
    assert abs(z[:, 9].mean() - 2.0) < 0.1 and 0.8 < z[:, 8].mean() < 2.0


def test_an_example_smaller_than_the_model_and_wrong_options_are_refused():
    with pytest.raises(sd.UserError, match=r"sizes \(3,\); expected at least those of the model, \(4,\)"):
        Scored(Chain()).problem(jax.random.key(0), np.zeros((3, 1), np.float32))
    for name, value in (("overlap", 1.0), ("chunk", 0), ("strategy", "x1"), ("method", "mmp")):
        with pytest.raises(ValueError, match=name):
            Scored.check(base_config(), task_options(Scored) | {name: value})
