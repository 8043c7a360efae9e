"""Whether files have one grid: dimensions by their names, coordinates to rounding, and which of them run the other way."""

import re

import numpy as np
import xarray as xr

from domains.fields.layout import is_longitude
from sciddm.data.units import convert
from sciddm.errors import UserError

SAMPLE = re.compile(
    r"(n_)?(samples?|trajector(y|ies)|reali[sz]ations?|members?|ensembles?|numbers?|runs?|cases?|batch|simulations?|sims?|records?|"
    r"events?|index|examples?)(_idx|_id|_dim)?",
    re.IGNORECASE,
)
TIME = re.compile(r"times?|t|time_?step|step|frames?|date", re.IGNORECASE)


def is_sample(name: str) -> bool:
    """Whether a dimension counts independent samples, by its name: "sample", "trajectory", "member", "run_id", ..."""
    return bool(SAMPLE.fullmatch(str(name)))


def is_time(template: xr.Dataset, dim: str) -> bool:
    """Whether a dimension is time: by its name, else by the axis, standard name or type of its coordinate."""
    return bool(TIME.fullmatch(str(dim))) or dim in template.coords and is_clock(template.coords[dim])


def is_clock(coordinate) -> bool:
    """Whether a coordinate says that it is time."""
    told = coordinate.attrs.get("axis") == "T" or coordinate.attrs.get("standard_name") == "time"
    return told or is_date(coordinate)


def is_date(coordinate) -> bool:
    """Whether a coordinate has dates of any calendar, or durations."""
    kind = coordinate.dtype.kind
    return kind in "mM" or kind == "O" and coordinate.size > 0 and hasattr(coordinate.values.flat[0], "calendar")


def compare(a_name, a: xr.Dataset, b_name, b: xr.Dataset, *, along: str = "") -> frozenset:
    """The dimensions of `b` that run the other way than in `a`.

    Args: a_name, b_name: files, for messages; along: a dimension that is left out, for the files lie behind each other there.
    Raises: UserError that names both files and what differs: a size, a coordinate by more than 1e-6 of its range, units.
    """
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
    # A scalar that differs is one more coordinate along files that lie behind each other, and else holds for some variables only: a
    # height of 2 m or of 10 m. But variables of two times are no sample together.
    common = [n for n in common if {*a[n].dims} == {*b[n].dims} and (a[n].ndim or not along and is_clock(a[n]))]
    for name in sorted(common, key=lambda name: name not in shared):  # the directions first
        one, other = a[name].values, in_units(a_name, a[name], b_name, b[name].transpose(*a[name].dims))
        if name not in shared:
            other = np.flip(other, [i for i, dim in enumerate(a[name].dims) if dim in flipped])
        if is_longitude(name, a[name].attrs):
            other = around(one, other)
        if alike(one, other):
            continue
        if name in shared and alike(one, other[::-1]):
            flipped.add(name)
            continue
        place, way_out = worst(one, other), "interpolate to it first"
        for start in (0, 180) if is_longitude(name, a[name].attrs) and one.ndim == 1 else ():
            if alike(one, np.sort((b[name].values + start) % 360 - start)):
                turned = f"{name}=(ds.{name} + 180) % 360 - 180" if start else f"{name}=ds.{name} % 360"
                way_out = f"the same longitudes begin elsewhere, which ds.assign_coords({turned}).sortby({name!r}) of xarray mends"
        raise UserError(
            f"{b_name}: coordinate {name!r} is {shown(other[place])}{at(place)}, but {shown(one[place])} in {a_name}; "
            f"expected one grid, {way_out}"
        )
    return frozenset(flipped)


def in_units(a_name, a, b_name, b) -> np.ndarray:
    """The values of a coordinate of file `b_name` in the units of the same one of file `a_name`; as they are where one says no units."""
    stated, expected = b.attrs.get("units"), a.attrs.get("units")
    if stated is None or expected is None or stated == expected or b.dtype.kind not in "biuf":
        return b.values
    return convert(b.values, stated, expected, f"{b_name}: coordinate {b.name!r}", way_out=f"make it that of {a_name}")


def around(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Longitudes b in degrees as those of the same shape a count them: -90 is 270. As they are where shapes differ."""
    if a.shape != b.shape or not _numeric(a, b):
        return b
    turns = np.round((a.astype(float) - b) / 360)
    return b + 360 * np.nan_to_num(turns) if turns.any() else b


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether numbers differ by no more than 1e-6 of their range, and anything else not at all. NaN is NaN."""
    if a.shape != b.shape:
        return False
    if _numeric(a, b):
        return bool((_difference(a, b) <= 1e-6 * _range(a)).all())
    return bool(np.all((a == b) | ((a != a) & (b != b))))


def worst(a: np.ndarray, b: np.ndarray) -> tuple:
    """The index at which two arrays of one shape differ most."""
    off = _difference(a, b) if _numeric(a, b) else np.asarray(a != b, float)
    return np.unravel_index(int(np.argmax(off)), off.shape)


def shown(value) -> str:
    """A value of a coordinate for a message."""
    return f"{value:.8g}" if isinstance(value, (float, np.floating)) else str(value)


def at(place: tuple) -> str:
    """Where, for a message."""
    return f" at index {tuple(map(int, place))}" if place else ""


def _numeric(a, b):
    return a.dtype.kind in "biuf" and b.dtype.kind in "biuf"


def _difference(a, b):
    a, b = a.astype(float), b.astype(float)
    return np.where(np.isnan(a) & np.isnan(b), 0, np.nan_to_num(np.abs(a - b), nan=np.inf))


def _range(a):
    finite = a[np.isfinite(a)].astype(float)
    return (np.ptp(finite) or np.abs(finite).max()) if finite.size else 0.0
