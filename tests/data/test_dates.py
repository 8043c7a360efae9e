"""Times whose zone, date or type would be passed over are refused."""

import numpy as np
import pytest

from sciddm.data.dates import check_times
from sciddm.errors import UserError

NUMBERS = 5.0 * np.arange(6)


@pytest.mark.parametrize(
    "since",
    ["2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01 10:00 +02:00", "1-1-1 00:00:0.0", "20240501 10:00 UTC", "1970-01-01 00:00:00 -0530"],
)
def test_dates_of_one_meaning_pass(since):
    check_times("f.nc: 'time'", NUMBERS, f"minutes since {since}")


@pytest.mark.parametrize("since", ["2024-05-01 10:00 CET", "01-05-2024 10:00", "01/05/2024", "2024-05-01 10:00 local", "the flood"])
def test_zones_and_dates_that_libraries_pass_over_are_refused(since):
    with pytest.raises(UserError, match=r"^f.nc: 'time': its times are since '.*; expected year-month-day, .* zone as a number"):
        check_times("f.nc: 'time'", NUMBERS, f"minutes since {since}")


def test_single_precision_is_enough_only_where_its_rounding_is_small_beside_the_steps():
    check_times("f.nc: 'time'", (3600 + NUMBERS).astype("f4"), "minutes since 2024-05-01")
    check_times("f.nc: 'time'", 2.8e7 + NUMBERS, "minutes since 1970-01-01")
    check_times("f.nc: 'time'", 0 * NUMBERS, "minutes since 1970-01-01")  # no steps: what reads the file says so
    with pytest.raises(UserError, match="of float32 and rounded to 2 minutes, too coarse for steps of [46] minutes; write them as float64"):
        check_times("f.nc: 'time'", (2.8e7 + NUMBERS).astype("f4"), "minutes since 1970-01-01")
    with pytest.raises(UserError, match="too coarse for steps of 4 minutes"):  # most of which are rounded away
        check_times("f.nc: 'time'", (6.5e7 + NUMBERS / 5).astype("f4"), "minutes since 1900-01-01")
