"""Claims: a run knows its data by what is in their files, finds them from any folder, and says what is other."""

import os
import shutil

import pytest
from small_fields import write_small
from toy_domain import Toy, toy_config

from sciddm.config import base_config
from sciddm.errors import UserError
from sciddm.train import fit
from sciddm.train.fingerprint import absolute, check_same_data, difference, digests, files_of, located


def about(*files):
    return {"files": digests(files), "statistics": []}


@pytest.fixture
def frames(tmp_path):
    """Two files of a data set."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.npy").write_bytes(name.encode() * 1000)
    return folder


def test_moved_and_renamed_data_are_the_same_and_a_changed_byte_is_not(frames, tmp_path):
    before = about(*files_of(str(frames)))
    moved = shutil.copytree(frames, tmp_path / "elsewhere")
    (moved / "a.npy").rename(moved / "aa.npy")
    assert difference(before, about(*files_of(str(moved)))) == ""
    changed = bytearray((frames / "b.npy").read_bytes())
    changed[500] ^= 1
    (frames / "b.npy").write_bytes(changed)
    assert difference(before, about(*files_of(str(frames)))) == "b.npy was changed"


def test_data_that_grew_are_told_from_others(frames):
    before = about(*files_of(str(frames)))
    (frames / "c.npy").write_bytes(b"c")
    assert difference(before, about(*files_of(str(frames)))) == "c.npy came to what there was"
    (frames / "c.npy").unlink()
    with (frames / "b.npy").open("ab") as file:
        file.write(b"12345")
    assert difference(before, about(*files_of(str(frames)))) == "b.npy was changed, it has 5 bytes more"
    with pytest.raises(UserError, match="another --workdir, with --init-from runs/x to begin with its weights"):
        check_same_data({"data": before}, about(*files_of(str(frames))), "runs/x")


def test_only_files_that_a_domain_reads_count_in_a_folder_and_a_store_is_one(frames):
    (frames / "notes.txt").write_text("x")
    (frames / ".hidden.npy").write_text("x")
    store = frames / "d.zarr"
    (store / "u" / "c").mkdir(parents=True)
    (store / "zarr.json").write_text("{}")
    (store / "u" / "c" / "0").write_bytes(b"chunk")
    found = files_of(str(frames), (".npy", ".zarr"))
    assert [file.name for file in found] == ["a.npy", "b.npy", "d.zarr"]
    before = about(*found)
    (store / "u" / "c" / "0").write_bytes(b"chunK")
    assert difference(before, about(*found)) == "d.zarr was changed"
    before = about(store)
    (store / ".DS_Store").write_text("of a file manager")
    assert difference(before, about(store)) == ""
    (store / ".zattrs").write_text("of version 2")
    assert difference(before, about(store)) == "d.zarr was changed, it has 12 bytes more"
    assert difference(about(store), before) == "d.zarr was changed, it has 12 bytes less"
    assert [file.name for file in files_of(str(frames / "*.npy"))] == ["a.npy", "b.npy"]


def test_a_large_file_is_known_by_blocks_of_it_and_its_length(frames, monkeypatch):
    monkeypatch.setattr("sciddm.train.fingerprint.WHOLE", 10)
    monkeypatch.setattr("sciddm.train.fingerprint.BLOCK", 8)
    before = about(frames / "a.npy")
    content = bytearray((frames / "a.npy").read_bytes())
    content[-1] ^= 1
    (frames / "a.npy").write_bytes(content)
    assert difference(before, about(frames / "a.npy"))


def test_data_without_files_are_known_by_their_statistics():
    before = {"files": {}, "statistics": [[1.0, 2.0]]}
    assert difference(before, {"files": {}, "statistics": [[1.0 + 1e-4, 2.0 - 1e-4]]}) == ""
    assert "were 1 and 2, now 1.1 and 2" in difference(before, {"files": {}, "statistics": [[1.1, 2.0]]})


def test_a_run_of_other_data_is_refused_and_its_config_stays(toy_run, tmp_path, monkeypatch, capsys):
    run = shutil.copytree(toy_run, tmp_path / "run")
    config = (run / "config.json").read_text()
    of_run = Toy.dataset
    monkeypatch.setattr(Toy, "dataset", lambda self, split: of_run(self, split).map(lambda one: {"x": one["x"] + 1.0}))
    with pytest.raises(UserError, match="was trained on other data: mean and spread"):
        fit(toy_config(steps=80), run, progress=False)
    assert (run / "config.json").read_text() == config


def test_a_checkpoint_older_than_fingerprints_says_so_and_goes_on(capsys):
    check_same_data({}, about(), "runs/old")
    assert "older than fingerprints of data" in capsys.readouterr().err


def test_a_path_is_kept_absolute_and_found_again_from_the_folder_that_has_the_same_data(tmp_path, monkeypatch):
    data = write_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    relative = os.path.relpath(data)
    assert absolute(relative) == str(data) and absolute("not/there.nc") == "not/there.nc" and absolute("") == ""
    stored = {"data": about(data) | {"typed": relative}}
    config = base_config()
    config.domain, config.data.path = "domains.fields", "/gone/small.nc"
    assert located(config, stored).data.path == str(data)
    config.data.path = "/gone/small.nc"
    data.write_bytes(data.read_bytes() + b"x")
    assert located(config, stored).data.path == "/gone/small.nc"  # other data of that name are not taken
