"""Answers to frames that a user brings, read by xarray and pyproj alone, as a forecaster would."""

import jax
import numpy as np
import pyproj
import pytest
import xarray as xr
from own_rain import NOW, latlon, projected, storm

from domains.weather.transform import decode, encode, rain_rate
from sciddm.events import Event
from sciddm.given import things


def answered(domain, given, task="nowcast", path=None):
    """What a forecast that persists is saved as."""
    kind = domain.tasks[task]
    problem = kind.problem_given(jax.random.key(0), things(given))
    last = problem.extras["brought"].known[problem.extras["brought"].now]
    x = encode(np.repeat(np.moveaxis(last[None], 0, -1), domain.length, -1))
    native = kind.to_native(np.stack([x, x]), problem)
    if path is None:
        return native, problem
    domain.save(native, path)
    return xr.open_dataset(path, decode_timedelta=False).load(), problem


@pytest.mark.parametrize("west", [5.0, 359.8, -0.2])
def test_a_forecast_of_degrees_north_down_has_the_places_and_times_of_its_frames(domain, tmp_path, west):
    dbz = storm()
    latlon(dbz, west=west).to_netcdf(tmp_path / "newest.nc", engine="h5netcdf")
    found, _ = answered(domain, tmp_path / "newest.nc", path=tmp_path / "fc.nc")
    given = xr.open_dataset(tmp_path / "newest.nc")
    for dim in ("lat", "lon"):
        np.testing.assert_array_equal(found[dim], given[dim])
        assert found[dim].attrs == given[dim].attrs
    assert found.reflectivity.dims == ("member", "time", "lat", "lon") and found.sizes["member"] == 2
    # the brightest pixel of the newest frame is where the file has it
    brightest = given.reflectivity[-1].where(given.reflectivity[-1] == given.reflectivity[-1].max(), drop=True)
    np.testing.assert_array_equal(found.reflectivity[0, -1].sel(lat=brightest.lat, lon=brightest.lon), brightest)
    assert brightest.lat.values < given.lat.values.mean()  # a storm in the south
    np.testing.assert_array_equal(found.time, NOW + np.arange(-3, 13) * np.timedelta64(5, "m"))
    assert found.forecast_reference_time.values == NOW and found.forecast_reference_time.standard_name == "forecast_reference_time"
    np.testing.assert_array_equal(found.lead, np.arange(-15, 61, 5))
    np.testing.assert_array_equal(found.given, [1] * 4 + [0] * 12)
    # what was given stands in the file as it was
    np.testing.assert_array_equal(found.reflectivity[0, :4], given.reflectivity)
    np.testing.assert_allclose(found.rain_rate, rain_rate(found.reflectivity.values), rtol=1e-6)
    assert (found.reflectivity.units, found.rain_rate.units) == ("dBZ", "mm h-1")
    assert found.rain_rate.standard_name == "rainfall_rate" and found.reflectivity.standard_name == "equivalent_reflectivity_factor"


@pytest.mark.parametrize("unit, down", [("km", True), ("m", False)])
def test_a_projected_forecast_keeps_its_mapping_and_says_longitudes_and_latitudes(domain, tmp_path, unit, down):
    given = projected(storm(), unit=unit, down=down)
    given.to_netcdf(tmp_path / "newest.nc", engine="h5netcdf")
    found, _ = answered(domain, tmp_path / "newest.nc", path=tmp_path / "fc.nc")
    assert found.reflectivity.dims == ("member", "time", "yc", "xc") and found.reflectivity.grid_mapping == "laea"
    np.testing.assert_array_equal(found.yc, given.yc)
    np.testing.assert_array_equal(found.reflectivity[1, 3], given.DBZH[3])
    to_degrees = pyproj.Transformer.from_crs(pyproj.CRS.from_cf(found.laea.attrs), 4326, always_xy=True)
    scale = 1000 if unit == "km" else 1
    x, y = np.meshgrid(given.xc * scale, given.yc * scale)
    lon, lat = to_degrees.transform(x, y)
    np.testing.assert_allclose(found.lon, lon, atol=1e-9)
    np.testing.assert_allclose(found.lat, lat, atol=1e-9)
    assert "lon" in found.reflectivity.coords and found.lat.dims == ("yc", "xc") and found.lat.standard_name == "latitude"
    assert 50 < float(found.lat.mean()) < 52 and 7 < float(found.lon.mean()) < 10  # 121 km west, 210 km south of the origin, and less


def test_answers_are_read_again_whatever_they_call_their_dimensions(domain):
    x = np.stack([encode(np.moveaxis(storm(16), 0, -1))] * 2)
    for given in (latlon(storm()), projected(storm()), projected(storm(), down=False)):
        kind = domain.tasks["nowcast"]
        native = kind.to_native(x, kind.problem_given(jax.random.key(0), things(given)))
        np.testing.assert_array_equal(decode(domain.from_native(native)), decode(x))
    np.testing.assert_array_equal(domain.from_native(domain.to_native(x)), x)


def test_quantities_are_rain_and_reflectivity_by_member(domain):
    native, _ = answered(domain, latlon(storm()))
    for one in (native, domain.to_native(np.stack([encode(np.moveaxis(storm(16), 0, -1))] * 2))):
        found = domain.quantities(one)
        assert found.sizes["member"] == 2 and (found.rain.units, found.reflectivity.units) == ("mm h-1", "dBZ")
        np.testing.assert_allclose(found.rain, rain_rate(found.reflectivity.values), rtol=1e-6)


def test_events_of_a_forecast_are_of_what_comes_after_the_newest_frame(domain):
    heavy = np.concatenate([storm(), np.zeros((12, 32, 32), np.float32)])
    kind = domain.tasks["nowcast"]
    for given, count in ((latlon(storm()), 12), (latlon(storm()).rename(time="valid_time"), 12)):
        problem = kind.problem_given(jax.random.key(0), things(given))
        found = domain.quantities(kind.to_native(np.stack([encode(np.moveaxis(heavy, 0, -1))] * 2), problem))
        assert found.rain.shape == (2, count, 32, 32) and found.lead.values.min() == 5
        assert float(Event.parse("max(rain) > 5 mm/h").probability(found)[0]) == 0
    dbz = storm(10)
    dbz[4] = np.nan
    fill = domain.tasks["fill"]
    native = fill.to_native(np.stack([encode(np.moveaxis(heavy, 0, -1))] * 2), fill.problem_given(jax.random.key(0), things(latlon(dbz))))
    assert domain.quantities(native).sizes["time"] == 10
