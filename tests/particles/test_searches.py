"""Searches: best-of-N against order statistics of normals, every other one against best-of-N, and what each of them spends."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from chain import PROCESS, VARIANCE, gaussian
from gaussian_posterior import levels

import sciddm as sd
from sciddm import particles
from sciddm.particles.fk_steering import History
from sciddm.particles.search_over_paths import _begins
from sciddm.particles.svdd import One

EXACT = sd.solvers.DDPM(prior_variance=VARIANCE)  # for these data the kernel is exact at any number of steps
LARGEST = {4: 1.0294, 10: 1.5388, 50: 2.2491}  # E max of as many standard normals
SEARCHES = ("svdd", "rollover_budget", "search_over_paths")  # of best-of-N the law is known, and what it spends


def first(x, t=None):
    """The reward: the first entry of x_0, whose law is that of the prior."""
    return x[:, 0]


def answers(method, count, denoiser=None, potential=first, **options):
    """The chosen x of `count` runs."""
    denoiser = gaussian() if denoiser is None else denoiser

    def one(key):
        return method(key, denoiser, potential, (1,), **options).best()[0]

    return np.asarray(eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=count))


def at(*times):
    """A grid of these times."""
    return lambda process, steps: np.array(times, np.float32)


def assert_best_of(n, values, std=np.sqrt(VARIANCE)):
    """Values are the largest of n draws of N(0, std^2): their mean, and E log Phi = -1/n, whence KL = log n - (n - 1) / n."""
    z = values / std
    for found, expected in ((z, LARGEST[n]), (scipy.stats.norm.logcdf(z), -1.0 / n)):
        assert abs(found.mean() - expected) < 3.0 * found.std(ddof=1) / np.sqrt(len(z)), (found.mean(), expected)


@pytest.mark.parametrize("n", [4, 50])
def test_the_best_of_n_has_the_law_of_the_largest_of_n_normals(n):
    def one(key):
        result = particles.best_of_n(key, gaussian(), first, (1,), num_particles=n, solver=EXACT, steps=1)
        return result.best()[0], jnp.exp(result.log_evidence), result.ess

    x, evidence, ess = eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=2000)
    assert_best_of(n, np.asarray(x))
    np.testing.assert_allclose(ess, 1.0, rtol=1e-5)
    evidence = np.asarray(evidence)  # of the samples, not of the best
    assert abs(evidence.mean() - np.exp(0.5 * VARIANCE)) < 3.0 * evidence.std(ddof=1) / np.sqrt(2000)


def test_one_step_of_svdd_is_best_of_n_draw_by_draw():
    # at alpha = 0 all starts are worth the same, and children are drawn with the keys of samples
    process = sd.GaussianProcess.cosine()
    options = {"num_particles": 10, "solver": EXACT, "steps": 1, "grid": at(1.0, 0.0)}
    ours, theirs = (
        answers(method, 300, gaussian(process), **options) for method in (particles.svdd, particles.best_of_n)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert_best_of(10, ours)


def test_one_step_of_rollover_is_best_of_n_draw_by_draw():
    # the last step of a search takes the expected output, so that it is best-of-N of the solver without noise
    ours = answers(particles.rollover_budget, 50, budget=10, initial=10, steps=1)
    theirs = answers(particles.best_of_n, 50, num_particles=10, solver="ddim", steps=1, grid="logsnr")
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-8)
    assert len(np.unique(ours)) == 50


def test_paths_searched_from_pure_noise_are_best_of_n():
    # the only round begins where x_t still is noise, so that its copies are independent samples
    options = {"num_particles": 1, "copies": 10, "forth": 2, "back": 1, "solver": EXACT, "steps": 3}
    x = answers(particles.search_over_paths, 2000, grid=at(1.0, 0.998, 0.5, 0.0), **options)
    assert_best_of(10, x)


def test_the_choice_of_svdd_is_a_softmax_at_its_temperature():
    temperature, process = 0.4, sd.GaussianProcess.cosine()
    options = {"num_particles": 6, "solver": EXACT, "steps": 1, "grid": at(1.0, 0.0)}

    def one(key):
        result = particles.svdd(key, gaussian(process), first, (1,), temperature=temperature, **options)
        return result.particles[:, 0], result.best()[0]

    x, chosen = (np.asarray(v) for v in eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=3000))
    for assumed, fits in ((temperature, True), (2 * temperature, False), (0.5 * temperature, False)):
        gap = chosen - np.sum(x * scipy.special.softmax(x / assumed, axis=1), 1)
        assert (abs(gap.mean()) < 3.0 * gap.std(ddof=1) / np.sqrt(3000)) == fits
    weights = np.log(np.array([0.5, 0.3, 0.2], np.float32))

    @jax.jit
    def draws(key):
        warm = jax.lax.map(lambda key: One(2.0)(key, weights)[0], jax.random.split(key, 4000))
        return warm, One(0.0)(key, weights, 4)

    warm, cold = draws(jax.random.key(1))
    expected = np.sqrt([0.5, 0.3, 0.2]) / np.sqrt([0.5, 0.3, 0.2]).sum()
    np.testing.assert_allclose(np.bincount(warm, minlength=3) / 4000, expected, atol=0.025)
    np.testing.assert_array_equal(cold, [0, 0, 0, 0])


def test_code_chooses_at_every_other_step_and_the_best_output_goes_on():
    def reward(x, t):
        return -jnp.abs(x[:, 0] - 0.5)

    result = particles.svdd(jax.random.key(0), gaussian(), reward, (1,), num_particles=8, every=2, steps=6)
    np.testing.assert_array_equal(result.info["resampled"], [True, False] * 3)
    ancestors = np.asarray(result.info["ancestors"])
    np.testing.assert_array_equal(ancestors[1::2], np.tile(np.arange(8), (3, 1)))
    assert np.all(ancestors[::2] == ancestors[::2, :1])
    # siblings after a choice, others in between
    potential = np.asarray(result.info["potential"])
    assert np.all(potential[::2] == potential[::2, :1]) and np.all(np.ptp(potential[1::2], axis=1) > 0)
    assert np.argmax(result.log_weights) == np.argmin(np.abs(np.asarray(result.particles)[:, 0] - 0.5))


@pytest.mark.parametrize("name", SEARCHES)
def test_more_calls_find_more_reward(name):
    options = {"steps": 6} | ({"forth": 3, "back": 2} if name == "search_over_paths" else {})
    least = 50 if name == "search_over_paths" else 12
    few, many = (answers(particles.METHODS[name], 300, budget=budget, **options) for budget in (least, 8 * least))
    gap = many.mean() - few.mean()
    assert gap > 5.0 * np.hypot(few.std(), many.std()) / np.sqrt(300), gap
    assert few.mean() > 0.3


BUDGETS = {"best_of_n": 43, "rollover_budget": 70, "search_over_paths": 120, "psi": 130}


ess = jax.jit(lambda result: result.ess)


def count_above(least, x, t):
    """A reward in whole numbers, 3 for each entry above `least`: it has no gradient."""
    return 3 * jnp.sum(x > least, axis=1)


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


def test_rounds_cover_the_grid_and_overlap():
    assert _begins(12, 5, 2) == (3, 6, 7)
    for steps, forth, back in ((50, 10, 5), (20, 7, 6), (9, 8, 1), (10, 9, 1)):
        begins = _begins(steps, forth, back)
        ends = [forth, *(begin + forth for begin in begins)]
        assert ends[-1] == steps and all(end <= steps for end in ends)
        assert all(begin == end - back for begin, end in zip(begins[:-1], ends, strict=False))
        assert 0 < begins[-1] <= ends[-2] - back


def test_fk_steering_multiplies_its_potentials_up():
    expected = {"difference": [0.5, 0.2, 0.9], "max": [0.5, 1.0, 1.9], "sum": [0.5, 1.2, 2.8]}
    same = sd.FunctionDenoiser(lambda x, t, cond: x, PROCESS)

    def multiplied(kind):
        twist, found = History(first, kind), []
        memory = twist.memory(1)
        for value in (0.5, 0.2, 0.9):
            seen, memory = twist.look(same, jnp.array([[value]]), jnp.asarray(0.5), None, 0, memory)
            found.append(seen.log_h[0])
        return found

    found = jax.jit(lambda: {kind: multiplied(kind) for kind in expected})()
    for kind, values in expected.items():
        np.testing.assert_allclose(found[kind], values, rtol=1e-5)


def test_each_round_goes_on_from_the_best_of_the_one_before():
    options = {"num_particles": 2, "copies": 5, "forth": 4, "back": 1, "solver": "ddpm", "steps": 12}

    def one(key):
        return particles.search_over_paths(key, gaussian(), first, (1,), **options).info["best"]

    best = np.asarray(eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=300))
    gain = np.diff(best, axis=1)
    assert best.shape == (300, 3) and np.all(gain.mean(0) > 5.0 * gain.std(0) / np.sqrt(300)), best.mean(0)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"copies": 2, "forth": 2, "back": 2}, "0 < back < forth < steps"),
        ({"copies": 2, "forth": 3, "back": 0}, "0 < back < forth < steps"),
        ({"copies": 2, "forth": 6, "back": 2}, "0 < back < forth < steps"),
        ({"copies": 2, "forth": 3, "back": 1, "grid": sd.TimeTravel("logsnr")}, "does not go back"),
        ({"forth": 3, "back": 1}, "either copies or budget"),
        ({"copies": 2, "budget": 100, "forth": 3, "back": 1}, "either copies or budget"),
        ({"copies": 2, "forth": 3, "back": 1, "solver": "tsit5"}, "fixed steps"),
    ],
)
def test_paths_that_can_t_be_searched_are_refused(options, word):
    with pytest.raises(ValueError, match=word):
        particles.search_over_paths(jax.random.key(0), gaussian(), first, (1,), **{"steps": 6} | options)


def test_rollover_refuses_solvers_without_children():
    with pytest.raises(ValueError, match="no children"):
        particles.rollover_budget(jax.random.key(0), gaussian(), first, (1,), budget=50, solver="ddim")


@pytest.mark.parametrize(
    "name, options",
    [
        ("fk_steering", {"every": 1}),
        ("smc", {"twist": "none"}),
        ("psi", {"langevin": False, "chains": 20, "burn_in": 2, "moves": 3}),
    ],
)
def test_a_count_is_a_potential_that_needs_no_gradient(name, options):
    reward = jax.tree_util.Partial(count_above, 0.0)

    @eqx.filter_jit
    def above(key):
        result = particles.METHODS[name](key, gaussian(), reward, (1,), num_particles=1000, steps=3, **options)
        return result.mean(lambda x: x[:, 0] > 0)

    # e^3 to one for what is above 0, which is half of the prior
    share = float(above(jax.random.key(2)))
    assert abs(share - np.exp(3.0) / (1.0 + np.exp(3.0))) < 0.03
