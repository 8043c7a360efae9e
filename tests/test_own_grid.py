"""The grid that a run searches for its own model: where its steps lie, what it is worth, and who takes it."""

import json
import re
import shlex
import shutil

import jax
import numpy as np
import pytest
from toy_domain import toy_config

import sciddm as sd
import sciddm.train.own_grid
from sciddm import cli, grids
from sciddm.errors import Refusal
from sciddm.own_grid import by_coordinates, search_own
from sciddm.sample import fill_defaults
from sciddm.train import fit
from sciddm.train.checkpoint import Checkpoints


def test_coordinates_find_the_least_error_and_stay_where_samples_do_not_agree():
    best, spread = np.array([-1.1, np.log(0.8), np.log(1.9)]), np.linspace(0.5, 1.5, 16)

    def squares(shape):
        place = np.array([shape[0], np.log(shape[1]), np.log(shape[2])])
        return spread * np.sum((place - best) ** 2)

    found = by_coordinates(squares, (0.3, 1.0, 1.4))
    assert squares(found).mean() < 0.12 * squares((0.3, 1.0, 1.4)).mean()

    def of_one_sample(shape):  # the mean falls with the centre, by one of sixteen samples alone
        errors = np.ones(16)
        errors[3] += 5.0 - shape[0]
        return errors

    assert by_coordinates(of_one_sample, (0.3, 1.0, 1.4)) == (0.3, 1.0, pytest.approx(1.4))
    assert by_coordinates(lambda shape: np.full(4, np.nan), (0.3, 1.0, 1.4)) == (0.3, 1.0, pytest.approx(1.4))


def test_the_own_grid_of_narrow_data_halves_the_error_for_new_noise():
    angle = 2.0 * np.pi * np.arange(12) / 12
    ring = sd.oracle.GaussianMixture(np.ones(12), 7.0 * np.stack([np.cos(angle), np.sin(angle)], 1), 0.2**2)
    denoiser = ring.denoiser(sd.GaussianProcess.vp())
    grid = search_own(0, denoiser, (32, 2))
    assert [row[0] for row in grid.rows[:-1]] == [5, 10, 20] and float(grid.data_std) == pytest.approx(ring.std)
    assert search_own(0, denoiser, (32, 2)).rows == grid.rows  # the same whenever it is asked
    fine, info = sd.sample(7, denoiser, (300, 2), steps=100, return_path=True)

    def error(grid):
        return float(np.sqrt(np.mean((sd.sample(7, denoiser, (300, 2), steps=10, grid=grid, start=info["path"][0])[0] - fine) ** 2)))

    assert error(grid) < 0.5 * error(None)
    with pytest.raises(ValueError, match="deterministic one of fixed steps"):
        search_own(0, denoiser, (32, 2), solver="ddpm")
    with pytest.raises(ValueError, match="at least 8 samples"):
        search_own(0, denoiser, (2, 2))
    asked = []
    assert search_own(0, denoiser, (32, 2), given_up=lambda: asked.append(0) or len(asked) > 4) is None
    assert len(asked) == 5  # between looks, each of which may take minutes


def test_a_search_that_can_t_be_names_what_was_given():
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], 1.0).denoiser(sd.GaussianProcess.vp())
    observation = sd.lookahead.Observation(lambda x: x[:, :1], np.zeros(1), 0.1)
    for guided, solver, said in (
        (sd.lookahead.dps(denoiser, observation), None, "^DPS is sampled by DDPM where no solver is given: .*solver='unipc2-signal'"),
        (denoiser, "ddpm(prior_variance=1.0)", "^solver 'ddpm.prior_variance=1.0.': expected a deterministic one"),
        (denoiser, sd.solvers.DDPM(), "^solver DDPM: expected a deterministic one"),
        (sd.lookahead.ddrm(denoiser, observation), None, "is a sampler of its own, .* search those of the denoiser within"),
    ):
        with pytest.raises(Refusal, match=said):
            search_own(0, guided, (32, 2), solver=solver)


def test_a_finished_run_keeps_its_own_grid_and_samples_by_it_and_others_take_the_table(toy_run, tmp_path):
    model = sd.load(toy_run)
    rows = json.loads((toy_run / "checkpoints" / "60" / "meta" / "metadata").read_text())["grid"]
    assert model.grid == "own" and model.denoiser.sampling.grid == grids.Logistic(tuple(map(tuple, rows)))
    options = model.sampling_options(model.denoiser)
    assert options["grid"] == model.denoiser.sampling.grid
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), model.domain.example)
    own, by_default = (sd.sample(0, model.denoiser, like, grid=grid) for grid in ("own", None))
    np.testing.assert_array_equal(own[1]["times"], by_default[1]["times"])
    np.testing.assert_allclose(own[1]["times"], options["grid"](model.denoiser.process, 20), rtol=1e-5)
    earlier = sd.load(toy_run, step=40)  # before its budget was spent
    assert earlier.grid == "optimised" and earlier.sampling_options(earlier.denoiser)["grid"] == "optimised"
    assert sd.load(toy_run, changes={"sampling.grid": "logsnr"}).grid == "logsnr"


def test_a_name_of_the_default_solver_is_that_of_the_width_of_the_data_and_odd_tables_are_refused():
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: x, sd.GaussianProcess.vp(), data_std=30.0)
    assert fill_defaults(denoiser, "unipc2-signal")[0].data_std == fill_defaults(denoiser)[0].data_std == 30.0
    rows = ((5, 0.0, 1.0, 1.0), (10, 0.5, 1.0, 1.5))
    for written in (np.array(rows), [list(row) for row in rows], [np.float32(row) for row in rows]):
        assert grids.Logistic(written).rows == rows and hash(grids.Logistic(written).rows) == hash(rows)
    for rows in ((), 5, "wide", ((5, 0.0, 1.0, None),), ((5, 0.0, 1.0, 1.0), (6, 0.0))):
        with pytest.raises(ValueError, match="rows = .*expected"):
            grids.Logistic(rows)
    for rows in (((5, 0.0, 1.0),), ((5, 0.0, -1.0, 1.0),), ((5, np.nan, 1.0, 1.0),), ((5, 0.0, 1.0, 1.0), (5, 0.0, 1.0, 1.0))):
        with pytest.raises(ValueError, match="rows = "):
            grids.Logistic(rows)
    for width in (-1.0, np.float32(-2.0), np.nan):
        with pytest.raises(ValueError, match="data_std = "):
            grids.Logistic(data_std=width)


def test_a_search_that_fails_leaves_the_training_its_checkpoint(tmp_path, monkeypatch, capsys):
    def fails(*args, **options):
        raise MemoryError("no room")

    monkeypatch.setattr(sciddm.train.own_grid, "search_own", fails)
    config = toy_config(steps=2)
    config.sampling.grid = "own"
    fit(config, tmp_path, progress=False)
    assert "no room; it takes the grid optimised" in capsys.readouterr().err
    assert sd.load(tmp_path).grid == "optimised"


def test_a_finished_run_without_a_grid_gets_one_as_info_and_sample_say_without_a_step(toy_run, tmp_path, capsys):
    run = shutil.copytree(toy_run, tmp_path / "a run")
    kept = Checkpoints(run, read_only=True)
    kept.amend(60, {"grid": None})
    assert cli.main(["info", "--workdir", str(run)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "grid optimised, as none of its own was searched; `sciddm train" in said
    sample = ["sample", "--workdir", str(run), "--count", "2", "--steps", "3"]
    assert cli.main([*sample, "--seed", "1"]) == 0 and "grid own" not in capsys.readouterr().err
    for seed, asked in enumerate(["--grid=own", "--config.sampling.grid=own"], 2):
        assert cli.main([*sample, "--seed", str(seed), asked]) == 0
        err = capsys.readouterr().err
        assert "grid own: the run has none, it is sampled by the grid optimised; `sciddm train" in err
    before = kept.meta(60)
    command = shlex.split(re.search("grid optimised; `sciddm (.*?)`", err)[1])
    assert cli.main([*command, "--quiet"]) == 0 and sd.load(run).grid == "own"
    after = kept.meta(60)
    assert {key for key in after if after[key] != before.get(key)} == {"grid", "digest"}
    assert cli.main([*sample, "--seed", "4", "--grid=own"]) == 0 and "grid own" not in capsys.readouterr().err


def test_a_grid_is_kept_with_the_model_that_it_was_searched_for_alone(toy_run, tmp_path, capsys):
    run, kept = shutil.copytree(toy_run, tmp_path / "run"), Checkpoints(tmp_path / "run", read_only=True)
    assert kept.meta(60)["grid"]
    (tmp_path / "config.json").write_text((toy_run / "config.json").read_text())
    changes = ["--config.training.steps=100", "--config.sampling.grid=own", "--config.sampling.solver=ddpm"]
    command = ["train", "--config", str(tmp_path / "config.json"), "--workdir", str(run), "--quiet"]
    assert cli.main([*command, *changes]) == 0
    assert kept.meta(80)["grid"] is None and kept.meta(100)["grid"] is None
    assert "grid own: the run has none; none is searched with ddpm" in capsys.readouterr().err


def test_own_asked_for_beside_another_grid_of_the_config_is_the_run_s_own(toy_run):
    model = sd.load(toy_run, changes={"sampling.grid": "logsnr"})
    assert model.sampling_options(model.denoiser, grid="own")["grid"] == model.denoiser.sampling.grid
