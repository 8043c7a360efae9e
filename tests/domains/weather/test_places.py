"""Where and when frames are: grids of several files, coordinates of odd types, dates and maps of ODIM."""

import h5py
import numpy as np
import pyproj
import pytest
import xarray as xr

from domains.weather import formats
from domains.weather.header import Header
from domains.weather.readers import canonical, read_archive, read_sequence, spacing_of
from sciddm.errors import UserError

DBZ = np.round(2 * np.random.default_rng(0).uniform(1, 60, (4, 6, 8))).astype(np.float32) / 2
TIMES = np.datetime64("2024-05-01T10:00", "s") + 300 * np.arange(4).astype("timedelta64[s]")


def placed(y=2000.0 * np.arange(6), x=2000.0 * np.arange(8), times=TIMES, **units):
    coords = {d: (d, v, {"units": "m"} | units) for d, v in (("y", y), ("x", x))}
    return xr.Dataset({"reflectivity": (("time", "y", "x"), DBZ, {"units": "dBZ"})}, {"time": times} | coords)


def netcdf(path, data):
    data.to_netcdf(path, engine="h5netcdf", encoding={name: {"_FillValue": None} for name in data.variables})
    return path


def test_files_of_two_places_are_no_archive(tmp_path):
    (tmp_path / "r").mkdir()
    netcdf(tmp_path / "r" / "a.nc", placed())
    later = placed(times=TIMES + np.timedelta64(20, "m"))
    netcdf(tmp_path / "r" / "b.nc", later.assign_coords(x=("x", later.x.values + 100, later.x.attrs)))
    assert len(read_archive(tmp_path / "r")) == 8  # a twentieth of a pixel
    netcdf(tmp_path / "r" / "b.nc", later.assign_coords(x=("x", later.x.values + 1000, later.x.attrs)))
    with pytest.raises(UserError, match="b.nc: its grid lies elsewhere than that of a.nc"):
        read_archive(tmp_path / "r")


def test_coordinates_are_taken_by_what_they_are_or_refused(tmp_path):
    degrees = {"units": "degrees", "standard_name": ""}
    wide = placed((np.arange(6) * 10 - 30).astype("i1"), (np.arange(8) * 30 - 120).astype("i1"), **degrees)
    assert read_archive(netcdf(tmp_path / "wide.nc", wide)).frames.shape == DBZ.shape  # 210 degrees, more than a byte holds
    turned = placed(np.arange(6, dtype="u1"), np.arange(8, dtype="u1")[::-1], **degrees)
    np.testing.assert_allclose(read_archive(netcdf(tmp_path / "turned.nc", turned)).dBZ(), DBZ[..., ::-1], atol=0.006)
    for data, says in (
        (placed().drop_vars(["y", "x"]).rename(y="lat", x="lon"), "coordinate 'lat' has units 'pixels'; expected m, km or degrees"),
        (placed(units=1), "has units '1'; expected m, km or degrees"),
        (placed(y=20.0 * np.arange(6), x=20.0 * np.arange(8), **degrees), "reaches 100 degrees; expected latitudes"),
        (placed(y=np.array(list("abcdef"))), "is no number, such as a"),
        (placed(times=TIMES - np.timedelta64(40000, "D")), "frame 0 is of 1914-.*; expected one of 1930 to 2200"),
    ):
        with pytest.raises(UserError, match=says):
            read_archive(netcdf(tmp_path / "f.nc", data))


def test_odim_says_what_it_is_of_and_when(tmp_path):
    def changed(time=b"100000", date=b"20240501", kind=b"COMP", **where):
        plane = pyproj.Proj("+proj=laea +lat_0=52 +lon_0=5 +ellps=WGS84 +units=m")
        (west, south), (east, north) = plane(0, 0, inverse=True), plane(16000, 12000, inverse=True)
        corners = {"LL_lon": west, "LL_lat": south, "UR_lon": east, "UR_lat": north}
        with h5py.File(tmp_path / "f.h5", "w") as file:
            file.attrs["Conventions"] = b"ODIM_H5/V2_3"
            file.create_group("what").attrs.update(object=kind, date=date, time=time)
            file.create_group("where").attrs.update({"projdef": plane.definition_string(), "xscale": 2e3, "yscale": 2e3} | corners | where)
            file["dataset1/data1/data"] = np.full((6, 8), 104, "u1")
            file.create_group("dataset1/data1/what").attrs.update(quantity=b"DBZH", gain=0.5, offset=-32.0)
        return tmp_path / "f.h5"

    def refusal(path):
        with pytest.raises(UserError) as caught:
            read_archive(path)
        return str(caught.value)

    for found in (changed(time=b"10:00:00"), changed(date=b"240501"), changed(time=b"")):
        assert "expected YYYYMMDD and HHMMSS" in refusal(found)
    assert str(read_sequence(changed(time=b"235960", date=b"20161231"))["time"].values[0])[:19] == "2017-01-01T00:00:00"  # a leap second
    degrees = {"LL_lon": 5.0, "LL_lat": 52.0, "UR_lon": 5.16, "UR_lat": 52.12, "xscale": 0.02, "yscale": 0.02}
    found = canonical("f.h5", next(formats.open_parts(changed(projdef=b"+proj=latlong +ellps=WGS84", **degrees)))[1])
    assert spacing_of("f.h5", found) == pytest.approx(0.02 * 111.195 * np.cos(np.radians(52.06)) ** 0.5, rel=1e-3)
    assert "its object is XSEC, which is no map" in refusal(changed(kind=b"XSEC"))


def test_a_projection_that_can_be_of_no_place_is_told_of(tmp_path):
    data = placed()
    attrs = {"grid_mapping_name": "lambert_azimuthal_equal_area", "latitude_of_projection_origin": 95.0}
    data = data.assign(crs=((), 0, attrs | {"longitude_of_projection_origin": 5.0}))
    data.reflectivity.attrs["grid_mapping"] = "crs"
    found = next(formats.open_parts(netcdf(tmp_path / "f.nc", data)))[1]
    assert Header.of("f.nc", found).unknown and read_archive(tmp_path / "f.nc").spacing_km == 2
