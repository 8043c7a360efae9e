"""Units as CF and UDUNITS spell them, compared and converted by pint, which is loaded only where two spellings differ."""

import contextlib
import re
from functools import cache

from sciddm.errors import UserError

# "degrees_north", "degree_E" and the other spellings of latitudes and longitudes.
DEGREES = re.compile(r"\bdegrees?_?(north|south|east|west|true|[NSEWT])\b", re.IGNORECASE)
POWER = re.compile(r"(?<!\w)([^\W\d]+)(?:\^|\*\*)?([+-]?\d{1,2})(?!\w)")  # "s-1", "m^2", "m**2"
UNIT = r"\(*(?:°?[^\W\d]+|°)(?:\*\*[+-]?\d{1,2})?\)*"
UNITS = re.compile(rf"{UNIT}(?:[*/]{UNIT})*")
TEMPERATURE = re.compile(r"\bdeg(?:rees?)?[ _]?(C|F|K)(?:elsius|ahrenheit|elvin)?\b", re.IGNORECASE)
SCALES = {"C": "degC", "F": "degF", "K": "kelvin"}
NONE = {"", "1", "-", "dimensionless", "unitless"}


def same(a: str, b: str) -> bool:
    """Whether two spellings mean the same unit: "m/s" and "m s-1" do, "percent" and "1" do not. Unknown ones mean only themselves."""
    a, b = str(a).strip(), str(b).strip()
    if a == b:
        return True
    try:
        slope, offset = _line(a, b)
    except ValueError:
        return False
    return abs(slope - 1) < 1e-9 and offset == 0


def factor(stated: str, expected: str, what: str, *, way_out: str = "convert it first") -> float:
    """How many `expected` one `stated` is. Args and raises: as `convert`, and UserError where the zeros differ, such as degC and K."""
    slope, offset = _line_or_reason(stated, expected, what, way_out)
    if offset:
        raise UserError(f"{what} is in {stated!r}; expected {expected!r}, whose zero is another; {way_out}")
    return slope


def convert(values, stated: str, expected: str, what: str, *, way_out: str = "convert it first"):
    """`values`, an array or a number in the unit `stated`, in the unit `expected`; floats keep their type, the same unit every bit.

    Args: what: in messages, the file and the variable, such as "f.nc: variable 'u'".
    Raises: UserError that names both units where one is not known, or they measure different things.
    """
    if same(stated, expected):
        return values
    slope, offset = _line_or_reason(stated, expected, what, way_out)
    return values * slope + offset if offset else values * slope


def _line_or_reason(stated, expected, what, way_out):
    try:
        return _line(str(stated).strip(), str(expected).strip())
    except ValueError as error:
        raise UserError(f"{what} is in {stated!r}; expected {expected!r}, but {error}; {way_out}") from None


@cache
def _registry():
    import pint  # a third of a second

    return pint.UnitRegistry()


def _line(stated, expected) -> tuple[float, float]:
    # (slope, offset) from one unit to the other; ValueError says why there is none.
    (a, unit), (b, wanted) = _parsed(stated), _parsed(expected)
    if unit.dimensionality != wanted.dimensionality:
        raise ValueError("they measure different things")
    zero, one, two = (float(_registry().Quantity(x, unit).to(wanted).magnitude) for x in (0, 1, 2))
    if not abs(two - 2 * one + zero) <= 1e-9 * abs(two):
        raise ValueError("one of them is logarithmic")
    return (one - zero) * a / b, zero / b


@cache
def _parsed(text: str):
    # (number, unit) of a spelling such as "1e-3 kg m-2 s-1"; ValueError if it is not understood.
    if text in NONE:
        return 1.0, _registry().Unit("")
    number = re.match(r"\d+\.?\d*(?:[eE][+-]?\d+)?(?=[\s*/]|$)", text)
    scale, rest = (float(number[0]), text[number.end() :].strip(" *")) if number else (1.0, text)
    rest = f"dimensionless{rest}" if not rest or rest[0] == "/" else rest
    plain = TEMPERATURE.sub(lambda found: SCALES[found[1].upper()], DEGREES.sub("degree", rest))
    plain = POWER.sub(r"\1**\2", plain.replace("%", "percent"))
    plain = re.sub(r"\s*(?:/|\bper\b)\s*", "/", plain)
    plain = re.sub(r"\s*[.·*]\s*(?![*\d])(?<!\*\*)|(?<=[\w)])\s+(?=[\w(])", "*", plain)
    # Nothing but names, their powers and how they are joined is handed on, for units come out of files.
    if scale > 0 and UNITS.fullmatch(plain):
        # As it stands, else with words in lower case: "Kelvin", but never "MM".
        for spelling in (plain, re.sub(r"[^\W\d]{4,}", lambda word: word[0].lower(), plain)):
            with contextlib.suppress(Exception):  # pint and Python's tokenizer each have their own ways to fail
                return scale, _registry().parse_units(spelling)
    raise ValueError(f"{text!r} is no unit that is known")
