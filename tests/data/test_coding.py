"""Packing and ranges that mean nothing are refused, whatever they are written as."""

import numpy as np
import pytest

from sciddm.data.coding import Coding
from sciddm.errors import UserError


@pytest.mark.parametrize(
    ("attrs", "says"),
    [
        ({"scale_factor": 0.0, "add_offset": 20.0}, "scale_factor is 0 and add_offset 20, by which its numbers mean nothing"),
        ({"scale_factor": np.nan}, "scale_factor is nan"),
        ({"add_offset": np.inf}, "add_offset inf"),
        ({"scale_factor": "half"}, "scale_factor is 'half'; expected one number"),
        ({"scale_factor": "0,5"}, "scale_factor is '0,5'; expected one number"),
        ({"scale_factor": np.array([0.5, 1.0])}, "expected one number"),
        ({"valid_range": np.array([80.0, 0.0])}, "its valid range goes from 80 to 0, in which nothing lies"),
        ({"valid_min": 5.0, "valid_max": 4.0}, "its valid range goes from 5 to 4"),
        ({"valid_range": 30.0}, "valid_range is 30; expected the lowest and the highest"),
    ],
)
def test_attributes_by_which_numbers_would_mean_nothing_are_refused(attrs, says):
    with pytest.raises(UserError, match=f"^f.nc: variable 'u': .*{says}"):
        Coding.of(attrs, np.dtype("f4"), where="f.nc: variable 'u'")


def test_numbers_written_as_text_count():
    coding = Coding.of({"scale_factor": "0.5", "add_offset": b"-32", "valid_range": "0, 30", "_Unsigned": "TRUE "}, np.dtype("i2"))
    assert (coding.scale, coding.offset, coding.low, coding.high, coding.view) == (0.5, -32.0, 0.0, 30.0, "u2")
    assert Coding.of({"scale_factor": "", "missing_value": "none"}, np.dtype("f4")) == Coding()
