"""What of a user's frames a model takes: those of its interval, pixels of its size, a window of its extent; the rest is refused or said."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from domains.weather.brought import Frames
from domains.weather.header import Header
from domains.weather.transform import rain_rate
from sciddm.errors import UserError
from sciddm.given import say

SAME = 0.05  # of a pixel's side, that a grid may be off
LATE = 0.25  # of an interval, that a frame may be off


@dataclass(frozen=True, eq=False)
class Brought:
    """What is known of an answer and where it lies: frames from south to north on the model's own grid.

    known: (frames, Y, X) dBZ, NaN where nothing was given; times: (frames,) datetime64[s], when each is valid; now: which of them is the
    newest that was given; given: (frames,) bool, those of which something was; kept: how many of the answer's frames are asked for;
    coarse: pixels a side of what was given as one; reports: rows, columns, frames and dBZ of gauges, (n,) each, or None.
    """

    known: np.ndarray
    times: np.ndarray
    header: Header
    now: int
    kept: int
    exact: bool = False
    coarse: int = 1
    reports: tuple | None = None

    @property
    def given(self) -> np.ndarray:
        return np.isfinite(self.known).any((1, 2))

    @property
    def title(self) -> str:
        """The date of the newest frame, in words."""
        return f"{str(self.times[self.now])[:16].replace('T', ' ')} UTC"

    def like(self, length: int) -> "Brought":
        """The same of an answer of another number of frames."""
        step = self.times[1] - self.times[0] if len(self.times) > 1 else np.timedelta64(0, "s")
        more = max(length - len(self.times), 0)
        times = np.concatenate([self.times, self.times[-1] + step * np.arange(1, more + 1)])[:length]
        known = np.concatenate([self.known, np.full((more, *self.known.shape[1:]), np.nan, np.float32)])[:length]
        return replace(self, known=known, times=times, kept=length)


def check_pixels(frames: Frames, spacing: float, way_out: str) -> None:
    """Raises: UserError with both numbers where the pixels are of another size than the model's."""
    if abs(frames.header.spacing / spacing - 1) > SAME:
        own = f"pixels of {frames.header.spacing:.3g} km; expected {spacing:.3g} km, those of the model"
        raise UserError(f"{frames.source}: {own}; {way_out}")


def in_time(frames: Frames, count: int, interval: float, *, every: int = 1, newest: bool = True, least: int = 2) -> tuple:
    """(values (count, Y, X) NaN where there is no frame, times (count,), index of the newest frame) at the model's interval.

    newest: whether the last of them is the newest frame, as for a past; else the first of them is the oldest that fits. every: steps of
    the model between two frames of the file. Frames that are absent between others are said. Raises: UserError where the file's step is
    another, or fewer than `least` frames fall into the time.
    """
    step = frames.step
    if step is not None and abs(step / (every * interval) - 1) > 0.15:
        way_out = "make them by --task interpolate" if step > interval else f"take one in {round(every * interval / step)}"
        expected = f"expected {every * interval:g} min, the steps of the model"
        raise UserError(f"{frames.source}: frames {step:.3g} min apart; {expected}; {way_out}")
    offset = (frames.times - frames.times[-1]).astype(np.int64) / 60 / interval  # in steps of the model before the newest frame
    place = np.rint(offset).astype(int)
    inside = place > -count
    if off := np.flatnonzero(inside & (np.abs(offset - place) > LATE)).tolist():
        apart = f"{abs(offset - place)[off[0]] * interval:g} min off the steps of {interval:g} min before {_clock(frames.times[-1])}"
        raise UserError(f"{frames.source}: the frame of {_clock(frames.times[off[0]])} is {apart}; expected evenly spaced frames")
    if inside.sum() < least:
        there = f"{inside.sum()} frame(s) in the {(count - 1) * interval:g} min up to {_clock(frames.times[-1])}"
        raise UserError(f"{frames.source}: {there}; expected {count}, {every * interval:g} min apart, {least} of them at least")
    first = 1 - count if newest else max(place[inside].min(), 1 - count)
    values = np.full((count, *frames.values.shape[1:]), np.nan, np.float32)
    minute = np.timedelta64(round(60 * interval), "s")
    times = frames.times[-1] + minute * (np.arange(count) + first)
    at = place[inside] - first
    values[at], times[at] = frames.values[inside], frames.times[inside]
    expected = np.arange(0 if newest else at.min(), at.max() + 1, every)
    if absent := [_clock(times[i]) for i in expected if i not in at]:
        say(f"{frames.source}: no frame of {', '.join(absent)}; taken as missing")
    if not newest and (older := frames.older + int((~inside).sum())):
        say(f"{frames.source}: {older} frame(s) before {_clock(times[0])} are left out; the model takes {(count - 1) * interval:g} min")
    return values, times, int(at.max())


def in_space(frames: Frames, size: int, at: str | None, wide: str = "--task wide covers all", gauges=None) -> Frames:
    """A window of size x size pixels: that of which `at` is the middle, "LON,LAT" or "X,Y" in the file's coordinates, else that with the
    most gauges, (n, 2) rows and columns, or without them with the most rain in the newest frame, which is said.

    Raises: UserError where the grid is smaller, or `at` lies outside.
    """
    height, width = frames.header.shape
    if min(height, width) < size:
        raise UserError(
            f"{frames.source}: a grid of {height} x {width} pixels; expected at least {size} x {size}, as the model was trained on"
        )
    if at is None and height == width == size:
        return frames
    if at is not None:
        row, column = (
            int(np.clip(round(centre - (size - 1) / 2), 0, n - size))
            for centre, n in zip(_place(frames, at), (height, width), strict=True)
        )  # fmt: skip
    else:
        most, weight = "rain", rain_rate(np.nan_to_num(frames.values[-1])).astype(float)
        if gauges is not None and (inside := frames.header.inside(gauges)).any():
            most, weight = "gauges", np.zeros_like(weight)
            np.add.at(weight, tuple(frames.header.nearest(gauges[inside]).T), 1.0)
        wet = np.pad(weight.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        sums = wet[size:, size:] - wet[:-size, size:] - wet[size:, :-size] + wet[:-size, :-size]
        # Of windows that hold the same the one with it in the middle.
        total, ends = weight.sum(), [np.arange(n) for n in weight.shape]
        middle = [np.sum(weight.sum(1 - i) * end) / total if total else end.mean() for i, end in enumerate(ends)]
        off = [np.abs(np.arange(n) + (size - 1) / 2 - centre) for n, centre in zip(sums.shape, middle, strict=True)]
        best = sums - 1e-9 * (1 + sums.max()) * (off[0][:, None] + off[1])
        row, column = (int(i) for i in np.unravel_index(best.argmax(), best.shape))
        place = frames.header.in_words(row + (size - 1) / 2, column + (size - 1) / 2)
        say(
            f"{frames.source}: of its {height} x {width} pixels the {size} x {size} with the most {most}, about {place}; "
            f"--given at=LON,LAT takes another window{', ' + wide if wide else ''}"
        )
    return frames.cut(row, column, size, size)


def _place(frames, at):
    try:
        one, two = (float(part) for part in at.split(","))
    except ValueError:
        raise UserError(f"--given at={at}: expected two numbers, LON,LAT or X,Y in the coordinates of the frames") from None
    header = frames.header
    ways = [header.pixels(one, two) if abs(two) <= 90 else None, None if header.degrees else header.pixels_at(one, two)]
    for found in ways:
        if found is not None and header.inside(found)[0]:
            return found[0]
    swapped = header.pixels(two, one) if abs(one) <= 90 else None
    hint = f"; did you mean at={two:g},{one:g}?" if swapped is not None and header.inside(swapped)[0] else ""
    raise UserError(f"--given at={at}: lies outside of {frames.source}, {header.corners()}{hint}")


def _clock(time) -> str:
    return str(time)[:16].replace("T", " ")


def frames_in_words(domain, names: Sequence[str] = ()) -> str:
    """The frames that a model of this domain takes, for `takes`."""
    return (
        f"the newest {domain.past} frames of radar, {domain.interval:g} min apart, on at least {domain.size} x {domain.size} pixels of "
        f"{domain.spacing:.3g} km: a file, folder or pattern of netCDF, zarr, GRIB or ODIM HDF5 in dBZ or mm/h, or an xarray.Dataset"
    )
