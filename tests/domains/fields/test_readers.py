"""One data set out of several files, and what is read of it: readers, format_join, format_compare."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import xarray as xr

from domains.fields.readers import is_sample, is_time, open_fields
from sciddm.errors import UserError

rng = np.random.default_rng(0)
LAT, LON = np.linspace(60.0, 0.0, 5), np.arange(4) * 90.0


def write(path, name, *, dims=("time", "lat", "lon"), values=None, units="K", engine="h5netcdf", coords=None, **more):
    """(values) of a file with one variable t on (lat, lon) and a dimension of 3."""
    sizes = {"lat": 5, "lon": 4}
    values = rng.normal(size=[sizes.get(dim, 3) for dim in dims]).astype(np.float32) if values is None else values
    located = {"lat": ("lat", LAT, {"units": "degrees_north"}), "lon": ("lon", LON, {"units": "degrees_east"})}
    located = {k: v for k, v in (located | (coords or {})).items() if v is not None}
    data = xr.Dataset({"t": (dims, values, {"units": units})} | more, located, {"title": "a run", "history": name})
    data.to_netcdf(path / name, engine=engine)
    return values


def days(start, count=3):
    return {"time": np.datetime64("2020-01-01") + np.arange(start, start + count).astype("m8[D]").astype("m8[ns]")}


def test_files_with_other_variables_on_one_grid_are_put_side_by_side(tmp_path):
    values = {}
    for name in "ptuv":
        field = rng.normal(size=(3, 5, 4)).astype(np.float32)
        data = xr.Dataset({name: (("time", "lat", "lon"), field)}, {**days(0), "lat": LAT, "lon": LON})
        if name == "u":  # upside down, and in another order
            data = data.isel(lat=slice(None, None, -1)).transpose("lon", "time", "lat")
        data.to_netcdf(tmp_path / f"{name}storm.cdf", engine="scipy")
        values[name] = field
    shutil.copy(tmp_path / "pstorm.cdf", tmp_path / "another.cdf")
    fields = open_fields(tmp_path / "[ptuv]storm.cdf")
    assert [*fields.placed] == [*"ptuv"] and [file.name[0] for file in fields.files] == [*"ptuv"]
    assert fields.source == str(tmp_path / "[ptuv]storm.cdf")
    assert fields.template["u"].dims == ("lon", "time", "lat")
    np.testing.assert_array_equal(fields.template["lat"], LAT)
    for name, field in values.items():
        found = fields.read(name, {"lat": slice(1, 4), "time": [2, 0]})
        expected = field[[2, 0], 1:4]
        np.testing.assert_array_equal(found, expected.transpose(2, 0, 1) if name == "u" else expected)


def test_pieces_of_a_time_series_are_put_in_its_order(tmp_path):
    late, early = write(tmp_path, "a.nc", coords=days(3)), write(tmp_path, "b.nc", coords=days(0), engine="scipy")
    fields, both = open_fields(tmp_path), np.concatenate([early, late])
    np.testing.assert_array_equal(fields.template["time"], days(0, 6)["time"])
    assert fields.template["t"].shape == (6, 5, 4) and fields.template["t"].attrs["units"] == "K"
    assert fields.template.attrs == {"title": "a run"}  # and no history of one file
    np.testing.assert_array_equal(fields.read("t"), both)
    for where in (4, -1, slice(1, 5), slice(5, None, -2), [5, 0, 3, 3], np.arange(6) % 2 == 0, np.int64(2), []):
        np.testing.assert_array_equal(fields.read("t", {"time": where, "lon": 1}), both[..., 1][where])


def test_samples_come_before_times_and_members_that_stay_are_no_reason_to_mix_times(tmp_path):
    dims = ("time", "member", "lat", "lon")
    a, b = (write(tmp_path, f"{name}.nc", dims=dims, coords=days(0)) for name in "ab")
    fields = open_fields(tmp_path / "*.nc")
    assert dict(fields.template.sizes) == {"time": 3, "member": 6, "lat": 5, "lon": 4}
    np.testing.assert_array_equal(fields.read("t", {"member": [4, 1]}), np.stack([b[:, 1], a[:, 1]], 1))
    later = write(tmp_path, "c.nc", dims=dims, coords=days(3))
    fields = open_fields(tmp_path / "[ac].nc")
    assert dict(fields.template.sizes) == {"time": 6, "member": 3, "lat": 5, "lon": 4}
    np.testing.assert_array_equal(fields.read("t", {"time": 3}), later[0])


def test_files_without_samples_or_times_get_a_dimension_of_samples_and_what_differs_is_along_it(tmp_path):
    values = [write(tmp_path, f"{i}.nc", dims=("lat", "lon"), nu=((), 0.1 * i), rho=((), 1.0)) for i in range(3)]
    fields = open_fields(tmp_path)
    assert fields.template["t"].dims == ("sample", "lat", "lon") and "sample" not in fields.template.coords
    np.testing.assert_array_equal(fields.read("t", {"sample": [2, 0], "lat": -1}), np.stack(values)[[2, 0], -1])
    np.testing.assert_allclose(fields.template["nu"], [0, 0.1, 0.2])
    assert fields.template["nu"].dims == ("sample",) and fields.template["rho"].item() == 1


def test_runs_that_each_count_their_time_from_the_start_are_samples(tmp_path):
    values = [write(tmp_path, f"{i}.nc", coords={"time": [0.0, 0.1, 0.2]}) for i in range(2)]
    fields = open_fields(tmp_path)
    assert fields.template["t"].dims == ("sample", "time", "lat", "lon")
    np.testing.assert_array_equal(fields.read("t"), np.stack(values))


def test_files_of_one_time_each_are_put_behind_each_other_in_time(tmp_path):
    for day in (2, 0, 1):
        clock = {"time": ((), days(day)["time"][0])}
        write(tmp_path, f"{2 - day}.nc", dims=("lat", "lon"), values=np.full((5, 4), day, "f4"), coords=clock)
    fields = open_fields(tmp_path)
    assert fields.template["t"].dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(fields.template["time"], days(0)["time"])
    np.testing.assert_array_equal(fields.read("t", {"lat": 0, "lon": 0}), [0, 1, 2])


def test_directions_orders_of_axes_and_units_are_those_of_the_first_file(tmp_path):
    a = write(tmp_path, "a.nc", coords=days(0))
    b = rng.normal(size=(3, 5, 4)).astype(np.float32)
    turned = {**days(3), "lat": ("lat", LAT[::-1] * (1 + 1e-9), {"units": "degrees_north"})}
    write(tmp_path, "b.nc", dims=("lon", "lat", "time"), values=b[:, ::-1].T, units="degC", coords=turned)
    fields = open_fields(tmp_path)
    assert fields.template["t"].dims == ("time", "lat", "lon")
    np.testing.assert_allclose(fields.read("t"), np.concatenate([a, b + 273.15]), rtol=1e-6)
    np.testing.assert_allclose(fields.read("t", {"time": 4, "lat": [3, 0]}), b[1, [3, 0]] + 273.15, rtol=1e-6)


def test_times_of_files_in_other_units_follow_each_other_in_those_of_the_first(tmp_path):
    for name, times, units in (("a", [0.0, 6.0], "h"), ("b", [720.0, 1080.0], "min")):
        data = xr.Dataset({"u": (("time", "x"), np.ones((2, 3)))}, {"time": ("time", times, {"units": units})})
        data.to_netcdf(tmp_path / f"{name}.nc")
    np.testing.assert_allclose(open_fields(tmp_path).template["time"], [0, 6, 12, 18])


def test_variables_in_pieces_are_put_side_by_side_too(tmp_path):
    values = {}
    for name in ("t_1", "t_0"):
        values[name] = write(tmp_path, f"{name}.nc", coords=days(3 * int(name[-1])))
    for i in (0, 1):
        data = xr.Dataset({"u": (("time", "lat", "lon"), values[f"t_{i}"])}, {**days(3 * i), "lat": LAT, "lon": LON})
        data.to_zarr(tmp_path / f"u{i}.zarr", zarr_format=2)
    fields = open_fields(tmp_path)
    assert {*fields.placed} == {"t", "u"} and len(fields.files) == 4
    np.testing.assert_array_equal(fields.read("t"), fields.read("u"))
    np.testing.assert_array_equal(fields.read("u", {"time": 3}), values["t_1"][0])


def test_variables_of_two_heights_are_one_sample_and_of_two_times_are_none(tmp_path):
    near, far = ({"height": ((), h, {"units": "m"})} for h in (2.0, 10.0))
    for name, coords in (("t", near), ("u", far)):
        data = xr.Dataset({name: (("lat",), LAT)}, {"lat": LAT, **coords, "level": 1})
        data.to_netcdf(tmp_path / f"{name}.nc", engine="scipy")
    template = open_fields(tmp_path).template
    assert {*template.data_vars} == {"t", "u"} and {*template.coords} == {"lat", "level"}
    for name, day in (("t", 0), ("u", 1)):
        data = xr.Dataset({name: (("lat",), LAT)}, {"lat": LAT, "time": days(day)["time"][0]})
        data.to_netcdf(tmp_path / f"{name}_at.nc", engine="scipy")
    with pytest.raises(UserError, match="u_at.nc: coordinate 'time' is 2020-01-02.*, but 2020-01-01.* in .*t_at.nc"):
        open_fields(tmp_path / "*_at.nc")


def test_a_field_that_is_no_series_is_taken_once_and_has_to_be_the_same(tmp_path):
    land = (("lat", "lon"), np.ones((5, 4)))
    for i in (0, 1):
        write(tmp_path, f"{i}.nc", coords=days(3 * i), land=land)
    fields = open_fields(tmp_path)
    assert fields.template["land"].dims == ("lat", "lon") and (fields.read("land", {"time": 4}) == 1).all()
    write(tmp_path, "2.nc", coords=days(6), land=(("lat", "lon"), np.eye(5, 4)))
    with pytest.raises(UserError, match=r"2.nc: variable 'land' is 0 at index \(0, 1\), but 1 in .*0.nc"):
        open_fields(tmp_path)


def test_numpy_files_of_runs_are_samples_and_of_variables_are_side_by_side(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"u_{i}.npy", np.full((2, 3), i))
        np.save(tmp_path / f"v_{i}.npy", np.full((2, 3), -i))
    fields = open_fields(tmp_path)
    assert fields.template["u"].dims == ("sample", "axis_0", "axis_1") and [*fields.placed] == ["u", "v"]
    np.testing.assert_array_equal(fields.read("v", {"axis_0": 0, "axis_1": 0}), [0, -1, -2])


WRONG = {
    "has t like .*a.nc, but b.nc has no 'u', a.nc has no 'v'": ({"u": (("lat",), LAT)}, {"v": (("lat",), LAT)}),
    "'time' begins at 2020-01-03.*, but a.nc ends at 2020-01-03": ({"coords": days(0)}, {"coords": days(2)}),
    "'time' begins at 2020-01-01.*, but a.nc ends at 2020-01-03": ({"coords": days(0)}, {"coords": days(0)}),
    "coordinate 'lon' is 270.1 at index (3,), but 270 in": (
        {"coords": days(0)}, {"coords": days(3) | {"lon": ("lon", LON + [0, 0, 0, 0.1], {"units": "degrees_east"})}}),
    "no coordinate 'lon', which .*a.nc has": ({"coords": days(0)}, {"coords": days(3) | {"lon": None}}),
    "dimension 'lat' has size 3, but 5 in": (
        {"coords": days(0)}, {"coords": days(3) | {"lat": ("lat", LAT[:3])}, "values": np.ones((3, 3, 4))}),
    "variable 't' is in 'Pa'; expected 'K', but they measure different things; make it that of a.nc": (
        {"coords": days(0)}, {"coords": days(3), "units": "Pa"}),
    "coordinate 'lat' is in 'm'; expected 'degrees_north'": (
        {"coords": days(0)}, {"coords": days(3) | {"lat": ("lat", LAT, {"units": "m"})}}),
    "variable 't' has dimensions lat, lon, but time, lat, lon in a.nc": (
        {"coords": days(0)}, {"coords": days(3), "dims": ("lat", "lon")}),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_files_that_do_not_fit_are_refused_with_both_names_and_what_differs(message, tmp_path):
    for name, changes in zip(("a.nc", "b.nc"), WRONG[message], strict=True):
        write(tmp_path, name, **changes)
    with pytest.raises(UserError, match=message.replace("(3,)", r"\(3,\)")) as caught:
        open_fields(tmp_path / "*.nc")
    assert "\n" not in str(caught.value) and "a.nc" in str(caught.value) and "b.nc" in str(caught.value)


def test_an_infinite_value_is_named_with_its_place_in_its_file(tmp_path):
    bad = np.ones((3, 5, 4), np.float32)
    bad[1, 2, 3] = -np.inf
    write(tmp_path, "a.nc", values=np.ones((3, 5, 4)), coords=days(0))
    turned = {**days(3), "lat": ("lat", LAT[::-1], {"units": "degrees_north"})}
    write(tmp_path, "b.nc", values=bad, coords=turned)
    fields = open_fields(tmp_path)
    assert (fields.read("t", {"lat": slice(2)}) == 1).all()
    for where in ({}, {"time": 4, "lat": [0, 2], "lon": slice(2, 4)}):
        with pytest.raises(UserError, match=r"b.nc: variable 't' is -inf at index \(1, 2, 3\) \(1 such values here\)"):
            fields.read("t", where)
    np.save(tmp_path / "w.npy", [1.0, 1e300])
    with pytest.raises(UserError, match=r"w.npy: variable 'w' is 1e\+300 at index \(1,\), more than single precision"):
        open_fields(tmp_path / "w.npy").read("w")


def test_what_is_read_is_copied_and_a_missing_dimension_is_refused(tmp_path):
    np.save(tmp_path / "u.npy", np.ones((2, 3), np.float32))
    fields = open_fields(tmp_path / "u.npy")
    fields.read("u")[:] = 2
    assert (fields.read("u") == 1).all()
    with pytest.raises(KeyError, match="no dimension x in"):
        fields.read("u", {"x": 0})
    with pytest.raises(IndexError, match="index 3 along 'axis_1', which has size 3"):
        fields.read("u", {"axis_1": [0, 3]})
    with pytest.raises(IndexError, match=r"a mask of shape \(2,\) along 'axis_1'"):
        fields.read("u", {"axis_1": np.array([True, False])})


@pytest.mark.parametrize("engine", ["scipy", "h5py"])
def test_more_files_than_may_stay_open_are_read_by_many_threads_at_once(engine, tmp_path):
    for i in range(140):
        if engine == "h5py":
            with h5py.File(tmp_path / f"{i:03d}.h5", "w") as file:
                file["u"] = np.full((2, 2), i)
        else:
            xr.Dataset({"u": (("y", "x"), np.full((2, 2), i))}).to_netcdf(tmp_path / f"{i:03d}.nc", engine=engine)
    fields = open_fields(tmp_path)
    wanted = rng.integers(0, fields.template.sizes["sample"], 300)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda i: fields.read("u", {"sample": int(i)}).max(), wanted))
    np.testing.assert_array_equal(found, wanted)


def test_samples_and_times_are_told_by_their_names_or_their_coordinates():
    yes = (
        "sample",
        "Member",
        "ensemble",
        "run_id",
        "TRAJECTORY",
        "n_samples",
        "sim",
        "batch_idx",
        "case_dim",
        "record",
    )
    assert all(map(is_sample, yes)) and not any(map(is_sample, ("x", "time", "casement", "level", "axis_0")))
    template = xr.Dataset(
        coords={"when": ("when", days(0)["time"]), "axis": ("axis", [0, 1], {"axis": "T"}),
                "hours": ("hours", [0, 1], {"standard_name": "time"}), "lead": np.array([0, 1], "m8[h]").astype("m8[ns]"),
                "no": xr.date_range("2000-01-01", periods=2, calendar="360_day", use_cftime=True), "x": [0, 1]}
    )  # fmt: skip
    named = ("time", "t", "Times", "time_step", "timestep", "step", "frame", "frames", "date")
    assert all(is_time(template, dim) for dim in (*named, "when", "axis", "hours", "lead", "no"))
    assert not any(is_time(template, dim) for dim in ("x", "level", "axis_0", "sample"))


def world(path, lon, time):
    """A field that is the longitude, from 0 to 360, at two times."""
    places = {"lat": ("lat", [0.0, 10.0], {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})}
    times = {"time": ("time", time + np.arange(2.0), {"units": "days since 2001-01-01"})}
    data = xr.Dataset({"u": (("time", "lat", "lon"), np.broadcast_to(lon % 360, (2, 2, len(lon))))}, places | times)
    data.to_netcdf(path, engine="h5netcdf")
    return data


def test_longitudes_of_other_turns_are_the_same_and_what_begins_elsewhere_is_told_how_to_mend(tmp_path):
    world(tmp_path / "a.nc", np.arange(340, 356, 4.0), 0)
    world(tmp_path / "b.nc", np.arange(-20, -4, 4.0), 2)
    fields = open_fields(tmp_path / "*.nc")
    np.testing.assert_array_equal(fields.read("u")[:, 0], np.tile(np.arange(340, 356, 4.0), (4, 1)))
    for turn in (0, 180):
        first, other = np.arange(0, 360, 45.0) - turn, np.arange(-180, 180, 45.0) + turn
        (folder := tmp_path / str(turn)).mkdir()
        world(folder / "a.nc", first, 0)
        ds = world(folder / "b.nc", other, 2)
        with pytest.raises(UserError, match="the same longitudes begin elsewhere, which .* mends$") as told:
            open_fields(folder / "*.nc")
        mended = eval(str(told.value).split("which ")[1].removesuffix(" of xarray mends"), {"ds": ds})
        mended.to_netcdf(folder / "c.nc", engine="h5netcdf")
        np.testing.assert_array_equal(open_fields(folder / "[ac].nc").read("u")[:, 0], np.tile(first % 360, (4, 1)))
