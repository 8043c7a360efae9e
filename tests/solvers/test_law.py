"""Every solver, on every process, on one array and on a nested tree: finite at both ends, and in law."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import NAMES, OnTree, joined, process_of, tree_shape

import sciddm as sd

ALL = [*sorted(set(sd.solvers.SOLVERS) - {"dpmpp1", "ancestral"}), diffrax.ShARK(), diffrax.SEA(), diffrax.Bosh3()]
COUNT = 1500


def _name(solver):
    return solver if isinstance(solver, str) else type(solver).__name__


@pytest.mark.parametrize("solver", ALL, ids=_name)
def test_solver_has_the_right_law_on_every_process_as_array_and_as_tree(solver, mixture, sliced):
    truth = mixture.sample(jax.random.key(9), COUNT)
    floor = sliced(mixture.sample(jax.random.key(8), COUNT), truth)
    steps = 4 if solver in ("tsit5", "dopri8") else 60
    for name in NAMES:
        process = process_of(name)
        exact = mixture.denoiser(process)
        array, _ = sd.sample(jax.random.key(1), exact, (COUNT, 3), solver=solver, steps=steps)
        tree, _ = sd.sample(jax.random.key(1), OnTree(exact, process), tree_shape(COUNT), solver=solver, steps=steps)
        assert sliced(array, truth) < floor + 0.12, name
        assert sliced(joined(tree), truth) < floor + 0.12, name


@pytest.mark.parametrize("solver", ALL, ids=_name)
def test_one_step_and_both_end_points_are_finite_on_every_process(solver, mixture):
    both = np.array([1.0, 0.999999, 1e-6, 0.0])
    for name in NAMES:
        process = process_of(name)
        exact = mixture.denoiser(process)
        start = jax.random.normal(jax.random.key(2), (4, 3)) * process.sigma(1.0)
        one, _ = sd.sample(jax.random.key(0), exact, (4, 3), solver=solver, grid=[1.0, 0.0], start=start)
        # one step from pure noise to the data is the denoiser's own answer
        np.testing.assert_allclose(one, exact(start, 1.0), rtol=1e-4, atol=1e-4)
        tree, _ = sd.sample(jax.random.key(0), OnTree(exact, process), tree_shape(4), solver=solver, grid=both)
        assert bool(jnp.all(jnp.isfinite(joined(tree)))), name


@pytest.mark.parametrize("solver", ALL, ids=_name)
def test_bfloat16_networks_give_finite_samples_in_as_many_calls_as_are_counted(solver, mixture):
    exact, counted = mixture.denoiser(sd.GaussianProcess.rectified()), []

    def half(x, t, cond):
        jax.debug.callback(lambda: counted.append(1))
        return exact(x.astype(jnp.float32), t.astype(jnp.float32)).astype(jnp.bfloat16)

    denoiser, like = sd.FunctionDenoiser(half, exact.process), jax.ShapeDtypeStruct((8, 3), jnp.bfloat16)
    for steps in (1, 7):
        counted.clear()
        samples, info = sd.sample(jax.random.key(0), denoiser, like, solver=solver, steps=steps, grid="t")
        assert samples.dtype == jnp.bfloat16 and bool(jnp.all(jnp.isfinite(samples)))
        jax.effects_barrier()
        # diffrax's own take one call instead of all stages in the infinite steps, and another where a method starts
        calls = int(info["network_calls"])
        slack = 0 if isinstance(solver, str) and solver not in ("tsit5", "dopri8") else 8 + 0.03 * calls
        assert abs(len(counted) - calls) <= slack


def test_an_unknown_solver_is_named(mixture):
    with pytest.raises(ValueError, match="dpm.*none of"):
        sd.sample(jax.random.key(0), mixture.denoiser(sd.GaussianProcess.vp()), (2, 3), solver="dpm")
