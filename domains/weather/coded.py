"""What the numbers of a file mean: packed, missing or out of range, by its attributes or as the user says; decoded where they are used."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from sciddm.data.coding import CODED_BY, Coding, meant_value, spelled
from sciddm.data.dates import check_times
from sciddm.data.reading import reading
from sciddm.errors import UserError
from sciddm.memory import check_memory

COPIES = 3  # of a coordinate while it is read


class Said(NamedTuple):
    """What a user says of files that don't tell it themselves.

    variable: its name; missing: codes for missing, as the file has them; valid: (lowest, highest) in the file's units, what lies outside
    is missing; absent_chunks: of a zarr store that others wrote, "refuse", or "fill": they are of the fill value.
    """

    variable: str = ""
    missing: tuple = ()
    valid: tuple = ()
    absent_chunks: str = "refuse"

    @classmethod
    def of(cls, options) -> "Said":
        """From config.data, also of a run from before some of them were there."""
        return cls(**{name: tuple(v) if isinstance(v := options[name], list) else v for name in cls._fields if name in options})

    def checked(self, where: str = "config.data.") -> "Said":
        """Itself. Raises: UserError that names the key of a value that can't be meant."""
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in self.missing):
            raise UserError(f"{where}missing = {self.missing}: expected numbers as the file has them, such as 255 or 254,255")
        fine = len(self.valid) == 2 and all(isinstance(v, (int, float)) for v in self.valid) and self.valid[0] < self.valid[1]
        if self.valid and not fine:
            raise UserError(f"{where}valid = {self.valid}: expected the lowest and the highest, such as -60,80, or () for any")
        if self.absent_chunks not in ("refuse", "fill"):
            raise UserError(f"{where}absent_chunks = {self.absent_chunks!r}: expected 'refuse' or 'fill'")
        return self


@dataclass(frozen=True)
class Meant:
    """What numbers mean: `coding`; dtype: that they have in the file; nothing: the one that means no echo; decoded: whether they are
    unpacked already, so that only codes and ranges are left to look at."""

    coding: Coding
    dtype: np.dtype
    nothing: float | None = None
    decoded: bool = False

    @classmethod
    def of(cls, attrs, dtype, said: Said, *, netcdf: bool = False, decoded: bool = False, where="attributes") -> "Meant":
        """By a variable's attributes; where: file and variable, for messages."""
        coding = Coding.of(attrs, np.dtype(dtype), netcdf=netcdf, where=where)
        meant = np.dtype(coding.view or dtype)
        return cls(coding._replace(missing=coding.missing + tuple(meant_value(v, meant) for v in said.missing)), meant, decoded=decoded)

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """float32, NaN where missing, 0 where there is no echo."""
        coding = self.coding
        if not self.decoded:
            values = coding.decode(numbers)
            if self.nothing is not None:
                values[(numbers == self.nothing) & ~np.isnan(values)] = 0
            return values
        values = np.array(numbers, np.float32)
        margin = abs(coding.scale) / 4 if (coding.scale, coding.offset) != (1.0, 0.0) else 0.0
        unpacked = [v * coding.scale + coding.offset for v in coding.missing]
        low, high = (
            v if v is None or not coding.packed_range else v * coding.scale + coding.offset for v in (coding.low, coding.high)
        )  # fmt: skip
        bad = np.zeros(values.shape, bool)
        for value in unpacked:
            bad |= np.isclose(values, value, rtol=1e-6, atol=margin)
        bad |= (values < low - margin) if low is not None else False
        bad |= (values > high + margin) if high is not None else False
        values[bad] = np.nan
        return values

    def code(self, value: float):
        """The number in the file that means a value."""
        raw = (value - self.coding.offset) / self.coding.scale
        number = float(str(np.float32(raw)))  # the shortest that is the same in single precision
        return round(raw) if self.dtype.kind in "iu" or number.is_integer() else number

    @property
    def last(self) -> float:
        """What the last number of an integer type means; infinite for others."""
        if self.dtype.kind not in "iu":
            return np.inf
        return float(np.iinfo(self.dtype).max * self.coding.scale + self.coding.offset)


def meant_by(array: xr.DataArray) -> Meant:
    """What the numbers of a field mean; they mean themselves where no reader has said."""
    return array.encoding.get("meant") or Meant(Coding(), np.dtype("f4"), decoded=True)


def with_meaning(array: xr.DataArray, meant: Meant) -> xr.DataArray:
    """A field whose numbers mean something; what is applied is no attribute any more."""
    found = array.copy(deep=False)
    found.attrs = {key: value for key, value in array.attrs.items() if key not in CODED_BY}
    found.encoding = array.encoding | {"meant": meant}
    return found


def values_of(file, array: xr.DataArray) -> np.ndarray:
    """float32 values of a field, or a part of one, read now. Raises: UserError if the file is broken there."""
    with reading(file):
        return meant_by(array).decode(array.values)


def field_of(file, raw: xr.Dataset, said: Said, pick, *, netcdf: bool = True) -> xr.DataArray:
    """The field of a data set that was opened undecoded and without indexes, its numbers as they are, its coordinates decoded.

    pick: of (file, data set, name), the field. Raises: UserError, also where the coordinates would not fit into memory.
    """
    for variable in raw.variables.values():
        variable.attrs = spelled(variable.attrs)
    plain = raw.drop_vars([name for name in raw.variables if name in raw.dims])
    dates = [name for name, variable in plain.variables.items() if " since " in str(variable.attrs.get("units", "")) and variable.ndim > 1]
    name = pick(file, xr.decode_cf(plain.drop_vars(dates), mask_and_scale=False, decode_times=False), said.variable).name
    kept = _beside(raw, name)
    size = sum(raw[other].dtype.itemsize * raw[other].size for other in kept if other != name)
    check_memory(COPIES * size, f"{file}: the coordinates of {name!r}, {_sizes(raw[name])},", "expected a grid of radar")
    for other in kept:
        if raw[other].ndim == 1 and " since " in str(raw[other].attrs.get("units", "")).lower():
            check_times(f"{file}: {other!r}", raw[other].values, str(raw[other].attrs["units"]))
    found = xr.decode_cf(raw[[*kept]], mask_and_scale={name: False}, decode_timedelta=False)
    attrs, dtype = raw[name].attrs, raw[name].dtype
    meant = Meant.of(attrs, dtype, said, netcdf=netcdf, where=f"{file}: variable {name!r}")
    return with_meaning(pick(file, found, name), meant)


def _beside(raw: xr.Dataset, name) -> Iterable:
    # The field, what locates it, and scalars: nothing else of a file is looked at.
    dims = set(raw[name].dims)
    return [other for other, variable in raw.variables.items() if other == name or other in dims
            or (variable.ndim < 3 and set(variable.dims) <= dims)]  # fmt: skip


def _sizes(array) -> str:
    return " x ".join(f"{n:,} {dim}" for dim, n in array.sizes.items())


def check_frames(file, array: xr.DataArray, bytes_each: int, way_out: str) -> None:
    """That a field has frames, and that they fit into memory. Raises: UserError."""
    if not array.size:
        raise UserError(f"{file}: variable {array.name!r} has {_sizes(array)}; expected frames")
    check_memory(float(bytes_each) * array.size, f"{file}: variable {array.name!r}, {_sizes(array)},", way_out)
