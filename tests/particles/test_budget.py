"""Every method counts its network calls, and keeps to the number that it may spend."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from best_of import count_above
from chain import OBSERVATION, PROCESS, gaussian

import sciddm as sd
from sciddm import particles

BUDGETS = {"best_of_n": 43, "rollover_budget": 70, "search_over_paths": 120, "psi": 130}
ess = jax.jit(lambda result: result.ess)


def searched(name, key, denoiser, target, budget):
    """Any method with few steps and a reward of the kind that it takes at least."""
    potential = sd.lookahead.Observation(np.array([[1.0, 0.5]]), jnp.array([target]), 0.5)
    if name not in ("smc", "tds", "das", "psi", "mcgdiff"):
        potential = jax.tree_util.Partial(count_above, target)
    options = {"search_over_paths": {"forth": 2, "back": 1}, "psi": {"chains": 3, "burn_in": 2, "moves": 4}}.get(
        name, {}
    )
    method = particles.METHODS.get(name, particles.mcgdiff)
    return method(key, denoiser, potential, (2,), budget=budget, steps=3, **options)


@pytest.mark.parametrize("name", [*particles.METHODS, "mcgdiff"])
def test_every_method_counts_the_evaluations_of_guides_within_keeps_to_its_budget_and_compiles_once(name):
    traces, evaluated, once = [], [], 0

    def function(x_t, t, cond):
        traces.append(1)
        jax.debug.callback(lambda: evaluated.append(x_t.shape[0]))
        alpha, sigma = PROCESS.level(t)[:2]
        return alpha / (alpha**2 + sigma**2) * x_t + (0.0 if cond is None else cond)

    # guidance within steering within the search: two calls an evaluation
    conditional = sd.guidance.classifier_free(sd.FunctionDenoiser(function, PROCESS), 1.5, unconditional=jnp.array(0.1))
    inside = sd.lookahead.steer(conditional, lambda x, t: -jnp.square(x[:, 0] - 0.3), through="x0")
    assert inside.calls == 2
    budget = BUDGETS.get(name, 43)
    for seed, target in ((0, 0.7), (1, 0.2)):
        evaluated.clear()
        result = searched(name, jax.random.key(seed), inside, jnp.asarray(target), budget)
        jax.effects_barrier()
        assert budget // 2 < sum(evaluated) == result.info["network_calls"] <= budget
        assert np.all(np.isfinite(result.particles)) and ess(result) >= 1.0
        once = once if seed else len(traces)
    assert len(traces) == once


@pytest.mark.parametrize("name", [*particles.METHODS, "mcgdiff"])
def test_a_budget_too_small_is_refused_with_the_least_that_works(name):
    with pytest.raises(ValueError, match="the least is") as refusal:
        searched(name, jax.random.key(0), gaussian(), 0.7, 1)
    least = int(re.search(r"the least is (\d+) network calls", str(refusal.value))[1])
    with pytest.raises(ValueError, match=f"the least is {least} "):
        searched(name, jax.random.key(0), gaussian(), 0.7, least - 1)
    calls = []

    def traced():  # as far as shapes go
        result = searched(name, jax.random.key(0), gaussian(), 0.7, least)
        calls.append(result.info["network_calls"])
        return result

    assert eqx.filter_eval_shape(traced).particles.shape[1:] == (2,) and calls == [least]


def test_a_grid_of_given_times_is_paid_for_by_its_own_number_of_steps():
    times = [1.0, 0.8, 0.6, 0.3, 0.1, 0.0]
    for method, budget, steps in (
        (particles.smc, 20, 5),
        (particles.fk_steering, 20, 5),
        (particles.svdd, 20, 5),
        (particles.mcgdiff, 24, 6),  # and one more, where the noise is that of the value
    ):
        made = eqx.filter_eval_shape(
            method, jax.random.key(0), gaussian(), OBSERVATION, (1,), budget=budget, steps=3, grid=times
        )
        assert made.info["network_calls"] == budget and made.particles.shape == (4, 1)
        assert made.info["times"].shape == (steps + 1,)
