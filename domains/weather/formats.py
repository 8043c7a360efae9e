"""What each file format calls its frames: zarr, netCDF, GRIB, SEVIR and ODIM HDF5, one at a time and read only where they are used."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm import store
from sciddm.data.reading import files, kind_of, listed, need, pick, reading, text
from sciddm.errors import UserError

# What rain and echoes are called (CF names, and xradar's for a sweep), and the units that nothing else has.
STANDARD_NAMES = {
    "equivalent_reflectivity_factor", "rainfall_rate", "rainfall_flux", "lwe_precipitation_rate", "precipitation_flux",
    "radar_equivalent_reflectivity_factor_h",
}  # fmt: skip
TELLING_UNITS = {"dbz", "mm/h", "mm h-1", "kg m-2 h-1"}
EXTRA = "weather"  # of sciddm, with the libraries of some formats
MAPPING = {"grid_mapping_name", "crs_wkt", "spatial_ref"}  # of which a variable has one where it is a projection
PIXEL = 1.0  # km; of the grid that a sweep is put on
EARTH = 6371000.0  # m
UNDATED = np.datetime64("2000-01-01", "s")  # the first event of a file without dates


def open_parts(path, variable: str = "") -> Iterator[tuple[Path, xr.DataArray]]:
    """(file, frames) of every file at `path`, in the order of their names: values still on disk where the format allows that.

    Events of a file without dates (SEVIR) are put a day apart, from 2000-01-01.
    Args: path: a file, a folder of one format or a pattern such as "radar/*.nc"; variable: its name, "" where the file says.
    Raises: UserError naming the file at fault.
    """
    undated = 0
    for file in files(path, READERS, "frames"):
        parts = READERS[kind_of(file)](file, variable)
        while True:
            with reading(file):
                part = next(parts, None)
            if part is None:
                break
            if "time" in part.coords and part["time"].dtype.kind == "m":
                part = part.assign_coords(time=UNDATED + np.timedelta64(undated, "D") + part["time"].values)
                undated += 1
            yield file, part


def plain_units(units: str) -> str:
    """Units in one spelling: "kg m**-2 s**-1" is "kg m-2 s-1", "mm/hr" is "mm/h"."""
    units = " ".join(str(units).lower().replace("**", "").replace("^", "").split())
    return units.replace("hour", "h").replace("hr", "h")


def pick_field(file, dataset: xr.Dataset, variable: str) -> xr.DataArray:
    """The named one; else the one that says by its name, or else by its units, that it is rain; else the only sequence there is."""
    fields = {n: a for n, a in dataset.data_vars.items() if a.ndim >= 2 and a.dtype.kind in "iuf"}
    if variable:
        what = f"field named config.data.variable = {variable!r}"
        return placed(dataset, fields[pick(file, fields, (variable,), what=what, key="config.data.variable")])
    found = [name for name, array in fields.items() if array.attrs.get("standard_name") in STANDARD_NAMES]
    found = found or [n for n, a in fields.items() if plain_units(a.attrs.get("units", "")) in TELLING_UNITS]
    found = found or [name for name, array in fields.items() if array.ndim >= 3] or list(fields)
    if len(found) != 1:
        what = f"{len(found)} variables may be meant ({', '.join(found)})" if found else "no field is there"
        raise UserError(f"{file}: {what}, found {listed(fields)}; set config.data.variable")
    return placed(dataset, fields[found[0]])


def placed(dataset: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """A field with its grid mapping, and the longitudes and latitudes of its pixels, as coordinates, which a data set keeps apart."""
    kept = {
        name: other for name, other in dataset.data_vars.items()
        if other.ndim == 2 and set(other.dims) <= set(array.dims) and other.attrs.get("standard_name") in ("longitude", "latitude")
    }  # fmt: skip
    array = array.assign_coords(kept) if kept else array
    name = str(array.attrs.get("grid_mapping") or array.encoding.get("grid_mapping") or "").split(":")[0].split(" ")[0]
    known = [n for n, v in dataset.variables.items() if not v.ndim and MAPPING & set(v.attrs)]
    name = name if name in dataset.variables else known[0] if len(known) == 1 else ""
    return _mapped(array, name, dataset[name].attrs) if name else array


def _mapped(array, name, attrs):
    found = array.assign_coords({name: ((), 0, dict(attrs))})
    found.attrs = array.attrs | {"grid_mapping": name}
    found.encoding = array.encoding
    return found


def _zarr(file, variable):
    dataset = store.open_store(file)
    array = pick_field(file, dataset, variable)
    shard = (array.encoding.get("shards") or (0,))[0]
    if not shard or array.dims[0] != "time":
        yield array
        return
    # As Archive.write leaves it. Through tensorstore, which is several times faster than zarr-python where chunks are small.
    packed = store.open_array(file, array.name)
    coding = {key: np.float32(array.encoding[key]) for key in ("scale_factor", "add_offset") if key in array.encoding}
    attrs = array.attrs | coding | {key: array.encoding[key] for key in ("_FillValue",) if key in array.encoding}
    for first in range(0, len(array), shard):
        frames = slice(first, min(first + shard, len(array)))
        coded = xr.Variable(array.dims, packed[frames].read().result(), attrs)
        yield xr.decode_cf(xr.Dataset({array.name: coded}))[array.name].assign_coords(array[frames].coords)


def _netcdf(file, variable):
    with xr.open_dataset(file, decode_timedelta=False) as dataset:
        yield pick_field(file, dataset, variable)


def _grib(file, variable):
    need("cfgrib", file, EXTRA)
    # No index: it would be written beside the user's file. By name, because not all fields of a file fit one dataset.
    ways = ([{"filter_by_keys": {"shortName": variable}}] if variable else []) + [{}]
    for way in ways:
        dataset = xr.open_dataset(
            file, engine="cfgrib", backend_kwargs={"indexpath": "", "errors": "raise"} | way, decode_timedelta=True
        )
        if dataset.data_vars:
            break
    only = next(iter(dataset.data_vars)) if len(dataset.data_vars) == 1 and way else variable
    array = pick_field(file, dataset, only)
    for dim, key in (("y", "GRIB_DyInMetres"), ("x", "GRIB_DxInMetres")):
        if dim in array.dims and key in array.attrs:  # a projection: cfgrib gives latitudes and longitudes only
            metres = np.arange(array.sizes[dim]) * float(array.attrs[key])
            upwards = dim == "x" or array.attrs.get("GRIB_jScansPositively", 1)
            attrs = {"units": "m", "standard_name": f"projection_{dim}_coordinate"}
            array = array.assign_coords({dim: (dim, metres if upwards else metres[::-1], attrs)})
    yield array


def _hdf5(file, variable):
    import h5py

    with h5py.File(file) as opened:
        if text(opened.attrs.get("Conventions", "")).startswith("ODIM"):
            volume = text(opened["what"].attrs["object"]) in ("PVOL", "SCAN")
            yield _odim_sweep(file, variable) if volume else _odim_image(file, opened, variable)
            return
        if "id" in opened and {"vil", "vis", "ir069", "ir107", "lght"} & set(opened):
            yield from _sevir(file, opened)
            return
    with xr.open_dataset(file, engine="h5netcdf", decode_timedelta=False) as dataset:
        yield pick_field(file, dataset, variable)


def sevir_vil(digital: np.ndarray) -> np.ndarray:
    """kg m-2 of SEVIR's digital vertically integrated liquid X, uint8; NaN where X = 255, missing.

    0 for X <= 5, (X - 2) / 90.66 for 5 < X <= 18, exp((X - 83.9) / 38.9) for 18 < X <= 254
    (Veillette et al. 2020, NeurIPS, SEVIR supplement eq. 2: the coding of NEXRAD product 134.)
    """
    level = np.arange(256.0)
    table = np.where(level <= 5, 0, np.where(level <= 18, (level - 2) / 90.66, np.exp((level - 83.9) / 38.9)))
    table[255] = np.nan
    return table.astype(np.float32)[digital]


def _sevir(file, opened):
    if "vil" not in opened or opened["vil"].ndim != 4 or opened["vil"].dtype != np.uint8:
        raise UserError(
            f"{file}: no SEVIR 'vil' of uint8 (event, y, x, frame), found {sorted(opened)}; the others are no rain"
        )
    vil = opened["vil"]
    coords = {
        "time": np.arange(vil.shape[3]) * np.timedelta64(300, "s")
    }  # without a date, which only the catalogue has
    for dim, n in zip("yx", vil.shape[1:3], strict=True):
        coords[dim] = (dim, np.arange(n) + 0.5, {"units": "km", "standard_name": f"projection_{dim}_coordinate"})
    attrs = {"units": "kg m-2", "long_name": "vertically integrated liquid"}
    for event in range(len(vil)):
        frames = np.moveaxis(sevir_vil(vil[event]), -1, 0)
        yield xr.DataArray(frames, coords, ("time", "y", "x"), "vil", attrs)


def _odim_image(file, opened, variable):
    quantities = sorted({text(q) for q in _attributes(opened, "quantity")} & {"DBZH", "RATE"})
    if variable and variable not in quantities:
        raise UserError(
            f"{file}: no quantity config.data.variable = {variable!r}, found {quantities}; expected DBZH or RATE"
        )
    if not variable and len(quantities) != 1:
        raise UserError(f"{file}: quantities {quantities}; expected DBZH or RATE, set config.data.variable")
    quantity = variable or quantities[0]
    importers = need("pysteps.io.importers", file, EXTRA)
    values, _, where = importers.import_odim_hdf5(str(file), qty=quantity)
    what = opened["what"].attrs
    coords = {"time": [_stamp(text(what["date"]), text(what["time"]))]}
    for dim, n, start in (("y", values.shape[0], where["y2"]), ("x", values.shape[1], where["x1"])):
        size = where[f"{dim}pixelsize"]
        if size is None:
            raise UserError(f"{file}: no {dim}scale, the size of a pixel; expected it in /where")
        centres = start + (np.arange(n) + 0.5) * size * (1 if dim == "x" else -1)  # the first row is the northern one
        coords[dim] = (dim, centres, {"units": "m", "standard_name": f"projection_{dim}_coordinate"})
    found = xr.DataArray(values[None], coords, ("time", "y", "x"), quantity, {"units": where["unit"]})
    return _mapped(found, "crs", importlib.import_module("pyproj").CRS(where["projection"]).to_cf())


def _odim_sweep(file, variable):
    # The lowest sweep on a square grid about the radar: the nearest gate of each pixel of `PIXEL` km, by ground range and azimuth.
    xradar = need("xradar", file, EXTRA)
    tree = xradar.io.open_odim_datatree(str(file))
    sweeps = [node.to_dataset() for name, node in tree.children.items() if name.startswith("sweep")]
    sweep = min(sweeps, key=lambda each: float(each["sweep_fixed_angle"]))
    gates = pick_field(file, sweep, variable)
    values = gates.transpose("azimuth", "range").values
    packing = gates.encoding
    if "_Undetect" in gates.attrs:
        nothing = gates.attrs["_Undetect"] * packing.get("scale_factor", 1) + packing.get("add_offset", 0)
        values = np.where(values == nothing, 0, values)  # looked and saw nothing, which is no missing value
    elevation, ranges = float(sweep["sweep_fixed_angle"]), sweep["range"].values.astype(float)
    _, ground, _ = xradar.georeference.antenna_to_cartesian(
        ranges, np.zeros_like(ranges), np.full_like(ranges, elevation)
    )
    azimuth = sweep["azimuth"].values.astype(float)
    beam, gate = np.median(np.diff(np.sort(azimuth))), np.median(np.diff(ground)) / 1000
    half = int((ground[-1] / 1000 + gate / 2) // PIXEL)
    centres = (np.arange(2 * half) + 0.5 - half) * PIXEL
    distance = np.hypot(centres[:, None], centres[None])
    direction = np.degrees(np.arctan2(centres[None], centres[:, None])) % 360
    ray, off_ray = _nearest(np.concatenate([azimuth - 360, azimuth, azimuth + 360]), direction)
    bin_, off_bin = _nearest(ground / 1000, distance)
    seen = (off_ray <= beam) & (off_bin <= gate)  # else outside the sweep, or in a sector without rays
    grid = np.where(seen, values[ray % len(azimuth), bin_], np.nan)
    coords = {"time": [sweep["time"].values.min()]}
    coords |= {d: (d, centres, {"units": "km", "standard_name": f"projection_{d}_coordinate"}) for d in "yx"}
    found = xr.DataArray(grid[None], coords, ("time", "y", "x"), gates.name, {"units": gates.attrs.get("units", "")})
    where = {name: (sweep if name in sweep else tree)[name].values for name in ("longitude", "latitude")}
    centre = {f"{name}_of_projection_origin": float(value) for name, value in where.items()}
    return _mapped(found, "crs", {"grid_mapping_name": "azimuthal_equidistant", "earth_radius": EARTH} | centre)


def _nearest(points, wanted):
    # (index into points, distance) of the point nearest to each of `wanted`.
    order = np.argsort(points)
    middle = (points[order][1:] + points[order][:-1]) / 2
    index = order[np.searchsorted(middle, wanted)]
    return index, np.abs(points[index] - wanted)


def _attributes(opened, name):
    found = []
    opened.visititems(lambda _, node: found.append(node.attrs[name]) if name in node.attrs else None)
    return found


def _stamp(date, time):
    return np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:8]}T{time[:2]}:{time[2:4]}:{time[4:6] or '00'}", "s")


READERS = {
    ".zarr": _zarr, ".nc": _netcdf, ".nc4": _netcdf, ".cdf": _netcdf, ".grib": _grib, ".grib2": _grib, ".grb": _grib, ".grb2": _grib,
    ".h5": _hdf5, ".hdf": _hdf5, ".hdf5": _hdf5,
}  # fmt: skip
