"""The same data in every format, and files that are not what they seem: formats, format_hdf5, format_lazy, format_zarr."""

import os
import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import xarray as xr
import zarr

from domains.fields import format_zarr
from domains.fields.formats import kind, stem
from domains.fields.readers import open_fields
from sciddm import store
from sciddm.errors import UserError

rng = np.random.default_rng(0)
Y, X = np.linspace(70.0, 10.0, 7), np.arange(5) * 2.5
U, V = rng.normal(size=(2, 7, 4, 5)).astype(np.float32)
V[3, 1, 2] = np.nan


def dataset(**changes):
    """Axes (y, sample, x), y from north to south, and what files have besides."""
    fields = {"u": U, "v": V} | changes
    attrs = {"u": {"units": "m s-1", "long_name": "eastward wind"}, "v": {"units": "K"}}
    variables = {name: (("y", "sample", "x"), value, attrs.get(name, {})) for name, value in fields.items()}
    coords = {"y": ("y", Y, {"units": "km"}), "x": ("x", X, {"units": "km"}), "level": ((), 850.0, {"units": "hPa"})}
    data = xr.Dataset(variables, coords, {"title": "a run"})
    data["crs"] = ((), np.int32(0), {"grid_mapping_name": "mercator"})
    data["u"].attrs["grid_mapping"] = "crs"
    data["lon"] = (("y", "x"), np.add.outer(Y, X), {"units": "degrees_east"})
    return data


def as_classic(path):
    dataset().to_netcdf(path / "f.nc", engine="scipy", format="NETCDF3_CLASSIC")
    return path / "f.nc"


def as_cdf(path):
    dataset().to_netcdf(path / "f.cdf", engine="scipy", format="NETCDF3_64BIT")
    return path / "f.cdf"


def as_netcdf4(path):
    dataset().to_netcdf(path / "f.nc4", engine="h5netcdf")
    return path / "f.nc4"


def as_netcdf4_named_h5(path):
    dataset().to_netcdf(path / "f.h5", engine="h5netcdf")
    return path / "f.h5"


def as_netcdf4_named_cdf(path):
    dataset().to_netcdf(path / "f.cdf", engine="h5netcdf")
    return path / "f.cdf"


def as_classic_without_a_suffix(path):
    return as_classic(path).rename(path / "f")


def as_zarr2(path):
    dataset().chunk({"sample": 2}).to_zarr(path / "f.zarr", zarr_format=2)
    return path / "f.zarr"


def as_zarr3(path):
    dataset().to_zarr(path / "f.zarr", zarr_format=3, consolidated=False)
    return path / "f.zarr"


def as_store_of_ours(path):
    # chunks are along the first dimension, and sharded
    store.write(dataset(), path / "no suffix", chunk=2, shard=4)
    return path / "no suffix"


FULL = [
    as_classic, as_cdf, as_netcdf4, as_netcdf4_named_h5, as_netcdf4_named_cdf, as_classic_without_a_suffix, as_zarr2, as_zarr3,
    as_store_of_ours,
]  # fmt: skip


@pytest.mark.parametrize("make", FULL)
def test_every_named_format_gives_the_same_values_names_units_and_coordinates(make, tmp_path):
    fields = open_fields(make(tmp_path))
    assert {name for name, a in fields.template.data_vars.items() if a.ndim} == {"u", "v"}
    for name, values in (("u", U), ("v", V)):
        array = fields.template[name]
        assert (
            array.dims == ("y", "sample", "x") and array.dtype == np.float32 and array.encoding["dtype"] == np.float32
        )
        assert array.attrs["units"] == dataset()[name].attrs["units"] and np.isnan(array).all()
        assert array.variable._data.strides == (0, 0, 0)  # without memory
        read = fields.read(name)
        assert read.dtype == np.float32 and read.flags.writeable
        np.testing.assert_array_equal(read, values)
        some = fields.read(name, {"x": [4, 0, 2], "sample": 1, "y": slice(6, 1, -2)})
        np.testing.assert_array_equal(some, values[6:1:-2, 1][:, [4, 0, 2]])
    coords = fields.template.coords
    np.testing.assert_array_equal(coords["y"], Y)
    np.testing.assert_array_equal(coords["lon"], np.add.outer(Y, X))
    assert coords["x"].attrs["units"] == "km" and coords["level"] == 850 and coords["level"].attrs["units"] == "hPa"
    crs = fields.template["crs"]
    assert crs.ndim == 0 and crs.attrs["grid_mapping_name"] == "mercator" and fields.template.attrs["title"] == "a run"


def as_scaled_hdf5(path):
    with h5py.File(path / "f.hdf5", "w") as file:
        file["y"], file["x"] = Y, X
        file["x"].attrs["units"] = np.bytes_("km")
        for name, value in (("u", U), ("v", V)):
            file[name] = value
            file[name].attrs["units"] = dataset()[name].attrs["units"]
            for axis, dim in ((0, "y"), (2, "x")):
                file[dim].make_scale(dim)
                file[name].dims[axis].attach_scale(file[dim])
            file[name].dims[1].label = "sample"
    return path / "f.hdf5"


def test_dimension_scales_and_labels_name_the_axes_of_plain_hdf5(tmp_path):
    fields = open_fields(as_scaled_hdf5(tmp_path))
    assert fields.template["u"].dims == ("y", "sample", "x") and fields.template["u"].attrs["units"] == "m s-1"
    np.testing.assert_array_equal(fields.read("v"), V)
    np.testing.assert_array_equal(fields.template["y"], Y)
    assert fields.template["x"].attrs["units"] == "km"


def as_hdf5(path):
    with h5py.File(path / "f.h5", "w") as file:
        file["group/u"], file["group/v"], file["group/y"], file["group/x"], file["group/note"] = U, V, Y, X, "text"
    return path / "f.h5"


def as_npz(path):
    np.savez(path / "f.npz", u=U, v=V, y=Y, x=X, note="text", anything=np.array([None, {}]))
    return path / "f.npz"


def as_mat(path):
    scipy.io.savemat(
        path / "f.mat",
        {"u": U, "v": V, "y": Y, "x": X, "note": "text", "cell": np.array([1, "a"], object), "s": {"w": U}},
    )
    return path / "f.mat"


def as_mat73(path):
    with h5py.File(path / "f.mat", "w", userblock_size=512) as file:
        for name, value in (("u", U), ("v", V), ("y", Y[:, None]), ("x", X[None])):
            file[name] = value.T
        file["note"] = np.array([[116], [101]], np.uint16)
        file["note"].attrs["MATLAB_class"] = np.bytes_("char")
        file["#refs#/a"] = np.zeros((3, 3))
    with (path / "f.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    return path / "f.mat"


@pytest.mark.parametrize("make", [as_hdf5, as_npz, as_mat, as_mat73])
def test_arrays_whose_axes_have_no_names_get_those_that_a_coordinate_alone_fits(make, tmp_path):
    fields = open_fields(make(tmp_path))
    assert {*fields.placed} - {"s_w"} == {"u", "v"}
    assert fields.template["u"].dims == ("y", "axis_1", "x")
    np.testing.assert_array_equal(fields.template["y"], Y)
    np.testing.assert_array_equal(fields.read("u"), U)
    np.testing.assert_array_equal(fields.read("v", {"y": 3, "x": [2, 1]}), V[3][:, [2, 1]])


def test_a_coordinate_that_fits_two_axes_or_is_one_of_two_of_a_length_names_none(tmp_path):
    np.savez(tmp_path / "square.npz", u=np.zeros((3, 5, 5)), x=np.arange(5))
    assert open_fields(tmp_path / "square.npz").template["u"].dims == ("axis_0", "axis_1", "axis_2")
    np.savez(tmp_path / "two.npz", u=np.zeros((3, 5)), x=np.arange(5), y=np.arange(5))
    template = open_fields(tmp_path / "two.npz").template
    assert template["u"].dims == ("axis_0", "axis_1") and not template.coords
    np.savez(tmp_path / "else.npz", u=np.zeros((3, 5)), nu=np.ones(3), k=np.zeros((2, 6)), x=np.arange(5))
    template = open_fields(tmp_path / "else.npz").template
    assert {n: a.dims for n, a in template.data_vars.items()} == {
        "u": ("axis_0", "x"), "nu": ("axis_0",), "k": ("axis_0_2", "axis_1")
    }  # fmt: skip


def test_a_numpy_array_is_named_by_its_file_without_numbers(tmp_path):
    np.save(tmp_path / "u_007.npy", np.asfortranarray(U.astype(">f8")))
    fields = open_fields(tmp_path / "u_007.npy")
    assert fields.template["u"].dims == ("axis_0", "axis_1", "axis_2")
    np.testing.assert_array_equal(fields.read("u", {"axis_1": 2}), U[:, 2])
    assert [stem(name) for name in ("12.npy", "u_t0.5.npy", "3-v.npy", "k2d.npy")] == ["data", "u_t", "v", "k2d"]


def test_groups_of_netcdf4_and_zarr_are_told_apart_by_their_names(tmp_path):
    tree = xr.DataTree.from_dict({"/": dataset()[["u"]], "/fine": xr.Dataset({"u": (("y", "x2"), np.ones((7, 9)))})})
    tree.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    tree.to_zarr(tmp_path / "f.zarr", zarr_format=3, consolidated=False)
    for name in ("f.nc", "f.zarr"):
        fields = open_fields(tmp_path / name)
        assert {*fields.placed} == {"u", "fine_u"} and fields.template["fine_u"].dims == ("y", "fine_x2")
        np.testing.assert_array_equal(fields.read("fine_u"), np.ones((7, 9)))
    dataset().to_netcdf(tmp_path / "g.nc", group="PRODUCT/all", engine="h5netcdf")
    assert {*open_fields(tmp_path / "g.nc").placed} == {"u", "v"}


def test_pdebench_has_its_samples_first_and_a_time_more_than_it_says(tmp_path):
    t, x = np.arange(5.0), (np.arange(8) + 0.5) / 8
    values = rng.normal(size=(6, 4, 8)).astype(np.float32)
    with h5py.File(tmp_path / "burgers.hdf5", "w") as file:
        file["tensor"], file["t-coordinate"], file["x-coordinate"] = values, t, x
    fields = open_fields(tmp_path / "burgers.hdf5")
    assert fields.template["tensor"].dims == ("sample", "t", "x") and [*fields.template.coords] == ["x"]
    np.testing.assert_array_equal(fields.read("tensor", {"sample": [4, 2]}), values[[4, 2]])
    nu, u = rng.normal(size=(2, 3, 8, 8)).astype(np.float32)
    with h5py.File(tmp_path / "darcy.hdf5", "w") as file:
        file["nu"], file["tensor"], file["x-coordinate"], file["y-coordinate"] = nu, u[:, None], x, x
    fields = open_fields(tmp_path / "darcy.hdf5")
    assert fields.template["nu"].dims == fields.template["tensor"].dims == ("sample", "x", "y")
    np.testing.assert_array_equal(fields.read("tensor", {"x": 3}), u[:, 3])


def test_groups_that_are_numbered_are_samples(tmp_path):
    values = rng.normal(size=(12, 3, 6, 5)).astype(np.float32)
    with h5py.File(tmp_path / "reaction.h5", "w") as file:
        for i, each in enumerate(values):
            file[f"seed_{i}/data"], file[f"seed_{i}/grid/t"], file[f"seed_{i}/grid/x"] = (
                each,
                np.arange(3.0),
                np.arange(6.0),
            )
    fields = open_fields(tmp_path / "reaction.h5")
    assert fields.template["data"].dims == ("sample", "t", "x", "axis_2") and {*fields.template.coords} == {"t", "x"}
    np.testing.assert_array_equal(fields.read("data", {"sample": [10, 2], "x": 1}), values[[10, 2], :, 1])
    np.testing.assert_array_equal(fields.read("data", {"sample": 11, "t": [2, 0]}), values[11, [2, 0]])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for i in range(2):
            file[f"{i}/data"], file[f"{i}/x"] = np.ones((3, 5)), i + np.arange(5)
    with pytest.raises(UserError, match="/1/x is not /0/x; expected samples on one grid"):
        open_fields(tmp_path / "other.h5")


def test_the_well_names_its_axes_and_leaves_out_those_along_which_a_field_is_constant(tmp_path):
    with h5py.File(tmp_path / "well.h5", "w") as file:
        file["t0_fields/density"], file["t0_fields/height"] = np.ones((2, 3, 4, 5)), np.arange(5.0)
        attrs = {"sample_varying": False, "time_varying": False, "dim_varying": [False, True]}
        file["t0_fields/height"].attrs.update(attrs)
        file["dimensions/y"], file["dimensions/x"], file["dimensions/time"] = (
            np.arange(5.0),
            np.arange(4.0),
            np.arange(3.0),
        )
        file["dimensions"].attrs["spatial_dims"] = ["x", "y"]
    template = open_fields(tmp_path / "well.h5").template
    assert template["density"].dims == ("sample", "time", "x", "y") and template["height"].dims == ("y",)
    assert {*template.coords} == {"time", "x", "y"}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("shards", [None, (4, 6)])
def test_tensorstore_gives_what_zarr_python_gives(version, shards, tmp_path):
    if shards and version == 2:
        return
    values = rng.integers(-9, 9, (8, 9)).astype(">i4" if version == 2 else "i4")
    group = zarr.open_group(tmp_path / "f.zarr", mode="w", zarr_format=version)
    array = group.create_array("u", shape=values.shape, dtype=values.dtype, chunks=(2, 3), shards=shards)
    array[:] = values
    fields = open_fields(tmp_path / "f.zarr")
    assert fields.template["u"].dims == ("axis_0", "axis_1")
    np.testing.assert_array_equal(fields.read("u"), array[:])
    np.testing.assert_array_equal(
        fields.read("u", {"axis_0": [7, 0, 3], "axis_1": [8, 8, 1]}), array.oindex[[7, 0, 3], [8, 8, 1]]
    )
    np.testing.assert_array_equal(fields.read("u", {"axis_0": -1}), array[-1])


def test_a_store_that_is_an_array_and_codecs_that_tensorstore_lacks_are_read(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(6.0), zarr_format=2, filters=[zarr_delta()])
    np.testing.assert_array_equal(open_fields(tmp_path / "a.zarr").read("a", {"axis_0": [5, 1]}), [5, 1])


def zarr_delta():
    import numcodecs

    return numcodecs.Delta(dtype="f8")


def test_the_chunks_of_a_large_store_of_ours_are_there_when_it_is_opened_and_checked_when_they_are_read(
    tmp_path, monkeypatch
):
    damaged = damaged_chunk_of_ours(tmp_path)
    monkeypatch.setattr(format_zarr, "HASHED", 100)
    fields = open_fields(damaged)
    np.testing.assert_array_equal(fields.read("v"), V)
    with pytest.raises(UserError, match="no suffix: can't be read as .zarr"):
        fields.read("u")
    os.remove(damaged / "v/c/1/0/0")
    with pytest.raises(UserError, match="variable 'v', ys 4 to 6 .* is missing"):
        open_fields(damaged)


def peak(read):
    tracemalloc.start()
    try:
        result = read()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_no_more_than_the_slice_that_is_asked_for_is_in_memory(tmp_path):
    shape = (50, 1000, 1000)  # 200 MB, of which nothing is on disk
    np.lib.format.open_memmap(tmp_path / "u.npy", "w+", np.float32, shape).flush()
    zarr.create_array(tmp_path / "u.zarr", shape=shape, dtype="f4", chunks=(1, 1000, 1000), fill_value=np.nan)
    with h5py.File(tmp_path / "u.h5", "w") as file:
        file.create_dataset("u", shape, "f4", chunks=(1, 1000, 1000), fillvalue=np.nan)
    for name in ("u.npy", "u.zarr", "u.h5"):
        fields, opened = peak(lambda name=name: open_fields(tmp_path / name))
        values, used = peak(lambda fields=fields: fields.read("u", {"axis_0": [3, 40], "axis_1": slice(10)}))
        assert values.shape == (2, 10, 1000) and opened < 5e6 and used < 30e6, (name, opened, used)


def bad_npy(path):
    (path / "f.npy").write_bytes(
        b"\x93NUMPY\x01\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (900,), }\n" + b" " * 40
    )
    return path / "f.npy"


def text(name, content):
    def make(path):
        (path / name).write_bytes(content)
        return path / name

    make.__name__ = name
    return make


def cut(make):
    def cut(path):
        file = make(path)
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
        return file

    cut.__name__ = f"cut_{make.__name__}"
    return cut


def as_tiff(path):
    tifffile.imwrite(path / "f.tif", U)
    return path / "f.tif"


def empty_fields(path):
    xr.Dataset({"u": (("time", "x"), np.zeros((0, 4)))}).to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def no_fields(path):
    np.savez(path / "f.npz", note="text")
    return path / "f.npz"


def folder(path):
    (path / "notes.txt").write_text("x")
    return path


def lost_chunk(path):
    zarr.create_array(path / "f.zarr", data=np.ones(6), chunks=(2,))
    os.remove(path / "f.zarr/c/1")
    return path / "f.zarr"


def lost_metadata(path):
    os.remove(as_zarr3(path) / "u/zarr.json")
    (path / "f.zarr/zarr.json").write_text("{")
    return path / "f.zarr"


def damaged_chunk_of_ours(path):
    file = as_store_of_ours(path) / "u/c/0/0/0"
    file.write_bytes(file.read_bytes()[:-3] + b"abc")
    return path / "no suffix"


WRONG = {
    text("f.nc", b""): r"f.nc: is empty \(0 bytes\)",
    text("f.h5", b"not hdf5 at all"): r"f.h5: can't be read as .h5 \(OSError.*; copy it again",
    text("f.nc", b"\x0e\x03\x13\x01abc"): "f.nc: is HDF4, no .nc file; convert it",
    text("f.cdf", b"\xcd\xf3\x00\x01\0\0\xff\xff"): "f.cdf: is a CDF of NASA",
    text("f.nc", b"<!DOCTYPE html>"): "f.nc: is a web page or XML, no .nc file; download the file itself",
    text("f.nc", b"version https://git-lfs.github.com/spec/v1\noid"): "git lfs pull",
    text("f.nc", b"GRIB...."): "is GRIB.*grib_to_netcdf",
    text("f.mat", b"MATLAB 5.0 MAT-file"): "f.mat: can't be read as .mat",
    text("f.tif", b"II*\0 nothing"): "f.tif: can't be read as .tif",
    text("f.npz", b"PK nothing"): "f.npz: can't be read as .npz",
    text("f.xyz", b"1 2 3"): "format '.xyz' is not known; expected one of .zarr, .nc",
    bad_npy: "f.npy: can't be read as .npy",
    cut(as_classic): "f.nc: can't be read as .cdf",
    cut(as_netcdf4): "f.nc4: can't be read as .h5",
    cut(as_npz): "f.npz: can't be read as .npz",
    cut(as_mat): "f.mat: can't be read as .mat",
    cut(as_tiff): "f.tif: can't be read as .tif",
    empty_fields: r"its fields have 0 entries \(u has {'time': 0, 'x': 4}\)",
    no_fields: "f.npz: no gridded numbers, found note",
    folder: "a folder without gridded data; expected files .zarr",
    lost_chunk: "variable 'f' lacks 1 of 3 chunks",
    lost_metadata: "f.zarr: not a readable zarr store",
    damaged_chunk_of_ours: "variable 'u', ys 0 to 3 .* is damaged",
}  # fmt: skip


@pytest.mark.parametrize("make", WRONG, ids=lambda make: make.__name__)
def test_a_wrong_file_is_one_line_with_the_file_and_the_way_out(make, tmp_path):
    path = make(tmp_path)
    with pytest.raises(UserError, match=WRONG[make]) as caught:
        fields = open_fields(path)
        fields.read(next(iter(fields.placed)))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_must_not_be_read_says_so(tmp_path, monkeypatch):
    def refused(self, *args):
        raise PermissionError(13, "Permission denied", str(self))  # what root never meets

    file = as_classic(tmp_path)
    monkeypatch.setattr(type(file), "open", refused)
    with pytest.raises(UserError, match=r"f.nc: can't be read \(Permission denied\); check its permissions"):
        open_fields(file)


def test_the_kind_of_a_file_is_what_is_in_it(tmp_path):
    assert kind(as_netcdf4_named_cdf(tmp_path)) == ".h5" and kind(as_classic(tmp_path)) == ".cdf"
    assert kind(as_mat73(tmp_path)) == kind(as_mat(tmp_path)) == ".mat" and kind(as_zarr2(tmp_path)) == ".zarr"
