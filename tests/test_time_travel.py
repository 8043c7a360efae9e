import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import process_of

import sciddm as sd
from sciddm.time_travel import noise_again


def test_the_path_goes_back_by_its_jump_as_often_as_it_is_told():
    assert sd.TimeTravel(jump=2, repeats=3).places(4).tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3, 4, 2, 3, 4, 2, 3, 4]
    inside = sd.TimeTravel(jump=1, repeats=2, window=(0.25, 0.75)).places(4)
    assert inside.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4]
    assert sd.TimeTravel(repeats=1).places(5).tolist() == list(range(6))


def test_one_visit_each_is_the_plain_grid_to_the_bit(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    plain, _ = sd.sample(jax.random.key(0), denoiser, (4, 3), solver="ddpm", steps=8, grid="logsnr")
    once, _ = sd.sample(
        jax.random.key(0), denoiser, (4, 3), solver="ddpm", steps=8, grid=sd.TimeTravel("logsnr", repeats=1)
    )
    np.testing.assert_array_equal(plain, once)


@eqx.filter_jit
def noised(process, x_0, z, fresh, t):
    """x_t by way of x_s at s = 0.3, and the level at t."""
    level_s, level_t = process.level(0.3), process.level(t)
    return noise_again(level_s.alpha * x_0 + level_s.sigma * z, fresh, level_s, level_t), level_t


@pytest.mark.parametrize("name", ["vp", "edm", "rectified"])
def test_noise_again_has_the_law_of_the_forward_process(name):
    x_0, z, fresh = np.random.default_rng(0).normal(size=(3, 40000, 1)).astype(np.float32)
    for t in (0.35, 0.8, 1.0):
        x_t, (alpha, sigma, _) = jax.tree.map(np.asarray, noised(process_of(name), x_0, z, fresh, np.float32(t)))
        assert np.all(np.isfinite(x_t))
        if t < 1:
            rest = x_t - alpha * x_0
            assert rest.std() == pytest.approx(sigma, rel=0.02)
            assert abs((rest * x_0).mean()) < 0.03 * sigma


@pytest.mark.parametrize("solver", ["ddpm", "unipc2", "heun"])
def test_travelling_leaves_the_law_as_it_is_and_counts_its_calls(mixture, sliced, solver):
    denoiser, truth = mixture.denoiser(sd.GaussianProcess.vp()), mixture.sample(jax.random.key(9), 2000)
    grid = sd.TimeTravel("logsnr", jump=5, repeats=3, window=(0.25, 1.0))
    samples, info = sd.sample(jax.random.key(0), denoiser, (2000, 3), solver=solver, steps=40, grid=grid)
    floor = sliced(mixture.sample(jax.random.key(8), 2000), truth)
    assert sliced(samples, truth) < floor + 0.06
    back = np.diff(info["times"]) > 0
    assert back.sum() == 2 * 6 and len(back) == 40 + 2 * 6 * 6
    each = 2 if solver == "heun" else 1
    # Heun asks once where a step ends on the data, which this path does three times
    assert info["network_calls"] == info["calls"].sum() == each * (~back).sum() - (3 if solver == "heun" else 0)
    assert np.all(info["calls"][back] == 0)


@pytest.mark.parametrize("solver", ["unipc2", diffrax.Bosh3()], ids=["multistep", "first-same-as-last"])
def test_a_solver_with_memory_forgets_the_path_that_was_left(solver, mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    grid = sd.TimeTravel("logsnr", repeats=2, window=(0.5, 0.8))
    samples, info = sd.sample(jax.random.key(0), denoiser, (5, 3), solver=solver, steps=12, grid=grid, return_path=True)
    last = int(np.flatnonzero(np.diff(info["times"]) > 0)[-1]) + 1
    rest, _ = sd.sample(
        jax.random.key(0), denoiser, (5, 3), solver=solver, grid=info["times"][last:], start=info["path"][last]
    )
    np.testing.assert_allclose(samples, rest, rtol=1e-4, atol=1e-5)


def test_it_goes_along_any_grid(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    for grid in (
        "edm",
        sd.grids.LogSNR(jnp.linspace(-6.0, 6.0, 5)),
        lambda process, steps: jnp.linspace(1.0, 0.0, steps + 1),
    ):
        samples, info = sd.sample(
            jax.random.key(0), denoiser, (2, 3), solver="ddpm", steps=6, grid=sd.TimeTravel(grid, jump=3, repeats=2)
        )
        assert bool(jnp.all(jnp.isfinite(samples))) and len(info["times"]) == 1 + 6 + 2 * 4


def test_errors_name_what_was_expected():
    for options in ({"jump": 0}, {"repeats": 0}, {"window": (0.5, 0.5)}, {"grid": [1.0, 0.0]}):
        with pytest.raises(ValueError, match="time travel"):
            sd.TimeTravel(**options)
