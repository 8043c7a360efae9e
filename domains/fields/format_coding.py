"""What a file's numbers mean: CF packing, missing values, valid ranges, times, and which variables are coordinates."""

import re
import warnings
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import xarray as xr

from domains.fields.format_lazy import Raw, plain_attributes
from sciddm.data.coding import CODED_BY, Coding, spelled
from sciddm.data.dates import check_times
from sciddm.data.reading import check_finite, index_of, reading
from sciddm.errors import UserError

# What is applied here, and says nothing of the values that come out.
APPLIED = (*CODED_BY, "coordinates", "dtype")
TIMES = xr.coders.CFDatetimeCoder()
SPANS = xr.coders.CFTimedeltaCoder(decode_via_units=False)  # a duration in hours is a number like any other
UNITS_OF_PLACES = {
    "degrees_north", "degree_north", "degrees_n", "degree_n", "degrees_east", "degree_east", "degrees_e", "degree_e",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """One file: its structure, and its fields as they lie on disk."""

    file: Path
    template: xr.Dataset
    raw: dict[str, xr.Variable]
    coding: dict[str, Coding]

    def read(self, name: str, picks: dict[str, np.ndarray]) -> np.ndarray:
        """float32 values at the given indices of each dimension, in the order of the file's dimensions. UserError on an inf."""
        raw, coding = self.raw[name], self.coding[name]
        index, turned = {}, []
        for axis, dim in enumerate(raw.dims):
            index[dim], backwards = _as_slice(picks[dim])
            turned += [axis] * backwards
        try:
            with reading(self.file):
                packed = np.flip(np.asarray(raw.isel(index).values), turned)
            values = coding.decode(packed)
        except MemoryError as error:
            shape = tuple(len(picks[dim]) for dim in raw.dims)
            raise UserError(
                f"{self.file}: variable {name!r}: {shape} values are more than memory holds; cut less out of it by --config.data.crop"
            ) from error
        if np.isinf(values).any():
            places = [picks[dim] for dim in raw.dims]
            wide = coding.decode(packed, np.float64)
            check_finite(self.file, name, wide, missing=True, places=places)
            worst = index_of(np.isinf(values))
            place = tuple(int(p[i]) for p, i in zip(places, worst, strict=True))
            raise UserError(
                f"{self.file}: variable {name!r} is {wide[worst]:g} at index {place}, more than single precision holds (3.4e38); "
                "if it means missing say so in the attribute missing_value, else give the variable in larger units"
            )
        return values


def _as_slice(index: np.ndarray):
    # (what reads these indices fastest, whether the result has to be turned round)
    if len(index) == 1:
        return slice(int(index[0]), int(index[0]) + 1), False
    if len(index) > 1:
        step = int(index[1] - index[0])
        if step and np.array_equal(index, index[0] + step * np.arange(len(index))):
            first, last = sorted((int(index[0]), int(index[-1])))
            return slice(first, last + 1, abs(step)), step < 0
    return index, False


def part_of(file: Path, raw: Raw) -> Part:
    """The structure of a file: which of its variables are coordinates, which are fields, and what their numbers mean.

    Raises: UserError if there is no field with entries.
    """
    clean = {
        n: xr.Variable(_unlike(v.dims), v._data, _as_meant(plain_attributes(v.attrs)), v.encoding)
        for n, v in raw.variables.items()
    }
    listed, edges = _listed(clean, raw.attrs, ATTRIBUTES), _listed(clean, {}, ATTRIBUTES[:2])
    fields, coords, scalars, coding, empty = {}, {}, {}, {}, {}
    for name, variable in clean.items():
        dims = variable.dims[:-1] if variable.dtype == "S1" and variable.ndim else variable.dims
        located = name in listed or name in dims or _is_place(variable)
        if variable.dtype.kind in "cV" or len(dims) > 2 and (name in edges or name in dims):
            continue
        if not dims or len(dims) <= 2 and (located or _is_date(variable)):
            if (loaded := _in_memory(file, name, variable)) is not None:
                (coords if dims or located else scalars)[name] = loaded
        elif variable.dtype.kind in "biuf" and not _is_date(variable):
            if 0 in variable.shape:
                empty[name] = dict(variable.sizes)
                continue
            coding[name] = Coding.of(variable.attrs, variable.dtype, netcdf=raw.netcdf, where=f"{file}: variable {name!r}")
            nothing = np.broadcast_to(np.float32(np.nan), variable.shape)
            attrs, encoding = _applied(variable)
            fields[name] = xr.Variable(variable.dims, nothing, attrs, encoding)
    if not fields:
        gaps = "; ".join(f"{n} has {s}" for n, s in empty.items())
        found = f"its fields have 0 entries ({gaps})" if empty else f"no gridded numbers, found {_described(clean)}"
        raise UserError(f"{file}: {found[:300]}; expected at least one array of real numbers with at least one axis")
    used = {dim for variable in fields.values() for dim in variable.dims}
    coords = {n: v for n, v in coords.items() if 0 not in v.shape and (n in used or not v.ndim or used & {*v.dims})}
    template = xr.Dataset(fields | scalars, coords, plain_attributes(raw.attrs))
    return Part(Path(file), template, {name: clean[name] for name in fields}, coding)


def _described(variables):
    return ", ".join(f"{n} ({v.dtype}, {v.shape})" for n, v in variables.items()) or "none"


def _unlike(dims) -> tuple:
    # Of a covariance (x, x) the second axis is not the first.
    return tuple(dim if dim not in dims[:i] else f"{dim}_{i}" for i, dim in enumerate(dims))


# Which name other variables: edges of cells, coordinates, grid mappings, measures of cells.
ATTRIBUTES = ("bounds", "climatology", "coordinates", "grid_mapping", "cell_measures")


def _as_meant(attrs) -> dict:
    # Attributes of packing and missing values as CF spells them, and times "Days Since".
    found = spelled(attrs)
    if isinstance(units := found.get("units"), str):
        found["units"] = re.sub(r"^(\w+)\s+since\s+(?=\d)", lambda match: f"{match[1].lower()} since ", units.strip(), flags=re.IGNORECASE)
    return found


def _listed(variables, attrs, keys) -> set[str]:
    texts = [attrs.get("coordinates", "")] + [v.attrs.get(key, "") for v in variables.values() for key in keys]
    return {word.rstrip(":") for text in texts if isinstance(text, str) for word in text.split()}


def _is_place(variable) -> bool:
    attrs = variable.attrs
    return attrs.get("standard_name") in ("latitude", "longitude") or str(attrs.get("units")).lower() in UNITS_OF_PLACES


def _is_date(variable) -> bool:
    return variable.dtype.kind in "mM" or " since " in str(variable.attrs.get("units", "")).lower()


def _applied(variable):
    # (attributes that still say something of decoded values, encoding with the others)
    unpacked = variable.dtype.kind == "f" and not {"scale_factor", "add_offset"} & set(variable.attrs)
    applied = [key for key in APPLIED if not (unpacked and key.startswith("valid_"))]  # still true of what is given back
    attrs = {key: value for key, value in variable.attrs.items() if key not in applied}
    encoding = {key: value for key, value in variable.attrs.items() if key in applied}
    return attrs, {**encoding, "dtype": variable.dtype}


def _in_memory(file, name, variable) -> xr.Variable | None:
    # Times and text by xarray, which knows calendars; times that it can't decode stay numbers, what is neither is None.
    attrs, encoding = _applied(variable)
    declared = str(variable.attrs.get("dtype", ""))
    if variable.dtype.kind == "T":
        variable = variable.copy(data=np.array(variable.values.tolist(), str))
    if variable.dtype.kind in "SUO" or _is_date(variable) or declared.startswith(("datetime", "timedelta")):
        decoded, known = None, False
        with suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = xr.conventions.decode_cf_variable(
                name, variable, decode_times=TIMES, decode_timedelta=SPANS
            ).load()
            if decoded.dtype.kind == "S":
                decoded = decoded.copy(data=np.char.decode(decoded.values, errors="replace"))
            if variable.dtype.kind == "f" and decoded.dtype.kind in "MO":
                decoded = decoded.copy(data=_to_milliseconds(decoded.values))
            known = decoded.dtype.kind != "O" or all(
                isinstance(v, str) or hasattr(v, "calendar") for v in decoded.values.flat
            )
        if decoded is not None:
            if _is_date(variable) and decoded.dtype.kind in "MO" and variable.dtype.kind in "iuf" and variable.ndim < 2:
                where, units = f"{file}: {name!r}", str(variable.attrs["units"])
                check_times(where, np.atleast_1d(variable.values), units, cftime=decoded.dtype.kind == "O")
            return decoded if known else None
    if variable.dtype.kind not in "biuf":
        return None
    with reading(file):
        values = np.asarray(variable.values)
    coding = Coding.of(variable.attrs, values.dtype, where=f"{file}: variable {name!r}")
    values = values.astype(values.dtype.newbyteorder("=")) if coding == Coding() else coding.decode(values, np.float64)
    return xr.Variable(variable.dims, values, attrs, encoding)


def _to_milliseconds(dates: np.ndarray) -> np.ndarray:
    # Floats of hours or days since long ago are not exact: 00:04:59.999999 is 00:05.
    if dates.dtype.kind == "M":
        return (dates + np.timedelta64(500, "us")).astype("M8[ms]").astype(dates.dtype)
    half = timedelta(microseconds=500)
    near = [one + half if hasattr(one, "calendar") else one for one in dates.ravel()]
    near = [one.replace(microsecond=one.microsecond // 1000 * 1000) if hasattr(one, "calendar") else one for one in near]
    found = np.empty(dates.size, object)
    found[:] = near
    return found.reshape(dates.shape)
