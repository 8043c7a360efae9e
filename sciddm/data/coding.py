"""CF conventions: what a variable's attributes say its raw numbers mean: packing, missing values, valid ranges."""

import math
import re
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from sciddm.errors import UserError

NEVER_WRITTEN = 9.969209968386869e36  # netCDF's fill value of floats, where a variable names none
WHOLE = {"i2": -32767, "i4": -2147483647, "i8": -9223372036854775806}  # and of integers; those of unsigned ones are numbers that data have
# What others call a packing, which says here not whether it is applied already, nor to what.
SCALES = ("scale", "slope", "gain", "scalefactor", "scaling_factor", "scaling", "multiplier")
OFFSETS = ("offset", "intercept", "addoffset", "bias")
# Of the conventions' own attributes, what they are called in lower case, and what else.
CODED_BY = ("scale_factor", "add_offset", "_FillValue", "missing_value", "valid_min", "valid_max", "valid_range", "_Unsigned")
SPELLED = {name.lower(): name for name in CODED_BY} | dict.fromkeys(
    ("fillvalue", "fill_value", "nodata", "no_data", "nodata_value", "missingvalue"), "missing_value"
)


def spelled(attrs) -> dict:
    """A variable's attributes of packing and missing values as CF spells them: SCALE_FACTOR, FillValue, nodata."""
    found = dict(attrs)
    for key in attrs:
        meant = SPELLED.get(str(key).lower())
        if meant and meant not in found:
            found[meant] = found.pop(key)
    return found


class Coding(NamedTuple):
    """CF conventions 8.1 and 2.5.1: raw -> scale raw + offset, NaN where raw is a missing value or outside of the valid range."""

    view: str = ""  # the type that integers are meant to have, by _Unsigned
    missing: tuple = ()
    low: float | None = None
    high: float | None = None
    packed_range: bool = True  # the valid range is one of raw numbers
    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, attrs, dtype, *, netcdf: bool = False, where: str = "attributes") -> "Coding":
        """Out of a variable's attributes. A missing value or a bound that is no number is passed over.

        where: file and variable, for messages. Raises: UserError on a packing or a valid range that can't be meant.
        """
        view, unsigned = "", str(attrs.get("_Unsigned", "")).strip().lower()
        if dtype.kind == "i" and unsigned in ("true", "1") or dtype.kind == "u" and unsigned in ("false", "0"):
            view = ("u" if dtype.kind == "i" else "i") + str(dtype.itemsize)
        meant = np.dtype(view or dtype)
        scale, offset = (_the_number(attrs, key, where) for key in ("scale_factor", "add_offset"))
        packed = scale is not None or offset is not None
        if meant.kind in "iu":
            _refuse_others(attrs, scale is None, offset is None, where)
        scale, offset = check_packing(1.0 if scale is None else scale, 0.0 if offset is None else offset, where)
        missing = [
            _as_packed(v, meant, scale, offset, f"{where}: {key}") if packed and meant.kind in "iu" else meant_value(v, meant)
            for key in ("_FillValue", "missing_value") for v in _numbers(attrs.get(key))
        ]  # fmt: skip
        if netcdf and "_FillValue" not in attrs and (dtype.kind == "f" or dtype.str[1:] in WHOLE):
            missing.append(meant_value(NEVER_WRITTEN if dtype.kind == "f" else WHOLE[dtype.str[1:]], meant))
        both = _numbers(attrs.get("valid_range")) or [None, None]
        if len(both) != 2:
            raise UserError(f"{where}: valid_range is {listed(both)}; expected the lowest and the highest, mend it or leave it out")
        low, high = both
        low = next(iter(_numbers(attrs.get("valid_min"))), low)
        high = next(iter(_numbers(attrs.get("valid_max"))), high)
        # A range of floats for packed integers is one of what is unpacked, and of no number that the file could hold.
        packed_range = not (packed and meant.kind in "iu" and any(np.asarray(v).dtype.kind == "f" for v in (low, high)))
        if packed_range:
            low, high = (None if v is None else meant_value(v, meant) for v in (low, high))
        if low is not None and high is not None and low > high:
            raise UserError(f"{where}: its valid range goes from {low:g} to {high:g}, in which nothing lies; mend it or leave it out")
        return cls(view, tuple(v for v in missing if v == v), low, high, packed_range, scale, offset)

    def decode(self, raw: np.ndarray, dtype=np.float32) -> np.ndarray:
        """A new array of `dtype`, from numbers as the file has them."""
        raw = np.asarray(raw)
        if not raw.dtype.isnative:
            raw = raw.astype(raw.dtype.newbyteorder("="))
        raw = raw.view(self.view) if self.view else raw
        bad = np.zeros(raw.shape, bool)
        for value in self.missing:
            bad |= raw == value
            if raw.dtype == np.float64:  # to which the missing value may have come by way of single precision
                bad |= np.abs(raw - value) <= 1e-7 * abs(value)
        packed = (self.scale, self.offset) != (1.0, 0.0)
        values = raw.astype(np.float64) * self.scale + self.offset if packed else raw
        margin = 0 if self.packed_range else abs(self.scale) / 4  # float32 bounds of float64 values
        bounded = raw if self.packed_range else values
        if self.low is not None:
            bad |= bounded < self.low - margin
        if self.high is not None:
            bad |= bounded > self.high + margin
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.array(values, dtype)
        values[bad] = np.nan
        return values


def check_packing(scale, offset, where: str, names=("scale_factor", "add_offset")) -> tuple[float, float]:
    """Both as floats. Raises: UserError where all numbers would mean the same, or nothing."""
    if not (math.isfinite(scale) and scale and math.isfinite(offset)):
        said = f"{names[0]} is {scale:g} and {names[1]} {offset:g}"
        expected = f"expected finite ones and no {names[0]} of 0, mend them in the file"
        raise UserError(f"{where}: {said}, by which its numbers mean nothing; {expected}")
    return float(scale), float(offset)


def _refuse_others(attrs, no_scale, no_offset, where):
    # A packing of integers that has other names, and says something.
    for names, nothing, absent in ((SCALES, 1.0, no_scale), (OFFSETS, 0.0, no_offset)):
        for key, value in attrs.items() if absent else ():
            found = _numbers(value) if str(key).lower() in names else []
            if len(found) == 1 and found[0] != nothing:
                raise UserError(
                    f"{where}: its integers have {key} = {found[0]:g}, which is no attribute of CF and would be passed over; expected "
                    "value = scale_factor x number + add_offset: call them so in the file, or write the values as floats"
                )


def _as_packed(value, dtype, scale, offset, where):
    # A missing value as the number of a packed integer. One that can't be such a number is unpacked, as are floats at the ends of the type.
    info, raw = np.iinfo(dtype), meant_value(value, dtype)
    known = float(raw).is_integer() and info.min <= raw <= info.max  # maybe as -1 is 255
    if not np.isfinite(value) or (known and not isinstance(value, float)):
        return raw
    number = round(unpacked := (value - offset) / scale)
    if not (abs(unpacked - number) <= 0.01 and info.min <= number <= info.max):
        return raw
    if known and number != raw and (raw == value or number not in (info.min, info.max)):
        raise UserError(
            f"{where} is the float {value:g}, which is {raw:g} as its {dtype} has it, or {number} if it is unpacked; expected an "
            f"attribute of {dtype}, {raw:g} or {number}: write it so in the file"
        )
    return number


def _the_number(attrs, key, where):
    # None where there is no such attribute
    value = attrs.get(key)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = _numbers(value)
    if len(set(map(str, found))) != 1:
        raise UserError(f"{where}: {key} is {str(value)[:60]!r}; expected one number, mend it in the file")
    return found[0]


def listed(values) -> str:
    """Numbers for a message."""
    return ", ".join(f"{v:g}" for v in values)


def meant_value(value, dtype):
    """An attribute's number in the type of the variable: -1 is 255 of an unsigned byte, 1.1 the nearest float32."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(np.asarray(value, float).astype(dtype))
    if dtype.kind == "u" and float(value).is_integer() and -(2 ** (8 * dtype.itemsize - 1)) <= value < 0:
        return int(value) % 2 ** (8 * dtype.itemsize)
    if dtype.kind == "i" and float(value).is_integer() and 2 ** (8 * dtype.itemsize - 1) <= value:
        return int(value) - 2 ** (8 * dtype.itemsize) if value < 2 ** (8 * dtype.itemsize) else int(value)
    return value


def _numbers(value) -> list:
    if value is None:
        return []
    found = []
    for each in np.ravel(np.asarray(value)).tolist():
        if isinstance(each, (str, bytes)):
            words = each.decode(errors="replace") if isinstance(each, bytes) else each
            with suppress(ValueError):
                found += [_number(word) for word in re.split(r"[,;\s]+", words.strip("[]() ")) if word]
        elif isinstance(each, (int, float)):
            found.append(each)
    return found


def _number(word):
    return int(word) if re.fullmatch(r"[+-]?\d+", word) else float(word)
