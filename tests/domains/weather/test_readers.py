import shutil
import sys

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
from grib_files import write_grib

from domains.weather import formats, readers
from domains.weather.header import Header
from domains.weather.readers import read_archive, read_sequence
from domains.weather.transform import rain_rate, reflectivity
from sciddm.errors import UserError

rng = np.random.default_rng(0)
DBZ = rng.uniform(1, 60, (6, 8, 10)).astype(np.float32)  # (time, y, x), y northwards
DBZ[:, 3, 4:] = 0
DBZ[2, 1, 7] = DBZ[4, :3] = np.nan
TIMES = np.datetime64("2024-05-01T10:00", "ns") + np.arange(6) * np.timedelta64(300, "s")
RATE = rain_rate(DBZ)  # mm/h


def projected(values=DBZ, name="reflectivity", times=TIMES, down=False, **attrs):
    """A CF data set in metres, 2 km pixels; `down`: rows from north to south, as images are."""
    y = xr.Variable(
        "y", 2000.0 * np.arange(values.shape[1]), {"standard_name": "projection_y_coordinate", "units": "m"}
    )
    x = xr.Variable(
        "x", 2000.0 * np.arange(values.shape[2]), {"standard_name": "projection_x_coordinate", "units": "m"}
    )
    attrs = {"units": "dBZ"} | attrs
    dataset = xr.Dataset({name: (("time", "y", "x"), values, attrs)}, {"time": times[: len(values)], "y": y, "x": x})
    return dataset.isel(y=slice(None, None, -1)) if down else dataset


def netcdf(path, *args, **changes):
    projected(*args, **changes).to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def as_mlcast_zarr(path):
    data = projected(RATE, "RR", down=True, units="kg m-2 h-1", standard_name="rainfall_flux")
    data.to_zarr(path / "f.zarr", zarr_format=3, consolidated=False, encoding={"RR": {"chunks": (1, 8, 10)}})
    return path / "f.zarr"


def as_zarr_of_version_2(path):
    data = projected(RATE, "rainfall_rate", units="mm h-1", standard_name="rainfall_rate")
    data.to_zarr(path / "f.zarr", zarr_format=2, encoding={"rainfall_rate": {"chunks": (1, 8, 10)}})
    return path / "f.zarr"


def as_packed_netcdf(path):
    data = projected(standard_name="equivalent_reflectivity_factor")
    data.reflectivity.encoding = {"dtype": "uint16", "scale_factor": 0.01, "add_offset": -32.0, "_FillValue": 65535}
    data.to_netcdf(path / "f.nc", engine="h5netcdf")
    return path / "f.nc"


def as_folder_of_frames(path):
    for i, name in enumerate("fbdaec"):  # not in the order of time
        frame = projected(DBZ[i : i + 1], times=TIMES[i : i + 1]).squeeze("time")  # time as a scalar coordinate
        frame.to_netcdf(path / f"{name}.nc", engine="h5netcdf")
    return path


def as_grib(path):
    return write_grib(path / "f.grib2", RATE, TIMES)


def odim(file, kind, minute):
    file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
    stamp = {"date": np.bytes_("20240501"), "time": np.bytes_(f"10{minute:02d}00")}
    file.create_group("what").attrs.update(
        object=np.bytes_(kind), version=np.bytes_("H5rad 2.3"), source=np.bytes_("NOD:xx"), **stamp
    )
    return stamp


def as_folder_of_odim(path):
    import pyproj

    definition = "+proj=laea +lat_0=52 +lon_0=5 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    corners = pyproj.Proj(definition)
    for i, frame in enumerate(DBZ[:, ::-1]):
        with h5py.File(path / f"radar{i}.h5", "w") as file:
            stamp = odim(file, "COMP", 5 * i)
            (west, south), (east, north) = corners(0, 0, inverse=True), corners(20000, 16000, inverse=True)
            file.create_group("where").attrs.update(
                projdef=np.bytes_(definition), xscale=2000.0, yscale=2000.0, xsize=10, ysize=8,
                LL_lon=west, LL_lat=south, UR_lon=east, UR_lat=north,
            )  # fmt: skip
            raw = np.where(frame > 0, np.rint((frame + 32) * 100), 0)  # 0: undetect
            file["dataset1/data1/data"] = np.where(np.isnan(frame), 65535, raw).astype(np.uint16)
            file.create_group("dataset1/what").attrs.update(startdate=stamp["date"], starttime=stamp["time"])
            file.create_group("dataset1/data1/what").attrs.update(
                quantity=np.bytes_("DBZH"), gain=0.01, offset=-32.0, nodata=65535.0, undetect=0.0
            )
    return path


MAKERS = [as_mlcast_zarr, as_zarr_of_version_2, as_packed_netcdf, as_folder_of_frames, as_grib, as_folder_of_odim]


@pytest.mark.parametrize("make", MAKERS)
def test_every_format_gives_the_same_reflectivity_times_and_missing_pixels(make, tmp_path):
    file = make(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    archive = read_archive(file)
    np.testing.assert_array_equal(np.isnan(archive.dBZ()), np.isnan(DBZ))
    np.testing.assert_allclose(archive.dBZ(), DBZ, atol=0.03)  # packed to .01, GRIB to 24 bits of the rate
    np.testing.assert_array_equal(archive.dBZ()[:, 3, 4:], np.where(np.isnan(DBZ[:, 3, 4:]), np.nan, 0))
    np.testing.assert_array_equal(archive.times, TIMES.astype("datetime64[s]"))
    mean = np.sqrt(np.cos(np.radians(50.175))) * 0.05 * 111.195 if make is as_grib else 2.0
    assert archive.interval == 5 and archive.spacing_km == pytest.approx(mean, rel=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == before  # no index or lock beside the user's files
    cropped = read_archive(file, crop=(2, 1, 4, 5))
    np.testing.assert_array_equal(cropped.frames, archive.frames[:, 2:6, 1:6])


def test_a_pattern_picks_files(tmp_path):
    folder = as_folder_of_frames(tmp_path)
    (folder / "notes.txt").write_text("no radar")
    assert len(read_archive(f"{folder}/[abd].nc")) == 3
    with pytest.raises(UserError, match="no file fits the pattern"):
        read_archive(f"{folder}/*.grib")


def as_sevir(path, digital):
    with h5py.File(path, "w") as file:
        file["vil"] = digital
        file["id"] = np.array([f"S{i}" for i in range(len(digital))], "S8")
    return path


def test_sevir_is_vil_and_becomes_reflectivity_only_where_that_is_said(tmp_path):
    digital = rng.integers(0, 255, (3, 8, 8, 49), np.uint8)
    digital[0, 0, 0, :3] = 255, 254, 5
    for name, part in (("a.h5", digital[:2]), ("b.h5", digital[2:])):
        as_sevir(tmp_path / name, part)
    with pytest.raises(UserError, match="'vil' has units 'kg m-2'; vertically integrated liquid is no reflectivity"):
        read_archive(tmp_path)
    vil = read_sequence(tmp_path)
    assert vil.shape == (3 * 49, 8, 8) and vil.attrs["units"] == "kg m-2"
    np.testing.assert_allclose(vil[:3, 0, 0], [np.nan, np.exp((254 - 83.9) / 38.9), 0])
    archive = read_archive(tmp_path, units="vil")
    assert archive.events() == [(0, 49), (49, 98), (98, 147)] and archive.spacing_km == 1 and "vil" in archive.source
    dbz = archive.dBZ()
    # Back by Greene & Clark: the liquid of a column of 5 km with that reflectivity.
    again = 3.44e-6 * 5000 * (10 ** (dbz / 10)) ** (4 / 7)
    there = dbz > 0
    np.testing.assert_allclose(again[there], vil.values[there], rtol=2e-3)
    assert (
        (vil.values[dbz == 0] < 3.44e-6 * 5000).all()
        and np.isnan(dbz[0, 0, 0])
        and dbz[1, 0, 0] == pytest.approx(64.1, abs=0.1)
    )
    np.testing.assert_allclose(vil[98 + 7], formats.sevir_vil(digital[2, :, :, 7]))


def test_sevir_code_is_continuous_where_its_pieces_meet():
    vil = formats.sevir_vil(np.arange(256, dtype=np.uint8))
    assert (vil[:6] == 0).all() and np.isnan(vil[255])
    steps = np.diff(vil[5:255])
    assert (steps > 0).all() and vil[19] / vil[18] < 1.1  # a code read otherwise jumps by orders of magnitude


def test_the_lowest_sweep_of_a_volume_is_put_on_a_square_grid(tmp_path):
    for minute in (0, 5):
        with h5py.File(tmp_path / f"v{minute}.h5", "w") as file:
            stamp = odim(file, "PVOL", minute)
            file.create_group("where").attrs.update(lon=5.0, lat=52.0, height=0.0)
            file.create_group("how")
            for i, elevation in enumerate((8.0, 0.5)):
                group = file.create_group(f"dataset{i + 1}")
                start = {"startdate": stamp["date"], "starttime": stamp["time"]}
                end = {"enddate": stamp["date"], "endtime": np.bytes_(f"10{minute:02d}30")}
                group.create_group("what").attrs.update(product=np.bytes_("SCAN"), **start, **end)
                group.create_group("where").attrs.update(
                    elangle=elevation, nbins=40, rstart=0.0, rscale=1000.0, nrays=360, a1gate=0
                )
                raw = np.full((360, 40), 1 + i, np.uint8) * np.arange(70, 110, dtype=np.uint8)  # by range
                raw[80:100], raw[170:190], raw[260:280, :20] = 255, 0, 66  # east nodata, south undetect, near west 1 dBZ
                group["data1/data"] = raw
                group.create_group("data1/what").attrs.update(
                    quantity=np.bytes_("DBZH"), gain=0.5, offset=-32.0, nodata=255.0, undetect=0.0
                )
    archive = read_archive(tmp_path)
    assert archive.frames.shape == (2, 78, 78) and (archive.spacing_km, archive.interval) == (1, 5)
    dbz, middle = archive.dBZ(0), 39
    assert np.isnan(dbz[middle, middle + 15]) and np.isnan(dbz[0, 0])  # nodata, and beyond the last gate
    assert dbz[middle - 15, middle] == 0  # looked and saw nothing
    assert dbz[middle, middle - 10] == 1
    north = dbz[middle + np.arange(30), middle]  # of the lower sweep, by range
    np.testing.assert_allclose(north, 2 * np.arange(70, 100) * 0.5 - 32, atol=1.01)
    for key, value, said in (("rscale", 1e9, "a sweep of .* of memory"), ("nbins", 2**60, "nbins of dataset1 is 1152921504606846976")):
        damaged = shutil.copy(tmp_path / "v0.h5", tmp_path / f"{key}.h5")
        with h5py.File(damaged, "r+") as file:
            for name in ("dataset1", "dataset2"):
                file[name]["where"].attrs[key] = value
        with pytest.raises(UserError, match=f"{key}.h5: {said}"):
            read_archive(damaged)


@pytest.mark.parametrize(
    "units, an_hour",
    [
        ("mm/h", 1),
        ("mm hr-1", 1),
        ("kg m-2 h-1", 1),
        ("kg m**-2 s**-1", 3600),
        ("mm/s", 3600),
        ("m s-1", 3.6e6),
        ("mm/5min", 12),
    ],
)
def test_rates_are_converted_by_their_units(units, an_hour, tmp_path):
    file = netcdf(tmp_path, (RATE / an_hour).astype(np.float32), "rain", units=units, long_name="rain rate")
    np.testing.assert_allclose(read_archive(file).dBZ(), reflectivity(RATE), atol=0.006)
    # What config says goes before what the file says.
    np.testing.assert_allclose(
        read_archive(netcdf(tmp_path, RATE, units="1"), units="mm/h").dBZ(), reflectivity(RATE), atol=0.006
    )


def test_below_zero_dbz_is_no_echo(tmp_path):
    assert (
        read_archive(netcdf(tmp_path, np.where(np.isnan(DBZ), DBZ, -32.0).astype(np.float32))).dBZ()[:4, 4:] == 0
    ).all()


def test_units_are_never_guessed(tmp_path):
    known = "set --config.data.units=dBZ, or another of mm/h"
    with pytest.raises(UserError, match=f"f.nc: variable 'rain' has units ''; {known}"):
        file = netcdf(tmp_path, name="rain")
        xr.load_dataset(file).assign(rain=lambda d: d.rain.assign_attrs(units="")).to_netcdf(file, engine="h5netcdf")
        read_archive(file)
    with pytest.raises(UserError, match=f"variable 'rain' has units 'furlong'; {known}"):
        read_archive(netcdf(tmp_path, name="rain", units="furlong"))
    with pytest.raises(UserError, match="has units 'inch'"):
        read_archive(netcdf(tmp_path), units="inch")
    with pytest.raises(UserError, match="'ua' is in 'm s-1' and doesn't say that it is rain"):
        read_archive(netcdf(tmp_path, name="ua", units="m s-1", standard_name="eastward_wind"))


def test_several_or_no_variables_are_listed(tmp_path):
    both = projected(standard_name="equivalent_reflectivity_factor")
    both["rain"] = both.reflectivity.assign_attrs(units="mm/h", standard_name="rainfall_rate")
    both["quality"] = both.reflectivity.assign_attrs(units="1", standard_name="status_flag")
    both.to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    expected = r"f.nc: 2 variables may be meant \(reflectivity, rain\), found quality \[1\], rain.*set --config.data.variable=reflectivity"
    with pytest.raises(UserError, match=expected):
        read_archive(tmp_path / "f.nc")
    assert "rain [mm/h]" in read_archive(tmp_path / "f.nc", variable="rain").source
    with pytest.raises(UserError, match="no field named config.data.variable = 'rein'.*did you mean 'rain'"):
        read_archive(tmp_path / "f.nc", variable="rein")


def test_values_that_are_none_are_named_with_their_index(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK", 4 * 80)  # they are read by blocks, and the index is that of the file
    for value, what in (
        (np.inf, r"inf at index \(5, 2, 1\) \(1 such"),
        (-999.0, r"-999 dbz at index \(5, 2, 1\).*_FillValue"),
    ):
        bad = DBZ.copy()
        bad[5, 2, 1] = value
        with pytest.raises(UserError, match=f"f.nc: variable 'reflectivity' is {what}"):
            read_archive(netcdf(tmp_path, bad))
    bad = RATE.copy()
    bad[5, 2, 1] = -1
    with pytest.raises(UserError, match=r"'rain' is -1 mm/h at index \(5, 2, 1\)"):
        read_archive(netcdf(tmp_path, bad, "rain", units="mm/h"))


def test_grids_and_axes_that_do_not_fit_are_named(tmp_path):
    def broken(change):
        change(projected()).to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
        return read_archive(tmp_path / "f.nc")

    with pytest.raises(UserError, match="coordinate 'y' is not evenly spaced at index 4"):
        broken(lambda d: d.isel(y=[0, 1, 2, 3, 4, 6, 7]))
    with pytest.raises(UserError, match="pixels of 2 x 4 km; expected squares"):
        broken(lambda d: d.assign_coords(x=("x", d.x.values * 2, d.x.attrs)))
    with pytest.raises(UserError, match="coordinate 'x' has units 'mile'"):
        broken(lambda d: d.assign_coords(x=("x", d.x.values, d.x.attrs | {"units": "mile"})))
    with pytest.raises(UserError, match=r"dimensions \('time', 'a', 'x'\); expected time, y and x"):
        broken(lambda d: d.drop_vars("y").rename(y="a"))
    with pytest.raises(UserError, match="times of 'reflectivity' are no dates"):
        broken(lambda d: d.assign_coords(time=np.arange(6)))
    with pytest.raises(UserError, match="time 2024-05-01T10:00:00 at index 1 is there twice"):
        broken(lambda d: d.assign_coords(time=TIMES[[0, 0, 1, 2, 3, 4]]))
    for crop in ((0, 0, 9, 2), (-1, 0, 2, 2), (0, 0, 0, 2)):
        with pytest.raises(UserError, match=r"crop .* = \(.*\) leaves the grid \(8, 10\)"):
            read_archive(netcdf(tmp_path), crop=crop)


def test_paths_and_files_at_fault_are_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="config.data.path = .*none.nc.*: no such file"):
        read_archive(tmp_path / "none.nc")
    with pytest.raises(UserError, match="a folder without frames"):
        read_archive(tmp_path)
    (tmp_path / "f.txt").write_text("x")
    with pytest.raises(UserError, match="f.txt: format '.txt' is not known"):
        read_archive(tmp_path / "f.txt")
    for name in ("f.nc", "f.h5", "f.grib2"):
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(UserError, match=f"{name}: (can't be read as|has no GRIB message)"):
            read_archive(tmp_path / name)
    with pytest.raises(UserError, match="files of 3 formats"):
        read_archive(tmp_path)
    (tmp_path / "g").mkdir()
    folder = as_folder_of_frames(tmp_path / "g")
    projected(DBZ[:1, :4], times=TIMES[:1] + 10**13).to_netcdf(folder / "z.nc", engine="h5netcdf")
    with pytest.raises(UserError, match=r"z.nc: a grid of \(4, 10\) pixels of 2 km, but \(8, 10\) of 2 km in"):
        read_archive(folder)
    monkeypatch.setitem(sys.modules, "cfgrib", None)
    with pytest.raises(UserError, match=r"f.grib2: reading it needs cfgrib: install sciddm\[weather\] by: pip install -e \S+\[weather\]"):
        read_archive(tmp_path / "f.grib2")


def test_a_frame_that_is_lost_is_no_dry_one(tmp_path):
    file, data = tmp_path / "f.zarr", projected(RATE, "RR", units="mm/h")
    encoding = {"chunks": (1, 8, 10), "fill_value": 0.0}
    data.to_zarr(file, zarr_format=3, consolidated=False, encoding={"RR": encoding})
    (file / "RR/c/3/0/0").unlink()
    with pytest.raises(UserError, match="variable 'RR' lacks 1 of 6 chunks, which would read as 0.0"):
        read_archive(file)
    # Where the fill value is the code for missing, an absent chunk is a mask, and meant.
    encoding = {"chunks": (1, 8, 10), "dtype": "int16", "scale_factor": 0.01, "_FillValue": -1, "fill_value": -1}
    data.to_zarr(tmp_path / "g.zarr", zarr_format=3, consolidated=False, encoding={"RR": encoding})
    (tmp_path / "g.zarr/RR/c/3/0/0").unlink()
    assert np.isnan(read_archive(tmp_path / "g.zarr").dBZ(3)).all()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_field_that_is_no_radar_is_a_sequence_in_its_own_units(wrapped, tmp_path):
    # The layout of the storm set of NCAR Graphics: classic netCDF, six-hourly steps without a date, a fill value, no units.
    values = rng.normal(1e5, 1e3, (5, 4, 6)).astype(np.float32)
    lon = np.array(
        [350, 352.5, 355, 357.5, 0, 2.5] if wrapped else [-140, -137.5, -135, -132.5, -130, -127.5], np.float32
    )
    with scipy.io.netcdf_file(tmp_path / "Pstorm.cdf", "w") as file:
        for name, size in (("timestep", 5), ("lat", 4), ("lon", 6), ("timelen", 20)):
            file.createDimension(name, size)
        p = file.createVariable("p", np.float32, ("timestep", "lat", "lon"))
        p[:] = np.where(np.arange(6) == 2, np.float32(-9999), values[:, ::-1])
        p._FillValue = np.float32(-9999)
        for name, data in (
            ("timestep", np.arange(0, 30, 6, dtype=np.int32)),
            ("lat", 20 + 1.25 * np.arange(4)[::-1]),
            ("lon", lon),
        ):
            file.createVariable(name, data.dtype, (name,))[:] = data
        file.createVariable("reftime", "c", ("timelen",))[:] = np.frombuffer(b"1996 01 05 00:00    ", "S1")
    field = read_sequence(tmp_path / "Pstorm.cdf")
    assert field.name == "p" and field.dims == ("time", "y", "x") and field.dtype == np.float32
    np.testing.assert_array_equal(field, np.where(np.arange(6) == 2, np.nan, values))
    np.testing.assert_array_equal(field.time, [0, 6, 12, 18, 24])
    np.testing.assert_array_equal(field.y, 20 + 1.25 * np.arange(4))
    np.testing.assert_array_equal(field.x, lon[0] + 2.5 * np.arange(6))
    with pytest.raises(UserError, match="Pstorm.cdf: the times of 'p' are no dates"):
        read_archive(tmp_path / "Pstorm.cdf")


def test_a_read_archive_is_written_and_read_again(tmp_path):
    archive = read_archive(netcdf(tmp_path))
    again = read_archive(archive.write(tmp_path / "a.zarr"))
    np.testing.assert_array_equal(again.frames, archive.frames)
    np.testing.assert_array_equal(again.times, archive.times)


def test_a_fine_grid_of_degrees_in_single_precision_is_even(tmp_path):
    degrees = {
        "lat": (50 + 0.01 * np.arange(8)).astype(np.float32),
        "lon": (-140 + 0.01 * np.arange(10)).astype(np.float32),
    }
    coords = {
        name: (name, values, {"units": f"degrees_{way}"})
        for (name, values), way in zip(degrees.items(), ("north", "east"), strict=True)
    }
    data = xr.Dataset({"dbz": (("time", "lat", "lon"), DBZ, {"units": "dBZ"})}, coords | {"time": TIMES})
    data.isel(lon=slice(None, None, -1)).to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    archive = read_archive(tmp_path / "f.nc")
    # The side of a square as large as a pixel at the middle latitude.
    assert archive.spacing_km == pytest.approx(0.01 * 111.195 * np.sqrt(np.cos(np.radians(50.035))), rel=1e-3)
    np.testing.assert_allclose(archive.dBZ(), DBZ, atol=0.006)


@pytest.mark.parametrize("units, a_kilometre", [("km", 1), ("metres", 1000), ("Kilometer", 1)])
def test_coordinates_may_spell_their_unit_in_any_way(units, a_kilometre, tmp_path):
    data = projected()
    coords = {d: (d, 2.0 * a_kilometre * np.arange(data.sizes[d]), data[d].attrs | {"units": units}) for d in "yx"}
    data.assign_coords(coords).to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    assert read_archive(tmp_path / "f.nc").spacing_km == pytest.approx(2)


def test_an_odim_composite_has_the_mapping_of_its_definition(tmp_path):
    import pyproj

    found = Header.of("f", next(formats.open_parts(as_folder_of_odim(tmp_path)))[1])
    lon, lat = found.lonlat()
    definition = pyproj.Proj("+proj=laea +lat_0=52 +lon_0=5 +x_0=0 +y_0=0 +ellps=WGS84 +units=m")
    np.testing.assert_allclose((lon[-1, 0], lat[-1, 0]), definition(1000, 1000, inverse=True), atol=1e-6)  # the south-western pixel
    assert found.flipped == (True, False) and found.mapping == "crs" and lat[0, 0] > lat[-1, 0]
