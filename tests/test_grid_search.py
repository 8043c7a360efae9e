import json

import jax
import numpy as np
import pytest

import sciddm as sd
from sciddm.grid_search import search


def test_a_searched_grid_halves_the_error_of_few_steps_and_serves_new_noise(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    inner, errors = search(jax.random.key(0), denoiser, (96, 3), steps=6, iterations=40, learning_rate=0.1)
    assert inner.shape == (5,) and np.all(np.diff(inner) > 0) and errors.min() < 0.5 * errors[0]
    fine, info = sd.sample(jax.random.key(7), denoiser, (400, 3), solver="dpmpp3m", steps=120, return_path=True)
    start = info["path"][0]

    def error(grid):
        few, _ = sd.sample(jax.random.key(7), denoiser, (400, 3), steps=6, grid=grid, start=start)
        return float(np.mean(np.linalg.norm(few - fine, axis=1)))

    assert error(sd.grids.LogSNR(inner)) < 0.6 * error("logsnr")


def test_one_step_has_nothing_to_search(mixture):
    with pytest.raises(ValueError, match="inner time"):
        search(jax.random.key(0), mixture.denoiser(sd.GaussianProcess.vp()), (4, 3), steps=1)


def test_a_grid_file_is_read_back_and_a_broken_one_is_named(tmp_path):
    path = tmp_path / "grid.json"
    path.write_text(json.dumps({"log_snr": [-3.0, 1.0, 4.0]}))
    times = sd.grids.resolve(sd.grids.load(path), sd.GaussianProcess.vp(), 4)
    np.testing.assert_allclose(sd.GaussianProcess.vp().log_snr(times[1:-1]), [-3.0, 1.0, 4.0], rtol=1e-4)
    for text in ("{}", "no json", '{"log_snr": [1.0, 0.5]}', '{"log_snr": [0.0, Infinity]}', '{"log_snr": []}'):
        path.write_text(text)
        with pytest.raises(sd.UserError, match="grid.json"):
            sd.grids.load(path)
    with pytest.raises(sd.UserError, match="nowhere.json"):
        sd.grids.load(tmp_path / "nowhere.json")
