"""Every solver, on every process, on one array and on a nested tree: finite at both ends, and in law."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import CALLS, NAMES, Counted, process_of, tree_shape

import sciddm as sd

ADAPTIVE = ("tsit5", "dopri8")
OURS = sorted(set(sd.solvers.SOLVERS) - {"dpmpp1", "ancestral", "dopri8", "unipc-signal"})
# Two of diffrax's by the same adapter as the first, dopri8, tsit5 with another tableau, which no process looks at, and unipc2-signal with
# one more answer.
SAME = [pytest.param(solver, marks=pytest.mark.slow) for solver in (diffrax.SEA(), diffrax.Bosh3(), "dopri8", "unipc-signal")]
ALL = [*OURS, diffrax.ShARK(), *SAME]
COUNT = 800


def _name(solver):
    return solver if isinstance(solver, str) else type(solver).__name__


@eqx.filter_jit
def answer(denoiser, x_t):
    return denoiser(x_t, 1.0)


@eqx.filter_jit
def times_of(process, steps):
    return sd.grids.optimised(process, steps)


def check_calls(solver, info):
    """As many calls as are counted, and no calls of an earlier run are left."""
    jax.effects_barrier()
    calls, made = int(info["network_calls"]), len(CALLS)
    CALLS.clear()
    # diffrax's own take one call instead of all stages in the infinite steps, and another where a method starts
    slack = 0 if isinstance(solver, str) and solver not in ADAPTIVE else 8 + 0.03 * calls
    assert abs(made - calls) <= slack


def as_array(tree):
    return np.concatenate([np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(tree)], 1)


@pytest.fixture(scope="module")
def truths():
    """Two sets of exact draws of `mixture`."""
    rng = np.random.default_rng(0)
    means = np.array([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]])
    return [means[rng.choice(2, COUNT, p=[0.3, 0.7])] + 0.2**0.5 * rng.normal(size=(COUNT, 3)) for _ in range(2)]


@pytest.mark.parametrize("solver", ALL, ids=_name)
def test_solver_has_the_right_law_on_every_process_and_is_finite_next_to_both_ends_in_as_many_calls_as_are_counted(
    solver, mixture, sliced, truths
):
    # A tree, one leaf of half precision: adaptive steps would follow its rounding errors, so theirs is below.
    steps, first = (4, jnp.float32) if solver in ADAPTIVE else (60, jnp.bfloat16)
    # one giant step from next to the noise to next to the data, and small ones there
    both = np.array([1.0, 0.999999, *np.linspace(1e-6 * (steps - 2), 1e-6, steps - 2), 0.0])
    floor = sliced(*truths)
    CALLS.clear()
    for name in NAMES:
        process = process_of(name)
        exact = Counted(mixture.denoiser(process), process)

        def draw(grid, exact=exact):
            samples, info = sd.sample(jax.random.key(1), exact, tree_shape(COUNT, first), solver=solver, grid=grid)
            check_calls(solver, info)
            assert samples["a"].dtype == first
            return as_array(samples)

        assert sliced(draw(np.asarray(times_of(process, steps))), truths[0]) < floor + 0.1, name
        assert np.all(np.isfinite(draw(both))), name


@pytest.mark.parametrize("solver", ALL, ids=_name)
def test_one_step_from_pure_noise_to_the_data_is_the_denoisers_own_answer_on_every_process(solver, mixture):
    CALLS.clear()
    for name in NAMES:
        process = process_of(name)
        exact = Counted(mixture.denoiser(process), process)
        one, info = sd.sample(jax.random.key(0), exact, (4, 3), solver=solver, grid=[1.0, 0.0], return_path=True)
        check_calls(solver, info)
        np.testing.assert_allclose(one, answer(exact.inner, info["path"][0]), rtol=1e-4, atol=1e-4)


def test_adaptive_steps_give_finite_samples_of_bfloat16_networks_in_as_many_calls_as_are_counted(mixture):
    process = process_of("rectified")
    exact = Counted(mixture.denoiser(process), process)
    CALLS.clear()
    samples, info = sd.sample(jax.random.key(0), exact, tree_shape(8, jnp.bfloat16), solver="tsit5", steps=7, grid="t")
    check_calls("tsit5", info)
    assert samples["a"].dtype == jnp.bfloat16 and np.all(np.isfinite(as_array(samples)))


def test_an_unknown_solver_is_named(mixture):
    with pytest.raises(ValueError, match="dpm.*none of"):
        sd.sample(jax.random.key(0), mixture.denoiser(sd.GaussianProcess.vp()), (2, 3), solver="dpm")
