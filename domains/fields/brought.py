"""What a user brings for a model of fields, put together: observations, frames, conditions, and when a window begins."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from domains.fields import windows
from domains.fields.formats import READERS, kind, refuse_other
from domains.fields.layout import Layout
from domains.fields.measured_grids import Brought, Opened, fields_of
from domains.fields.naming import say_default_error, say_what_is_far
from domains.fields.observations import Gridded, Points, observe_grid, observe_points
from domains.fields.tables import readings_of
from domains.fields.times import after, in_words, start_of
from sciddm.data.tables import PARQUET, TEXT, is_table, read_table
from sciddm.errors import UserError
from sciddm.given import Thing, refuse, say
from sciddm.lookahead.observe.joint import join

NAMES = ("blocks", "start")  # of name=value


@dataclass(frozen=True, eq=False)
class Parts:
    """points, grids: what was measured; conditions: ([frames], *space, Cc), None without; seen: (past, *space, C) the newest frames, None
    where they are not asked for; start: when a window begins, see `times.start_of`; title: for the picture."""

    points: Sequence[Points] = ()
    grids: Sequence[Gridded] = ()
    conditions: np.ndarray | None = None
    seen: np.ndarray | None = None
    start: Any = None
    title: str = ""
    sources: Sequence[str] = field(default=())

    def observation(self, domain, noise: float, layout: Layout | None = None):
        """All of it as one, None where nothing was measured."""
        found = [observe_points(domain, one, layout) for one in self.points]
        found += [observe_grid(domain, one, noise, layout) for one in self.grids]
        return join(found) if found else None


def put_together(domain, given: Sequence[Thing], takes: str, noise: float, *, layout: Layout | None = None, past: int = 0) -> Parts:
    """What `given` says in the model's units.

    noise: share of a variable's standard deviation where no error is given; layout: of a wider grid than the model's; past: how many of the
    newest frames are asked for, 0: all that is given was observed. Raises: UserError, see `tables` and `measured_grids`.
    """
    layout = layout or domain.layout
    options = {one.name: one.value for one in given if one.name}
    if unknown := [one for one in given if one.name and one.name not in NAMES]:
        refuse(unknown[0], takes, NAMES)
    sums = _sums(options)
    tables, fields, sources, plain = [], [], [], []
    for one in (one for one in given if not one.name):
        thing = one.path or one.value
        if is_table(thing):
            for file in _files(thing):
                table = read_table(file)
                tables.append(readings_of(table, domain, layout, noise))
                sources.append(table.source)
        elif one.path or isinstance(thing, (xr.Dataset, xr.DataArray)):
            _refuse_format(thing)
            opened = Opened(thing, layout.variables)
            plain.append(opened.source)
            opened.source += f" ({plain.count(opened.source)})" if plain.count(opened.source) > 1 else ""  # each one stands for itself
            fields += fields_of(opened, domain, layout, sums=sums)
            sources.append(opened.source)
        else:
            refuse(one, takes, NAMES)
    measured = [one for one in fields if one.name in layout.variables]
    given_fields = [one for one in fields if one.name in layout.conditions]
    if past:
        if tables:
            raise UserError(f"{sources[0]}: a table; expected the newest {past} frames in a file or a dataset on the model's grid")
        measured, kept = windows.newest(measured, layout, past)
        for one in measured:
            there = np.argwhere(~np.isnan(one.values))
            label = lambda i, one=one, there=there: f"{one.source}: {one.name}, frame {there[i][0] + 1} of {past}"  # noqa: E731
            channel = np.full(len(there), layout.variables.index(one.name))
            say_what_is_far(domain, layout, channel, one.values[~np.isnan(one.values)].astype(float), label)
    when = [times for _, times in tables] + [one.times for one in (measured or given_fields)]
    start = start_of(when, layout, options.get("start"), first=bool(past))
    if layout.frames and start is not None and "start" not in options and not past:
        say(f"the window begins at {in_words(start, layout)}, the earliest time that is given; --given start=TIME says otherwise")
    conditions = windows.conditions_of(given_fields, layout, start)
    title = ", ".join([one.rpartition("/")[2] for one in sources] + ([f"from {in_words(start, layout)}"] if start is not None else []))
    if past:
        return Parts(conditions=conditions, seen=kept, start=start, title=title, sources=sources)
    points = [replace(one, times=after(times, start, layout) if layout.frames else None) for one, times in tables]
    for one in (one for one in measured if one.places is not None):
        points.append(_as_points(domain, layout, one, start, noise))
    grids = _as_grids(domain, layout, [one for one in measured if one.places is None], start, sums, noise)
    return Parts(points, grids, conditions, None, start, title, sources)


def shown(domain, parts: Parts, layout: Layout | None = None) -> dict:
    """For pictures: observed, variable -> (places, values); given, ([frames], *space, C) with NaN where nothing is known, or None."""
    layout = layout or domain.layout
    observed = {}
    for one in parts.points:
        where = one.places if one.times is None else np.concatenate([one.times[:, None], one.places], 1)
        for c in np.unique(one.channel):
            rows = one.channel == c
            before = observed.get(layout.variables[c])
            pair = where[rows], one.values[rows]
            both = [pair] if before is None else [before, pair]
            observed[layout.variables[c]] = tuple(np.concatenate(each) for each in zip(*both, strict=True))
    return {"observed": observed, "given": on_the_grid(parts.grids, layout), "title": parts.title, "start": parts.start}


def on_the_grid(grids: Sequence[Gridded], layout: Layout) -> np.ndarray | None:
    """([frames], *space, C) in the variables' units, each block's mean at all of its points, NaN where nothing is known; None of none."""
    whole = None
    for one in grids:
        fine = one.values
        for i, (factor, n) in enumerate(zip(one.factors, layout.grid, strict=True)):
            axis = fine.ndim - 1 - len(layout.space) + i
            fine = np.take(np.repeat(fine, factor, axis), range(n), axis)
        if one.sums:
            fine = fine / np.prod(one.factors)
        whole = fine if whole is None else np.where(np.isnan(fine), whole, fine)
    return whole


def _files(thing) -> Sequence:
    # Tables that a pattern means.
    if not isinstance(thing, Path) or thing.exists():
        return [thing]
    return sorted(Path(file) for file in glob.glob(str(thing))) or [thing]


def _refuse_format(thing) -> None:
    if isinstance(thing, Path) and thing.is_file() and kind(thing) not in READERS:
        refuse_other(thing)
        raise UserError(
            f"{thing}: format {thing.suffix or '(none)'!r} is not known; expected a table, {', '.join((*TEXT, *PARQUET))}, or fields, "
            f"{', '.join(READERS)}"
        )


def _sums(options) -> bool:
    kind = str(options.get("blocks", "mean")).lower()
    if kind not in ("mean", "means", "sum", "sums"):
        raise UserError(f"--given blocks={kind}: expected blocks=mean or blocks=sum")
    return kind.startswith("sum")


def _as_points(domain, layout, one: Brought, start, noise) -> Points:
    say(f"{one.source}: {one.name} lies on a grid of its own, neither the model's nor blocks of it: each of its values is taken as a point")
    axes = [np.arange(len(one.values)), *one.places]
    mesh = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], -1)
    values = one.values.ravel().astype(float)
    there = ~np.isnan(values)
    c = layout.variables.index(one.name)
    channel = np.full(int(there.sum()), c)
    times = None
    if layout.frames:
        times = windows.frame_times(one, layout, start)[mesh[there, 0].astype(int)]
    if one.errors is None:
        errors = np.full(len(channel), noise * float(domain.scales[c]))
        say_default_error(domain, layout, one.source, [c], noise)
    else:
        errors = np.broadcast_to(np.asarray(one.errors, float), one.values.shape).ravel()[there]
    places = np.argwhere(~np.isnan(one.values))
    label = lambda i: f"{one.source}: variable {one.name!r}, index {tuple(int(k) for k in places[i][0 if one.timed else 1:])}"  # noqa: E731
    say_what_is_far(domain, layout, channel, values[there], label)
    return Points(channel, mesh[there, 1:], times, values[there], errors, label)


def _as_grids(domain, layout, fields: Sequence[Brought], start, sums, noise) -> list[Gridded]:
    # One a file and size of blocks, the variables side by side.
    groups: dict[tuple, list[Brought]] = {}
    for one in fields:
        groups.setdefault((one.source, one.factors), []).append(one)
    return [_as_grid(domain, layout, some, factors, start, sums, noise) for (_, factors), some in groups.items()]


def _as_grid(domain, layout, some, factors, start, sums, noise) -> Gridded:
    coarse = any(factor > 1 for factor in factors)
    if sums and not coarse:
        raise UserError(f"{some[0].source}: lies on the model's own grid, where blocks=sum says nothing; leave it out")
    blocks = some[0].values.shape[1:]
    frames = (layout.frames,) if layout.frames else ()
    values = np.full((*frames, *blocks, len(layout.variables)), np.nan, np.float32)
    errors = np.full(values.shape, np.nan)
    default = []
    for one in some:
        c = layout.variables.index(one.name)
        at = windows.frames_at(one, layout, start) if frames else 0
        part = one.values if frames else one.values[0]
        values[(at, ..., c) if frames else (..., c)] = part
        if one.errors is None:
            default.append(c)
        else:
            errors[(at, ..., c) if frames else (..., c)] = np.broadcast_to(one.errors, one.values.shape)[... if frames else 0]
        there = np.argwhere(~np.isnan(part))
        label = lambda i, one=one, there=there: f"{one.source}: variable {one.name!r}, index {tuple(int(k) for k in there[i])}"  # noqa: E731
        means = part / _counts(layout, factors) if sums else part
        say_what_is_far(domain, layout, np.full(len(there), c), means[~np.isnan(part)].astype(float), label)
    if coarse:
        each = " x ".join(f"{dim} ({factor})" for dim, factor in zip(layout.space, factors, strict=True))
        names, kind = ", ".join(one.name for one in some), "sum" if sums else "mean"
        say(f"{some[0].source}: each value of {names} is taken as the {kind} over {each} points of the model")
    _say_land(domain, layout, some, values, coarse)
    if default:
        say_default_error(domain, layout, some[0].source, default, noise)
    return Gridded(values, errors, factors, sums and coarse)


def _counts(layout, factors) -> np.ndarray:
    # (*blocks,) how many points a block has; the last one may have fewer
    each = [np.add.reduceat(np.ones(n), np.arange(0, n, factor)) for n, factor in zip(layout.grid, factors, strict=True)]
    return np.prod(np.meshgrid(*each, indexing="ij"), axis=0)


def _say_land(domain, layout, some, values, coarse) -> None:
    if coarse or layout is not domain.layout or not domain.masked.any():
        return
    land = (~np.isnan(values) & domain.masked).sum()
    if land and land == (~np.isnan(values)).sum():
        raise UserError(f"{some[0].source}: all of its values lie where the model has none (masked in all of its training data)")
    if land:
        say(f"{some[0].source}: {land} values where the model has none (masked in all of its training data): left out")
