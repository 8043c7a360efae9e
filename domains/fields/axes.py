"""Times and places along the dimensions of a file, checked before they are used."""

import shlex

import numpy as np

from domains.fields.format_compare import is_date
from domains.fields.readers import Fields
from sciddm.data.dates import slope_of
from sciddm.errors import UserError


def step_of(fields, time, frames, dims) -> tuple[float, str]:
    """(step, units) of frames of a window along a dimension of time, one of `dims`. Raises: UserError where its times don't go on."""
    if not frames:
        return 1.0, ""
    if not time:
        raise UserError(
            f"config.data.window = {frames}: {fields.source} has no dimension of time; say which is by {typed('time_dim', dims[0])}, or "
            "--config.data.window=1"
        )
    values = times_of(fields, time)
    if fields.template.sizes[time] < frames:
        raise UserError(
            f"config.data.window = {frames}: {fields.source} has {fields.template.sizes[time]} times along {time!r}; "
            f"expected at most as many: --config.data.window={fields.template.sizes[time]}"
        )
    if not np.isfinite(values).all():
        lacking = int(np.flatnonzero(~np.isfinite(values))[0])
        raise UserError(
            f"{fields.source}: time {time!r} is missing at index {lacking}; expected all of them for config.data.window = {frames}: "
            "write it anew, or --config.data.window=1"
        )
    step = usual_step(values)
    step = round(step, 3) if dates_of(fields, time) and abs(step) >= 0.1 else step  # dates as floats of hours are not exact
    if not step:
        again = int(np.flatnonzero(np.diff(values) == 0)[0])
        raise UserError(
            f"{fields.source}: time {time!r} is the same at index {again} and {again + 1}, and at most others; expected rising times for "
            f"config.data.window = {frames}, or --config.data.window=1"
        )
    coordinate = fields.template.coords.get(time)
    if coordinate is None or coordinate.dtype.kind in "iuf":
        return step, "" if coordinate is None else str(coordinate.attrs.get("units", "")).partition(" since")[0]
    for unit, seconds in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if step % seconds == 0:
            return step / seconds, unit
    return step, "seconds"


def usual_step(times: np.ndarray) -> float:
    """From time to time of (n,), n > 1: the middle one of all steps, and of those that are not alike the slope of the longest even run."""
    steps = np.diff(times)
    usual = float(np.median(steps))
    if (np.abs(steps - usual) <= 0.1 * abs(usual)).all() or not (steps > 0).all() and not (steps < 0).all():
        return usual
    slope, error = slope_of(times if steps[0] > 0 else -times)
    slope *= np.sign(steps[0])
    near = steps[np.abs(steps - slope) <= 0.1 * abs(slope)]
    if near.size and np.ptp(near) <= 0.02 * abs(slope):
        return float(np.median(near))
    rounded = (float(f"{slope:.{digits}g}") for digits in range(1, 16))  # a clock that jitters says no more
    return float(next((one for one in rounded if abs(one - slope) <= error), slope))


def dates_of(fields: Fields, time: str) -> tuple[str, ...]:
    """(units, calendar) of a dimension's dates as the file writes them, () where it has none."""
    if time not in fields.template.coords or not is_date(fields.template[time]):
        return ()
    encoding = fields.template[time].encoding
    return tuple(str(encoding[key]) for key in ("units", "calendar")) if {"units", "calendar"} <= {*encoding} else ()


def times_of(fields: Fields, time: str) -> np.ndarray:
    """(n,) float64 of a dimension of time: seconds of dates, else the file's numbers, or 0, 1, 2, ... where it has none."""
    if time not in fields.template.coords:
        return np.arange(fields.template.sizes[time], dtype=float)
    values = fields.template[time].values
    if values.dtype.kind in "UO" and isinstance(values[0], str):
        try:
            values = values.astype("M8[s]")
        except ValueError as error:
            raise UserError(
                f"{fields.source}: time {time!r} is words, such as {str(values[0])!r}; expected numbers or dates, or "
                f"{typed('sample_dim', time)} where they are samples"
            ) from error
    if values.dtype.kind in "mM":
        return (values - values[0]) / np.timedelta64(1, "s")
    if values.dtype.kind == "O":  # a calendar of its own
        return np.array([(one - values[0]).total_seconds() for one in values])
    return values.astype(float)


def check_places(fields: Fields, header, space) -> None:
    """Raises: UserError where a coordinate of space is missing or is that of two points."""
    for dim in space:
        values = header[dim].values if dim in header.coords and header[dim].dtype.kind in "iuf" else np.arange(2)
        _, first, many = np.unique(values, return_index=True, return_counts=True)
        if not np.isfinite(values).all() or (many > 1).any():
            worst = int(np.flatnonzero(~np.isfinite(values))[0]) if not np.isfinite(values).all() else int(first[np.argmax(many > 1)])
            raise UserError(
                f"{fields.source}: coordinate {dim!r} is {values[worst]} at index {worst}{', as elsewhere' if (many > 1).any() else ''}; "
                "expected a number of its own for every point: write it anew, or leave it out of the file"
            )


def one_point(header, dim: str) -> str:
    """The entry of config.data.crop that takes the first point of a dimension."""
    if dim in header.coords and header[dim].dtype.kind in "iuf":
        first = header[dim].values[0].item()
        return f"{dim}={first}:{first}"
    return f"{dim}=0:1"


def typed(key: str, value) -> str:
    """A key of config.data as it is typed in a shell."""
    return f"--config.data.{key}={shlex.quote(str(value))}"
