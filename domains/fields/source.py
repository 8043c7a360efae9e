"""Samples of the user's fields: which windows there are, which of them are held out, and their values, from memory or from disk."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from domains.fields.axes import times_of, typed, usual_step
from domains.fields.cuts import read_grid
from domains.fields.readers import Fields
from domains.fields.roles import Plan
from sciddm.activity import Bar
from sciddm.data.units import convert
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.memory import check_memory

BLOCK = 2**25  # bytes that are read at once where all is read


@dataclass(frozen=True, eq=False)
class Source:
    """Windows of a file: (*frames, *space, names) float32, NaN where missing. A row is (sample, first time), 0 where the file has none.

    held_out, stride, memory: as config.data says; units: name -> those that values are converted to where the file states others.
    """

    fields: Fields
    plan: Plan
    held_out: float
    stride: int = 1
    memory: float = 2.0
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Variables that are read: those that are generated, and those that are given."""
        return (*self.plan.layout.variables, *self.plan.layout.conditions)

    @property
    def length(self) -> int:
        """Times of a window."""
        return self.plan.layout.frames or 1

    @cached_property
    def times(self) -> np.ndarray:
        """(T,) float64 of all times that are read, [0] without."""
        time = self.plan.layout.time
        return times_of(self.fields, time)[self.plan.slices.get(time, slice(None))] if time else np.zeros(1)

    @property
    def samples(self) -> int:
        """How many there are along the sample dimension, 1 without."""
        sample = self.plan.layout.sample
        return self.fields.template.sizes[sample] if sample else 1

    @cached_property
    def _starts(self) -> np.ndarray:
        # First times of windows whose frames follow each other in even steps.
        first = np.arange(len(self.times) - self.length + 1)
        if self.length == 1:
            return first
        steps = np.diff(self.times)
        usual = usual_step(self.times)
        broken = np.concatenate([[0], np.cumsum(np.abs(steps - usual) > 0.1 * abs(usual))])
        fine = broken[first + self.length - 1] == broken[first]
        if not fine.any():
            raise UserError(
                f"{self.fields.source}: no {self.length} times in a row are {usual:g} apart; fill the gaps, or "
                f"--config.data.window={np.bincount(broken).max()}"
            )
        reached = np.zeros(len(self.times), bool)
        for i in range(self.length):
            reached[first[fine] + i] = True
        if lost := int((~reached).sum()):
            layout = self.plan.layout
            say(
                f"{self.fields.source}: {lost} of {len(reached)} times are in no run of {self.length} that are "
                f"{f'{layout.step:g} {layout.time_units}'.strip()} apart, and are left out, the first at index {int(np.argmin(reached))}"
            )
        return first[fine]

    @cached_property
    def _split(self) -> dict[str, np.ndarray]:
        return self._by_samples() if self.samples > 1 else self._by_blocks()

    def rows(self, split: str) -> np.ndarray:
        """(N, 2) of "train" or "test". Windows of the test don't overlap, and no frame is in both."""
        return self._split[split]

    def _by_samples(self):
        # The last samples are held out, whole.
        count = _count(self.held_out, self.samples, "samples", self.fields.source)
        first = {"train": self._starts[:: self.stride], "test": _apart(self._starts, self.length)}
        members = {"train": np.arange(self.samples - count), "test": np.arange(self.samples - count, self.samples)}
        return {
            split: np.stack(
                [np.repeat(members[split], len(first[split])), np.tile(first[split], len(members[split]))], -1
            )
            for split in members
        }

    def _by_blocks(self):
        # Of one long run: up to five blocks, the end of each held out, with a window between what is trained on and what is held out.
        total, length = len(self.times), self.length
        count = _count(self.held_out, total // length, "windows", self.fields.source) * length
        blocks = int(np.clip(count // (4 * length), 1, 5))
        edges = np.linspace(0, total, blocks + 1).astype(int)
        train, test = [], []
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            held = max(round(count / blocks / length), 1) * length
            lead = start + (length if start else 0)  # the block before ends with what is held out there
            train.append(
                self._starts[(self._starts >= lead) & (self._starts + length <= stop - held - length)][:: self.stride]
            )
            test.append(_apart(self._starts[(self._starts >= stop - held) & (self._starts + length <= stop)], length))
        found = {"train": np.concatenate(train), "test": np.concatenate(test)}
        for split, first in found.items():
            if not len(first):
                less = "--config.data.held_out=1" if total >= 3 * length else "--config.data.window=1"
                way_out = less if total >= 3 else "give more times"
                way_out = self._even_run() or way_out
                raise UserError(
                    f"{self.fields.source}: no {split} window of {length} times is left of {total}, with a gap between training and test; "
                    f"expected three windows at least: {way_out}"
                )
        return {split: np.stack([np.zeros_like(first), first], -1) for split, first in found.items()}

    def _even_run(self) -> str:
        # What is typed for the longest run of even steps alone; "" where there is one run, or more than times is cut.
        runs = np.split(self._starts, np.flatnonzero(np.diff(self._starts) > 1) + 1)
        run, time = max(runs, key=len), self.plan.layout.time
        first, last = int(run[0]), int(run[-1]) + self.length - 1
        if last - first + 1 in (len(self.times), 1) or {*self.plan.slices} - {time} or time not in self.fields.template.coords:
            return ""
        ends = self.fields.template[time].values[self.plan.slices.get(time, slice(None))][[first, last]]
        ends = np.datetime_as_string(ends, "s").tolist() if ends.dtype.kind == "M" else ends.tolist()
        return typed("crop", f"{time}={ends[0]}:{ends[1]}")

    @cached_property
    def whole(self) -> np.ndarray | None:
        """(samples, times, *space, names) of all that there is, None where it is more than `memory`.

        Raises: UserError where that is more than is free.
        """
        layout = self.plan.layout
        shape = (self.samples, len(self.times), *layout.grid, len(self.names))
        size = 4.0 * np.prod(shape, dtype=float)
        if size > self.memory * 1e9:
            return None
        way_out = "--config fields:smoke" if self.memory == np.inf else "--config.data.memory=0"
        check_memory(size, f"{self.fields.source}: all of its values", f"{way_out} reads it window by window")
        whole = np.empty(shape, np.float32)
        for part, values in self.blocks("reading"):
            whole[part] = values
        return whole

    def blocks(self, about: str, done: int = 0):
        """((samples, times), values) of all that there is, a piece at a time but for the first `done`, with a bar where it takes longer."""
        one = (
            4
            * np.prod((*self.plan.layout.grid, len(self.names)), dtype=float)
            * np.prod(list(self.plan.factors.values()) or [1])
        )
        many = max(int(BLOCK // one), 1)
        if self.plan.layout.sample and (len(self.times) <= many or self.samples > len(self.times)):
            some, long = max(many // len(self.times), 1), len(self.times)
        else:
            some, long = 1, many
        parts = [
            (slice(i, min(i + some, self.samples)), slice(j, min(j + long, len(self.times))))
            for i in range(0, self.samples, some)
            for j in range(0, len(self.times), long)
        ]
        bar = {"desc": about, "unit": "block", "delay": 2.0, "file": sys.stderr, "leave": False}
        with Bar(parts[done:], initial=done, total=len(parts), **bar) as left:
            for part in left:
                yield part, self._read(*part)

    def _read(self, samples: slice, times: slice) -> np.ndarray:
        """(samples, times, *space, names) from the file."""
        layout, where = self.plan.layout, {}
        if layout.sample:
            where[layout.sample] = samples
        if layout.time:
            begin = self.plan.slices.get(layout.time, slice(None)).indices(10**12)[0]
            where[layout.time] = slice(begin + times.start, begin + times.stop)
        columns = []
        for name in self.names:
            dims = self.fields.template[name].dims
            values = read_grid(self.fields, name, self.plan.slices, self.plan.factors, where)
            if (stated := self.fields.template[name].attrs.get("units")) and name in self.units:
                values = convert(values, stated, self.units[name], f"{self.fields.source}: variable {name!r}")
            single = tuple(dim for dim in dims if dim not in (layout.sample, layout.time, *layout.space))
            values = values.squeeze(tuple(dims.index(dim) for dim in single))
            kept = [dim for dim in dims if dim not in single]
            order = [dim for dim in (layout.sample, layout.time) if dim] + list(layout.space)
            values = values.transpose([kept.index(dim) for dim in order])
            columns.append(values.reshape(samples.stop - samples.start, times.stop - times.start, *layout.grid))
        return np.stack(columns, -1)

    def window(self, row) -> np.ndarray:
        """([frames], *space, names) of a row, NaN where missing."""
        sample, first = (int(i) for i in row)
        if self.whole is not None:
            found = self.whole[sample, first : first + self.length]
        else:
            found = self._read(slice(sample, sample + 1), slice(first, first + self.length))[0]
        return found if self.plan.layout.frames else found[0]


def _count(held_out: float, total: int, what: str, source: str) -> int:
    count = max(round(held_out * total), 1) if held_out < 1 else int(min(held_out, total))
    if not 0 < count < total:
        way_out = f"a number from 1 to {total - 1}, such as --config.data.held_out=1, or a share below 1" if total > 1 else (
            "give more data" if what == "samples" else "give more data, or --config.data.window=1"
        )
        raise UserError(
            f"config.data.held_out = {held_out}: {source} has {total} {what}; expected at least one held out and one left to train on: "
            f"{way_out}"
        )
    return count


def _apart(first, length: int) -> np.ndarray:
    # Those of rising numbers that are at least `length` apart.
    kept: list[int] = []
    for one in first:
        if not kept or one >= kept[-1] + length:
            kept.append(int(one))
    return np.asarray(kept, int)
