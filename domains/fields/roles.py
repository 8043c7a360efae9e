"""Which dimension of a file counts samples, which is time, which are space; what is cut out of it and coarsened."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from domains.fields.axes import check_places, dates_of, one_point, step_of, typed
from domains.fields.cuts import coarse, cuts_of, need_dim, read_grid, vectors_of
from domains.fields.layout import Layout, is_longitude
from domains.fields.readers import Fields, is_sample, is_time
from sciddm.data.reading import listed
from sciddm.errors import UserError
from sciddm.named import near

SPACE = {
    "x", "y", "z", "lat", "latitude", "lon", "long", "longitude", "lev", "level", "levels", "height", "altitude", "depth", "plev",
    "pressure",
    "isobaric", "row", "col", "rows", "cols", "column", "i", "j", "k", "ni", "nj", "nk", "nx", "ny", "nz", "xc", "yc", "zc", "rlat", "rlon",
    "south_north", "west_east", "bottom_top", "easting", "northing", "r", "theta", "phi", "radius", "width", "distance", "range", "azimuth",
}  # fmt: skip
AXES = {"X", "Y", "Z"}  # CF's attribute `axis`
MOST_SPACE = 3


@dataclass(frozen=True, eq=False)
class Plan:
    """How samples are cut out of a file: its layout, and of each dimension what is read and how many points make one.

    slices: dim -> slice of the file; factors: dim -> points that are averaged.
    """

    layout: Layout
    slices: Mapping[str, slice]
    factors: Mapping[str, int]


def make_plan(fields: Fields, data) -> Plan:
    """The plan that config.data asks of a file, and what it says nothing of is found.

    Raises: UserError that names the file and the key where the file leaves something open, or lacks what is asked for.
    """
    template = fields.template
    names = _variables(fields, data)
    dims = tuple(template[names[0]].dims)
    sample, time = _sample_and_time(fields, data, dims)
    slices, factors = cuts_of(fields, data, dims, (sample, time))
    statics = _statics(fields, data, names, (sample, time))
    conditions = _conditions(fields, data, names, (sample, time))
    header = header_of(fields, (*names, *conditions), statics, (sample, time), slices, factors)
    space = tuple(dim for dim in dims if dim not in (sample, time) and header.sizes[dim] > 1)
    if not 1 <= len(space) <= MOST_SPACE:
        sizes = ", ".join(f"{dim} ({header.sizes[dim]})" for dim in space) or "none of more than one point"
        way_out = "samples and times are not among them"
        if space:
            way_out = f"take one point by {typed('crop', one_point(header, space[-1]))}"
            way_out = way_out if sample else f"{typed('sample_dim', space[0])} where that counts samples, or {way_out}"
        raise UserError(f"{fields.source}: dimensions of space are {sizes}; expected 1 to {MOST_SPACE}: {way_out}")
    check_places(fields, header, space)
    frames = data.window if data.window > 1 else 0
    step, units = step_of(fields, time, frames, dims)
    layout = Layout(
        header, tuple(names), space, sample, time, frames, step, units, tuple(conditions), tuple(statics),
        _periodic(fields, data, header, space), dates=dates_of(fields, time),
    )  # fmt: skip
    for dim in data.augment:
        need_dim(fields, "config.data.augment", dim, space)
    _check_vectors(fields, data, layout)
    return Plan(layout, slices, factors)


def _check_vectors(fields, data, layout) -> None:
    names = (*layout.variables, *layout.conditions)
    for vector in vectors_of(data):
        for name in vector:
            if name not in names:
                raise UserError(f"{fields.source}: config.data.vectors: no variable {name!r}, found {', '.join(names)}{near(name, names)}")
        if len(vector) > len(layout.space):
            raise UserError(
                f"{fields.source}: config.data.vectors: {vector} has {len(vector)} components; expected at most one for each of "
                f"{', '.join(layout.space)}, the last dimension's first"
            )


def _fields_of(fields) -> dict[str, xr.DataArray]:
    # All but scalars, such as a grid mapping, and the edges of cells.
    found = fields.template.data_vars.items()
    return {name: array for name, array in found if array.ndim and not str(name).endswith(("_bnds", "_bounds"))}


def _variables(fields, data) -> list[str]:
    found = _fields_of(fields)
    for key in ("variables", "condition", "static"):
        for name in data[key]:
            if name not in found:
                raise UserError(
                    f"{fields.source}: config.data.{key}: no variable {name!r}, found {listed(found)}{near(name, found)}"
                )
    others = {*data.condition, *data.static}
    if data.variables:
        names = list(dict.fromkeys(data.variables))
        for name in names:
            if set(found[name].dims) != set(found[names[0]].dims):
                raise UserError(
                    f"{fields.source}: config.data.variables: {names[0]!r} lies on {found[names[0]].dims}, {name!r} on {found[name].dims}; "
                    f"expected the same dimensions, as {typed('variables', names[0])}"
                )
        return names
    groups: dict[frozenset, list[str]] = {}
    for name, array in found.items():
        if name not in others:
            groups.setdefault(frozenset(array.dims), []).append(name)
    if not groups:
        raise UserError(
            f"{fields.source}: no variable is left to generate, found {listed(found)}; leave one out of config.data.condition and static"
        )
    # What lies on space alone is given beside what has samples or times; series of one number a time are no fields.
    counted = {dims: any(is_sample(dim) or is_time(fields.template, dim) for dim in dims) for dims in groups}
    series = {dims for dims in groups if len(dims) == 1 and len(groups) > 1}
    largest = max(groups, key=len)
    rivals = [
        dims for dims in groups if dims != largest and dims not in series and (counted[dims] or not dims < largest)
    ]
    if rivals:
        said = "; ".join(
            f"{', '.join(names)} on ({', '.join(map(str, found[names[0]].dims))})" for names in groups.values()
        )
        raise UserError(
            f"{fields.source}: variables on more than one grid: {said}; name those that belong together, such as "
            f"{typed('variables', ','.join(groups[largest]))}"
        )
    return groups[largest]


def _sample_and_time(fields, data, dims) -> tuple[str, str]:
    template = fields.template
    for key in ("sample_dim", "time_dim"):
        if data[key]:
            need_dim(fields, f"config.data.{key}", data[key], dims)
    if data.sample_dim and data.sample_dim == data.time_dim:
        raise UserError(
            f"config.data.time_dim = {data.time_dim!r}: is config.data.sample_dim, too; expected another dimension"
        )
    rest = [dim for dim in dims if dim not in (data.sample_dim, data.time_dim)]
    times = [data.time_dim] if data.time_dim else [dim for dim in rest if is_time(template, dim) and not is_sample(dim)]
    if len(times) > 1:
        raise _ask(fields, "time_dim", times, "which is time?")
    time = times[0] if times else ""
    samples = [data.sample_dim] if data.sample_dim else [dim for dim in rest if is_sample(dim) and dim != time]
    if len(samples) > 1:
        raise _ask(fields, "sample_dim", samples, "which counts the samples?")
    if time and not samples:
        _refuse_unknown(fields, [dim for dim in dims if dim != time])
    if samples or time:
        return (samples[0] if samples else ""), time
    return _plain(fields, dims), ""


def _refuse_unknown(fields, dims) -> None:
    # Beside dimensions of space one that neither its name nor a coordinate says to be of space may count samples.
    template = fields.template
    plain = [dim for dim in dims if str(dim).lower() not in SPACE and not _says_space(template, dim) and dim not in template.coords]
    plain = [dim for dim in plain if template.sizes[dim] > 1]
    if plain and len(plain) < len(dims):
        raise UserError(
            f"{fields.source}: does {plain[0]!r} ({template.sizes[plain[0]]}) count samples? {typed('sample_dim', plain[0])} if it does; "
            f"where it is of space, write a coordinate {plain[0]!r} to the file, its places"
        )


def _plain(fields, dims) -> str:
    """The dimension that counts samples where no name says so: the only one that is none of space, or of a bare array the first,
    where it is the only one of its size and longer than the others, or the only one beside axes of one size."""
    template = fields.template
    sizes = {dim: template.sizes[dim] for dim in dims}
    bare = [dim for dim in dims if str(dim).startswith("axis_")]
    other = [dim for dim in dims if str(dim).lower() not in SPACE and not _says_space(template, dim)]
    rest = [size for dim, size in sizes.items() if dim != dims[0]]
    if len(dims) > 1 and len(other) == 1 and len(bare) != len(dims):
        return other[0]
    if len(bare) == len(dims) > 1 and (
        sizes[dims[0]] > max(rest) or (len(rest) > 1 and len({*rest}) == 1 and sizes[dims[0]] != rest[0])
    ):
        return dims[0]
    raise _ask(
        fields, "sample_dim", dims, "which counts the samples?" if len(dims) > 1 else "one dimension is one sample"
    )


def _says_space(template, dim) -> bool:
    attrs = template[dim].attrs if dim in template.coords else {}
    return attrs.get("axis") in AXES or "projection_" in str(attrs.get("standard_name", "")) or is_longitude(dim, attrs)


def _ask(fields, key, dims, question):
    said = ", ".join(f"{dim} ({fields.template.sizes[dim]})" for dim in dims)
    return UserError(f"{fields.source}: {question} {said}; set {typed(key, dims[0])}, or another")


def _statics(fields, data, names, counted) -> list[str]:
    found, grid = _fields_of(fields), set(fields.template[names[0]].dims) - set(counted)
    wide = {dim for dim in grid if fields.template.sizes[dim] > 1}
    for name in data.static:
        if not set(found[name].dims) <= grid:
            raise UserError(
                f"{fields.source}: config.data.static: {name!r} lies on ({', '.join(found[name].dims)}); expected dimensions among "
                f"{sorted(grid)}; what changes with the sample is a condition, {typed('condition', name)}"
            )
    if data.static:
        return list(dict.fromkeys(data.static))
    return [name for name, array in found.items() if wide <= set(array.dims) <= grid and name not in names]


def _conditions(fields, data, names, counted) -> list[str]:
    found = _fields_of(fields)
    for name in data.condition:
        if set(found[name].dims) != set(found[names[0]].dims):
            raise UserError(
                f"{fields.source}: config.data.condition: {name!r} lies on ({', '.join(found[name].dims)}); expected the dimensions of "
                f"{names[0]!r}, ({', '.join(found[names[0]].dims)})"
            )
        if name in names:
            raise UserError(
                f"config.data.condition: {name!r} is in config.data.variables, too; expected it in one of them"
            )
    return list(dict.fromkeys(data.condition))


def header_of(fields, names, statics, counted, slices, factors) -> xr.Dataset:
    """The file without its values; see `Layout.header`."""
    template = fields.template
    scalars = [name for name, array in template.data_vars.items() if not array.ndim]
    keep = [name for name in template.data_vars if name in (*names, *statics, *scalars)]
    header = template[keep].isel({dim: slice(0, 0) for dim in counted if dim})
    header = header.isel({dim: part for dim, part in slices.items() if dim not in counted})
    for dim, factor in factors.items():
        header = coarse(header, dim, factor)
    for name in statics:
        values = read_grid(fields, name, slices, factors)
        header[name] = xr.Variable(template[name].dims, values, template[name].attrs)
    mappings = {str(array.attrs.get("grid_mapping")) for array in header.variables.values()}
    header = header.reset_coords([name for name in header.coords if name in mappings])  # as xarray reads them
    for name in header.variables:
        header[name].attrs = {key: value for key, value in header[name].attrs.items() if _keeps(value)}
    used = {dim for name in keep for dim in template[name].dims}
    header = header.drop_vars([name for name, array in header.coords.items() if not set(array.dims) <= used])
    header.attrs = {key: value for key, value in template.attrs.items() if _keeps(value)}
    return header.drop_encoding()


def _keeps(value) -> bool:
    # What netCDF can hold; zarr also has nested ones.
    if isinstance(value, (list, tuple)):
        return bool(value) and all(
            isinstance(one, (str, int, float, np.number)) and not isinstance(one, bool) for one in value
        )
    return isinstance(value, (str, bytes, int, float, np.number, np.ndarray)) and not isinstance(value, bool)


def _periodic(fields, data, header, space) -> tuple[str, ...]:
    for dim in data.periodic:
        need_dim(fields, "config.data.periodic", dim, space)
    if data.periodic:
        return tuple(dim for dim in space if dim in data.periodic)
    found = []
    for dim in space:
        if dim in header.coords and is_longitude(dim, header[dim].attrs) and header[dim].size > 2:
            values = header[dim].values.astype(float)
            if abs(abs(values[-1] - values[0]) + abs(values[1] - values[0]) - 360.0) < 1e-3 * 360:
                found.append(dim)
                print(f"{fields.source}: {dim!r} goes once around the Earth, so it is periodic", file=sys.stderr)
    return tuple(found)
