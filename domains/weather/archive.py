"""Radar frames in memory and on disk: packed, with their times; gaps in time separate events, and nothing reaches across one."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from sciddm import store
from sciddm.data.dates import slope_of
from sciddm.errors import UserError

SCALE = 0.01  # dBZ; a radar resolves 0.5
MISSING = np.int16(-32768)
SHARD = 768  # frames a file at most


def pack(dbz: np.ndarray) -> np.ndarray:
    """dBZ, NaN where missing -> int16 in steps of `SCALE`, `MISSING` where missing. Trusts |dBZ| < 327."""
    missing = np.isnan(dbz)
    packed = np.rint(np.where(missing, 0, dbz) / SCALE).astype(np.int16)
    packed[missing] = MISSING
    return packed


def unpack(packed: np.ndarray) -> np.ndarray:
    """int16 of `pack` -> float32 dBZ, NaN where missing."""
    return np.where(packed == MISSING, np.float32(np.nan), packed.astype(np.float32) / np.float32(1 / SCALE))


def whole_seconds(times: np.ndarray) -> np.ndarray:
    """datetime64[s], rounded: a sum of a float's hours is a microsecond short of five minutes as often as not."""
    fine = np.asarray(times).astype("datetime64[us]")
    return np.where(np.isnat(fine), fine, fine + np.timedelta64(500_000, "us")).astype("datetime64[s]")


def step_of(times: np.ndarray) -> float:
    """Minutes from frame to frame of rising times (N,) datetime64[s], N > 1, some of which may be gaps.

    `slope_of` them; a whole number of minutes, or of seconds, where it is one within its own error: a clock that jitters says no more.
    """
    seconds = (times - times[0]).astype(np.int64).astype(float)
    slope, error = slope_of(seconds, 0.1)
    for unit in (60, 1):
        if abs(whole := unit * np.rint(slope / unit)) > 0 and abs(slope - whole) <= error:
            return float(whole) / 60
    return slope / 60


@dataclass(frozen=True, eq=False)
class Archive:
    """Frames of reflectivity on one grid, kept packed: 24,000 frames of 64 x 64 take 197 MB.

    frames: (N, Y, X) int16, see `pack`, no echo 0 dBZ, y northwards; times: (N,) datetime64[s]; spacing_km: side of a pixel;
    interval: minutes between frames, `step_of` the times where not given; source: where they come from.
    Raises: UserError on times that are not in order, twice there or not a time, with the index; ValueError on other shapes or types.
    """

    frames: np.ndarray
    times: np.ndarray
    spacing_km: float
    interval: float | None = None
    source: str = "archive"

    def __post_init__(self):
        if self.frames.ndim != 3 or self.frames.dtype != np.int16 or self.times.shape != self.frames.shape[:1]:
            raise ValueError(
                f"frames: {self.frames.dtype} {self.frames.shape}, times {self.times.shape}; "
                "expected int16 (N, Y, X) and (N,)"
            )
        if not self.spacing_km > 0:
            raise ValueError(f"spacing_km = {self.spacing_km}: expected a positive number of km")
        times = whole_seconds(self.times)
        object.__setattr__(self, "times", times)
        if np.isnat(times).any():
            index = int(np.isnat(times).argmax())
            raise UserError(f"{self.source}: frame {index} has no time; expected a date for every frame")
        steps = np.diff(times).astype(np.int64)
        if (steps <= 0).any():
            index = int((steps <= 0).argmax()) + 1
            what = "is there twice" if steps[index - 1] == 0 else f"comes after {times[index - 1]}"
            raise UserError(
                f"{self.source}: time {times[index]} at index {index} {what}; expected times that rise, each once"
            )
        if self.interval is None:
            if not len(steps):
                raise UserError(f"{self.source}: {len(times)} frame(s); expected a sequence of at least 2")
            object.__setattr__(self, "interval", step_of(times))

    def __len__(self):
        return len(self.frames)

    def dBZ(self, *index) -> np.ndarray:  # noqa: N802
        """float32 dBZ of `frames[index]`: no echo 0, NaN where missing."""
        return unpack(self.frames[index])

    @cached_property
    def _events(self):
        steps = np.diff(self.times).astype(np.int64) / 60
        breaks = np.flatnonzero(np.abs(steps - self.interval) > 0.1 * self.interval) + 1
        edges = [0, *breaks.tolist(), len(self)]
        return list(zip(edges[:-1], edges[1:], strict=True))

    def events(self) -> list[tuple[int, int]]:
        """(first, last + 1) of every run of frames `interval` apart, to a tenth of it."""
        return list(self._events)

    def left_out(self, length: int) -> str:
        """Which frames lie in no window of `length`, and how far apart most of them are, for a message; "" where all do."""
        short = [(start, stop) for start, stop in self._events if stop - start < length]
        count = sum(stop - start for start, stop in short)
        if not count:
            return ""
        lost = np.zeros(len(self), bool)
        for start, stop in short:
            lost[start:stop] = True
        steps = np.diff(self.times).astype(np.int64)[lost[1:] & lost[:-1]] / 60
        others, many = np.unique(steps, return_counts=True)
        apart = f"; {many.max() + 1} of them are {others[many.argmax()]:g} min apart" if len(many) and many.max() > 1 else ""
        return (
            f"{count} of {len(self)} frames are in no run of {length} that are {self.interval:g} min apart, and are left out, the first of "
            f"{self.times[short[0][0]]}{apart}"
        )

    def windows(self, length: int, stride: int = 1, events=None) -> np.ndarray:
        """(W,) first frames of windows of `length` frames inside one event each, `stride` apart. events: None for all.

        Raises: UserError if no event holds a window.
        """
        if len(self) < length:
            raise UserError(
                f"{self.source}: {len(self)} frames; expected at least the {length} of a window (config.data.past + future)"
            )
        events = self._events if events is None else events
        first = [np.arange(start, stop - length + 1, stride) for start, stop in events]
        windows = np.concatenate(first or [np.arange(0)])
        if not len(windows):
            longest = max((stop - start for start, stop in events), default=0)
            raise UserError(
                f"{self.source}: no {length} frames in a row are {self.interval:g} min apart, the longest run is {longest}; "
                "fill the gaps, or take fewer frames, such as --config.data.past=1 --config.data.future=1"
            )
        return windows

    def split(self, held_out: float, length: int):
        """(train, test) events, the last ones in time held out, for windows of `length` frames: `windows(..., events=train)`.

        An event longer than two blocks of a day (at least four windows) counts as that many, so that a single long one can be split.
        Between the last frame of training and the first one held out lies at least a window, so that no rain is seen from both.
        Args: held_out: number of events, or their share where it is below 1.
        Raises: UserError if nothing would be left on one side.
        """
        block = max(round(24 * 60 / self.interval), 4 * length)
        pieces = []
        for start, stop in self._events:
            edges = np.linspace(start, stop, max((stop - start) // block, 1) + 1).astype(int).tolist()
            pieces += [first for first, last in zip(edges[:-1], edges[1:], strict=True) if last - first >= length]
        count = int(np.ceil(held_out * len(pieces))) if held_out < 1 else int(held_out)
        if not 0 < count < len(pieces):
            raise UserError(
                f"config.data.held_out = {held_out}: {self.source} has {len(pieces)} events of at least {length} frames "
                "(a long one counts once a day); expected at least one held out and one left"
            )
        first = pieces[-count]
        gap = np.timedelta64(round(length * self.interval * 60), "s")
        last = int(np.searchsorted(self.times, self.times[first] - gap))
        train = [(start, min(stop, last)) for start, stop in self._events if min(stop, last) - start >= length]
        test = [(max(start, first), stop) for start, stop in self._events if stop - max(start, first) >= length]
        if not train:
            raise UserError(
                f"config.data.held_out = {held_out}: nothing of {self.source} is left to train on, once a window of {length} "
                "frames before what is held out is left out; hold out less, or give more frames"
            )
        return train, test

    def crops(self, size: int) -> list[tuple[int, int]]:
        """(y0, x0) of crops of size x size pixels that cover the grid, evenly and with the least overlap.

        Raises: UserError if the grid is smaller.
        """
        height, width = self.frames.shape[1:]
        if min(height, width) < size:
            raise UserError(
                f"{self.source}: the grid has {height} x {width} pixels; expected at least config.data.size = {size} each way"
            )
        starts = [np.linspace(0, n - size, -(-n // size)).astype(int).tolist() for n in (height, width)]
        return [(y, x) for y in starts[0] for x in starts[1]]

    def usable(
        self, places: np.ndarray, length: int, size: int, most_missing: float = 0.1, past: int = 0
    ) -> np.ndarray:
        """Those rows of `places` whose target lacks at most a share `most_missing` of its pixels; how many go is len(before) - len(after).

        Args: places: (W, 3) first frame, y0, x0; the target is frames `past` to `length` of each window, size x size pixels.
        """
        keep = np.zeros(len(places), bool)
        for crop in np.unique(places[:, 1:], axis=0):
            y, x = (slice(start, start + size) for start in crop)
            # By blocks of frames, so that the mask of a large archive is never there at once.
            blocks = [np.sum(self.frames[i : i + 1024, y, x] == MISSING, (1, 2)) for i in range(0, len(self), 1024)]
            total = np.concatenate([[0], np.cumsum(np.concatenate(blocks))])
            here = (places[:, 1:] == crop).all(1)
            first = places[here, 0]
            share = (total[first + length] - total[first + past]) / ((length - past) * size**2)
            keep[here] = share <= most_missing
        return places[keep]

    def write(self, path, attrs: dict | None = None) -> Path:
        """Write a CF zarr store with checksums that `readers.read_archive` opens again: one chunk a frame, many chunks a file.

        Where the grid lies on the Earth is not known to an archive: its plane is azimuthal equidistant about an origin that stands for
        the lower left corner. attrs: provenance, added to the attributes.
        Raises: UserError if there is a store already, or the place can't be written.
        """
        coords = {"time": ("time", self.times, {"standard_name": "time"})}
        for dim, n in zip("yx", self.frames.shape[1:], strict=True):
            centres = (np.arange(n) + 0.5) * self.spacing_km * 1000
            coords[dim] = (dim, centres, {"standard_name": f"projection_{dim}_coordinate", "units": "m"})
        crs = {
            "grid_mapping_name": "azimuthal_equidistant", "latitude_of_projection_origin": 0.0,
            "longitude_of_projection_origin": 0.0, "comment": "the true location is not kept",
        }  # fmt: skip
        reflectivity = {
            "units": "dBZ", "standard_name": "equivalent_reflectivity_factor", "long_name": "radar reflectivity, 0 where no echo",
            "scale_factor": SCALE, "_FillValue": int(MISSING), "grid_mapping": "crs",
        }  # fmt: skip
        data = {"reflectivity": (("time", "y", "x"), self.frames, reflectivity), "crs": ((), np.int32(0), crs)}
        dataset = xr.Dataset(data, coords, {"Conventions": "CF-1.11", "source": self.source} | dict(attrs or {}))
        dataset.time.encoding = {
            "units": "seconds since 1970-01-01",
            "calendar": "proleptic_gregorian",
            "dtype": "int64",
        }
        shard = max(1, min(SHARD, len(self), 4_000_000 // self.frames[0].size))
        store.write(dataset, path, chunk=1, shard=shard)
        return Path(path)
