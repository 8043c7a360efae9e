"""What is cut out of a file and coarsened, before it is learned."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

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
        found[name.strip()], open_ = value.strip(), ""
    if open_:
        raise UserError(f"config.data.{key}: {open_!r}: its brackets don't match")
    return found


def need_dim(fields: Fields, key: str, dim: str, dims) -> None:
    """Raises: UserError that names the key, unless `dim` is one of `dims`."""
    if dim not in dims:
        raise UserError(
            f"{fields.source}: {key} = {dim!r}: no such dimension; expected one of {', '.join(map(str, dims))}{near(dim, dims)}"
        )


def cuts_of(fields: Fields, data, dims, counted) -> tuple[dict[str, slice], dict[str, int]]:
    """(slices, factors) of config.data.crop and coarsen; counted: (sample, time) dimensions. Raises: UserError that names the key."""
    slices, factors = {}, {}
    for dim, text in pairs("crop", data.crop).items():
        need_dim(fields, "config.data.crop", dim, [d for d in dims if d != counted[0]])
        slices[dim] = _slice(fields, dim, text)
    for dim, text in pairs("coarsen", data.coarsen).items():
        need_dim(fields, "config.data.coarsen", dim, [d for d in dims if d not in counted])
        size = _length(slices.get(dim, slice(None)), fields.template.sizes[dim])
        if not text.isdigit() or not 1 <= int(text) <= size:
            raise UserError(
                f"config.data.coarsen: {dim}={text}: expected a whole number from 1 to the {size} points of {dim!r}"
            )
        factors[dim] = int(text)
    return slices, factors


def _slice(fields, dim, text):
    size = fields.template.sizes[dim]
    first, colon, last = text.partition(":")
    try:
        if not colon:
            raise ValueError
        if dim not in fields.template.indexes:
            start, stop = (int(part) if part.strip() else None for part in (first, last))
            found = slice(*slice(start, stop).indices(size)[:2])
        else:
            index = fields.template.indexes[dim]
            low, high = (
                type(index[0])(part) if index.dtype.kind in "iuf" else np.datetime64(part)
                for part in (first.strip(), last.strip())
            )
            inside = np.flatnonzero((index >= min(low, high)) & (index <= max(low, high)))
            found = slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
    except (ValueError, TypeError):
        raise UserError(
            f"config.data.crop: {dim}={text}: expected two numbers of its coordinate, such as {EXAMPLES['crop']!r}"
        ) from None
    if not _length(found, size):
        within = (
            f"{fields.template.indexes[dim].min()} to {fields.template.indexes[dim].max()}"
            if dim in fields.template.indexes
            else f"0:{size}"
        )
        raise UserError(f"{fields.source}: config.data.crop: {dim}={text}: nothing lies there; the file has {within}")
    return found


def _length(part: slice, size: int) -> int:
    return len(range(*part.indices(size)))


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
