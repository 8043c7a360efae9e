import equinox as eqx
import jax
import numpy as np
import pytest
from solvers.common import NAMES, process_of

import sciddm as sd


@eqx.filter_jit
def resolved(process, grids, steps):
    """{grid: times} in one program."""
    return {grid: sd.grids.resolve(grid, process, steps) for grid in grids}


def test_grids_fall_from_noise_to_data():
    for name in NAMES:
        for grid, times in resolved(process_of(name), tuple(sd.grids.GRIDS), 25).items():
            times = np.asarray(times)
            assert times.shape == (26,) and times[0] == 1 and times[-1] == 0 and np.all(np.diff(times) < 0), (name, grid)
    with pytest.raises(ValueError, match="decreases"):
        sd.grids.resolve([0.0, 1.0], sd.GaussianProcess.vp(), 1)


def test_log_snr_grid_is_uniform_and_edm_grid_is_karras_et_al():
    process = sd.GaussianProcess.edm(0.002, 80.0)
    sigma = process.sigma(sd.grids.edm(process, 18)[:-1])
    u = np.arange(18) / 18
    expected = (80 ** (1 / 7) + u * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(sigma, expected, rtol=2e-4)
    gaps = np.diff(process.log_snr(sd.grids.uniform_log_snr(process, 18)[:-1]))
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-3)


def test_unknown_names_and_no_steps_are_refused():
    process = sd.GaussianProcess.vp()
    with pytest.raises(ValueError, match="none of"):
        sd.grids.resolve("log", process, 3)
    with pytest.raises(ValueError, match="at least one"):
        sd.grids.resolve("t", process, 0)


def test_optimised_grids_fit_any_number_of_steps_and_any_process():
    narrow = sd.GaussianProcess.edm(0.2, 3.0)
    all_steps = (1, 2, 9, 20, 33)
    optimised = eqx.filter_jit(lambda process, std: [sd.grids.Optimised(std)(process, steps) for steps in all_steps])
    for process in (process_of("vp"), process_of("rectified"), narrow):
        for std in np.array([1.0, 0.0, 0.05, 30.0, 1e6]):
            for steps, times in zip(all_steps, optimised(process, std), strict=True):
                assert times.shape == (steps + 1,) and times[0] == 1 and times[-1] == 0
                assert np.all(np.diff(times) < 0), (process, steps, std)
    with pytest.raises(ValueError, match="data_std = -1.0: expected"):
        sd.FunctionDenoiser(lambda x, t, cond: x, narrow, data_std=-1.0)


def test_optimised_grids_beat_uniform_ones_at_few_steps_and_agree_at_many(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.rectified())
    fine, info = sd.sample(jax.random.key(0), denoiser, (1000, 3), solver="dpmpp3m", steps=150, return_path=True)

    def error(steps, grid):
        times = np.asarray(resolved(denoiser.process, (grid,), steps)[grid])
        few, _ = sd.sample(jax.random.key(0), denoiser, (1000, 3), grid=times, start=info["path"][0])
        return np.mean(np.abs(few - fine))

    for steps in (5, 10):
        assert error(steps, "optimised") < 0.7 * error(steps, "logsnr")
    assert error(60, "optimised") < 0.01


@pytest.mark.parametrize("name", ["vp", "rectified"])
def test_the_default_grid_is_as_good_for_data_of_any_width(name):
    process, errors = process_of(name), {}
    for width in (1.0, 0.1, 5.0):
        means = width * np.array([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]]) / 1.086
        law = sd.oracle.GaussianMixture([0.3, 0.7], means, 0.2 * (width / 1.086) ** 2)
        assert law.std == pytest.approx(width, rel=0.05)
        known = sd.FunctionDenoiser(law.denoiser(process), process, data_std=width)  # as of a model of one's own
        plain = sd.FunctionDenoiser(known.function, process)
        like, options = (500, 3), {"solver": "dpmpp3m", "steps": 150, "return_path": True}
        fine, info = sd.sample(jax.random.key(0), known, like, **options, grid=sd.grids.Optimised(width))
        for which, one in (("oracle", law.denoiser(process)), ("known", known), ("unit", plain)):
            few, _ = sd.sample(jax.random.key(0), one, like, steps=8, start=info["path"][0])
            errors[which, width] = np.mean(np.abs(few - fine)) / width
    for width in (0.1, 5.0):
        for which in ("oracle", "known"):
            assert errors[which, width] < 1.3 * errors["unit", 1.0]
        assert errors["unit", width] > 2 * errors["known", width]
