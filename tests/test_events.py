"""Probabilities of stated events: shares of the members, their error, units converted, whole members or maps."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import sciddm as sd
from sciddm.events import Event

U = np.array([[0.1, 0.5], [0.4, 0.6], [0.2, np.nan]], np.float32)
QUANTITIES = xr.Dataset(
    {
        "u": (("member", "x"), U, {"units": "mol m-3"}),
        "rain": (("member", "x"), 10 * U, {"units": "mm h-1"}),
        "rings": (("member",), np.array([1.0, 3.0, 3.0]), {"units": "1"}),
    },
    {"x": ("x", [0.5, 1.5], {"units": "mm"})},
)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("u > 0.3", [1 / 3, 1.0]), ("u<=.2", [2 / 3, 0.0]), ("u > 300 mmol m-3", [1 / 3, 1.0]), ("U >= 4e-1", [1 / 3, 1.0]),
        ("rain > 5 mm/h", [0.0, 0.5]), ("rain > 6.0 cm/day", [1 / 3, 1.0]), ("max(u) > 0.45 mol/m3", 2 / 3), ("mean( u ) < 0.25", 1 / 3),
        ("sum(u) > 0.55", 2 / 3), ("min(u) < .15", 1 / 3), ("rings == 3", 2 / 3), ("rings != 3", 1 / 3),
    ],
)  # fmt: skip
def test_the_probability_is_the_share_of_the_members_that_have_a_value(text, expected):
    p, error = Event.parse(text).probability(QUANTITIES)
    np.testing.assert_allclose(p, expected, rtol=1e-6)
    assert p.attrs["units"] == "1" and p.attrs["event"] in p.attrs["long_name"] and error.shape == p.shape
    assert "x" not in p.coords or p["x"].attrs == {"units": "mm"}


def test_the_error_is_that_of_the_probability_given_so_many_members_and_never_zero():
    p, error = Event.parse("rings == 7").probability(QUANTITIES)
    assert p == 0
    np.testing.assert_allclose(error, scipy.stats.beta(0.5, 3.5).std(), rtol=1e-6)
    nowhere = QUANTITIES.assign(u=QUANTITIES.u.where(QUANTITIES.x < 1))
    p, error = Event.parse("u > 0.3").probability(nowhere)
    assert np.isnan(p[1]) and np.isnan(error[1])


@pytest.mark.parametrize(
    "text, said",
    [
        ("u", "expected NAME SIGN NUMBER"), ("u > ", "expected NAME SIGN"), ("u > high", "expected NAME SIGN"),
        ("median(u) > 1", "expected NAME"), ("w > 1", "no 'w'; expected one of u, rain, rings"), ("rian > 1", "did you mean rain"),
        ("u > 1 kelvin", "they measure different things"), ("0.3 < u", "expected NAME"),
    ],
)  # fmt: skip
def test_an_event_that_can_not_be_meant_is_one_line(text, said):
    with pytest.raises(sd.UserError, match=said):
        Event.parse(text).check(QUANTITIES)
