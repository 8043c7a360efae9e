"""What odd files of fields mean: orders and directions of axes, calendars, missing chunks, damaged headers; no training."""

import h5py
import netCDF4
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import xarray as xr
import zarr
from fields_domains import domain_of, restored, source_of

from domains.fields.format_classic import check_header
from domains.fields.format_mat import check_elements
from domains.fields.readers import open_fields
from domains.fields.source import Source
from domains.fields.times import stamped
from domains.pde import generate
from domains.pde.own import open_own
from sciddm.errors import UserError

rng = np.random.default_rng(0)
A, U = rng.normal(size=(2, 5, 8, 8)).astype(np.float32)
X, S = np.arange(8) / 8, ("sample", "y", "x")


def pair(a, u, **coords):
    return xr.Dataset({"a": a, "u": u}, coords or {"y": X, "x": X})


def values(path):
    fields, plan = open_own(path, "poisson")
    return Source(fields, plan, 2, memory=np.inf).whole[:, 0]


ORDERS = {
    "transposed": pair((S, A), (("sample", "x", "y"), U.transpose(0, 2, 1))),
    "last": pair((("y", "x", "seed"), A.transpose(1, 2, 0)), (("seed", "y", "x"), U)),
    "called_otherwise": pair((S, A), (("batch", "y", "x"), U)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_variables_of_an_equation_are_matched_by_the_names_of_their_axes(order, tmp_path):
    ORDERS[order].to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    np.testing.assert_array_equal(values(tmp_path / "f.nc"), np.stack([A, U], -1))


def test_of_nameless_axes_the_one_of_another_size_counts_the_samples(tmp_path):
    np.savez(tmp_path / "f.npz", a=A.transpose(1, 2, 0), u=U)
    np.testing.assert_array_equal(values(tmp_path / "f.npz"), np.stack([A, U], -1))


def test_axes_that_neither_names_nor_coordinates_match_are_refused(tmp_path):
    other = pair((S, A), (("sample", "y2", "x2"), U[:, ::-1]), y=X, x=X, y2=X[::-1], x2=X)
    other.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    with pytest.raises(UserError, match="'u' lies along 'y2' where 'a' lies along 'y'"):
        values(tmp_path / "f.nc")


def test_a_dimension_beside_time_and_space_that_may_count_samples_is_asked_for(tmp_path):
    data = xr.Dataset({"u": (("time", "probe", "y", "x"), rng.normal(size=(9, 3, 4, 5)))})
    with pytest.raises(UserError, match="--config.data.sample_dim=probe if it does"):
        source_of(data, tmp_path)
    (tmp_path / "own.nc").unlink()
    assert source_of(data.assign_coords(probe=[0.0, 1.0, 2.0]), tmp_path).plan.layout.space == ("probe", "y", "x")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("calendar", ["noleap", "360_day", "julian", "standard"])
def test_dates_come_back_in_the_calendar_and_the_units_of_the_file(calendar, tmp_path):
    times = xr.date_range("2001-02-20", periods=30, freq="D", calendar=calendar, use_cftime=calendar != "standard")
    data = xr.Dataset({"u": (("time", "y", "x"), rng.normal(size=(30, 4, 5)))}, {"time": times})
    data["time"].encoding |= {"units": "days since 1990-01-01", "calendar": calendar}
    domain = domain_of(data, tmp_path, window=4)
    again = restored(domain, window=4)
    written = stamped(again.to_native(np.zeros((1, *domain.example.shape), np.float32)), again.layout, times.values[7])
    again.save(written, tmp_path / "out.nc")
    with netCDF4.Dataset(tmp_path / "out.nc") as file, netCDF4.Dataset(tmp_path / "own.nc") as own:
        assert (file["time"].units, file["time"].calendar) == (own["time"].units, calendar)
        np.testing.assert_array_equal(file["time"][:], own["time"][7:11])


def test_floats_of_hours_are_whole_minutes(tmp_path):
    times = ("time", 1_000_000 + np.arange(30) / 12, {"units": "hours since 1900-01-01"})
    data = xr.Dataset({"u": (("time", "y", "x"), rng.normal(size=(30, 4, 5)))}, {"time": times})
    layout = source_of(data, tmp_path, window=4).plan.layout
    assert (layout.step, layout.time_units) == (5.0, "minutes")


def test_arrays_of_a_store_that_nobody_reads_may_lack_what_they_like(tmp_path):
    group = zarr.open_group(tmp_path / "f.zarr", mode="w", zarr_format=3)
    group.create_array("u", data=A, chunks=(2, 8, 8))
    group.create_array("v", shape=(10**7, 10**5), chunks=(1, 10), dtype="f4")
    fields = open_fields(tmp_path / "f.zarr")
    np.testing.assert_array_equal(fields.read("u"), A)
    with pytest.raises(UserError, match="variable 'v' lacks 100000000000 of 100000000000 chunks"):
        fields.read("v", {dim: 0 for dim in fields.template["v"].dims})


def test_a_store_s_array_without_its_metadata_is_missed(tmp_path, capsys):
    pair((S, A), (S, U)).to_zarr(tmp_path / "f.zarr", zarr_format=3, consolidated=False)
    (tmp_path / "f.zarr/u/zarr.json").unlink()
    with pytest.raises(UserError, match="'u' has chunks, but neither zarr.json nor .zarray"):
        open_fields(tmp_path / "f.zarr")


def test_groups_of_samples_that_are_packed_unlike_are_refused(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for i in range(3):
            file.create_dataset(f"{i:04d}/u", data=np.arange(4, dtype="u1")).attrs["scale_factor"] = 1.0 + (i == 1)
    with pytest.raises(UserError, match="/0001/u has scale_factor 2.0, but /0000/u 1.0"):
        open_fields(tmp_path / "f.h5")


def test_what_in_matlab_s_files_is_no_full_array_is_passed_over(tmp_path):
    scipy.io.savemat(tmp_path / "f.mat", {"u": A, "s": scipy.sparse.eye_array(4), "c": np.array([1, "a"], object)})
    assert [*open_fields(tmp_path / "f.mat").placed] == ["u"]
    scipy.io.savemat(tmp_path / "s.mat", {"s": scipy.sparse.eye_array(4)})
    with pytest.raises(UserError, match=r"'s' is a sparse matrix; expected full arrays, save full\(s\)"):
        open_fields(tmp_path / "s.mat")


@pytest.mark.parametrize(("at", "value"), [(145, 8), (184, 11), (136, 14), (140, 255)])
def test_elements_that_would_end_the_process_are_told_before_matlab_s_files_are_read(at, value, tmp_path):
    scipy.io.savemat(tmp_path / "f.mat", {"u": A, "w": {"v": A, "n": "text"}, "s": scipy.sparse.eye_array(4), "z": A + 1j})
    check_elements(tmp_path / "f.mat")
    content = bytearray((tmp_path / "f.mat").read_bytes())
    content[at] = value
    (tmp_path / "f.mat").write_bytes(content)
    with pytest.raises(UserError, match="broken at byte"):
        open_fields(tmp_path / "f.mat")


def test_a_count_beyond_the_file_is_told_before_netcdf_allocates_it(tmp_path):
    pair((S, A), (S, U)).to_netcdf(tmp_path / "f.nc", engine="netcdf4", format="NETCDF3_64BIT_DATA")
    check_header(tmp_path / "f.nc")
    content = bytearray((tmp_path / "f.nc").read_bytes())
    content[16] = 100  # the first byte of the number of dimensions
    (tmp_path / "f.nc").write_bytes(content)
    with pytest.raises(UserError, match="its header is damaged at byte"):
        open_fields(tmp_path / "f.nc")


def test_python_s_own_objects_and_names_that_are_too_long_are_one_line(tmp_path):
    np.save(tmp_path / "f.npy", np.array([None, {}]), allow_pickle=True)
    with pytest.raises(UserError, match="holds Python's own objects"):
        open_fields(tmp_path / "f.npy")
    with pytest.raises(UserError, match="File name too long"):
        open_fields(tmp_path / ("a" * 300 + ".nc"))


@pytest.mark.parametrize("asked", [(10**8, 64), (32, 10**8), (512, 10**4)])
def test_data_that_no_machine_makes_are_refused_before_the_work(asked):
    with pytest.raises(UserError, match="takes about .* of memory|takes about .* days"):
        generate.estimate("darcy", *asked, workers=1)
    generate.estimate("darcy", 32, 4096, workers=1)


def test_a_coordinate_of_a_store_that_lost_a_chunk_is_refused_and_a_zero_that_is_not_written_is_read(tmp_path):
    for name, x, chunk in (("lost", np.arange(6.0), 2), ("first", np.arange(5.0), 1), ("last", np.arange(5.0) - 4, 4)):
        group = zarr.open_group(tmp_path / f"{name}.zarr", mode="w")
        for own, values in (("u", 1 + x**2), ("x", x)):
            group.create_array(own, data=values, chunks=(chunk if own == "x" else len(x),), fill_value=0.0, dimension_names=("x",))
        if name == "lost":
            (tmp_path / "lost.zarr/x/c/1").unlink()
            with pytest.raises(UserError, match="variable 'x' lacks 1 of 3 chunks"):
                open_fields(tmp_path / "lost.zarr")
        else:
            np.testing.assert_array_equal(open_fields(tmp_path / f"{name}.zarr").template["x"], x)
