"""What a file's attributes say of its numbers, and what is refused because no radar measures it."""

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from domains.weather import formats
from domains.weather.coded import Said, values_of
from domains.weather.readers import canonical, read_archive, read_sequence
from sciddm.errors import UserError

rng = np.random.default_rng(0)
DBZ = np.round(2 * rng.uniform(1, 60, (4, 6, 8))).astype(np.float32) / 2
RAW = np.round(2 * (DBZ + 32)).astype(np.uint8)
RAW[2, 1, 5] = 255
HOLED = DBZ.copy()
HOLED[2, 1, 5] = np.nan
PACKED = {"scale_factor": 0.5, "add_offset": -32.0}
START = np.datetime64("2024-05-01T10:00", "s")
TIMES = START + 300 * np.arange(4).astype("timedelta64[s]")


def dataset(values=RAW, name="reflectivity", times=TIMES, **attrs):
    places = {
        d: (d, 2000.0 * np.arange(n), {"standard_name": f"projection_{d}_coordinate", "units": "m"})
        for d, n in zip("yx", values.shape[1:], strict=True)
    }
    return xr.Dataset({name: (("time", "y", "x"), values, {"units": "dBZ"} | attrs)}, {"time": times} | places)


def netcdf(path, data):
    bare = {name: {"_FillValue": None} for name, variable in data.variables.items() if "_FillValue" not in variable.attrs}
    data.to_netcdf(path, engine="h5netcdf", encoding=bare)
    return path


def store(path, data, **how):
    """As others write one: no manifest."""
    array = data["reflectivity"]
    data.drop_vars("reflectivity").to_zarr(path, zarr_format=3, consolidated=False)
    attrs = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in array.attrs.items()}
    made = zarr.open_group(path, mode="r+").create_array(
        "reflectivity", shape=array.shape, dtype=array.dtype, chunks=(1, 6, 8), dimension_names=array.dims, attributes=attrs,
        config={"write_empty_chunks": True}, **how,
    )  # fmt: skip
    made[:] = array.values
    return path


KINDS = {
    "netcdf": lambda path, data: netcdf(path / "f.nc", data), "hdf5": lambda path, data: netcdf(path / "f.h5", data),
    "zarr": lambda path, data: store(path / "f.zarr", data),
    "sharded": lambda path, data: store(path / "f.zarr", data, shards=(2, 6, 8)),
}  # fmt: skip


@pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "attrs",
    [{"missing_value": np.uint8(255)}, {"missing_value": 95.5}, {"NoData": 255}, {"valid_max": np.uint8(250)},
     {"valid_range": np.array([-32.0, 80.0], "f4")}],
)  # fmt: skip
def test_codes_and_ranges_are_missing_in_every_kind_of_file(write, attrs, tmp_path):
    np.testing.assert_allclose(read_archive(write(tmp_path, dataset(**PACKED, **attrs))).dBZ(), HOLED, atol=0.006)


@pytest.mark.parametrize("write", KINDS.values(), ids=KINDS)
def test_packings_that_may_mean_two_things_are_refused(write, tmp_path):
    with pytest.raises(UserError, match="variable 'reflectivity': its integers have slope = 0.5, .* call them so in the file"):
        read_archive(write(tmp_path, dataset(slope=0.5, intercept=-32.0)))


def test_unsigned_bytes_are_read_as_such_from_a_sharded_store(tmp_path):
    data = dataset(RAW.view(np.int8), _Unsigned="true", missing_value=-1, **PACKED)
    np.testing.assert_allclose(read_archive(store(tmp_path / "f.zarr", data, shards=(2, 6, 8))).dBZ(), HOLED, atol=0.006)


def test_what_no_radar_measures_is_refused_with_the_code_that_it_may_be(tmp_path):
    file = netcdf(tmp_path / "f.nc", dataset(**PACKED))
    said = r"is 95.5 dbz at index \(2, 1, 5\) \(1 such values here\), 255 in the file, .*, or by --config.data.missing=255$"
    with pytest.raises(UserError, match=said):
        read_archive(file)
    np.testing.assert_allclose(read_archive(file, missing=(255,)).dBZ(), HOLED, atol=0.006)
    np.testing.assert_allclose(read_archive(file, valid=(-32, 80)).dBZ(), HOLED, atol=0.006)
    rain = np.ones((4, 6, 8), np.float32)
    rain[2, 1, 5] = 9999
    with pytest.raises(UserError, match="is 9999 mm/h .*--config.data.missing=9999$"):
        read_archive(netcdf(tmp_path / "r.nc", dataset(rain, "rain", units="mm/h")))
    many = DBZ.copy()
    many[0, 0] = np.linspace(90, 97, 8)
    with pytest.raises(UserError, match="--config.data.valid=-60,80 is taken as missing"):
        read_archive(netcdf(tmp_path / "m.nc", dataset(many)))


def test_what_the_user_says_is_checked():
    for said, what in ((Said(missing=("x",)), "missing"), (Said(valid=(5,)), "valid"), (Said(valid=(80, 0)), "valid"),
                       (Said(absent_chunks="maybe"), "absent_chunks")):  # fmt: skip
        with pytest.raises(UserError, match=f"config.data.{what} = .*expected"):
            said.checked()


def test_absent_chunks_are_refused_or_filled_aloud(tmp_path, capsys):
    file = store(tmp_path / "f.zarr", dataset(DBZ), fill_value=0.0)
    (file / "reflectivity/c/3/0/0").unlink()
    with pytest.raises(UserError, match="lacks 1 of 4 chunks, which would read as 0.0; .*add --config.data.absent_chunks=fill if"):
        read_archive(file)
    filled = DBZ.copy()
    filled[3] = 0
    np.testing.assert_allclose(read_archive(file, absent_chunks="fill").dBZ(), filled, atol=0.006)
    assert "lacks 1 of 4 chunks; they read as 0.0" in capsys.readouterr().err


def test_arrays_without_names_of_axes_and_those_never_written_do_no_harm(tmp_path):
    file = store(tmp_path / "f.zarr", dataset(DBZ))
    zarr.open_group(file, mode="r+").create_array("other", shape=(10**6, 10**6), chunks=(1000, 1000), dtype="f4")
    np.testing.assert_allclose(read_archive(file).dBZ(), DBZ, atol=0.006)


def test_zeros_of_a_store_of_version_2_are_dry(tmp_path):
    dry = np.where(np.arange(8) < 4, 0, DBZ)
    dataset(dry).drop_vars("reflectivity").to_zarr(tmp_path / "f.zarr", zarr_format=2)
    made = zarr.open_group(tmp_path / "f.zarr", mode="r+").create_array(
        "reflectivity", shape=dry.shape, dtype="f4", chunks=(1, 6, 8), fill_value=0.0, config={"write_empty_chunks": True},
        attributes={"_ARRAY_DIMENSIONS": ["time", "y", "x"], "units": "dBZ"},
    )  # fmt: skip
    made[:] = dry
    np.testing.assert_allclose(read_archive(tmp_path / "f.zarr").dBZ(), dry, atol=0.006)


def odim(path, raw, quantity, *, datasets=1, starts=("1000", "1005"), **what):
    import pyproj

    definition = "+proj=laea +lat_0=52 +lon_0=5 +ellps=WGS84 +units=m"
    corners = pyproj.Proj(definition)
    (west, south), (east, north) = corners(0, 0, inverse=True), corners(16000, 12000, inverse=True)
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = b"ODIM_H5/V2_3"
        file.create_group("what").attrs.update(object=b"COMP", date=b"20240501", time=b"100000")
        file.create_group("where").attrs.update(
            projdef=definition.encode(), xscale=2000.0, yscale=2000.0, LL_lon=west, LL_lat=south, UR_lon=east, UR_lat=north
        )
        for i in range(datasets):
            group = file.create_group(f"dataset{i + 1}")
            group.create_group("what").attrs.update(startdate=b"20240501", starttime=f"{starts[i]}00".encode())
            group["data1/data"] = raw
            group.create_group("data1/what").attrs.update(quantity=quantity, **what)
    return path


def read(file, variable=""):
    parts = [canonical(file, part) for _, part in formats.open_parts(file, Said(variable))]
    return np.concatenate([values_of(file, part) for part in parts])


def test_where_an_odim_composite_saw_nothing_there_is_no_echo_in_any_unit(tmp_path):
    raw = np.full((6, 8), 10, np.uint8)
    raw[0, 0], raw[0, 1] = 0, 255
    codes = {"gain": 0.5, "offset": 0.5, "nodata": 255.0, "undetect": 0.0}
    for quantity in (b"RATE", b"DBZH"):
        found = read(odim(tmp_path / "r.h5", raw, quantity, **codes))[0, ::-1]
        assert found[0, 0] == 0 and np.isnan(found[0, 1]) and (found[1:] == 5.5).all()


def test_several_data_sets_of_an_odim_file_are_frames_or_have_to_be_named(tmp_path):
    codes = {"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}
    assert read_archive(odim(tmp_path / "t.h5", RAW[0], b"DBZH", datasets=2, **codes)).interval == 5
    same = odim(tmp_path / "s.h5", RAW[0], b"DBZH", datasets=2, starts=("1000", "1000"), **codes)
    with pytest.raises(UserError, match="is there 2 times .*--config.data.variable=dataset1/DBZH"):
        read(same)
    np.testing.assert_allclose(read(same, "dataset2/DBZH")[0, ::-1], DBZ[0])


def test_times_of_floating_hours_are_those_of_the_clock(tmp_path):
    times = START + 300 * np.arange(24).astype("timedelta64[s]")
    hours = (times - np.datetime64("1900-01-01", "s")).astype(float) / 3600
    data = dataset(np.resize(DBZ, (24, 6, 8)), times=("time", hours, {"units": "hours since 1900-01-01"}))
    found = read_archive(netcdf(tmp_path / "f.nc", data))
    np.testing.assert_array_equal(found.times, times)
    assert found.interval == 5.0 and len(found.events()) == 1


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "julian"])
def test_another_calendar_is_refused_by_its_name(calendar, tmp_path):
    data = dataset(DBZ, times=("time", 5.0 * np.arange(4), {"units": "minutes since 2024-05-01", "calendar": calendar}))
    for read_it in (read_archive, read_sequence):
        with pytest.raises(UserError, match=f"in the calendar '{calendar}'; expected 'standard'"):
            read_it(netcdf(tmp_path / "f.nc", data))


def test_files_without_frames_and_those_of_more_than_there_is_memory_are_refused(tmp_path):
    with pytest.raises(UserError, match="has 0 time x 6 y x 8 x; expected frames"):
        read_archive(netcdf(tmp_path / "f.nc", dataset(DBZ[:0], times=TIMES[:0])))
    group = zarr.open_group(tmp_path / "f.zarr", mode="w")
    group.create_array("dbz", shape=(4, 10**10, 10**10), chunks=(1, 1000, 1000), dtype="f4", dimension_names=("time", "y", "x"),
                       attributes={"units": "dBZ"}, fill_value=float("nan"))  # fmt: skip
    for name in "yx":
        group.create_array(name, shape=(10**10,), chunks=(1000,), dtype="f8", dimension_names=(name,))
    with pytest.raises(UserError, match="of memory"):
        read_archive(tmp_path / "f.zarr")


def test_damaged_heaps_are_noticed_before_their_library_sees_them(tmp_path):
    file = netcdf(tmp_path / "f.nc", dataset(DBZ))
    data = bytearray(file.read_bytes())
    at = data.index(b"GCOL\x01\0\0\0") + 16
    data[at + 8 : at + 16] = (2**60).to_bytes(8, "little")  # the length of the first object
    file.write_bytes(data)
    with pytest.raises(UserError, match="f.nc: the heap at byte .* is damaged"):
        read_archive(file)
