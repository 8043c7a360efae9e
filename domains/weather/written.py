"""A held-out example as a user would bring it: frames as CF netCDF, north-down, at a time and a place that stand for any."""

from pathlib import Path

import numpy as np
import xarray as xr

from sciddm.data.saving import save_dataset

NOW = np.datetime64("2026-06-01T12:00", "s")
CRS = {
    "grid_mapping_name": "azimuthal_equidistant", "latitude_of_projection_origin": 50.0, "longitude_of_projection_origin": 10.0,
    "earth_radius": 6371000.0, "comment": "stands for the true location, which is not kept",
}  # fmt: skip


def grid(shape, spacing: float) -> dict:
    """y, falling, and x of a plane of `spacing` km, in m."""
    about = ({"standard_name": f"projection_{dim}_coordinate", "units": "m"} for dim in "yx")
    centres = [(np.arange(n) + 0.5) * spacing * 1000 for n in shape]
    return {dim: (dim, values, attrs) for dim, values, attrs in zip("yx", (centres[0][::-1], centres[1]), about, strict=True)}


def write_frames(dbz, domain, path, *, step: int = 1, factor: int = 1, no_echo: float = 0.0) -> Path:
    """dBZ (frames, Y, X) from south to north, NaN where missing, as netCDF; the last `past` of a forecast ends at `NOW`.

    step: of the model, between frames; factor: of the model's pixels, a side; no_echo: what stands for it in block means.
    """
    minutes = (np.arange(len(dbz)) - len(dbz) + 1) * step * domain.interval
    times = NOW + np.round(60 * minutes).astype("timedelta64[s]")
    about = {"units": "dBZ", "standard_name": "equivalent_reflectivity_factor", "grid_mapping": "crs", "no_echo": float(no_echo)}
    coords = {"time": ("time", times.astype("datetime64[ns]"), {"standard_name": "time"})} | grid(dbz.shape[1:], factor * domain.spacing)
    data = {"reflectivity": (("time", "y", "x"), np.asarray(dbz, np.float32)[:, ::-1], about), "crs": ((), np.int32(0), CRS)}
    save_dataset(xr.Dataset(data, coords, {"Conventions": "CF-1.11"}), path)
    return Path(path)
