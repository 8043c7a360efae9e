"""A small file of fields as a scientist brings it: two variables, y descending, samples neither first nor last, sequences in time."""

from pathlib import Path

import numpy as np
import xarray as xr


def small_dataset(samples: int = 40, times: int = 6, height: int = 6, width: int = 10, seed: int = 0) -> xr.Dataset:
    """Travelling waves of two amplitudes: c (y, sample, time, x) in mg/L, T likewise in degC."""
    rng = np.random.default_rng(seed)
    phase, tilt = rng.uniform(0, 2 * np.pi, (2, samples, 1, 1, 1))
    level = rng.standard_normal((samples, 1, 1, 1))
    y, x, t = np.arange(height)[:, None] / height, np.arange(width) / width, np.arange(times)[:, None, None]
    wave = np.sin(2 * np.pi * x + phase + 0.5 * t + np.sin(tilt) * y)
    other = np.cos(2 * np.pi * x + phase + 0.5 * t) + 0.1 * rng.standard_normal((samples, times, height, width))
    order = ("sample", "time", "y", "x")
    dataset = xr.Dataset(
        {
            "c": (
                order,
                (3 + 0.5 * wave + 0.4 * level).astype(np.float32),
                {"units": "mg/L", "long_name": "concentration", "origin": "probe 7"},
            ),
            "T": (
                order,
                (20 + 2 * other - level).astype(np.float32),
                {"units": "degC", "standard_name": "sea_water_temperature"},
            ),
        },
        {
            "y": ("y", np.arange(height)[::-1] * 0.5, {"units": "mm", "positive": "up"}),
            "x": ("x", np.arange(width) * 0.25, {"units": "mm"}),
            "time": ("time", np.arange(times) * 10.0, {"units": "s"}),
        },
        {"title": "a run", "contact": "somebody"},
    )
    return dataset.transpose("y", "sample", "time", "x")


def write_small(folder, **sizes) -> Path:
    """The same as netCDF in a folder; its path."""
    path = Path(folder) / "small.nc"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        small_dataset(**sizes).to_netcdf(path, engine="h5netcdf")
    return path
