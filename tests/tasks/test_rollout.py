"""Window after window is the chain itself, conditioned on frames or steered to begin with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_domain
from tasks.chain import RHO, WINDOW, Chain, Unscored, assert_covariance, covariance, gaussian, model

import sciddm as sd
from sciddm.config import base_config
from sciddm.tasks.base import task_options
from sciddm.tasks.rollout import Rollout, SteeredRollout

COUNT = 3000


class Scored(Unscored, Rollout):
    """Of the core, as it stands."""

class ScoredSteered(SteeredRollout, Scored):
    """The same, steered."""


def after_the_first():
    """Denoiser of a window given its first frame: the frame itself, and the chain that goes on from it."""
    powers = RHO ** jnp.arange(WINDOW)
    rest = covariance(WINDOW) - np.outer(powers, powers)

    def mean(x_t, cond):
        return powers[:, None] * cond["past"]

    return gaussian(mean, jnp.asarray(rest, jnp.float32))


def test_a_conditioned_rollout_has_the_covariance_of_the_chain_after_its_first_frame():
    domain = Chain()
    task = Scored(domain, windows=3)
    example = np.full((WINDOW, 1), 1.0 + 2.0 * 0.5, np.float32)
    problem = task.problem(jax.random.key(0), example)
    assert task.length == 10 and problem.truth.shape == (10, 1) and np.isnan(problem.truth[WINDOW:]).all()
    x = task.solve(model(domain, after_the_first()), jax.random.key(1), problem, COUNT)
    assert x.shape == (COUNT, 10, 1)
    powers = RHO ** np.arange(10)
    # the second moment given the first frame, 0.5
    expected = covariance(10) - np.outer(powers, powers) + 0.25 * np.outer(powers, powers)
    assert_covariance(x, expected)


def test_a_steered_rollout_has_the_covariance_of_the_chain_from_a_model_that_knows_no_past():
    domain = Chain(past=0)
    task = ScoredSteered(domain, overlap=1, noise_std=0.02, windows=3, method="mmps(iterations=4)", solver="unipc2", steps=20)
    plain = gaussian(lambda x_t, cond: jnp.zeros_like(x_t), jnp.asarray(covariance(WINDOW), jnp.float32))
    problem = task.problem(jax.random.key(0), domain.rows[0])
    assert problem.cond is None and isinstance(problem.observation, sd.lookahead.Observation)
    x = task.solve(model(domain, plain), jax.random.key(1), problem, COUNT)
    first = (domain.rows[0, 0, 0] - 1) / 2
    powers = RHO ** np.arange(10)
    assert_covariance(x, covariance(10) + (first**2 - 1) * np.outer(powers, powers))


def test_a_missing_frame_of_the_past_is_masked_and_not_observed():
    example = Chain().rows[0].copy()
    example[0] = np.nan
    task = Scored(Chain(past=2), windows=2)
    cond = task.problem(jax.random.key(0), example).cond
    np.testing.assert_array_equal(cond["observed"][0, :, 0], [0, 1])
    assert np.isfinite(cond["past"]).all() and task.length == 6
    steered = ScoredSteered(Chain(past=0), overlap=2)
    observation = steered.problem(jax.random.key(0), example).observation
    z = jnp.asarray(Chain().normalizer.normalize(np.nan_to_num(example)))[None]
    np.testing.assert_allclose(observation.log_likelihood(z), observation.log_likelihood(z.at[0, 0].add(3.0)))
    assert observation.log_likelihood(z)[0] > observation.log_likelihood(z.at[0, 1].add(3.0))[0]


def test_a_domain_that_is_not_conditioned_on_frames_is_refused_with_the_way_out():
    plain = toy_domain.Toy(toy_domain.toy_config())
    with pytest.raises(sd.UserError, match="Toy is not conditioned on frames: .*SteeredRollout"):
        plain.condition_on(np.zeros((1, 2)), np.ones((1, 2)))


@pytest.mark.parametrize(
    "kind, options, said",
    [
        (Scored, {"windows": 0}, "windows = 0"), (ScoredSteered, {"overlap": 0}, "overlap = 0"),
        (ScoredSteered, {"overlap": 1, "noise_std": 0.0}, "noise_std = 0.0"),
        (ScoredSteered, {"overlap": 1, "method": "mmp"}, "method: guide 'mmp' is none of"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_before_anything_is_made(kind, options, said):
    with pytest.raises(ValueError, match=said):
        kind.check(base_config(), task_options(kind) | options)
