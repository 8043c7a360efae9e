"""The command line as a user meets it: what goes in wrong comes back as one line and exit code 2."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from sciddm import cli

ROOT = Path(__file__).parent.parent
# That of the small run of `small_configs`.
SMALL = [
    "--config.data.resolution=16", "--config.data.count=96", "--config.data.held_out=8", "--config.network.channels=(16,)",
    "--config.network.attention_levels=()", "--config.training.steps=4", "--config.training.wall_minutes=null",
    "--config.checkpoint.every=2", "--config.training.held_out=0", "--config.training.batch_size=8", "--config.sampling.steps=3",
    "--config.sampling.batch_size=2", "--config.sampling.grid=optimised",
    "--config.evaluation.problems=1", "--config.tasks.forward.steps=3", "--config.tasks.inverse.steps=3",
    "--config.tasks.superresolve.steps=3", "--config.tasks.generate.steps=3",
]  # fmt: skip


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)

    def run(*overrides, workdir="run"):
        return cli.main(["train", "--config", "configs/pde.py:smoke", "--workdir", str(tmp_path / workdir), "--quiet", *SMALL,
                         f"--config.data.cache={tmp_path / 'cache'}", *overrides])  # fmt: skip

    return run


@pytest.fixture
def trained(small_run, tmp_path, train):
    """`tmp_path` holds a finished run and its data."""
    shutil.copytree(small_run("pde").parent, tmp_path, dirs_exist_ok=True)


def one_line(capsys):
    """The only line on stderr, apart from progress bars."""
    lines = [
        line
        for line in capsys.readouterr().err.replace("\r", "\n").splitlines()
        if line.startswith(("sciddm:", "Traceback"))
    ]
    assert len(lines) == 1 and not lines[0].startswith("Traceback"), lines
    return lines[0]


def test_a_grid_is_searched_on_a_run_s_own_model_and_sampled_with(toy_run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    run = str(shutil.copytree(toy_run, tmp_path / "run"))

    def search(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["optimise_grid.py", "--workdir", run, "--samples", "2", "--iterations", "1", *arguments]
        )
        with pytest.raises(SystemExit) as ended:
            runpy.run_path("scripts/optimise_grid.py", run_name="__main__")
        return ended.value.code

    assert search("--steps", "3") == 0
    grid = f"--config.sampling.grid={run}/grids/unipc2-signal-3.json"
    assert cli.main(["sample", "--workdir", run, "--count", "2", "--steps", "3", grid]) == 0
    assert cli.main(["sample", "--workdir", run, "--count", "2", "--steps", "4", "--seed", "1", grid]) == 2
    assert "is made for 3 steps" in one_line(capsys)
    assert search("--steps", "1") == 2 and search("--steps", "3", "--solver", "ddpm") == 2
    assert "draws noise" in capsys.readouterr().err


def test_train_sample_evaluate_info(train, tmp_path, capsys):
    assert train() == 0 and train() == 0
    run = str(tmp_path / "run")
    assert cli.main(["sample", "--workdir", run, "--count", "3"]) == 0
    assert (
        cli.main(["sample", "--workdir", run, "--count", "2", "--task", "inverse", "--out", str(tmp_path / "x.nc")])
        == 0
    )
    assert cli.main(["evaluate", "--workdir", run, "--members", "2"]) == 0
    scores = json.loads((tmp_path / "run" / "evaluation.json").read_text())["scores"]
    assert set(scores) == {"forward", "inverse"} and "nearest + solve" in scores["forward"]
    capsys.readouterr()
    assert cli.main(["info", "--workdir", run, "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["step"] == 4 and about["checkpoints"] == [4, 2] and about["versions"]["jax"]
    assert {path.name for path in (tmp_path / "run" / "plots").iterdir()} >= {"forward-0.png", "inverse-0.png"}
    assert cli.main(["sample", "--workdir", run, "--count", "3"]) == 2  # what is there is not overwritten
    assert "is there already" in one_line(capsys)
    other = ["sample", "--workdir", run, "--count", "2", "--seed", "7", "--config.sampling.steps=2"]
    assert cli.main([*other, "--config.tasks.inverse.method=mmps(iterations=1)"]) == 0
    for change, expected in {
        "--config.sampling.stepz=2": "did you mean config.sampling.steps",
        "--config.sampling.steps=many": "expected int, got str",
        "--config.sampling.steps=0": "expected 1 to a million",
        "--confg.sampling.steps=2": "expected --config.key=value",
    }.items():
        assert cli.main([*other[:-3], change]) == 2
        assert expected in one_line(capsys)


WRONG = {
    "unknown key": (["--config.training.stepz=3"], "did you mean config.training.steps"),
    "unknown branch": (["--config.trainig.steps=3"], "did you mean config.training.steps"),
    "wrong type": (["--config.training.steps=many"], "config.training.steps = 'many': expected int"),
    "no equals sign": (["--config.training.ema", "0.5"], "with the equals sign"),
    "out of bounds": (["--config.training.ema=1.5"], "config.training.ema = 1.5: expected a decay"),
    "not a number": (["--config.training.learning_rate=nan"], "finite"),
    "unknown process": (["--config.process.name=vpp"], "expected one of"),
    "unknown prediction": (["--config.denoiser.prediction=noise"], "none of"),
    "unknown weighting": (["--config.objective.weighting=emd"], "none of"),
    "unknown domain": (["--config.domain=domains.pdf"], "No module named"),
    "unknown equation": (["--config.data.equation=darci"], "darci"),
    "missing data": (["--config.data.path=none.nc"], "no such file"),
    "no room in network": (["--config.network.heads=7", "--config.network.attention_levels=(0,)"], "heads"),
    "batch and mesh": (["--config.mesh.data=3"], "config.mesh"),
    "no parts of a batch": (["--config.training.accumulate=0"], "config.training.accumulate = 0: expected at least 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_clear_line_and_exit_code_two(case, train, capsys):
    overrides, expected = WRONG[case]
    assert train(*overrides) == 2
    assert expected in one_line(capsys)


def test_wrong_files_are_one_clear_line(train, tmp_path, capsys):
    (tmp_path / "w" / "checkpoints").mkdir(parents=True)
    for name, argv, expected in (
        ("no config", ["train", "--config", "none.py", "--workdir", str(tmp_path / "w")], "no such file"),
        (
            "no variant",
            ["train", "--config", "configs/pde.py:big", "--workdir", str(tmp_path / "w")],
            "'big' is none of",
        ),
        ("no workdir", ["sample", "--workdir", str(tmp_path / "none")], "holds no checkpoints"),
        ("no solver", ["sample", "--workdir", str(tmp_path / "w"), "--solver", "dpm"], "--solver: solver 'dpm' is none of"),
    ):
        assert cli.main(argv) == 2, name
        assert expected in one_line(capsys)
    broken = tmp_path / "broken.py"
    broken.write_text("def get_config(variant=''):\n    return undefined\n")
    assert cli.main(["train", "--config", str(broken), "--workdir", str(tmp_path / "w")]) == 2
    assert "undefined" in one_line(capsys)


def test_a_workdir_that_cannot_be_made_or_of_another_domain_is_one_clear_line(train, trained, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert train(workdir="file/run") == 2
    assert "file" in one_line(capsys)
    assert train("--config.domain=toy_domain", "--config.network.width=8") == 2
    assert "no such key" in one_line(capsys)
    toy = tmp_path / "toy.py"
    toy.write_text("from toy_domain import toy_config\n\ndef get_config(variant=''):\n    return toy_config()\n")
    assert cli.main(["train", "--config", str(toy), "--workdir", str(tmp_path / "run")]) == 2
    assert "holds a run with config.domain = domains.pde, now it is toy_domain" in one_line(capsys)


def test_nothing_of_an_older_run_is_lost_by_a_wrong_one(train, trained, tmp_path, capsys):
    run = tmp_path / "run"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and "tensorboard" not in path.parts}
    for override in (
        "--config.network.blocks=2",
        "--config.process.name=vp",
        "--config.training.steps=0",
        "--config.data.equation=darci",
    ):
        assert train(override) == 2
        one_line(capsys)
    assert {path: path.read_bytes() for path in before} == before


def test_a_damaged_checkpoint_is_said_and_the_one_before_it_used(trained, tmp_path, capsys):
    files = [file for file in (tmp_path / "run" / "checkpoints" / "4" / "state").rglob("d/*") if file.is_file()]
    for file in files:  # wherever the averaged weights lie, which alone are read
        data = bytearray(file.read_bytes())
        for place in range(len(data) // 4, 3 * len(data) // 4, 500):
            data[place] ^= 1
        file.write_bytes(data)
    capsys.readouterr()
    assert cli.main(["sample", "--workdir", str(tmp_path / "run"), "--count", "2"]) == 0
    assert "checkpoint 4 is not used" in capsys.readouterr().err
    assert "step2" in next((tmp_path / "run" / "samples").glob("*.nc")).name


def test_damaged_data_are_said_with_the_way_out(train, trained, tmp_path, capsys):
    store = next((tmp_path / "cache").glob("*.zarr"))
    next(file for file in sorted((store / "u" / "c").rglob("*")) if file.is_file()).unlink()
    assert train() == 2
    assert "missing; delete the folder" in one_line(capsys)


def test_help_is_there_without_loading_jax(capsys):
    loaded = "jax" in sys.modules
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--help"])
    assert stopped.value.code == 0 and "--config.training.steps=1000" in capsys.readouterr().out
    assert loaded or "jax" not in sys.modules
    with pytest.raises(SystemExit) as stopped:
        cli.main(["samples"])
    assert stopped.value.code == 2


@pytest.mark.parametrize("command", ["train", "demo"])
def test_what_was_stopped_is_not_called_done(command, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sciddm.train.fit", lambda *_, **__: None)  # as after Ctrl-C: it returns, with the budget unspent
    monkeypatch.setattr("sciddm.runs.finished", lambda run, config=None: False)
    assert cli.main([command, "--config", "configs/pde.py:smoke", "--workdir", str(tmp_path / "run"), *SMALL]) == 0
    assert capsys.readouterr().out == f"stopped: {tmp_path / 'run'}; the same command goes on\n"
