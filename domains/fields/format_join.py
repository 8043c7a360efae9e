"""Several files as one: variables of one grid side by side, the same variables behind each other along samples, else along time."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from domains.fields.format_coding import Part
from sciddm.data.units import convert, same
from sciddm.errors import UserError

SAMPLE = re.compile(
    r"(n_)?(samples?|trajector(y|ies)|reali[sz]ations?|members?|ensembles?|numbers?|runs?|cases?|batch|simulations?|sims?|records?|"
    r"events?|index|examples?)(_idx|_id|_dim)?",
    re.IGNORECASE,
)
TIME = re.compile(r"times?|t|time_?step|step|frames?|date", re.IGNORECASE)
NEW = "sample"  # the dimension that files without another to be put behind each other along get


def is_sample(name: str) -> bool:
    """Whether a dimension counts independent samples, by its name: "sample", "trajectory", "member", "run_id", ..."""
    return bool(SAMPLE.fullmatch(str(name)))


def is_time(template: xr.Dataset, dim: str) -> bool:
    """Whether a dimension is time: by its name, else by the axis, standard name or type of its coordinate."""
    if TIME.fullmatch(str(dim)):
        return True
    if dim not in template.coords:
        return False
    coordinate = template.coords[dim]
    told = coordinate.attrs.get("axis") == "T" or coordinate.attrs.get("standard_name") == "time"
    return told or _is_date(coordinate)


def _is_date(coordinate) -> bool:
    kind = coordinate.dtype.kind
    return kind in "mM" or kind == "O" and coordinate.size > 0 and hasattr(coordinate.values.flat[0], "calendar")


class Piece(NamedTuple):
    """What one file has of a variable."""

    part: Part
    start: int = 0  # its first index along the dimension that the files are put behind each other along
    length: int = 1
    flipped: frozenset = frozenset()  # dimensions that run the other way than in the first file
    slope: float = 1.0  # to the units of the first file
    offset: float = 0.0


class Placed(NamedTuple):
    """All that the files have of a variable."""

    pieces: tuple[Piece, ...]
    along: str = ""
    flipped: frozenset = frozenset()


@dataclass(frozen=True, eq=False)
class Joined:
    """The structure of the whole, and where the values of its fields are."""

    name: str  # of a file, for messages
    template: xr.Dataset
    placed: dict[str, Placed]


def join(parts: list[Part]) -> Joined:
    """All files as one. Raises: UserError that names two files and what differs between them."""
    groups: dict[frozenset, list[Part]] = {}
    for part in parts:
        groups.setdefault(frozenset(part.raw), []).append(part)
    names = list(groups)
    for i, one in enumerate(names):
        for other in names[:i]:
            if one & other:
                a, b = groups[other][0].file, groups[one][0].file
                raise UserError(
                    f"{b}: has variables {', '.join(sorted(one))}, but {a.name} has {', '.join(sorted(other))}; expected the same in both, "
                    "or none in common; give a pattern that fits files of one kind"
                )
    first, *others = (_behind(group) for group in groups.values())
    for other in others:
        first = _beside(first, other)
    return first


def _beside(first: Joined, other: Joined) -> Joined:
    flipped = _compare(first.name, first.template, other.name, other.template)
    turned = other.template.isel({dim: slice(None, None, -1) for dim in flipped})
    coords = {name: c.variable for name, c in turned.coords.items() if name not in first.template.variables}
    fields = {n: v.variable for n, v in turned.data_vars.items() if n not in first.template.variables}
    template = first.template.assign(fields).assign_coords(coords)
    placed = {name: place._replace(flipped=flipped) for name, place in other.placed.items()}
    return Joined(first.name, _common_attrs(template, [other.template]), first.placed | placed)


def _behind(parts: list[Part]) -> Joined:
    first = parts[0]
    if len(parts) == 1:
        placed = {name: Placed((Piece(first),)) for name in first.raw}
        return Joined(str(first.file), first.template, placed)
    along, flips = _along(parts)
    parts, flips = _in_order(parts, flips, along)
    first = parts[0]
    lengths = [part.template.sizes.get(along, 1) for part in parts]
    starts = np.cumsum([0, *lengths])[:-1].tolist()
    placed = {}
    for name in first.raw:
        pieces = []
        for part, start, length, flipped in zip(parts, starts, lengths, flips, strict=True):
            _same_dims(first, part, name)
            pieces.append(Piece(part, start, length, flipped, *_line(first, part, name)))
        new = along == NEW and along not in first.template.dims or along not in first.template.sizes
        if new or along in first.raw[name].dims:
            placed[name] = Placed(tuple(pieces), along)
        else:
            _same_values(name, pieces)
            placed[name] = Placed((pieces[0],))
    return Joined(str(first.file), _template(parts, flips, along, lengths, placed), placed)


def _along(parts) -> tuple[str, list[frozenset]]:
    # The dimension to put files behind each other along, and which dimensions of each run the other way than in the first.
    first = parts[0].template
    dims = dict.fromkeys(dim for name in parts[0].raw for dim in first[name].dims)
    samples = [dim for dim in dims if is_sample(dim)]
    times = [dim for dim in dims if is_time(first, dim) and dim not in samples]
    times = [dim for dim in times if not _restarts(parts, dim)]
    clocks = [
        name for name in first.coords
        if first[name].ndim == 0 and name not in dims and all(name in p.template.coords for p in parts)
        and (_is_date(first[name]) or first[name].attrs.get("standard_name") == "time")
        and len({p.template[name].values.item() for p in parts if p.template[name].ndim == 0}) == len(parts)
    ]  # fmt: skip
    candidates = [*samples, *times] or [*clocks[:1], NEW]
    errors = []
    for dim in candidates:
        try:
            flips = [_compare(parts[0].file, first, part.file, part.template, dim) for part in parts]
            return dim, flips
        except UserError as error:
            errors.append(error)
    raise errors[0]


def _restarts(parts, dim) -> bool:
    # Whether each file counts its time, which is no date, from the same start: runs of a simulation, not pieces of one.
    first = parts[0].template
    if dim not in first.coords or _is_date(first[dim]):
        return False
    values = first[dim].values
    return all(
        dim in p.template.coords and np.array_equal(values, p.template[dim].values) and len(values) > 1 for p in parts
    )


def _in_order(parts, flips, along):
    first = parts[0]
    if not is_time(first.template, along) or not all(along in part.template.coords for part in parts):
        return parts, flips
    times = [np.atleast_1d(part.template[along].values) for part in parts]
    try:
        spans = [(min(values), max(values)) for values in times]
        order = sorted(range(len(parts)), key=lambda i: spans[i])
        for a, b in zip(order, order[1:], strict=False):
            if not spans[a][1] < spans[b][0]:
                raise UserError(
                    f"{parts[b].file}: {along!r} begins at {_shown(spans[b][0])}, but {parts[a].file.name} ends at "
                    f"{_shown(spans[a][1])}; expected files that follow each other, give a pattern that leaves one out"
                )
    except TypeError as error:
        raise UserError(
            f"{parts[1].file}: {along!r} can't be compared with that of {first.file.name} ({error}); give times of one calendar"
        ) from error
    if len(times[0]) > 1 and times[0][0] > times[0][-1]:
        order = order[::-1]
    # The first file that was given stays the one whose units and directions hold, so flips are of use as they are.
    return [parts[i] for i in order], [flips[i] for i in order]


def _compare(a_name, a: xr.Dataset, b_name, b: xr.Dataset, along: str = "") -> frozenset:
    # The dimensions of b that run the other way; UserError where its grid is not that of a. `along` is left out.
    shared = [dim for dim in a.sizes if dim in b.sizes and dim != along]
    for dim in shared:
        if a.sizes[dim] != b.sizes[dim]:
            raise UserError(
                f"{b_name}: dimension {dim!r} has size {b.sizes[dim]}, but {a.sizes[dim]} in {a_name}; expected one grid"
            )
        if (dim in a.coords) != (dim in b.coords):
            has, lacks = (a_name, b_name) if dim in a.coords else (b_name, a_name)
            raise UserError(f"{lacks}: no coordinate {dim!r}, which {has} has; expected one grid, write it to both")
    flipped = set()
    common = [n for n in a.coords if n in b.coords and along not in (*a[n].dims, *b[n].dims)]
    common.sort(key=lambda name: name not in shared)
    for name in common:
        if a[name].ndim == 0 or a[name].dims != b[name].dims:
            continue
        one = a[name].values
        other = _in_units(a_name, a[name], b_name, b[name])
        if name not in shared:
            other = np.flip(other, [i for i, dim in enumerate(b[name].dims) if dim in flipped])
        if _alike(one, other):
            continue
        if name in shared and _alike(one, other[::-1]):
            flipped.add(name)
            continue
        place = _worst(one, other)
        raise UserError(
            f"{b_name}: coordinate {name!r} is {_shown(other[place])} at index {tuple(map(int, place))}, but "
            f"{_shown(one[place])} in {a_name}; expected one grid, interpolate to it first"
        )
    return frozenset(flipped)


def _in_units(a_name, a, b_name, b):
    stated, expected = b.attrs.get("units"), a.attrs.get("units")
    if stated is None or expected is None or b.dtype.kind not in "biuf":
        return b.values
    return convert(b.values, stated, expected, f"{b_name}: coordinate {b.name!r}", way_out=f"make it that of {a_name}")


def _alike(a, b) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
        return bool((_difference(a, b) <= 1e-6 * _range(a)).all())
    return bool(np.all((a == b) | ((a != a) & (b != b))))


def _difference(a, b):
    a, b = a.astype(float), b.astype(float)
    return np.where(np.isnan(a) & np.isnan(b), 0, np.nan_to_num(np.abs(a - b), nan=np.inf))


def _range(a):
    a = a[np.isfinite(a)].astype(float) if a.dtype.kind == "f" else a.astype(float)
    return (np.ptp(a) or np.abs(a).max()) if a.size else 0.0


def _worst(a, b):
    off = _difference(a, b) if a.dtype.kind in "biuf" and b.dtype.kind in "biuf" else np.asarray(a != b, float)
    return np.unravel_index(int(np.argmax(off)), off.shape)


def _shown(value) -> str:
    return f"{value:.8g}" if isinstance(value, (float, np.floating)) else str(value)


def _same_dims(first, part, name) -> None:
    a, b = first.template[name].dims, part.template[name].dims
    if {*a} != {*b}:
        raise UserError(
            f"{part.file}: variable {name!r} has dimensions {', '.join(b)}, but {', '.join(a)} in {first.file.name}; expected the same"
        )


def _line(first, part, name) -> tuple[float, float]:
    # (slope, offset) from the units in a file to those in the first.
    stated, expected = (p.template[name].attrs.get("units") for p in (part, first))
    if stated is None or expected is None or same(stated, expected):
        return 1.0, 0.0
    what, way_out = f"{part.file}: variable {name!r}", f"make it that of {first.file.name}"
    zero, one = (convert(value, stated, expected, what, way_out=way_out) for value in (0.0, 1.0))
    return one - zero, zero


def _same_values(name, pieces: Iterable[Piece]) -> None:
    # A field without the dimension that files are put behind each other along has to be the same in all.
    whole = None
    for piece in pieces:
        values = read_piece(piece, name, {d: np.arange(n) for d, n in piece.part.raw[name].sizes.items()})
        values = _ordered(values, piece, name, pieces[0])
        whole = values if whole is None else whole
        if not _alike(whole, values):
            place = _worst(whole, values)
            raise UserError(
                f"{piece.part.file}: variable {name!r} is {_shown(values[place])} at index {tuple(map(int, place))}, but "
                f"{_shown(whole[place])} in {pieces[0].part.file.name}; expected the same in all files, or one along their dimension"
            )


def _ordered(values, piece, name, first):
    dims = piece.part.raw[name].dims
    return values.transpose([dims.index(dim) for dim in first.part.raw[name].dims])


def read_piece(piece: Piece, name: str, picks: dict[str, np.ndarray]) -> np.ndarray:
    """float32 values of one file, in the directions and units of the first one; axes in the order of the file."""
    sizes = piece.part.raw[name].sizes
    local = {dim: sizes[dim] - 1 - picks[dim] if dim in piece.flipped else picks[dim] for dim in sizes}
    values = piece.part.read(name, local)
    return (
        values
        if (piece.slope, piece.offset) == (1.0, 0.0)
        else values * np.float32(piece.slope) + np.float32(piece.offset)
    )


def _template(parts, flips, along, lengths, placed) -> xr.Dataset:
    first = parts[0].template
    total, new = sum(lengths), along not in first.dims
    variables, coords = {}, {}
    for name, variable in first.variables.items():
        all_have = all(name in part.template.variables for part in parts)
        if name in placed:
            dims = variable.dims
            if new and placed[name].along:
                dims = (along, *dims)
            shape = [total if dim == along else first.sizes[dim] for dim in dims]
            nothing = np.broadcast_to(np.float32(np.nan), shape)
            variables[name] = xr.Variable(dims, nothing, variable.attrs, variable.encoding)
        elif along in variable.dims and all_have:
            each = [part.template[name].variable.transpose(*variable.dims) for part in parts]
            each = [_turned(v, flipped) for v, flipped in zip(each, flips, strict=True)]
            coords[name] = _chained(variable, each, along)
        elif variable.ndim == 0 and all_have:
            values = [part.template[name].values[()] for part in parts]
            if all(part.template[name].ndim == 0 for part in parts) and not all(
                v == values[0] or v != v for v in values
            ):
                repeated = np.concatenate([np.repeat(np.asarray([v]), n) for v, n in zip(values, lengths, strict=True)])
                coords[name] = xr.Variable((along,), repeated, variable.attrs, variable.encoding)
            else:
                (coords if name in first.coords else variables)[name] = variable
        elif variable.ndim and along not in variable.dims and all_have:
            coords[name] = variable
    return _common_attrs(xr.Dataset(variables, coords, first.attrs), [part.template for part in parts])


def _turned(variable, flipped):
    return variable.isel({dim: slice(None, None, -1) for dim in flipped if dim in variable.dims})


def _chained(variable, each, along):
    values = np.concatenate([v.values for v in each], axis=variable.dims.index(along))
    return xr.Variable(variable.dims, values, variable.attrs, variable.encoding)


def _common_attrs(template, others) -> xr.Dataset:
    # Of the whole holds what all files say.
    kept = {
        k: v for k, v in template.attrs.items() if all(k in o.attrs and np.array_equal(o.attrs[k], v) for o in others)
    }
    return template.drop_attrs(deep=False).assign_attrs(kept)
