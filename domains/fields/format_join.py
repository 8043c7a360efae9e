"""Several files as one: variables of one grid side by side, the same variables behind each other along samples, else along time."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import xarray as xr

from domains.fields.format_coding import Part
from domains.fields.format_compare import (
    alike,
    at,
    compare,
    in_units,
    is_clock,
    is_date,
    is_sample,
    is_time,
    shown,
    worst,
)
from sciddm.data.units import convert, same
from sciddm.errors import UserError

NEW = "sample"  # the dimension of files that have none to be put behind each other along


class Piece(NamedTuple):
    """What one file has of a variable."""

    part: Part
    flipped: frozenset = frozenset()  # dimensions that run the other way than in the first file
    slope: float = 1.0  # to the units of the first file
    offset: float = 0.0

    def read(self, name: str, picks: dict[str, np.ndarray], dims) -> np.ndarray:
        """float32 values in the directions and units of the first file; axes in the order of `dims`, of length 1 if it has none."""
        own = self.part.raw[name]
        local = {d: n - 1 - picks[d] if d in self.flipped else picks[d] for d, n in own.sizes.items()}
        values = self.part.read(name, local)
        if (self.slope, self.offset) != (1.0, 0.0):
            values = values * np.float32(self.slope) + np.float32(self.offset)
        values = values.transpose([own.dims.index(dim) for dim in dims if dim in own.dims])
        return np.expand_dims(values, [i for i, dim in enumerate(dims) if dim not in own.dims])


@dataclass(frozen=True)
class Placed:
    """All that the files have of a variable: pieces in the order of the dimension that they lie behind each other along."""

    pieces: tuple[Piece, ...]
    along: str = ""
    lengths: tuple[int, ...] = (1,)
    flipped: frozenset = (
        frozenset()
    )  # dimensions of the whole that run the other way than in files with other variables

    @cached_property
    def starts(self) -> np.ndarray:
        """The first index of each piece."""
        return np.cumsum([0, *self.lengths])[:-1]

    def read(self, name: str, picks: dict[str, np.ndarray], dims) -> np.ndarray:
        """float32 values at the given indices of each of `dims`, all axes kept."""
        sizes = {dim: n for dim, n in self.pieces[0].part.raw[name].sizes.items()} | {self.along: sum(self.lengths)}
        picks = {dim: sizes[dim] - 1 - picks[dim] if dim in self.flipped else picks[dim] for dim in dims}
        if len(self.pieces) == 1:
            return self.pieces[0].read(name, picks, dims)
        values = np.empty([len(picks[dim]) for dim in dims], np.float32)
        owner = np.searchsorted(self.starts, picks[self.along], side="right") - 1
        for i in np.unique(owner):
            here = owner == i
            local = {**picks, self.along: picks[self.along][here] - self.starts[i]}
            values[(slice(None),) * dims.index(self.along) + (here,)] = self.pieces[i].read(name, local, dims)
        return values


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
                a, b, both = groups[other][0].file, groups[one][0].file, ", ".join(sorted(one & other)[:3])
                lack = ", ".join(
                    [f"{b.name} has no {n!r}" for n in sorted(other - one)]
                    + [f"{a.name} has no {n!r}" for n in sorted(one - other)]
                )
                raise UserError(
                    f"{b}: has {both} like {a}, but {lack[:200]}; expected the same variables in both, or none in common; "
                    "give a pattern that fits files of one kind"
                )
    first, *others = (_behind(group) for group in groups.values())
    for other in others:
        first = _beside(first, other)
    return first


def _beside(first: Joined, other: Joined) -> Joined:
    flipped = compare(first.name, first.template, other.name, other.template)
    turned = _turned(other.template, flipped)
    coords = {name: c.variable for name, c in turned.coords.items() if name not in first.template.variables}
    fields = {n: v.variable for n, v in turned.data_vars.items() if n not in first.template.variables}
    both = [n for n, c in first.template.coords.items() if c.ndim == 0 and n in turned.coords and turned[n].ndim == 0]
    unlike = [name for name in both if not alike(first.template[name].values, turned[name].values)]
    template = first.template.drop_vars(unlike).assign(fields).assign_coords(coords)
    placed = {n: Placed(p.pieces, p.along, p.lengths, flipped) for n, p in other.placed.items()}
    return Joined(first.name, _with_common_attrs(template, [other.template]), first.placed | placed)


def _behind(parts: list[Part]) -> Joined:
    first = parts[0]  # whose directions, units and orders of axes hold
    if len(parts) == 1:
        return Joined(str(first.file), first.template, {name: Placed((Piece(first),)) for name in first.raw})
    parts = [first, *(_in_units_of(first, part) for part in parts[1:])]
    along, flips = _along(parts)
    order = _order(parts, along)
    parts, flips = [parts[i] for i in order], [flips[i] for i in order]
    lengths = tuple(part.template.sizes.get(along, 1) for part in parts)
    placed = {}
    for name, raw in first.raw.items():
        for part in parts:
            if {*part.raw[name].dims} != {*raw.dims}:
                raise UserError(
                    f"{part.file}: variable {name!r} has dimensions {', '.join(part.raw[name].dims)}, but {', '.join(raw.dims)} in "
                    f"{first.file.name}; expected the same"
                )
        pieces = [Piece(part, turned, *_line(first, part, name)) for part, turned in zip(parts, flips, strict=True)]
        if along in raw.dims or along not in first.template.sizes:
            placed[name] = Placed(tuple(pieces), along, lengths)
        else:
            _check_same(name, pieces, raw.dims)
            placed[name] = Placed((pieces[0],))
    return Joined(str(first.file), _template(first, parts, flips, along, lengths, placed), placed)


def _in_units_of(first, part) -> Part:
    # With its coordinates in the units of the first file, along which files lie behind each other: hours before minutes.
    own, changed = part.template, {}
    for name, one in own.coords.items():
        other = first.template.coords.get(name)
        if other is not None and {*other.dims} == {*one.dims} and one.dtype.kind in "biuf" and {"units"} <= {*one.attrs} & {*other.attrs}:
            values = in_units(first.file, other, part.file, one)
            changed[name] = xr.Variable(one.dims, values, one.attrs | {"units": other.attrs["units"]}, one.encoding)
    return replace(part, template=own.assign_coords(changed)) if changed else part


def _along(parts) -> tuple[str, list[frozenset]]:
    # The dimension to put files behind each other along, and which dimensions of each run the other way than in the first.
    first = parts[0].template
    dims = dict.fromkeys(dim for name in parts[0].raw for dim in first[name].dims)
    samples = [dim for dim in dims if is_sample(dim)]
    times = [dim for dim in dims if is_time(first, dim) and dim not in samples and not _restarts(parts, dim)]
    candidates = samples + times or [*_clocks(parts)[:1], NEW]
    errors = []
    for dim in candidates:
        try:
            return dim, [compare(parts[0].file, first, part.file, part.template, along=dim) for part in parts]
        except UserError as error:
            errors.append(error)
    raise errors[0]


def _restarts(parts, dim) -> bool:
    # Whether each file counts its time, which is no date, from the same start: runs of a simulation, not pieces of one.
    first = parts[0].template
    if dim not in first.coords or is_date(first[dim]) or first.sizes[dim] < 2:
        return False
    return all(dim in p.template.coords and alike(first[dim].values, p.template[dim].values) for p in parts)


def _clocks(parts) -> list[str]:
    # Times that are one in each file, and another in each.
    found = []
    for name, clock in parts[0].template.coords.items():
        if clock.ndim == 0 and is_clock(clock) and all(name in part.template.coords for part in parts):
            values = {part.template[name].values.item() for part in parts if part.template[name].ndim == 0}
            found += [name] * (len(values) == len(parts))
    return found


def _order(parts, along) -> list[int]:
    # Of the files along a dimension: that of its times, else as they come.
    if not is_time(parts[0].template, along) or not all(along in part.template.coords for part in parts):
        return list(range(len(parts)))
    times = [np.atleast_1d(part.template[along].values) for part in parts]
    try:
        spans = [(min(values), max(values)) for values in times]
        order = sorted(range(len(parts)), key=lambda i: spans[i])
        for a, b in zip(order, order[1:], strict=False):
            if not spans[a][1] < spans[b][0]:
                raise UserError(
                    f"{parts[b].file}: {along!r} begins at {shown(spans[b][0])}, but {parts[a].file.name} ends at "
                    f"{shown(spans[a][1])}; expected files that follow each other, give a pattern that leaves one out"
                )
    except TypeError as error:
        names = f"{along!r} can't be compared with that of {parts[0].file.name} ({error})"
        raise UserError(f"{parts[1].file}: {names}; give times of one calendar") from error
    falling = len(times[0]) > 1 and times[0][0] > times[0][-1]
    return order[::-1] if falling else order


def _line(first, part, name) -> tuple[float, float]:
    # (slope, offset) from the units in a file to those in the first.
    stated, expected = (p.template[name].attrs.get("units") for p in (part, first))
    if stated is None or expected is None or same(stated, expected):
        return 1.0, 0.0
    what, way_out = f"{part.file}: variable {name!r}", f"make it that of {first.file.name}"
    zero, one = (convert(value, stated, expected, what, way_out=way_out) for value in (0.0, 1.0))
    return one - zero, zero


def _check_same(name, pieces, dims) -> None:
    # A field without the dimension that files are put behind each other along has to be the same in all.
    whole = None
    for piece in pieces:
        values = piece.read(name, {d: np.arange(n) for d, n in piece.part.raw[name].sizes.items()}, dims)
        whole = values if whole is None else whole
        if not alike(whole, values):
            place = worst(whole, values)
            raise UserError(
                f"{piece.part.file}: variable {name!r} is {shown(values[place])}{at(place)}, but {shown(whole[place])} in "
                f"{pieces[0].part.file.name}; expected the same in all files, or a dimension along which they lie behind each other"
            )


def _template(first, parts, flips, along, lengths, placed) -> xr.Dataset:
    others, first = [part.template for part in parts], first.template
    fields, coords = {}, {}
    for name, variable in first.variables.items():
        each = [_turned(o.variables[name], f) for o, f in zip(others, flips, strict=True) if name in o.variables]
        everywhere = len(each) == len(parts) and all({*v.dims} == {*variable.dims} for v in each)
        if name in placed:
            dims = variable.dims if along in first.sizes else (along, *variable.dims)
            shape = [sum(lengths) if dim == along else first.sizes[dim] for dim in dims]
            nothing = np.broadcast_to(np.float32(np.nan), shape)
            fields[name] = xr.Variable(dims, nothing, variable.attrs, variable.encoding)
        elif along in variable.dims and everywhere:
            values = [v.transpose(*variable.dims).values for v in each]
            chained = np.concatenate(values, axis=variable.dims.index(along))
            coords[name] = xr.Variable(variable.dims, chained, variable.attrs, variable.encoding)
        elif variable.ndim == 0 and everywhere and not all(alike(each[0].values, v.values) for v in each):
            repeated = np.repeat(np.stack([v.values for v in each]), lengths)
            coords[name] = xr.Variable((along,), repeated, variable.attrs, variable.encoding)
        elif along not in variable.dims and everywhere:
            (coords if name in first.coords else fields)[name] = variable
    return _with_common_attrs(xr.Dataset(fields, coords, first.attrs), others)


def _turned(variable, flipped):
    return variable.isel({dim: slice(None, None, -1) for dim in flipped if dim in variable.dims})


def _with_common_attrs(template, others) -> xr.Dataset:
    # Of the whole holds what all files say.
    said = {k: v for k, v in template.attrs.items() if all(np.array_equal(o.attrs.get(k), v) for o in others)}
    return template.drop_attrs(deep=False).assign_attrs(said)
