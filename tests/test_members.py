"""Answers as files: gone on with where they were stopped, the same whatever the parts, with a summary and what made them."""

import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

import sciddm as sd
from sciddm import cli, members, parts
from sciddm.events import Event
from sciddm.members import write_members


@pytest.fixture(scope="module")
def model(toy_run):
    return sd.load(toy_run, changes={"sampling.batch_size": 4})


def write(model, out, **options):
    return write_members(model, out, **{"count": 10, "task": "half", "given": "x=2", "steps": 3, "progress": False} | options)


def test_members_are_those_of_the_model_whatever_the_parts_and_what_was_stopped_goes_on(model, tmp_path, monkeypatch):
    out = tmp_path / "deep" / "a.npy"
    monkeypatch.setattr(model.domain.tasks["half"], "baseline", None)  # which no answer without a truth asks for
    made, solve = [], type(model).solve

    def stops(self, *arguments, rows, **options):
        if len(made) == 1:
            raise KeyboardInterrupt
        made.append(rows)
        return solve(self, *arguments, rows=rows, **options)

    monkeypatch.setattr(type(model), "solve", stops)
    with pytest.raises(KeyboardInterrupt):
        write(model, out)
    assert not out.exists() and parts.made_of(f"{out}.partial") == 1
    with pytest.raises(sd.UserError, match="whose seed was 0 and is now 1"):
        write(model, out, seed=1)
    monkeypatch.setattr(type(model), "solve", solve)
    with pytest.raises(sd.UserError, match="whose given was x=2 and is now x=1|whose given"):
        write(model, out, given="x=1")
    files = write(model, out).files
    assert out.exists() and not (tmp_path / "deep" / "a.npy.partial").exists() and all(path.exists() for path in files.values())
    np.testing.assert_array_equal(np.load(out), model.sample(0, 10, "half", given="x=2", steps=3))
    with pytest.raises(sd.UserError, match="a.npy: is there already; give another --out"):
        write(model, out)
    out.unlink()
    with pytest.raises(sd.UserError, match="a-summary.*: is there already"):
        write(model, out)


def test_a_name_of_no_format_is_refused_before_anything_is_made(model, tmp_path, monkeypatch):
    monkeypatch.setattr(type(model), "solve", None)
    monkeypatch.setattr(type(model.domain), "suffixes", (".nc", ".zarr"))
    for name, said in (("a.csv", "a.csv: .csv"), ("a", "/a: a name without a suffix")):
        with pytest.raises(sd.UserError, match=f"--out .*{said} can't be written; expected .nc or .zarr"):
            write(model, tmp_path / name)


@pytest.mark.parametrize("name", [".", "..", "/", "folder", "folder/"])
def test_a_folder_as_the_name_of_a_file_is_refused_with_one_in_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(sd.UserError, match=r"is a folder; name a file in it, such as --out .*samples\.nc") as caught:
        members.check_name(Path(name), ".nc")
    members.check_name(Path(shlex.split(str(caught.value).partition("such as ")[2])[1]), ".nc")


@pytest.mark.parametrize("letter", ["a", "\u00e4"])
def test_a_name_that_is_too_long_with_what_is_written_beside_it_is_refused_before_the_work(letter):
    longest = letter * (members.LONGEST // len(letter.encode()) - 3)
    members.check_name(Path(f"{longest}.nc"), ".nc")
    with pytest.raises(sd.UserError, match=r"is a name of 2\d\d bytes; expected 200 at most, choose a shorter name"):
        members.check_name(Path(f"{longest}{letter * 4}.nc"), ".nc")


def test_what_stands_in_a_file_that_has_changed_is_another_answer(model, tmp_path):
    settings = members.settings_of(model, "half", model.problem("half", given="x=2"), ["sensor.csv"], 0, {})
    digests = {members.digest_of(model.problem("half", given=f"x={x}")) for x in (2, 2, 3)}
    assert len(digests) == 2 and settings["given"] == "sensor.csv" and settings["steps"] == 40 and settings["method"] == "pigdm"


def test_a_sample_of_nothing_is_that_of_the_model_with_its_summary_and_the_probability_of_an_event(model, tmp_path):
    events = [Event.parse("max(x) > 1"), Event.parse("x > 1")]
    written = write(model, tmp_path / "a.npy", task=None, given=None, events=events)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), model.sample(0, 10, steps=3))
    share = (np.load(tmp_path / "a.npy").max(1) > 1).mean()
    assert f"P(max(x) > 1) = {share:.3g}" in written.lines[0] and "over all places" in written.lines[1]
    assert set(written.files) == {"members", "summary", "picture", "probability 2"}
    with xr.open_dataset(written.files["summary"]) as found:
        np.testing.assert_allclose(found.x_mean, np.load(tmp_path / "a.npy").mean(0), rtol=1e-5)
        np.testing.assert_allclose(found.probability_1, share, rtol=1e-5)
        assert found.attrs["sciddm_step"] == model.step and found.attrs["sciddm_seed"] == 0 and "jax" in found.attrs["sciddm_versions"]


def test_a_wrong_event_is_said_before_anything_is_made(model, tmp_path):
    with pytest.raises(sd.UserError, match="no 'y'; expected one of x"):
        write(model, tmp_path / "a.npy", events=[Event.parse("y > 1")])
    assert not list(tmp_path.iterdir())


def test_the_command_line_takes_what_a_user_brings_and_shows_an_example_of_it(toy_run, tmp_path, capsys):
    run, out = ["--workdir", str(toy_run)], tmp_path / "a.npy"
    assert cli.main(["info", *run, "--task", "half", "--example", str(tmp_path / "example")]) == 0
    said = capsys.readouterr().out
    assert "--given takes x=METRES" in said
    command = shlex.split(said.splitlines()[-1].partition(": sciddm ")[2])
    made = [*command, "--steps", "3", "--count", "3", "--out", str(out), "--event", "max(x) > -9", "--method", "mmps", "--strength", "0.5"]
    assert cli.main(made) == 0
    printed = capsys.readouterr().out
    assert "P(max(x) > -9) = 1 +- 0.15, 3 of 3 members" in printed and f"members: {out}" in printed
    assert np.load(out).shape == (3, 2) and (tmp_path / "a-summary.nc").exists()
    with xr.open_dataset(tmp_path / "a-summary.nc") as found:
        assert found.attrs["sciddm_method"] == "mmps" and found.attrs["sciddm_strength"] == 0.5
        assert "--strength 0.5" in found.attrs["history"] and found.attrs["sciddm_given"].startswith("x=")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--given", "x=2"], "--given: say for which --task"),
        (["--method", "mmps"], "--method: say for which --task"),
        (["--task", "half", "--given", "y=2"], "--given y=2: can't be meant here"),
        (["--task", "half", "--given", "nowhere.csv"], "nowhere.csv: no such file; expected x=METRES"),
        (["--task", "half", "--given", "x=far"], "--given x=far: expected a number of metres"),
        (["--task", "half", "--method", "mps"], "config.tasks.half.method.*did you mean mmps"),
        (["--task", "half", "--strength", "0"], "config.tasks.half.strength = 0.0: expected a number above 0"),
        (["--task", "half", "--event", "z > 1"], "no 'z'; expected one of x"),
        (["--event", "x is big"], "expected NAME SIGN NUMBER"),
        (["--grid", "none"], "config.sampling.*'none'"),
    ],
)
def test_what_can_not_be_meant_is_one_line_and_nothing_is_written(toy_run, tmp_path, capsys, arguments, said):
    assert cli.main(["sample", "--workdir", str(toy_run), "--out", str(tmp_path / "a.npy"), "--count", "2", *arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sciddm:")]
    assert len(lines) == 1 and re.search(said, lines[0]), lines
    assert not list(tmp_path.iterdir())


def test_a_dataset_holds_what_made_it(small_run, tmp_path):
    model = sd.load(small_run("pde"))
    write(model, tmp_path / "a.nc", count=3, task=None, given=None, command="sciddm sample --count 3")
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert found.attrs["sciddm_solver"] == model.config.sampling.solver and found.attrs["history"].endswith("sciddm sample --count 3")
        known = set(model.domain.variables)
        assert set(found.data_vars) == known and jax.tree.leaves(model.domain.example)[0].shape[:2] == found[min(known)].shape[1:]
    with xr.open_dataset(tmp_path / "a-summary.nc") as found:
        assert {f"{name}_std" for name in known} <= set(found.data_vars)


def test_members_that_came_out_as_nan_are_left_out_and_said():
    x = {"a": np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 4.0]])}
    kept, said = members.finite(x, 3)
    np.testing.assert_array_equal(kept["a"], x["a"][[0, 2]])
    assert said == ["1 of 3 members came out as NaN and are left out; take more --steps, or another --solver or --method"]
    assert members.finite(kept, 2)[1] == []
    with pytest.raises(sd.errors.UserError, match="all 1 members came out as NaN; take more --steps"):
        members.finite({"a": x["a"][1:2]}, 1)
