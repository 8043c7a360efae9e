"""Frames of a file laid into the window of a model: all that were observed, the newest ones, or those of conditions."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from domains.fields.layout import Layout
from domains.fields.measured_grids import Brought
from domains.fields.times import Times, after
from sciddm.errors import UserError
from sciddm.given import say

LATE = 0.05  # of a step that a frame may be off its time


def frame_times(one: Brought, layout: Layout, start) -> np.ndarray:
    """(n,) times of a file's frames after the first of the window; in even steps where the file says none."""
    if one.times is not None:
        return after(one.times, start, layout)
    if len(one.values) > layout.frames:
        raise UserError(f"{one.source}: {len(one.values)} frames of {one.name}; expected at most {layout.frames}, a window of the model")
    if not one.timed and layout.frames > 1:
        raise UserError(
            f"{one.source}: {one.name} has no times along {layout.time!r}, but samples of the model are windows of {layout.frames} frames; "
            f"add a dimension {layout.time!r}, or the time as a coordinate"
        )
    return layout.step * np.arange(len(one.values))


def frames_at(one: Brought, layout: Layout, start) -> np.ndarray:
    """(n,) int which frames of the window a file's are. Raises: UserError where one is beside the window's frames, or outside."""
    times = frame_times(one, layout, start)
    at = times / layout.step
    index = np.round(at).astype(int)
    unit = f" {layout.time_units}" if layout.time_units else ""
    for wrong, what in (
        ((index < 0) | (index >= layout.frames), f"outside of the window of 0 to {layout.step * (layout.frames - 1):g}{unit}"),
        (np.abs(at - index) > LATE, f"between its frames, which are {layout.step:g}{unit} apart"),
    ):
        if wrong.any():
            i = int(np.argmax(wrong))
            raise UserError(
                f"{one.source}: {one.name} at time index {i} is {times[i]:g}{unit} after the first frame, {what}; cut the file to the "
                "window, say when it begins by --given start=TIME, or give points in a table"
            )
    if len(np.unique(index)) < len(index):
        raise UserError(f"{one.source}: {one.name} has a time twice; expected each once")
    return index


def newest(fields: Sequence[Brought], layout: Layout, past: int) -> tuple[list[Brought], np.ndarray]:
    """(fields of the newest `past` frames that hold anything, those frames side by side, (past, *space, C), NaN where nothing is known).

    Raises: UserError where there are fewer frames, they are not on the model's grid, or are not as far apart as the model's.
    """
    if not fields:
        raise UserError(f"no frames are given; expected the newest {past} of {', '.join(layout.variables)} on the model's grid")
    fields = [_in_order(one, layout) for one in _once(fields)]
    found, kept = np.full((past, *layout.shape[1:]), np.nan, np.float32), []
    last = {id(one): int(np.flatnonzero(~np.isnan(one.values.reshape(len(one.values), -1)).all(1))[-1]) for one in fields}
    for one in fields:
        if one.places is not None or set(one.factors) != {1} or one.partial:
            raise UserError(f"{one.source}: {one.name} is not on the model's grid; expected frames on all of its points")
        stop = max(last[id(other)] for other in fields if other.source == one.source) + 1
        if stop < past:
            raise UserError(f"{one.source}: {stop} frames of {one.name}; expected the newest {past}, along {layout.time!r}")
        cut = slice(stop - past, stop)
        times = None if one.times is None else Times(one.times.raw[cut], one.times.source)
        _check_steps(one, times, layout)
        if stop > past:
            say(f"{one.source}: {stop} frames of {one.name}: the last {past} of them are taken")
        kept.append(Brought(one.name, one.source, one.values[cut], None, one.factors, None, times, one.timed))
        found[..., layout.variables.index(one.name)] = one.values[cut]
    ends = {str(one.times.raw[-1]): one for one in kept if one.times is not None}
    if len(ends) > 1:
        (first, a), (second, b) = list(ends.items())[:2]
        raise UserError(f"{b.source}: the newest frame of {b.name} is of {second}, that of {a.name} of {first}; expected the same time")
    if lacking := [name for name in layout.variables if name not in {one.name for one in kept}]:
        say(f"{kept[0].source}: nothing is known of {', '.join(lacking)}")
    return kept, found


def conditions_of(fields: Sequence[Brought], layout: Layout, start) -> np.ndarray | None:
    """([frames], *space, Cc) of conditions that were given, None of none. Raises: UserError where one is missing or elsewhere."""
    if not fields:
        return None
    known = {one.name: one for one in _once(fields)}
    if lacking := [name for name in layout.conditions if name not in known]:
        raise UserError(f"{fields[0].source}: condition {lacking[0]!r} is missing; expected all of {', '.join(layout.conditions)}")
    frames = (layout.frames,) if layout.frames else ()
    found = np.empty((*frames, *layout.grid, len(layout.conditions)), np.float32)
    for i, name in enumerate(layout.conditions):
        one = known[name]
        if one.places is not None or set(one.factors) != {1} or one.partial:
            raise UserError(f"{one.source}: condition {name!r} is not on the model's grid; expected values on all of its points")
        found[..., i] = _condition_frames(one, layout, start) if frames else one.values[0]
        if gone := int(np.isnan(found[..., i]).sum()):
            say(f"{one.source}: {gone} of {found[..., i].size} values of condition {name} are missing; its mean stands for them")
    return found


def _once(fields: Sequence[Brought]) -> Sequence[Brought]:
    for i, one in enumerate(fields):
        if before := [other for other in fields[:i] if other.name == one.name]:
            raise UserError(f"{one.source}: {one.name} is in {before[0].source}, too; expected all of its frames in one file, and once")
    return fields


def _in_order(one: Brought, layout: Layout) -> Brought:
    # Frames by their times, whatever their order in the file.
    if one.times is None:
        return one
    order = np.argsort(one.times.raw, kind="stable")
    order = order if layout.step > 0 else order[::-1]
    return replace(one, values=one.values[order], times=Times(one.times.raw[order], one.times.source))


def _condition_frames(one, layout, start):
    n = layout.frames
    if one.times is None or start is None and not one.times.dated and len(one.values) == n:
        if len(one.values) != n:
            raise UserError(f"{one.source}: {len(one.values)} frames of condition {one.name!r}; expected {n}, those of a window")
        return one.values
    times = after(one.times, start, layout) / layout.step
    at = np.array([np.abs(times - k).argmin() for k in range(n)])
    wrong = np.abs(times[at] - np.arange(n)) > LATE
    if wrong.any():
        unit = f" {layout.time_units}" if layout.time_units else ""
        raise UserError(
            f"{one.source}: condition {one.name!r} has no frame {layout.step * int(np.argmax(wrong)):g}{unit} after the window's first; "
            f"expected all {n} frames, {layout.step:g}{unit} apart"
        )
    return one.values[at]


def _check_steps(one, times, layout) -> None:
    if times is None or len(times.raw) < 2:
        return
    numbers = after(times, times.raw[0] if times.dated else None, layout)
    wrong = np.abs(np.diff(numbers) - layout.step) > LATE * abs(layout.step)
    if wrong.any():
        i, unit = int(np.argmax(wrong)), f" {layout.time_units}" if layout.time_units else ""
        raise UserError(
            f"{one.source}: the newest frames of {one.name} are {np.diff(numbers)[i]:g}{unit} apart; expected {layout.step:g}{unit}, "
            "as the model was trained"
        )
