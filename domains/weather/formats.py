"""What each file format calls its frames: zarr, netCDF, GRIB, SEVIR and ODIM HDF5, one at a time and read only where they are used."""

import difflib
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from domains.weather import odim
from domains.weather.coded import Meant, Said, field_of, with_meaning
from domains.weather.grib import check_grib, check_once
from sciddm import store
from sciddm.data.hdf5 import check_hdf5
from sciddm.data.reading import files, kind_of, listed, need, pick, reading, text
from sciddm.errors import UserError

# What rain and echoes are called (CF names, and xradar's for a sweep), and the units that nothing else has.
STANDARD_NAMES = {
    "equivalent_reflectivity_factor", "rainfall_rate", "rainfall_flux", "lwe_precipitation_rate", "precipitation_flux",
    "radar_equivalent_reflectivity_factor_h",
}  # fmt: skip
TELLING_UNITS = {"dbz", "mm/h", "mm h-1", "kg m-2 h-1"}
MAPPING = {"grid_mapping_name", "crs_wkt", "spatial_ref"}  # of which a variable has one where it is a projection
UNDATED = np.datetime64("2000-01-01", "s")  # the first event of a file without dates


def open_parts(path, said: Said = Said()) -> Iterator[tuple[Path, xr.DataArray]]:  # noqa: B008
    """(file, frames) of every file at `path`, in the order of their names: numbers as `coded.values_of` reads them, still on disk where
    the format allows that.

    Events of a file without dates (SEVIR) are put a day apart, from 2000-01-01.
    Args: path: a file, a folder of one format or a pattern such as "radar/*.nc"; said: what the files don't tell.
    Raises: UserError naming the file at fault.
    """
    undated = 0
    for file in files(path, READERS, "frames"):
        parts = READERS[kind_of(file)](file, said)
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
        other = (difflib.get_close_matches(variable, fields, n=1) or list(fields) or [""])[0]
        key = f"--config.data.variable={shlex.quote(other)}" if other else "config.data.path to a file with one"
        return placed(dataset, fields[pick(file, fields, (variable,), what=what, key=key)])
    found = [name for name, array in fields.items() if str(array.attrs.get("standard_name")) in STANDARD_NAMES]
    found = found or [n for n, a in fields.items() if plain_units(a.attrs.get("units", "")) in TELLING_UNITS]
    found = found or [name for name, array in fields.items() if array.ndim >= 3] or list(fields)
    if len(found) != 1:
        what = f"{len(found)} variables may be meant ({', '.join(found)})" if found else "no field is there"
        way_out = f"set --config.data.variable={shlex.quote(found[0])}, or another" if found else "expected time, y and x"
        raise UserError(f"{file}: {what}, found {listed(fields)}; {way_out}")
    return placed(dataset, fields[found[0]])


def placed(dataset: xr.Dataset, array: xr.DataArray) -> xr.DataArray:
    """A field with its grid mapping, and the longitudes and latitudes of its pixels, as coordinates, which a data set keeps apart."""
    kept = {
        name: other for name, other in dataset.data_vars.items()
        if other.ndim == 2 and set(other.dims) <= set(array.dims) and str(other.attrs.get("standard_name")) in ("longitude", "latitude")
    }  # fmt: skip
    array = array.assign_coords(kept) if kept else array
    name = str(array.attrs.get("grid_mapping") or array.encoding.get("grid_mapping") or "").split(":")[0].split(" ")[0]
    known = [n for n, v in dataset.variables.items() if not v.ndim and MAPPING & set(v.attrs)]
    name = name if name in dataset.variables else known[0] if len(known) == 1 else ""
    return odim.mapped(array, name, dataset[name].attrs) if name else array


def _zarr(file, said):
    import zarr

    dataset = store.open_store(file, complete=False, decode_cf=False, create_default_indexes=False)
    for variable in dataset.variables.values() if (file / ".zgroup").exists() else ():
        # Version 2 has its missing value nowhere else; but a zero that is no packed one is what others have by default, and dry.
        if variable.attrs.get("_FillValue") == 0 and not {"scale_factor", "add_offset"} & set(variable.attrs):
            del variable.attrs["_FillValue"]
    array = field_of(file, dataset, said, pick_field, netcdf=False)
    if not store.manifest_path(Path(file)).exists():
        whole = zarr.open_group(file, mode="r", use_consolidated=False)[array.name]
        store.check_complete(Path(file), array.name, whole, dataset[array.name], said.absent_chunks)
    shard = (array.encoding.get("shards") or (0,))[0]
    if not shard or array.dims[0] != "time":
        yield array
        return
    # As Archive.write leaves it. Through tensorstore, which is several times faster than zarr-python where chunks are small.
    packed = store.open_array(file, array.name)
    for first in range(0, len(array), shard):
        frames = array[first : min(first + shard, len(array))]
        found = frames.copy(data=packed[first : first + len(frames)].read().result())
        found.encoding = array.encoding
        yield found


def _netcdf(file, said):
    # By what opens it: the library that knows all of them may crash on a damaged file.
    with file.open("rb") as opened:
        engine = ENGINES.get(opened.read(4))
    if engine == "h5netcdf":
        check_hdf5(file)
    options = {"decode_cf": False, "create_default_indexes": False} | ({"engine": engine} if engine else {})
    with xr.open_dataset(file, **options) as dataset:
        yield field_of(file, dataset, said, pick_field)


def _grib(file, said):
    variable = said.variable
    need("cfgrib", file, odim.EXTRA)
    check_grib(file)
    # No index: it would be written beside the user's file. By name, because not all fields of a file fit one dataset.
    ways = ([{"filter_by_keys": {"shortName": variable}}] if variable else []) + [{}]
    for way in ways:
        try:
            dataset = xr.open_dataset(
                file, engine="cfgrib", backend_kwargs={"indexpath": "", "errors": "raise"} | way, decode_timedelta=True
            )
        except ValueError:  # as it has it of fields that don't go together
            check_once(file)
            raise
        if dataset.data_vars:
            break
    only = next(iter(dataset.data_vars)) if len(dataset.data_vars) == 1 and way else variable
    array = pick_field(file, dataset, only)
    check_once(file, array.attrs.get("GRIB_paramId"))
    for dim, key in (("y", "GRIB_DyInMetres"), ("x", "GRIB_DxInMetres")):
        if dim in array.dims and key in array.attrs:  # a projection: cfgrib gives latitudes and longitudes only
            metres = np.arange(array.sizes[dim]) * float(array.attrs[key])
            upwards = dim == "x" or array.attrs.get("GRIB_jScansPositively", 1)
            attrs = {"units": "m", "standard_name": f"projection_{dim}_coordinate"}
            array = array.assign_coords({dim: (dim, metres if upwards else metres[::-1], attrs)})
    yield with_meaning(array, Meant.of({}, np.float32, said, decoded=True))


def _hdf5(file, said):
    import h5py

    check_hdf5(file)
    with h5py.File(file) as opened:
        if text(opened.attrs.get("Conventions", "")).startswith("ODIM"):
            volume = text(opened["what"].attrs["object"]) in ("PVOL", "SCAN")
            if volume:
                yield odim.sweep(file, said, pick_field)
            else:
                yield from odim.images(file, opened, said)
            return
        if "id" in opened and {"vil", "vis", "ir069", "ir107", "lght"} & set(opened):
            yield from _sevir(file, opened)
            return
    yield from _netcdf(file, said)


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


ENGINES = {b"\x89HDF": "h5netcdf", b"CDF\x01": "scipy", b"CDF\x02": "scipy"}
READERS = {
    ".zarr": _zarr, ".nc": _netcdf, ".nc4": _netcdf, ".cdf": _netcdf, ".grib": _grib, ".grib2": _grib, ".grb": _grib, ".grb2": _grib,
    ".h5": _hdf5, ".hdf": _hdf5, ".hdf5": _hdf5,
}  # fmt: skip
