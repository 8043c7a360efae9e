"""Times as files have them: numbers since a date, of which a library that decodes them passes over what it does not know."""

import re

import numpy as np

from sciddm.errors import UserError

DATE = r"-?\d{1,4}(-\d{1,2}){0,2}|-?\d{1,7}(-\d{1,2}){1,2}|\d{8}"
CLOCK = r"\d{1,2}(:\d{1,2}(:\d{1,2}(\.\d*)?)?)?"
ZONE = r"Z|UTC|GMT|[+-]\d{1,2}(:?\d{2})?|0{1,2}(:?00)?"
REFERENCE = re.compile(rf"({DATE})([T\s]\s*{CLOCK})?\s*({ZONE})?", re.IGNORECASE)
SHORT = re.compile(r"([:.]\d*|\s)[+-]\d(:?\d{2})?$")  # a zone that cftime passes over
FINEST = 0.1  # of a step, that the rounding of a time may be


def check_times(where: str, numbers: np.ndarray, units: str, cftime: bool = False) -> None:
    """That numbers (n,) in `units`, "minutes since 2024-05-01 10:00", are times to be trusted. where: file and variable, for messages;
    cftime: whether that library decodes them.

    Raises: UserError on a date or zone that would be passed over in silence, and on numbers too coarse for the steps between them.
    """
    since = re.split(r"\ssince\s", units, maxsplit=1, flags=re.IGNORECASE)[-1].strip()
    if not REFERENCE.fullmatch(since) or (cftime and SHORT.search(since)):
        raise UserError(
            f"{where}: its times are since {since!r}, which is read in more than one way; expected year-month-day, hour:minute:second "
            "and a zone as a number, such as 2024-05-01 10:00:00 +02:00"
        )
    numbers = numbers[np.isfinite(numbers)] if numbers.dtype.kind == "f" else numbers[:0]
    steps = np.abs(np.diff(numbers.astype(float)))
    if steps.any():  # of times that are all one, what reads the file says that
        step, rounding = np.median(steps[steps > 0]), float(np.spacing(np.abs(numbers).max()))
        if rounding > FINEST * step:
            word = units.split()[0]
            raise UserError(
                f"{where}: its times are of {numbers.dtype} and rounded to {rounding:.3g} {word}, too coarse for steps of {step:.3g} "
                f"{word}; write them as float64, or since a later date"
            )


def slope_of(times: np.ndarray, least: float = 0.0) -> tuple[float, float]:
    """(step, its error) of rising times (N,), N > 1, of a clock that may jitter and in which there may be gaps, or other steps later.

    The least-squares slope of the longest run whose steps are alike to 10 % of their middle. least: variance of times that are rounded.
    """
    steps = np.diff(times)
    order = np.sort(steps)
    most = int(np.argmax(np.searchsorted(order, order * 11 / 9 * (1 + 1e-9), side="right") - np.arange(len(order))))
    alike = (steps >= order[most]) & (steps <= order[most] * 11 / 9 * (1 + 1e-9))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], alike, [0]])))  # of runs, first step and one behind the last
    lengths = edges[1::2] - edges[::2]
    first, count = edges[::2][lengths.argmax()], lengths.max() + 1
    index, run = np.arange(count) - (count - 1) / 2, times[first : first + count]
    slope = index @ run / (index @ index)
    rest = run - run.mean() - slope * index
    return float(slope), 2 * float(np.sqrt(max(rest @ rest / count, least) / (index @ index))) if count > 2 else 0.0
