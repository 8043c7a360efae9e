"""When a window of a model begins, out of the times of what a user brings: dates, or numbers as the file counts."""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from domains.fields.format_compare import is_date
from domains.fields.layout import Layout
from sciddm.data.tables import as_utc
from sciddm.data.units import convert
from sciddm.errors import UserError

WRITTEN = re.compile(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{4}(\d{2})?)?")  # 202603010805
CODER = xr.coders.CFDatetimeCoder()
FRACTION = re.compile(r":\d{2}(\.\d+)")


@dataclass(frozen=True, eq=False)
class Times:
    """raw: (n,) dates (datetime64, cftime) or numbers in layout.time_units; source: for messages."""

    raw: np.ndarray
    source: str

    @property
    def dated(self) -> bool:
        """Whether they are dates."""
        return self.raw.dtype.kind in "MO"

    @property
    def numbers(self) -> np.ndarray:
        """(n,) float64 after the first: the numbers themselves, or seconds."""
        return _seconds(self.raw, self.raw.min()) if self.dated else self.raw


def as_times(raw, units: str | None, layout: Layout, where: str) -> Times:
    """Times as they stand in a column or along a dimension. units: of numbers, "" where not stated.

    Raises: UserError where numbers are in units of another kind, or dates are given to a model that counts in no unit of time.
    """
    raw = np.asarray(raw)
    if raw.dtype.kind in "USO" and all(isinstance(one, str) for one in raw.tolist()):
        raw = np.array([as_utc(one, where) for one in raw.tolist()]).astype("datetime64[ns]") + fractions(raw)
    if gone := [i for i, one in enumerate(raw.tolist()) if one is None or one != one or one in (np.inf, -np.inf)]:
        raise UserError(f"{where} is missing at index {gone[0]}; expected a time for each, or leave it out")
    if raw.dtype.kind == "m":
        raw, units = raw / np.timedelta64(1, "s"), "s"
    if raw.dtype.kind in "MO":
        if raw.dtype.kind == "M":
            raw = raw.astype("datetime64[ns]")
        if layout.frames:
            _unit_in_seconds(layout, where)
        return Times(raw, where)
    units = str(units or "").partition(" since")[0]
    if units and layout.time_units:
        raw = convert(raw.astype(float), units, layout.time_units, where, way_out=f"give it in {layout.time_units!r}")
    return Times(raw.astype(float), where)


def are_dates(cells) -> bool:
    """Whether numbers are dates written without signs, 20260301 or 202603010805."""
    written = [str(cell).strip() for cell in cells]
    if not all(WRITTEN.fullmatch(one) for one in written):
        return False
    try:
        return all(as_utc(one, "") is not None for one in written)
    except UserError:
        return False


def fractions(cells) -> np.ndarray:
    """(n,) timedelta64[ns] of what stands behind the seconds of dates, "08:00:00.25"."""
    found = [FRACTION.search(str(cell)) for cell in cells]
    return np.array([0 if one is None else round(float(one[1]) * 1e9) for one in found], "timedelta64[ns]")


def start_of(times: Sequence[Times | None], layout: Layout, asked: str | float | None, *, first: bool = False) -> Any:
    """When the window begins: what was asked for, else the earliest date, else None for numbers that lie within a window after its first
    frame, or the least number. None where there are no times.

    first: whether the least number is that of the first frame in any case. Raises: UserError where what was asked for is neither a
    number nor a date.
    """
    there = [one for one in times if one is not None]
    dates = [one.raw.min() for one in there if one.dated]
    calendar = next((type(one) for one in dates if not isinstance(one, np.datetime64)), _calendar_of(layout))
    if asked is not None:
        return _in_calendar(_asked(asked, layout), calendar)
    if dates:
        return min(_in_calendar(one, calendar) for one in dates)
    numbers = np.concatenate([one.raw for one in there]) if there else np.zeros(0)
    length = layout.step * (max(layout.frames, 1) - 1)
    within = (numbers >= -0.5 * abs(layout.step)) & (numbers <= length + 0.5 * abs(layout.step))
    if not numbers.size or not layout.frames or (within.all() and not first):
        return None
    return float(numbers.min())


def after(times: Times, start, layout: Layout) -> np.ndarray:
    """(n,) float64 after the first frame in layout.time_units. start: of `start_of`."""
    if times.dated:
        if start is None or isinstance(start, float):
            raise UserError(f"{times.source}: are dates, but the window begins at {start}; expected start=DATE")
        return _seconds(times.raw, start) / _unit_in_seconds(layout, times.source)
    return times.raw - start if isinstance(start, float) else times.raw


def stamped(native: xr.Dataset, layout: Layout, start) -> xr.Dataset:
    """Answers with the times of what was given: along the dimension of time of a window, else as one coordinate without a dimension."""
    if start is None:
        return native
    name = layout.time or "time"
    if not layout.frames:
        return native if name in native.variables else native.assign_coords({name: _one(start)})
    steps = layout.step * np.arange(native.sizes[name])
    if isinstance(start, float):
        about = {"units": layout.time_units} if layout.time_units else {}
        return native.assign_coords({name: xr.Variable(name, start + steps, about)})
    seconds = steps * _unit_in_seconds(layout, name)
    if isinstance(start, np.datetime64):
        values = start + np.round(seconds * 1e9).astype("timedelta64[ns]")
    else:
        from datetime import timedelta

        values = np.array([start + timedelta(seconds=float(s)) for s in seconds])
    return native.assign_coords({name: xr.Variable(name, values)})


def as_written(native: xr.Dataset, layout: Layout) -> xr.Dataset:
    """Answers whose dates are numbers in the units and the calendar of the training data's file, as netCDF has them."""
    written = {}
    for name, one in native.coords.items():
        if layout.dates and is_date(one) and one.dtype.kind != "m":
            encoding = dict(zip(("units", "calendar"), layout.dates, strict=True))
            with contextlib.suppress(ValueError, OverflowError, TypeError):  # dates of another calendar stay what they are
                written[name] = CODER.encode(xr.Variable(one.dims, one.values, one.attrs, encoding))
    return native.assign_coords(written)


def _calendar_of(layout):
    # the type of cftime's dates of the training data's calendar, None where these are numpy's
    if not layout.dates or layout.dates[1] in ("standard", "gregorian", "proleptic_gregorian"):
        return None
    import cftime  # only where there is such a calendar

    return type(cftime.num2date(0, "days since 2000-01-01", layout.dates[1]))


def in_words(start, layout: Layout) -> str:
    """A start for a title, "" for None."""
    if start is None:
        return ""
    if isinstance(start, float):
        return f"{layout.time or 'time'} {start:g} {layout.time_units}".strip()
    text = str(np.datetime_as_string(start, "s")) if isinstance(start, np.datetime64) else str(start)
    return text.replace("T", " ").removesuffix(":00").removesuffix(" 00:00")


def _asked(asked, layout):
    try:
        if np.isfinite(number := float(asked)):
            return number
    except (TypeError, ValueError):
        pass
    try:
        date = as_utc(str(asked), "").astype("datetime64[ns]") + fractions([asked])[0]
    except UserError:
        raise UserError(f"--given start={asked}: expected a number as the data count times, or a date such as 2026-03-01T08:00") from None
    _unit_in_seconds(layout, f"--given start={asked}")
    return date


def _one(start):
    return start if isinstance(start, (float, np.datetime64)) else np.array(start, object)


def _in_calendar(date, calendar):
    # A date of numpy as one of a calendar of cftime, where there is one; Raises: UserError where that has no such day
    if calendar is None or not isinstance(date, np.datetime64):
        return date
    text = str(date.astype("datetime64[us]"))
    parts = [int(one) for one in re.findall(r"\d+", text)]
    try:
        return calendar(*parts)
    except ValueError as error:
        raise UserError(f"{text}: no date of the calendar of the other times ({error}); give times of one calendar") from None


def _seconds(raw, start) -> np.ndarray:
    if raw.dtype.kind == "O":
        start = _in_calendar(start, type(raw[0]))
    elif not isinstance(start, np.datetime64):
        raw = np.array([_in_calendar(one, type(start)) for one in raw], object)
    if raw.dtype.kind == "M":
        return (raw - start) / np.timedelta64(1, "s")
    return np.array([(one - start).total_seconds() for one in raw])


def _unit_in_seconds(layout, where) -> float:
    if not layout.frames:
        return 1.0
    if not layout.time_units:
        raise UserError(
            f"{where}: are dates, but the model counts its frames in no unit of time; give numbers from 0, {layout.step:g} a frame"
        )
    return float(convert(1.0, layout.time_units, "s", where, way_out="give numbers after the first frame"))
