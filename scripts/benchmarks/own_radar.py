"""Radar archives as a user brings them, and a forecast of their newest frames from the command line, read by xarray and pyproj alone.

    python scripts/benchmarks/own_radar.py make runs/own
    sciddm train --config configs/weather.py:smoke --config.data.held_out=16 --workdir runs/latlon --config.data.path=runs/own/latlon.nc
    (and the same for runs/projected of runs/own/projected.zarr)
    python scripts/benchmarks/own_radar.py ask runs/own --latlon runs/latlon --projected runs/projected

`make` writes made rain as latlon.nc (mm/h packed in int16, north-down, degrees) and projected.zarr (dBZ, north-down, metres of a Lambert
projection), beside each the newest frames of a storm that is in neither, gauges of the hour after as tables, and the same frames as ODIM.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyproj
import xarray as xr

from domains.weather import generate
from domains.weather.transform import rain_rate

SIZE, EVENTS, FRAMES, PAST = 96, 160, 24, 4
CRS = pyproj.CRS.from_epsg(3035)
START, NOW = np.datetime64("2024-05-01T00:00", "s"), np.datetime64("2026-06-14T15:40", "s")
STEP = np.timedelta64(300, "s")


def grid(projected: bool) -> xr.Dataset:
    """Coordinates of SIZE x SIZE pixels of 2 km, the northern row first."""
    if projected:
        y = xr.Variable("y", 3.2e6 - 2000.0 * np.arange(SIZE), {"standard_name": "projection_y_coordinate", "units": "m"})
        x = xr.Variable("x", 4.0e6 + 2000.0 * np.arange(SIZE), {"standard_name": "projection_x_coordinate", "units": "m"})
        return xr.Dataset({"laea": ((), np.int32(0), CRS.to_cf())}, {"y": y, "x": x})
    step = 2 / 111.195
    lat = 52.5 - step * np.arange(SIZE)
    lon = 5.0 + step / np.cos(np.radians(lat.mean())) * np.arange(SIZE)
    return xr.Dataset(coords={
        "lat": ("lat", lat, {"standard_name": "latitude", "units": "degrees_north"}),
        "lon": ("lon", lon, {"standard_name": "longitude", "units": "degrees_east"}),
    })  # fmt: skip


def as_file(dbz, times, projected: bool) -> xr.Dataset:
    """dBZ (time, y northwards, x) as an archive of either kind has them."""
    frame, down = grid(projected), dbz[:, ::-1]
    if projected:
        about = {"units": "dBZ", "standard_name": "equivalent_reflectivity_factor", "grid_mapping": "laea"}
        frame = frame.assign_coords(time=times)
        return frame.assign(DBZH=(("time", "y", "x"), down.astype(np.float32), about)).assign_attrs(Conventions="CF-1.8")
    about = {"units": "mm h-1", "standard_name": "rainfall_rate"}
    frame = frame.assign_coords(time=times).assign(rainfall_rate=(("time", "lat", "lon"), rain_rate(down).astype(np.float32), about))
    frame.rainfall_rate.encoding = {"dtype": "int16", "scale_factor": 0.02, "_FillValue": -1, "zlib": True, "complevel": 1}
    return frame.assign_attrs(Conventions="CF-1.8")


def write(dataset: xr.Dataset, path: Path) -> None:
    if path.suffix == ".nc":
        dataset.to_netcdf(path, engine="h5netcdf")
    else:
        # Dry frames too: what is not there is refused as lost.
        dataset.to_zarr(path, zarr_format=3, consolidated=False, write_empty_chunks=True, encoding={"DBZH": {"chunks": (1, SIZE, SIZE)}})


def make(folder: Path) -> None:
    """The archives, and for each the newest frames, what came after them, and gauges."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = [generate.Event(7, i, SIZE).frames(FRAMES) for i in range(EVENTS)]
    times = (START + np.arange(EVENTS)[:, None] * np.timedelta64(6, "h") + np.arange(FRAMES) * STEP).ravel()
    storm = generate.Event(7, EVENTS + 3, SIZE).frames(PAST + 12)
    when = NOW + (np.arange(PAST + 12) - PAST + 1) * STEP
    for name, projected in (("latlon.nc", False), ("projected.zarr", True)):
        path = folder / name
        write(as_file(np.concatenate(packed), times, projected), path)
        write(as_file(storm[:PAST], when[:PAST], projected), path.with_stem(f"{path.stem}_newest"))
        gauges(storm, when, projected, folder / path.stem)
    for i in range(PAST):
        odim(storm[i], when[i], folder / "odim")


def gauges(storm, when, projected: bool, stem: Path) -> None:
    """Half an hour of reports in mm of 5 minutes by station, and where the stations stand in degrees, as tables."""
    rng, frame = np.random.default_rng(1), grid(projected)
    rows, columns = rng.integers(4, SIZE - 4, (2, 40))
    y, x = (frame[dim].values for dim in (("y", "x") if projected else ("lat", "lon")))
    lon, lat = x[columns], y[rows]
    if projected:
        lon, lat = pyproj.Transformer.from_crs(CRS, 4326, always_xy=True).transform(lon, lat)
    names = [f"S{i:02d}" for i in range(40)]
    pd.DataFrame({"station": names, "lon": lon, "lat": lat}).round(5).to_csv(f"{stem}_stations.csv", index=False)
    rate = rain_rate(storm[PAST : PAST + 6, ::-1][:, rows, columns])
    reports = pd.DataFrame({
        "time": np.repeat(pd.to_datetime(when[PAST : PAST + 6]).tz_localize("UTC"), 40), "station": np.tile(names, 6),
        "rain [mm]": (rate / 12).ravel().round(3), "interval [min]": 5,
    })  # fmt: skip
    reports.to_csv(f"{stem}_gauges.csv", index=False)


def odim(dbz, time, folder: Path) -> None:
    """One frame as a composite of ODIM HDF5, the rest of the grid's corner in degrees, as pysteps reads it."""
    folder.mkdir(exist_ok=True)
    frame, stamp = grid(True), str(time).replace("-", "").replace(":", "")
    to_degrees = pyproj.Transformer.from_crs(CRS, 4326, always_xy=True)
    left, right = frame.x.values[[0, -1]] + [-1000, 1000]
    top, bottom = frame.y.values[[0, -1]] + [1000, -1000]
    with h5py.File(folder / f"T_{stamp}.h5", "w") as file:
        file.attrs["Conventions"] = "ODIM_H5/V2_2"
        what = {"object": "COMP", "version": "H5rad 2.2", "date": stamp[:8], "time": stamp[9:], "source": "ORG:247"}
        where = {"projdef": CRS.to_proj4(), "xsize": SIZE, "ysize": SIZE, "xscale": 2000.0, "yscale": 2000.0}
        for corner, x, y in (("LL", left, bottom), ("UL", left, top), ("LR", right, bottom), ("UR", right, top)):
            where[f"{corner}_lon"], where[f"{corner}_lat"] = to_degrees.transform(x, y)
        for name, values in (("what", what), ("where", where)):
            for key, value in values.items():
                file.create_group(name) if name not in file else None
                file[name].attrs[key] = np.bytes_(value) if isinstance(value, str) else value
        coding = {"quantity": np.bytes_("DBZH"), "gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}
        coding |= {"startdate": what["date"], "starttime": what["time"], "enddate": what["date"], "endtime": what["time"]}
        group = file.create_group("dataset1/data1/what")
        for key, value in coding.items():
            group.attrs[key] = np.bytes_(value) if isinstance(value, str) else value
        coded = np.where(dbz > 0, np.rint((dbz + 32) / 0.5), 0).astype(np.uint8)[::-1]
        file["dataset1/data1/data"] = coded


def ask(folder: Path, run: Path, name: str, *given, task: str = "nowcast", count: int = 4) -> None:
    """A forecast from the command line, then what xarray and pyproj alone say of it: times, places, directions."""
    suffix = ".zarr" if name.startswith("projected") else ".nc"
    out = folder / f"{task}_{name}.nc"
    command = ["sciddm", "sample", "--workdir", run, "--task", task, "--count", count, "--out", out]
    command += [word for thing in given for word in ("--given", folder / thing)]
    print("\n$", *command)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sciddm.cli", *map(str, command[1:])], check=True)
    print(f"{time.perf_counter() - start:.0f} s")
    found = xr.open_dataset(out, decode_timedelta=False)
    newest = folder / f"{name.split('_')[0]}_newest{suffix}"
    own = xr.open_dataset(newest, decode_timedelta=False) if suffix == ".nc" else xr.open_zarr(newest, consolidated=False)
    dims = found.reflectivity.dims
    print(f"{dims} {found.reflectivity.shape}; {found.reflectivity.units}, {found.rain_rate.units}")
    times = [*found.time.values[[0, -1]], found.forecast_reference_time.values]
    print("valid {} to {}, reference {}".format(*(time.astype("datetime64[m]") for time in times)))
    right = {"times": (np.diff(found.time) == np.timedelta64(5, "m")).all() and found.time.values[0] == own.time.values[0]}
    right["reference time"] = found.forecast_reference_time.values == own.time.values[-1] == NOW
    y, x = dims[2:]
    if y in own.coords:
        field = next(name for name, array in own.data_vars.items() if array.ndim == 3)
        # By the very numbers; those of ODIM went through degrees, and its dBZ through steps of a half.
        coded = "odim" in name
        there = own[field].sel({y: found[y], x: found[x]}, **({"method": "nearest", "tolerance": 1} if coded else {}))
        dbz = there if suffix == ".zarr" else 10 * np.log10(200 * np.maximum(there, 0.0365) ** 1.6)
        known = found.reflectivity.sel(member=0).isel(time=slice(0, PAST)).values
        right["coordinates"] = coded or (found[y].attrs == own[y].attrs and found[x].attrs == own[x].attrs)
        off = np.abs(known - dbz.values)[dbz.values > 10].max()
        right["orientation"] = bool(off < (0.26 if coded else 0.01)) and found[y].values[0] > found[y].values[-1]
    if "grid_mapping" in found.reflectivity.attrs:
        to_degrees = pyproj.Transformer.from_crs(pyproj.CRS.from_cf(found[found.reflectivity.grid_mapping].attrs), 4326, always_xy=True)
        lon, lat = to_degrees.transform(*np.meshgrid(found[x], found[y]))
        right["longitudes and latitudes"] = bool(np.allclose(lon, found.lon) and np.allclose(lat, found.lat))
        expected = pyproj.Transformer.from_crs(CRS, 4326, always_xy=True).transform(*np.meshgrid(found[x], found[y]))
        away = pyproj.Geod(ellps="WGS84").inv(lon, lat, *expected)[2]
        print(f"first pixel {float(found.lat[0, 0]):.4f} N {float(found.lon[0, 0]):.4f} E; off the true place by {np.max(away):.2f} m")
    else:
        print(f"first pixel {float(found[y][0]):.4f} N {float(found[x][0]):.4f} E")
    print(", ".join(f"{what} {'right' if fine else 'WRONG'}" for what, fine in right.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "ask"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--latlon", type=Path, help="a run trained on latlon.nc")
    parser.add_argument("--projected", type=Path, help="a run trained on projected.zarr")
    parser.add_argument("--members", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.what == "make":
        make(arguments.folder)
    for name, run, suffix in (("latlon", arguments.latlon, ".nc"), ("projected", arguments.projected, ".zarr")):
        if arguments.what == "ask" and run:
            ask(arguments.folder, run, name, f"{name}_newest{suffix}", count=arguments.members)
            given = f"{name}_newest{suffix}", f"{name}_gauges.csv", f"{name}_stations.csv"
            ask(arguments.folder, run, name, *given, task="assimilate", count=arguments.members)
    if arguments.what == "ask" and arguments.projected:
        ask(arguments.folder, arguments.projected, "projected_odim", "odim", count=arguments.members)


if __name__ == "__main__":
    main()
