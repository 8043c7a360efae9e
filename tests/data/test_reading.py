import numpy as np
import pytest
import xarray as xr

from sciddm.data.reading import (
    check_finite,
    even_step,
    files,
    index_of,
    kind_of,
    listed,
    need,
    pick,
    read_text,
    reading,
    text,
)
from sciddm.errors import UserError

READERS = {".nc": "netcdf", ".nc4": "netcdf", ".h5": "hdf5", ".zarr": "zarr"}


@pytest.fixture
def folder(tmp_path):
    for name in ("b.nc", "a.NC4", ".hidden.nc", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.nc").mkdir()
    return tmp_path


def names(found):
    return [file.name for file in found]


def test_a_path_means_a_file_a_folder_of_known_ones_or_a_pattern(folder, monkeypatch):
    assert names(files(folder / "b.nc", READERS, "fields")) == ["b.nc"]
    assert names(files(folder, READERS, "fields")) == ["a.NC4", "b.nc"]
    assert names(files(f"{folder}/*.nc", READERS, "fields")) == ["b.nc", "folder.nc"]
    monkeypatch.setenv("HOME", str(folder))
    assert names(files("~/b.nc", READERS, "fields")) == ["b.nc"]


def test_a_store_is_a_file_whatever_its_name(folder):
    for name, inside in (("s", "zarr.json"), ("t.zarr", ".zgroup"), ("broken.zarr", "nothing")):
        (folder / name).mkdir()
        (folder / name / inside).write_text("{}")
        assert kind_of(folder / name) == ".zarr" and names(files(folder / name, READERS, "fields")) == [name]
    assert names(files(folder, READERS, "fields", mixed=True)) == ["a.NC4", "b.nc", "broken.zarr", "s", "t.zarr"]


def test_the_kind_of_a_file_may_be_told_by_what_is_in_it(folder):
    assert names(files(folder, {"x": "any"}, "fields", kind=lambda file: file.is_file() and file.read_text())) == [
        "a.NC4", "b.nc", "notes.txt",
    ]  # fmt: skip


def test_a_name_with_the_signs_of_a_pattern_is_a_name(folder):
    (folder / "a[1].nc").write_text("x")
    assert names(files(folder / "a[1].nc", READERS, "fields")) == ["a[1].nc"]


def test_paths_that_mean_nothing_are_refused_with_what_was_expected(folder):
    known = r"\.nc, \.nc4, \.h5, \.zarr"
    with pytest.raises(
        UserError, match=f"config.data.path = .*none.nc: no such file or folder; expected fields as {known}"
    ):
        files(folder / "none.nc", READERS, "fields")
    with pytest.raises(
        UserError, match=rf"config.data.path = .*\*.h5: no file fits the pattern; expected fields as {known}"
    ):
        files(folder / "*.h5", READERS, "fields")
    with pytest.raises(UserError, match=f"notes.txt: format '.txt' is not known; expected one of {known}"):
        files(folder / "notes.txt", READERS, "fields")
    with pytest.raises(UserError, match=f"folder.nc: a folder without fields; expected files {known}"):
        files(folder / "folder.nc", READERS, "fields")


def test_files_of_several_formats_are_read_only_where_that_is_meant(folder):
    (folder / "c.h5").write_text("x")
    with pytest.raises(
        UserError, match=r"files of 2 formats, such as \['b.nc', 'c.h5'\]; give a pattern that fits one"
    ):
        files(folder, READERS, "fields")
    assert names(files(folder, READERS, "fields", mixed=True)) == ["a.NC4", "b.nc", "c.h5"]


def test_whatever_a_library_says_of_a_broken_file_is_one_line():
    with pytest.raises(
        UserError, match=r"^f.nc: can't be read as .nc \(KeyError: 'header'\); copy it again, or write it again$"
    ):
        with reading("f.nc"):
            raise KeyError("header")
    with pytest.raises(UserError) as caught, reading("f.db", "not a readable database", way_out="make it again"):
        raise RuntimeError("first\nsecond")
    assert str(caught.value) == "f.db: not a readable database (RuntimeError: first); make it again"


@pytest.mark.parametrize("error", [UserError("mine"), MemoryError(), KeyboardInterrupt()])
def test_what_is_no_fault_of_the_file_passes(error):
    with pytest.raises(type(error)), reading("f.nc"):
        raise error


def test_text_of_any_encoding_is_read_and_a_lost_file_is_named(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffcaf".encode() + b"\xe9")
    assert read_text(tmp_path / "a") == "caf\ufffd"
    with pytest.raises(UserError, match=r"none: can't be read \(No such file or directory\)"):
        read_text(tmp_path / "none")
    assert text(b"m") == text("m") == text(np.bytes_("m")) == "m"


def test_a_library_that_is_missing_is_named_with_the_extra():
    assert need("json", "f.js", "weather").loads("1") == 1
    with pytest.raises(UserError, match=r"f.x: reading it needs nosuch: install sciddm\[weather\] by: pip install -e \S+\[weather\]"):
        need("nosuch.thing", "f.x", "weather")


def test_the_first_name_that_is_there_is_picked_and_near_ones_are_told():
    found = {"pressure": xr.DataArray(0, attrs={"units": "Pa"}), "velocity": xr.DataArray(0)}
    assert (
        pick("f.nc", found, ("u", "velocity", "pressure"), what="variable for 'u'", key="config.data.names.u")
        == "velocity"
    )
    with pytest.raises(UserError) as caught:
        pick("f.nc", found, ("presure",), what="variable for 'p'", key="config.data.names.p")
    listing = "found pressure [Pa], velocity [no units]"
    assert (
        str(caught.value) == f"f.nc: no variable for 'p', {listing}; did you mean 'pressure'? set config.data.names.p"
    )
    with pytest.raises(UserError, match="f.nc: no variable for 'q', found none; set config.data.names.q"):
        pick("f.nc", [], ("q",), what="variable for 'q'", key="config.data.names.q")
    assert listed({"b", "a"}) == "a, b"


def test_values_that_are_not_finite_are_named_with_their_index_in_the_file():
    values = np.zeros((3, 2, 4))
    values[1, 0, 3] = np.nan
    check_finite("f.nc", "u", values, missing=True)
    with pytest.raises(
        UserError, match=r"f.nc: variable 'u' is nan at index \(1, 0, 3\) \(1 such values here\); expected finite"
    ):
        check_finite("f.nc", "u", values)
    values[2] = -np.inf
    with pytest.raises(
        UserError, match=r"'u' is -inf at index \(12, 0, 0\) \(8 such values here\); .* NaN where missing"
    ):
        check_finite("f.nc", "u", values, start=10, missing=True)
    assert index_of(np.array([False, True]), 5) == (6,)
    with pytest.raises(UserError, match=r"'u' is -inf at index \(7, 5, 4\)"):
        check_finite("f.nc", "u", values, missing=True, places=[[9, 8, 7], np.array([5, 3]), range(4, 8)])


def test_the_step_of_an_even_coordinate_is_its_mean_and_single_precision_is_even():
    assert even_step("f.nc", "coordinate 'x'", np.arange(5)) == 1
    assert even_step("f.nc", "coordinate 'x'", np.array([3.0, 2.5])) == -0.5
    assert even_step("f.nc", "coordinate 'x'", (-140 + 0.01 * np.arange(10)).astype(np.float32)) == pytest.approx(
        0.01, 1e-3
    )


@pytest.mark.parametrize(
    "values, reason",
    [
        ([0.0, 1, 2, 4], r"is not evenly spaced at index 2 \(step 2, mean 1.33333\); interpolate to a regular grid"),
        ([0.0, np.nan, 2, 3], "is not evenly spaced at index 0"),
        ([1.0, 1, 1], r"is not evenly spaced at index 0 \(step 0, mean 0\)"),
        ([1.0], "has 1 point; expected a grid"),
    ],
)
def test_an_uneven_coordinate_is_named_with_the_index_of_its_worst_step(values, reason):
    with pytest.raises(UserError, match=f"f.nc: coordinate 'x' of 'u' {reason}"):
        even_step("f.nc", "coordinate 'x' of 'u'", np.array(values))
