from functools import partial

import numpy as np
import pytest
from own_rain import latlon, projected, storm

from domains.weather import formats
from domains.weather.header import Header


def header(dataset):
    return Header.of("f", formats.pick_field("f", dataset, ""))


@pytest.mark.parametrize(
    "make", [latlon, partial(latlon, west=359.9), partial(latlon, west=-0.1), projected, partial(projected, down=False, unit="m")]
)
def test_a_pixel_found_by_its_longitude_and_latitude_is_that_of_the_grid(make):
    found = header(make(storm(shape=(20, 30))))
    lon, lat = found.lonlat()
    rows, columns = np.array([0, 3, 19]), np.array([0, 29, 7])
    at = (19 - rows if found.flipped[0] else rows), columns
    for turn in (0, 360, -360):
        np.testing.assert_allclose(found.pixels(lon[at] + turn, lat[at]), np.stack([rows, columns], -1), atol=1e-6)
    assert found.inside(found.pixels(lon[at], lat[at])).all() and not found.inside(found.pixels(lon[at] + 90, lat[at])).any()
    south = found.pixels(lon.mean(), lat.min() + 0.01)[0, 0], found.pixels(lon.mean(), lat.max() - 0.01)[0, 0]
    assert south[0] < south[1]  # rows count from the south


def test_longitudes_and_latitudes_of_every_pixel_serve_where_no_projection_is_said():
    known = projected(storm(shape=(20, 30)))
    lon, lat = header(known).lonlat()
    given = known.drop_vars("laea")
    given.DBZH.attrs.pop("grid_mapping")
    given = given.assign(
        longitude=(("yc", "xc"), lon, {"standard_name": "longitude"}), latitude=(("yc", "xc"), lat, {"standard_name": "latitude"})
    )
    found = header(given)
    assert not found.projected and set(found.places) == {"longitude", "latitude"}
    np.testing.assert_array_equal(found.pixels(lon[2, 5] + 0.002, lat[2, 5] - 0.002), [[17, 5]])
    assert np.isnan(found.pixels(lon[2, 5] + 5, lat[2, 5])).all()
    np.testing.assert_array_equal(found.cut(3, 4, 5, 6).places["latitude"].values, lat[12:17, 4:10])


def test_a_window_and_a_finer_grid_lie_where_they_did():
    found = header(latlon(storm(shape=(20, 30))))
    part = found.cut(2, 5, 8, 10)  # rows from the south
    np.testing.assert_array_equal(part.y.values, found.y.values[10:18])
    np.testing.assert_array_equal(part.x.values, found.x.values[5:15])
    fine = part.finer(4)
    np.testing.assert_allclose(fine.y.values.reshape(8, 4).mean(1), part.y.values)
    assert fine.spacing == part.spacing / 4 and fine.y.values[0] > part.y.values[0] and fine.x.attrs == part.x.attrs
    np.testing.assert_allclose(np.diff(fine.x.values), np.diff(part.x.values)[0] / 4)


def test_places_in_words_are_degrees_where_they_can_be():
    assert header(latlon(storm(shape=(20, 30)), west=359.5)).in_words(19, 0) == "52.00 N 0.50 W"
    bare = projected(storm(shape=(20, 30))).drop_vars("laea")
    assert header(bare).in_words(0, 0) == "xc = 4200, yc = 3000 km"
