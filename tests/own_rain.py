"""Frames of rain as users have them, on grids of 32 x 32 pixels of 2 km and larger, and models' domains that take them."""

import numpy as np
import xarray as xr

NOW = np.datetime64("2026-06-14T15:40", "ns")
STEP = 2 / 111.195  # degrees of latitude of a pixel


def storm(frames=4, shape=(32, 32), at=None):
    """(frames, Y, X) dBZ from south to north: a cell that moves east, nearer to the south-west corner than to any other."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    row, column = at or (shape[0] / 4, shape[1] / 4)
    cells = [50 * np.exp(-((y - row) ** 2 + (x - column - t) ** 2) / 20.0) for t in range(frames)]
    dbz = np.round(np.stack(cells), 2)
    return np.where(dbz < 2, 0.0, dbz).astype(np.float32)


def times(count, step=5, now=NOW):
    """The last is `now`."""
    return now + (np.arange(count) - count + 1) * np.timedelta64(60 * step, "s")


def latlon(dbz, when=None, west=5.0, north=52.0, pixel=1, name="reflectivity", **attrs):
    """North-down, in degrees, the middle of its first pixel at `north`, `west`."""
    when = times(len(dbz)) if when is None else when
    lat = north - pixel * STEP * np.arange(dbz.shape[1])
    lon = west + pixel * STEP / np.cos(np.radians(lat.mean())) * np.arange(dbz.shape[2])
    coords = {
        "time": when, "lat": ("lat", lat, {"standard_name": "latitude", "units": "degrees_north"}),
        "lon": ("lon", lon, {"standard_name": "longitude", "units": "degrees_east", "note": "mine"}),
    }  # fmt: skip
    return xr.Dataset({name: (("time", "lat", "lon"), dbz[:, ::-1], {"units": "dBZ"} | attrs)}, coords)


def projected(dbz, when=None, unit="km", down=True):
    """In a Lambert azimuthal projection about 52 N 10 E, columns and rows called xc and yc."""
    when, scale = times(len(dbz)) if when is None else when, 1 if unit == "km" else 1000
    crs = {
        "grid_mapping_name": "lambert_azimuthal_equal_area", "latitude_of_projection_origin": 52.0, "longitude_of_projection_origin": 10.0,
        "false_easting": 4321000.0, "false_northing": 3210000.0, "semi_major_axis": 6378137.0, "inverse_flattening": 298.257222101,
    }  # fmt: skip
    y, x = 3000.0 + 2 * np.arange(dbz.shape[1]), 4200.0 + 2 * np.arange(dbz.shape[2])
    about = {"units": "dBZ", "standard_name": "equivalent_reflectivity_factor", "grid_mapping": "laea"}
    coords = {
        "time": when, "yc": ("yc", scale * y, {"standard_name": "projection_y_coordinate", "units": unit}),
        "xc": ("xc", scale * x, {"standard_name": "projection_x_coordinate", "units": unit}),
    }  # fmt: skip
    found = xr.Dataset({"DBZH": (("time", "yc", "xc"), dbz, about), "laea": ((), np.int32(0), crs)}, coords)
    return found.isel(yc=slice(None, None, -1)) if down else found
