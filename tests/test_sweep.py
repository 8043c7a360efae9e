"""A sweep trains every combination once, goes on where it was stopped, and tells of those that fail."""

import os
import subprocess
from pathlib import Path

import pytest

from sciddm import cli, sweep
from sciddm.errors import UserError
from sciddm.runs import read

TOY = "from toy_domain import toy_config\n\n\ndef get_config(variant=''):\n    return toy_config(steps=2, log_every=1)\n"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(sweep.ARRAY, raising=False)
    (tmp_path / "toy.py").write_text(TOY)

    def run(*arguments):
        code = cli.main(["train", "--config", str(tmp_path / "toy.py"), "--workdir", str(tmp_path / "all"), "--quiet", *arguments])
        return code, *capsys.readouterr()

    return run


def test_combinations_are_all_of_them_with_names_that_a_shell_takes_as_they_are():
    found = sweep.combinations(["seed=0,1", "config.training.learning_rate=1e-3,2e-3"])
    assert list(found) == [f"seed={seed},training.learning_rate={rate}" for seed in (0, 1) for rate in (0.001, 0.002)]
    assert found["seed=1,training.learning_rate=0.001"] == {"seed": "1", "training.learning_rate": "1e-3"}
    tuples = sweep.combinations(["network.channels=(16, 32),(32,64)", "data.path=/some where/$x.nc,-1"])
    assert list(tuples) == [f"network.channels={a},data.path={b}" for a in ("16-32", "32-64") for b in ("some-where-x.nc", "-1")]
    for wrong, words in ((["seed"], "expected KEY=A,B"), (["seed=0,"], "expected KEY=A,B"), (["seed=0,0"], "give each value once"),
                         (["seed=0", "seed=1"], "there twice")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            sweep.combinations(wrong)


def test_the_number_of_a_combination_comes_from_the_option_or_the_array(monkeypatch):
    monkeypatch.delenv(sweep.ARRAY, raising=False)
    assert sweep.index(None, 3) is None and sweep.index(2, 3) == 2
    monkeypatch.setenv(sweep.ARRAY, "1")
    assert sweep.index(None, 3) == 1 and sweep.index(0, 3) == 0
    for given, name in ((None, f"{sweep.ARRAY} = 1"), (3, "--sweep-index = 3"), (-1, "--sweep-index = -1")):
        with pytest.raises(UserError, match=f"{name}: the sweep has 1 combinations, expected 0 to 0"):
            sweep.index(given, 1)


def test_a_sweep_trains_what_is_not_done_and_puts_all_beside_each_other(command, tmp_path):
    kept = "checkpoint.keep=1,2"  # which leaves the compiled program as it is
    code, out, _ = command("--sweep", kept, "--sweep-index", "1")
    assert code == 0 and not (tmp_path / "all" / "checkpoint.keep=1").exists()
    before = (tmp_path / "all" / "checkpoint.keep=2" / "metrics.jsonl").stat().st_mtime_ns
    code, out, err = command("--sweep", kept)
    assert code == 0 and "checkpoint.keep=2: done already" in err
    assert "config.checkpoint.keep" in out and "to compare: sciddm info --workdir" in out
    runs = {path.name: read(path) for path in (tmp_path / "all").iterdir()}
    kept = {name: run.meta["config"]["checkpoint"]["keep"] for name, run in runs.items()}
    assert kept == {"checkpoint.keep=1": 1, "checkpoint.keep=2": 2}
    assert (tmp_path / "all" / "checkpoint.keep=2" / "metrics.jsonl").stat().st_mtime_ns == before
    code, _, err = command("--sweep", "checkpoint.keep=1,2", "--init-from", str(tmp_path))  # which is not how they began
    assert code == 2 and err.count("holds a run that began with no other") == 2 and "done already" not in err


def test_one_that_fails_is_said_and_the_others_are_trained(command, tmp_path):
    code, out, err = command("--sweep", "data.nan_at=3,-1")  # the first has a point that is no number
    assert code == 2 and (tmp_path / "all" / "data.nan_at=-1" / "checkpoints" / "2").exists()
    said = err.splitlines()
    assert any("data.nan_at=3: failed: " in line for line in said) and said[-1].startswith("sciddm: 1 of 2 runs failed")


def test_what_is_wrong_with_a_key_is_said_before_anything_is_trained(command, tmp_path):
    for arguments, words in (
        (("--sweep", "training.stepz=1"), "did you mean"), (("--sweep", "training.ema=0.9,2"), "config.training.ema = 2"),
        (("--sweep-index", "0"), "says nothing without --sweep"),
        (("--sweep", "training.accumulate=0,1"), "accumulate = 0: expected at least 1"),
    ):  # fmt: skip
        code, _, err = command(*arguments)
        assert code == 2 and words in err.splitlines()[-1] and not (tmp_path / "all").exists()


def test_devices_divide_the_batches_of_all():
    from toy_domain import toy_config

    configs = [toy_config(batch_size=size) for size in (16, 24)] + [toy_config(batch_size=16, accumulate=4)]
    assert sweep.for_all(configs).training.batch_size == 4 and configs[0].training.batch_size == 16


def test_a_job_of_an_array_trains_with_what_it_was_given(tmp_path):
    stub = tmp_path / "sciddm"
    stub.write_text(f'#!/bin/sh\necho "$PWD" "${sweep.ARRAY}" "$@"\n')
    stub.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(tmp_path), sweep.ARRAY: "3"}
    script = Path(__file__).parent.parent / "scripts" / "launch" / "slurm.sh"
    command = ["bash", str(script), "--config", "a b.py", "--sweep", "seed=0,1"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said == f"{tmp_path} 3 train --quiet --config a b.py --sweep seed=0,1\n"
