import numpy as np
import pytest

from sciddm.data.units import convert, factor, same
from sciddm.errors import UserError

WHAT = "f.nc: variable 'u'"


@pytest.mark.parametrize(
    "spellings",
    [
        ("m s-1", "m/s", "m s**-1", "m s^-1", "m.s-1", "m*s-1", "meter per second", "Metres/Second"),
        ("kg m-2 s-1", "kg m**-2 s**-1", "kg/m2/s", "kg.m-2.s-1", "kg/(m2 s)"),
        ("degrees_north", "degree_N", "degreesE", "degrees", "deg", "degrees_east"),
        ("degC", "celsius", "degrees_Celsius", "°C", "deg C"),
        ("1", "", "-", "dimensionless", "kg kg-1"),
        ("percent", "%"),
        ("bohr^3", "bohr3", "bohr**3"),
        ("1e-3 kg", "g", "0.001 kg"),
        ("s-1", "1/s", "1 s-1"),
    ],
    ids=lambda spellings: spellings[0] or "none",
)
def test_spellings_of_one_unit_are_the_same(spellings):
    for each in spellings:
        assert same(spellings[0], each) and same(each, spellings[0]), each


@pytest.mark.parametrize(
    "a, b",
    [
        ("m", "km"),
        ("percent", "1"),
        ("degC", "K"),
        ("m", "s"),
        ("dBZ", "1"),
        ("dBZ", "dB"),
        ("MM", "mm"),
        ("mm/h", "mm"),
    ],
)
def test_other_units_are_not_the_same(a, b):
    assert not same(a, b) and not same(b, a)


def test_a_unit_that_is_not_known_is_the_same_as_itself_alone():
    assert same("dBZ", "dBZ") and same(" dBZ", "dBZ") and not same("dBZ", "dbz")


@pytest.mark.parametrize(
    "stated, expected, known",
    [
        ("km", "m", 1000), ("hPa", "Pa", 100), ("percent", "1", 0.01), ("degrees_north", "radian", np.pi / 180), ("h", "s", 3600),
        ("mm h-1", "m s-1", 1 / 3.6e6), ("kcal/mol", "kJ/mol", 4.184), ("hartree", "eV", 27.211386), ("bohr", "angstrom", 0.529177),
        ("debye", "C m", 3.33564e-30), ("degC/km", "K m-1", 1e-3), ("100 m", "m", 100), ("knot", "m/s", 1852 / 3600),
    ],
)  # fmt: skip
def test_factors_are_those_that_are_known(stated, expected, known):
    assert factor(stated, expected, WHAT) == pytest.approx(known, rel=1e-6)
    assert convert(2.0, stated, expected, WHAT) == pytest.approx(2 * known, rel=1e-6)


def test_temperatures_have_another_zero_which_is_no_factor():
    assert convert(20.0, "degC", "K", WHAT) == pytest.approx(293.15)
    assert convert(212.0, "degF", "degC", WHAT) == pytest.approx(100)
    with pytest.raises(UserError, match="f.nc: variable 'u' is in 'degC'; expected 'K', whose zero is another"):
        factor("degC", "K", WHAT)


def test_values_keep_their_type_and_where_the_unit_is_the_same_every_bit():
    values = np.array([0.1, 2, np.nan], np.float32)
    assert convert(values, "m/s", "m s-1", WHAT) is values
    changed = convert(values, "degC", "K", WHAT)
    assert changed.dtype == np.float32 and np.isnan(changed[2]) and values[0] == np.float32(0.1)
    assert convert(np.array([1, 2]), "km", "m", WHAT).tolist() == [1000.0, 2000.0]


@pytest.mark.parametrize(
    "stated, expected, reason",
    [
        ("m", "s", "they measure different things"),
        ("1", "Pa", "they measure different things"),
        ("furlongs per fortnigt", "m/s", "'furlongs per fortnigt' is no unit that is known"),
        ("m", "dBZ", "'dBZ' is no unit that is known"),
        ("dB", "1", "one of them is logarithmic"),
        ("days since 2000-01-01", "days", "'days since 2000-01-01' is no unit that is known"),
        ("m**9**9**9**9", "m", "'m**9**9**9**9' is no unit that is known"),  # which would take for ever
        ("__import__('os')", "m", "is no unit that is known"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_variable_both_units_and_a_way_out(stated, expected, reason):
    for ask in (
        lambda: convert(1.0, stated, expected, WHAT, way_out="set config.data.units"),
        lambda: factor(stated, expected, WHAT),
    ):
        with pytest.raises(UserError) as caught:
            ask()
        line = str(caught.value)
        assert line.startswith(f"{WHAT} is in {stated!r}; expected {expected!r}, but ") and reason in line
        assert line.endswith(("; set config.data.units", "; convert it first")) and "\n" not in line
