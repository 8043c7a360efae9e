import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciddm import store
from sciddm.data.made import at_once, made_once
from sciddm.errors import UserError


def put(text, beside=""):
    def make(partial):
        partial.write_text(text)
        if beside:
            partial.with_name(partial.name + beside).write_text("beside")

    return make


def full(partial):
    partial.write_text("half of it")
    raise OSError(28, "No space left on device")


def test_what_is_there_is_found_again_and_never_made_twice(tmp_path):
    path = made_once(tmp_path / "cache" / "a", put("first", ".manifest"))
    assert made_once(path, lambda _: pytest.fail("made again")) == path == tmp_path / "cache" / "a"
    assert path.read_text() == "first"
    assert sorted(each.name for each in path.parent.iterdir()) == ["a", "a.manifest"]  # no lock and no partial file


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert made_once("~/a", put("x")) == tmp_path / "a" and (tmp_path / "a").exists()


# The package without what its front door imports, which takes seconds.
PROCESS = """
import sys, time, types
package = types.ModuleType("sciddm")
package.__path__ = [sys.argv[1]]
sys.modules["sciddm"] = package
from sciddm.data.made import made_once

def make(partial):
    partial.parent.parent.joinpath(f"made by {sys.argv[3]}").touch()
    time.sleep(0.3)
    partial.write_text(sys.argv[3])

print(made_once(sys.argv[2], make).read_text())
"""


def test_two_processes_at_the_same_time_make_it_once_and_both_have_it(tmp_path):
    command = [sys.executable, "-c", PROCESS, str(Path(store.__file__).parent), str(tmp_path / "a")]
    both = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in "12"
    ]
    said = [process.communicate(timeout=60) for process in both]
    maker = (tmp_path / "a").read_text()
    assert [out.strip() for out, _ in said] == [maker, maker], said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", f"made by {maker}"]
    waiting = "another process is making it; waiting until it is there"
    assert all(err == "" or waiting in err for _, err in said)


def test_a_make_that_breaks_leaves_nothing_and_the_next_one_can(tmp_path):
    def broken(partial):
        partial.mkdir()
        (partial / "half").write_text("x")
        raise KeyError("no such thing")

    with pytest.raises(KeyError, match="no such thing"):
        made_once(tmp_path / "a", broken)
    assert not [each for each in tmp_path.iterdir() if each.name != ".a.lock"]
    assert made_once(tmp_path / "a", put("x")).read_text() == "x"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_removed_and_that_of_other_data_stays(tmp_path):
    for name in (".a.k3.partial", ".a.12.partial", ".ab.k3.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("x")
    made_once(tmp_path / "a", put("x"))
    assert sorted(each.name for each in tmp_path.iterdir()) == [".ab.k3.partial", "a"]


def test_a_full_disk_is_one_line_with_the_way_out(tmp_path):
    with pytest.raises(UserError) as caught:
        made_once(tmp_path / "a", full)
    place = tmp_path / "a"
    reason = "the data set can't be written (No space left on device); free some space or choose another place"
    assert str(caught.value) == f"{place}: {reason} by --config.data.cache=FOLDER"
    assert not [each for each in tmp_path.iterdir() if each.name != ".a.lock"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("RESOURCE_EXHAUSTED: Failed to write 9 bytes [os_error_code='28']"),
        RuntimeError("Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left')"),
    ],
    ids=["tensorstore", "HDF5"],
)
def test_a_full_disk_is_known_in_the_words_of_other_libraries(error, tmp_path):
    def make(_):
        raise error

    with pytest.raises(UserError, match=r"a: the data set can't be written \(No space left on device\)"):
        made_once(tmp_path / "a", make)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match=r"file/a: the data set can't be written \(.*\); .* by --config.data.cache=FOLDER"):
        made_once(tmp_path / "file" / "a", put("x"))


def test_a_file_of_another_place_that_is_missing_is_no_fault_of_the_cache(tmp_path):
    with pytest.raises(FileNotFoundError, match="tables.csv"):
        made_once(tmp_path / "cache" / "a", lambda _: (tmp_path / "elsewhere" / "tables.csv").read_text())


def test_a_store_is_written_within_with_its_manifest_and_named_by_its_own_path(tmp_path, monkeypatch):
    data = xr.Dataset({"u": (("sample",), np.arange(3.0))})
    path = made_once(tmp_path / "u.zarr", lambda partial: store.write(data, partial))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["u.zarr", "u.zarr.manifest.json"]
    xr.testing.assert_identical(store.open_store(path).load(), data)
    monkeypatch.setattr(store, "_write_array", lambda *_: full(tmp_path / "half"))
    with pytest.raises(UserError, match=f"^{tmp_path / 'v.zarr'}: the data set can't be written"):
        made_once(tmp_path / "v.zarr", lambda partial: store.write(data, partial))


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UserError, match="a: is there already; delete it or give another name"), at_once(tmp_path / "a"):
        pytest.fail("begun")
    assert (tmp_path / "a").read_text() == "mine"


def test_what_lies_beside_does_not_stay_alone_where_the_last_step_fails(tmp_path, monkeypatch):
    import os

    move = os.replace
    monkeypatch.setattr(
        os, "replace", lambda a, b: move(a, b) if str(b).endswith(".manifest") else full(tmp_path / "b")
    )
    with pytest.raises(UserError, match="No space left"), at_once(tmp_path / "a") as partial:
        put("x", ".manifest")(partial)
    assert [each.name for each in tmp_path.iterdir()] == ["b"]
