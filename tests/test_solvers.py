import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_process import PROCESSES

import sciddm as sd

CLAIMED = {"ddim": 1, "heun": 2, "dpmpp2m": 2}
ALL = [*sd.solvers.SOLVERS, diffrax.Tsit5(), diffrax.ShARK(), diffrax.SEA(), diffrax.SPaRK(), diffrax.EulerHeun()]


def _name(solver):
    return solver if isinstance(solver, str) else type(solver).__name__


def observed_order(mixture, solver, claimed):
    """Slope of log error against log steps, on a stretch of the path without end points, in double precision."""
    process = sd.GaussianProcess.vp()
    denoiser = mixture.denoiser(process)

    def end(name, steps):
        grid = process.time(jnp.linspace(-8.0, 4.0, steps + 1))
        start = jax.random.normal(jax.random.key(0), (64, 3), jnp.float64)
        like = jax.ShapeDtypeStruct((64, 3), jnp.float64)
        return sd.sample(jax.random.key(0), denoiser, like, solver=name, grid=np.asarray(grid), start=start)[0]

    truth = end("heun", 1600)
    steps = np.array([40, 80, 160])
    errors = [float(jnp.sqrt(jnp.mean((end(solver, n) - truth) ** 2))) for n in steps]
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("solver", CLAIMED)
def test_solver_converges_at_its_claimed_order(solver, mixture, x64):
    mixture = sd.oracle.GaussianMixture(
        np.asarray(mixture.weights, np.float64), np.asarray(mixture.means, np.float64), 0.2
    )
    assert observed_order(mixture, solver, CLAIMED[solver]) == pytest.approx(CLAIMED[solver], abs=0.25)


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("solver", ["ddpm", "dpmpp2m"])
def test_all_processes_give_the_same_law(name, solver, mixture, sliced):
    truth = mixture.sample(jax.random.key(9), 4000)
    floor = sliced(mixture.sample(jax.random.key(8), 4000), truth)
    denoiser = mixture.denoiser(PROCESSES[name]())
    samples, _ = sd.sample(jax.random.key(0), denoiser, (4000, 3), solver=solver, steps=50)
    assert sliced(samples, truth) < floor + 0.1


@pytest.mark.parametrize("solver", ALL, ids=_name)
def test_every_solver_has_the_right_law_on_arrays_and_nested_trees(solver, mixture, sliced):
    truth = mixture.sample(jax.random.key(9), 2000)
    floor = sliced(mixture.sample(jax.random.key(8), 2000), truth)
    process = sd.GaussianProcess.cosine()
    exact = mixture.denoiser(process)

    def on_tree(x_t, t, cond):
        joined = exact(jnp.concatenate([x_t["a"], x_t["b"]["c"]], 1), t)
        return {"a": joined[:, :1], "b": {"c": joined[:, 1:]}}

    array, info = sd.sample(jax.random.key(1), exact, (2000, 3), solver=solver, steps=60)
    tree, _ = sd.sample(
        jax.random.key(1),
        sd.FunctionDenoiser(on_tree, process),
        {"a": (2000, 1), "b": {"c": (2000, 2)}},
        solver=solver,
        steps=60,
    )
    assert sliced(array, truth) < floor + 0.15
    assert sliced(jnp.concatenate([tree["a"], tree["b"]["c"]], 1), truth) < floor + 0.15


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("solver", sd.solvers.SOLVERS)
def test_one_step_and_both_end_points_are_finite(name, solver, mixture):
    denoiser = mixture.denoiser(PROCESSES[name]())
    for steps in (1, 2):
        for grid in ("logsnr", "t"):
            samples, _ = sd.sample(jax.random.key(0), denoiser, (4, 3), solver=solver, steps=steps, grid=grid)
            assert bool(jnp.all(jnp.isfinite(samples)))
    if solver in ("ddim", "ddpm", "heun", "dpmpp2m"):
        one, _ = sd.sample(jax.random.key(0), denoiser, (4, 3), solver=solver, steps=1)
        eps = sd.sample(jax.random.key(0), denoiser, (4, 3), solver=solver, steps=1, return_path=True)[1]["path"][0]
        np.testing.assert_allclose(one, denoiser(eps, 1.0), rtol=1e-4, atol=1e-4)


def test_network_calls_are_counted_as_they_happen(mixture):
    process = sd.GaussianProcess.vp()
    exact = mixture.denoiser(process)
    for solver in [*sd.solvers.SOLVERS, diffrax.Tsit5(), diffrax.Ralston(), diffrax.ShARK()]:
        counted = []

        def function(x_t, t, cond, counted=counted):
            jax.debug.callback(lambda: counted.append(1))
            return exact(x_t, t)

        _, info = sd.sample(
            jax.random.key(0), sd.FunctionDenoiser(function, process), (2, 3), solver=solver, steps=7, grid="t"
        )
        jax.effects_barrier()
        assert abs(len(counted) - info["network_calls"]) <= (0 if isinstance(solver, str) else 7), _name(solver)


def test_an_unknown_solver_is_named(mixture):
    with pytest.raises(ValueError, match="dpm.*none of"):
        sd.sample(jax.random.key(0), mixture.denoiser(sd.GaussianProcess.vp()), (2, 3), solver="dpm")
