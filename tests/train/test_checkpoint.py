import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from toy_domain import toy_config

from sciddm.errors import UserError
from sciddm.train import checkpoint, fit
from sciddm.train.checkpoint import Checkpoints, digests


@pytest.fixture
def run(toy_run, tmp_path):
    """A finished toy run with checkpoints at 20, 40 and 60."""
    return shutil.copytree(toy_run, tmp_path, dirs_exist_ok=True)


def abstract(state):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)


def flip_a_bit(workdir, step, seed=0):
    """In the largest array file of a checkpoint."""
    files = [file for file in (workdir / "checkpoints" / str(step) / "state").rglob("d/*") if file.is_file()]
    file = max(files, key=lambda f: f.stat().st_size)
    data = bytearray(file.read_bytes())
    data[random.Random(seed).randrange(len(data) // 4, 3 * len(data) // 4)] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_is_refused_and_the_checkpoint_before_it_used(run, seed):
    state = fit(toy_config(), run, progress=False)
    flip_a_bit(run, 60, seed)
    said = []
    restored, meta = Checkpoints(run, say=said.append).restore(abstract(state))
    assert meta["step"] == int(restored.step) == 40
    assert len(said) == 1 and "checkpoint 60 is not used" in said[0] and "taking step 40" in said[0]
    assert (run / "checkpoints" / "60.damaged").exists()
    again = fit(toy_config(), run, progress=False)  # and training goes on from there to the same end
    assert digests(again) == digests(state)


def test_a_checkpoint_under_the_name_of_another_step_is_not_the_newest(run):
    folder, said = run / "checkpoints", []
    (folder / "20").rename(folder / "900")  # what is trained from there would end before it, and never be looked at
    shutil.copytree(folder / "40", folder / "0400")
    store = Checkpoints(run, read_only=True, say=said.append)
    assert store.meta()["step"] == 60 and "900 is not used" in said[0] and "it is of step 20, under another name" in said[0]
    assert store.steps() == [900, 60, 40]


def test_reading_never_changes_a_workdir(run):
    said, state = [], fit(toy_config(), run, progress=False)
    flip_a_bit(run, 60)
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    assert Checkpoints(run, read_only=True, say=said.append).restore(abstract(state))[1]["step"] == 40
    assert said and sorted(path.relative_to(run) for path in run.rglob("*")) == before


def test_an_unfinished_checkpoint_is_no_checkpoint(run):
    (run / "checkpoints" / "60" / "_CHECKPOINT_METADATA").unlink()
    (run / "checkpoints" / "80.orbax-checkpoint-tmp").mkdir()
    assert Checkpoints(run).steps() == [40, 20]


def test_a_step_without_its_marker_does_not_stand_in_the_way(run):
    (run / "checkpoints" / "60" / "_CHECKPOINT_METADATA").unlink()
    state = fit(toy_config(), run, progress=False)
    assert int(state.step) == 60 and Checkpoints(run, read_only=True).steps()[0] == 60


def test_what_lacks_its_marker_is_set_aside_and_a_second_damage_leaves_the_first_as_it_is(run):
    for path in (run / "checkpoints").iterdir():
        if path.name != "40":
            (path / "_CHECKPOINT_METADATA").unlink()
    (run / "checkpoints" / "60.damaged").mkdir()
    (run / "checkpoints" / "60.damaged" / "kept").write_text("of an earlier damage")
    said = []
    assert Checkpoints(run, say=said.append).steps() == [40]
    assert "checkpoint 60 is not used" in said[1] and "kept as 60.damaged-2, there is step 40" in said[1]
    assert (run / "checkpoints" / "60.damaged" / "kept").exists() and (run / "checkpoints" / "60.damaged-2" / "state").exists()


def test_a_run_whose_checkpoints_all_lack_files_is_refused_until_it_is_to_begin_anew(run):
    for path in (run / "checkpoints").iterdir():
        (path / "_CHECKPOINT_METADATA").unlink()
    for _ in range(2):  # the second start does not begin at step 0 either
        with pytest.raises(UserError, match="no checkpoint is whole, there is 20, 40, 60; .* --anew"):
            fit(toy_config(), run, progress=False)
    with pytest.raises(UserError, match="no checkpoint is whole"):
        Checkpoints(run, read_only=True)
    assert int(fit(toy_config(steps=1), run, anew=True, progress=False).step) == 1
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"1", "20.damaged", "40.damaged", "60.damaged"}


def test_a_flipped_bit_in_the_metadata_is_refused_too(run):
    file = run / "checkpoints" / "60" / "meta" / "metadata"
    text = file.read_text()
    file.write_text(
        text.replace('"wall_minutes": null', '"wall_minutes": 1.0')
        if '"wall_minutes": null' in text
        else text.replace("16", "17", 1)
    )
    said = []
    assert Checkpoints(run, read_only=True, say=said.append).meta()["step"] == 40
    assert "checksum differs" in said[0]


def test_changed_network_code_is_refused_and_sets_nothing_aside(run):
    state = fit(toy_config(), run, progress=False)
    other = abstract(state)
    other.params["more"] = jax.ShapeDtypeStruct((3,), np.float32)
    with pytest.raises(UserError, match="another network or optimiser.*more"):
        Checkpoints(run).restore(other)
    assert Checkpoints(run).steps() == [60, 40, 20]


def test_no_whole_checkpoint_left_is_one_clear_message(run):
    for step in (20, 40, 60):
        flip_a_bit(run, step)
    with pytest.raises(UserError, match="none of the checkpoints"):
        fit(toy_config(), run, progress=False)


def test_a_workdir_of_another_run_is_refused(run):
    config = toy_config()
    config.network.width = 16
    with pytest.raises(UserError, match="config.network"):
        fit(config, run, progress=False)
    with pytest.raises(UserError, match="its batches are of 16"):
        fit(toy_config(batch_size=8), run, progress=False)
    stored = Checkpoints(run, read_only=True).meta()
    assert stored["config"]["domain"] == "toy_domain" and stored["versions"]["jax"] == jax.__version__
    assert json.loads((run / "config.json").read_text()) == stored["config"]


def test_older_checkpoints_go_and_the_newest_stay(tmp_path):
    config = toy_config(steps=100)
    config.checkpoint.keep = 2
    fit(config, tmp_path, progress=False)
    assert Checkpoints(tmp_path, read_only=True).steps() == [100, 80]


@pytest.mark.parametrize("size", [pytest.param(0, marks=pytest.mark.slow), 3000], ids=["nothing-fits", "part-of-it-fits"])
def test_a_disk_that_fills_during_a_save_is_one_line_and_loses_nothing(run, tmp_path, size):
    # A limit on the size of files stands for the disk: the operating system then refuses to write, as a full disk does.
    script = textwrap.dedent(
        """
        import resource, sys
        from sciddm import cli
        from sciddm.train import loop
        command = ["train", "--config", sys.argv[1], "--workdir", sys.argv[2], "--quiet"]
        assert cli.main(command) == 0
        loop.Log.write = lambda *_: None  # only the checkpoints are to meet the limit
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
        sys.exit(cli.main([*command, "--config.training.steps=100"]))
        """
    )
    config, workdir = tmp_path / "toy.py", run
    config.write_text("from toy_domain import toy_config\n\n\ndef get_config(variant=''):\n    return toy_config()\n")
    # An empty compile cache, so that it meets the limit as well.
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    environment = os.environ | paths
    command = [sys.executable, "-c", script, str(config), str(workdir), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if not line.startswith(("device: ", "reading "))]  # on a busy machine it has a clock
    assert len(said) == 1, done.stderr
    line = said[0]
    assert line.startswith("sciddm: ") and str(workdir) in line and "free some space" in line
    assert Checkpoints(workdir, read_only=True).steps() == [60, 40, 20]
    assert int(fit(toy_config(), workdir, progress=False).step) == 60
    assert not list((workdir / "checkpoints").glob("*tmp*"))


@pytest.mark.parametrize("name", ["040", "40 ", "40.tmp", "step_40", "\uff14\uff10"])
def test_a_checkpoint_under_another_name_than_its_step_is_said_and_kept(run, name):
    place = run / "checkpoints"
    (place / "40").rename(place / name)
    said: list[str] = []
    Checkpoints(run, say=said.append).close()
    assert said == [f"checkpoints/{name} is not used: a checkpoint is named by its step and nothing else; it is left as it is"]
    for step in ("20", "60"):
        shutil.rmtree(place / step)
    for read_only in (True, False):
        with pytest.raises(UserError, match="is a checkpoint that is not named by its step alone; name it so, by mv ") as caught:
            Checkpoints(run, read_only=read_only)
    _, command, _ = re.split(r"by (?=mv )|; or", str(caught.value))
    Checkpoints(run, anew=True, say=said.append).close()
    assert [path.name for path in place.iterdir()] == [name]
    subprocess.run(shlex.split(command), check=True)
    assert Checkpoints(run, read_only=True).meta()["step"] == 40


def test_a_file_in_the_place_of_a_checkpoint_is_set_aside(run):
    place, said = run / "checkpoints", []
    shutil.rmtree(place / "60")
    (place / "60").write_text("version https://git-lfs.github.com/spec/v1")
    Checkpoints(run, say=said.append).close()
    assert "it is kept as 60.damaged, there is step 40" in said[0] and (place / "60.damaged").is_file()


def test_a_disk_too_small_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="0.0 MB are free"):
        fit(toy_config(), tmp_path, progress=False)


def test_restored_arrays_are_the_saved_ones_to_the_bit(run):
    state = fit(toy_config(), run, progress=False)
    restored, _ = Checkpoints(run).restore(abstract(state))
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    averaged, meta = Checkpoints(run, read_only=True).arrays("ema")
    assert meta["step"] == 60 and len(averaged) == len(jax.tree.leaves(state.ema))
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.ema)[0]:
        np.testing.assert_array_equal(averaged[jax.tree_util.keystr(path)], leaf)


def test_a_flipped_bit_is_seen_by_whoever_reads_that_part_and_in_a_small_checkpoint_by_all(run, monkeypatch):
    whole, said, seen = Checkpoints(run, read_only=True).arrays("ema")[0], [], {}
    state = run / "checkpoints" / "60" / "state"
    kept = shutil.copytree(state, run / "kept")
    for limit in (0, checkpoint.CHECKED_WHOLE):
        monkeypatch.setattr(checkpoint, "CHECKED_WHOLE", limit)
        seen[limit] = 0
        for seed in range(12):
            flip_a_bit(run, 60, seed)
            found, meta = Checkpoints(run, read_only=True, say=said.append).arrays("ema")
            assert meta["step"] == 40 or all((found[name] == one).all() for name, one in whole.items())
            seen[limit] += meta["step"] == 40
            shutil.rmtree(state)
            shutil.copytree(kept, state)
    part, everything = seen.values()
    assert part <= everything == 12 and len(said) == part + everything and all("taking step 40" in line for line in said)
    shutil.rmtree(state)
    assert Checkpoints(run, read_only=True, say=said.append).arrays("ema")[1]["step"] == 40
