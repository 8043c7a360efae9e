"""config.data as it is written, and what is cut out of a file and coarsened by it, before it is learned."""

import re
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pandas as pd
import xarray as xr

from domains.fields.format_compare import is_date
from domains.fields.layout import is_longitude
from domains.fields.readers import Fields
from sciddm.errors import UserError
from sciddm.named import near

EXAMPLES = {"crop": "lat=20:60", "coarsen": "x=2", "transforms": "q=log(offset=0.1)"}


def pairs(key: str, entries) -> dict[str, str]:
    """{"lat": "20:60"} of ("lat=20:60",). An entry that a comma in brackets has cut is put together again.

    Raises: UserError that names the key.
    """
    found, open_ = {}, ""
    for entry in entries:
        open_ = f"{open_},{entry}" if open_ else str(entry)
        if open_.count("(") > open_.count(")"):
            continue
        name, equals, value = open_.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UserError(f"config.data.{key}: {open_!r}: expected NAME=VALUE, such as {EXAMPLES[key]!r}")
        if name.strip() in found:
            raise UserError(f"config.data.{key}: {name.strip()!r} is named twice; expected once")
        found[name.strip()], open_ = value.strip(), ""
    if open_:
        raise UserError(f"config.data.{key}: {open_!r}: its brackets don't match")
    return found


def vectors_of(data) -> tuple[tuple[str, ...], ...]:
    """config.data.vectors, one of which may stand alone. Raises: UserError where it is no tuple of names."""
    found = tuple(data.vectors)
    found = (found,) if found and all(isinstance(one, str) for one in found) else found
    for one in found:
        if isinstance(one, str) or not all(isinstance(name, str) for name in one) or len({*one}) != len(one):
            raise UserError(
                f"config.data.vectors = {tuple(data.vectors)}: expected tuples of names, such as (('u', 'v'),)"
            )
    return tuple(tuple(one) for one in found)


def need_dim(fields: Fields, key: str, dim: str, dims) -> None:
    """Raises: UserError that names the key, unless `dim` is one of `dims`."""
    if dim not in dims:
        what = "is none that this key takes" if dim in fields.template.dims else "no such dimension"
        raise UserError(f"{fields.source}: {key} = {dim!r}: {what}; expected one of {', '.join(map(str, dims))}{near(dim, dims)}")


def cuts_of(fields: Fields, data, dims, counted) -> tuple[dict[str, slice], dict[str, int]]:
    """(slices, factors) of config.data.crop and coarsen; counted: (sample, time) dimensions. Raises: UserError that names the key."""
    slices, factors = {}, {}
    for dim, text in pairs("crop", data.crop).items():
        need_dim(fields, "config.data.crop", dim, [d for d in dims if d != counted[0]])
        slices[dim] = _slice(fields, dim, text)
    for dim, text in pairs("coarsen", data.coarsen).items():
        need_dim(fields, "config.data.coarsen", dim, [d for d in dims if d not in counted])
        size = len(range(*slices.get(dim, slice(None)).indices(fields.template.sizes[dim])))
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= size:
            raise UserError(
                f"config.data.coarsen: {dim}={text}: expected a whole number from 1 to the {size} points of {dim!r}"
            )
        factors[dim] = int(text)
    return slices, factors


def _slice(fields, dim, text):
    size, index = fields.template.sizes[dim], fields.template.indexes.get(dim)
    where = f"{fields.source}: config.data.crop: {dim}={text}"
    dated = index is not None and is_date(fields.template[dim])
    if index is not None and not dated and index.dtype.kind not in "iuf":
        index = None  # words: by index
    middle = [i for i, sign in enumerate(text) if sign == ":"]
    middle = middle[len(middle) // 2] if len(middle) % 2 else len(text)  # hours have colons, too
    first, last = text[:middle].strip(), text[middle + 1 :].strip()
    try:
        if middle == len(text):
            raise ValueError
        if index is None:
            inside = np.arange(size)[slice(*(int(end) if end else None for end in (first, last)))]
        else:
            a, b = _span(first, index, index.min()), _span(last, index, index.max())
            inside = np.flatnonzero((index >= min(a[0], b[0])) & (index <= max(a[1], b[1])))
    except (ValueError, TypeError):
        what, example = ("indices", f"{dim}=0:{size}") if index is None else ("numbers of its coordinate", EXAMPLES["crop"])
        what, example = ("dates", f"{dim}=2001-01:2010-12") if dated else (what, example)
        raise UserError(f"{where}: expected two {what}, such as {example!r}") from None
    if not len(inside):
        within = f"0:{size}" if index is None else f"{index.min()} to {index.max()}"
        raise UserError(f"{where}: nothing lies there; the file has {within}")
    around = index is not None and is_longitude(dim, fields.template[dim].attrs) and a[0] > b[0] and index[0] < index[-1]
    if around or inside[-1] - inside[0] >= len(inside):
        raise UserError(f"{where}: lies in two pieces, at both ends of {dim!r}; roll the file so that it is one, or take one of them")
    return slice(int(inside[0]), int(inside[-1]) + 1)


def _span(text, index, default):
    # First and last of what a number or a date means: 2001-02 is all of a month.
    if not text:
        return default, default
    if index.dtype.kind in "iuf":
        return float(text), float(text)
    if index.dtype.kind == "M":
        date = np.datetime64(text)
        return np.datetime64(date, "ns"), np.datetime64(date + 1, "ns") - np.timedelta64(1, "ns")
    if index.dtype.kind == "m":
        return (pd.Timedelta(text),) * 2
    parts = [int(part) for part in re.findall(r"\d+", text)]
    date = type(index[0])
    if len(parts) < 3:
        later = [*parts[:-1], parts[-1] + 1] if len(parts) == 1 or parts[-1] < 12 else [parts[0] + 1, 1]
        return date(*parts, *[1] * (3 - len(parts))), date(*later, *[1] * (3 - len(parts))) - timedelta(microseconds=1)
    unit = ("days", "hours", "minutes", "seconds")[min(len(parts) - 3, 3)]
    return date(*parts[:6]), date(*parts[:6]) + timedelta(**{unit: 1}) - timedelta(microseconds=1)


def coarse(header: xr.Dataset, dim: str, factor: int) -> xr.Dataset:
    """A dataset whose numbers are means over blocks of `factor` points of a dimension."""
    count = header.sizes[dim] // factor
    parts = {}
    for name, array in header.variables.items():
        if dim not in array.dims:
            parts[name] = array
            continue
        array = array.isel({dim: slice(0, count * factor)})
        if array.dtype.kind in "iuf":
            parts[name] = (
                array.astype(float).coarsen({dim: factor}, np.mean)
                if array.size
                else array.isel({dim: slice(0, count)})
            )
        else:
            parts[name] = array.isel({dim: slice(0, None, factor)})
        parts[name].attrs = dict(array.attrs)
    coords = {name: parts[name] for name in header.coords}
    return xr.Dataset({name: parts[name] for name in header.data_vars}, coords, header.attrs)


def read_grid(fields: Fields, name: str, slices, factors, where: Mapping | None = None) -> np.ndarray:
    """Values of a variable, cut and coarsened, in the order of its dimensions in the file without those that `where` has as a number."""
    where = dict(where or {})
    dims = fields.template[name].dims
    wanted = {dim: part for dim, part in slices.items() if dim in dims and dim not in where} | where
    values = fields.read(name, wanted)
    left = [dim for dim in dims if not isinstance(where.get(dim), (int, np.integer))]
    for axis, dim in enumerate(left):
        if (factor := factors.get(dim, 1)) > 1:
            count = values.shape[axis] // factor
            values = np.take(values, range(count * factor), axis).reshape(
                *values.shape[:axis], count, factor, *values.shape[axis + 1 :]
            )
            values = values.mean(axis + 1)
    return values.astype(np.float32, copy=False)
