import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from best_of import answers, assert_best_of, at, first
from chain import EXACT, PROCESS, VARIANCE, gaussian
from gaussian_posterior import levels

from sciddm import particles


def test_one_step_of_rollover_is_best_of_n_draw_by_draw():
    # the last step of a search takes the expected output, so that it is best-of-N of the solver without noise
    ours = answers(particles.rollover_budget, 50, budget=10, initial=10, steps=1)
    theirs = answers(particles.best_of_n, 50, num_particles=10, solver="ddim", steps=1, grid="logsnr")
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-8)
    assert len(np.unique(ours)) == 50


def test_what_rollover_does_not_spend_rolls_over_and_the_last_step_leaves_nothing():
    # 90 calls for five steps. Rewards that depend on t alone better from step to step, or only until one of them.
    times, _, _ = levels(PROCESS, "logsnr", 6)

    def until(ends, x, t):
        return jnp.full(x.shape[0], -jnp.maximum(t, ends))

    for ends, batch, expected in (
        (1.0, 1, [18, 18, 18, 18, 18]),
        (0.0, 1, [1, 1, 1, 1, 86]),
        (times[2], 1, [1, 1, 52, 18, 18]),
        (1.0, 4, [16, 16, 20, 16, 20]),  # 22 batches
    ):
        reward = jax.tree_util.Partial(until, np.float32(ends))
        result = particles.rollover_budget(
            jax.random.key(0), gaussian(), reward, (1,), budget=100, initial=10, steps=6, batch=batch
        )
        np.testing.assert_array_equal(result.info["tried"], expected)
        assert result.info["network_calls"] == 10 + sum(expected) > 100 - batch
        np.testing.assert_allclose(result.info["best"], -np.maximum(times[:-1], ends), rtol=1e-5)


def test_rollover_takes_the_first_child_that_is_better_else_the_best_of_its_quota():
    # From noise to the second time by the exact step, so that a child's x0_hat there is N(0, std^2); what comes after it is no better.
    second, alpha, sigma = (np.float32(values[1]) for values in levels(PROCESS, "logsnr", 3))
    std = alpha * VARIANCE / np.sqrt(alpha**2 * VARIANCE + sigma**2)

    def above(least):
        return lambda x, t: jnp.where(t > second, least, jnp.where(t < second, -100.0, x[:, 0]))

    def one(key):
        info = particles.rollover_budget(
            key, gaussian(), above(0.0), (1,), budget=81, initial=1, batch=20, solver=EXACT, steps=3
        ).info
        return info["best"], info["tried"]

    best, tried = (np.asarray(v) for v in eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=2000))
    best, last = best[:, 1], best[:, 2]
    assert np.all(tried[best > 0, 0] == 20)
    np.testing.assert_array_equal(last, best)  # the record of what was worth -100 after
    # the first above 0 of a batch is half-normal, the largest of them 1.87 std
    half = best / std
    assert abs(half.mean() - np.sqrt(2 / np.pi)) < 3.0 * half.std(ddof=1) / np.sqrt(2000)
    # the last step with children takes the best of all of them
    options = {"budget": 11, "initial": 1, "solver": EXACT, "steps": 2, "grid": at(1.0, second, 0.0)}
    x = answers(particles.rollover_budget, 2000, potential=above(50.0), **options)
    assert_best_of(10, x, std)


def test_rollover_refuses_solvers_without_children():
    with pytest.raises(ValueError, match="no children"):
        particles.rollover_budget(jax.random.key(0), gaussian(), first, (1,), budget=50, solver="ddim")
