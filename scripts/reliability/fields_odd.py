"""More of what files of gridded fields say of themselves: zones of their dates, ways to pack numbers, steps that change, longitudes."""

import numpy as np
import xarray as xr
from case import refused
from fields_meaning import RNG, reads


def opened(write):
    """The file that write(folder) leaves, read."""

    def run(folder):
        from domains.fields.readers import open_fields

        open_fields(write(folder))

    return run


def of_times(since, times=None, **attrs):
    """Eight fields at 0, 5, 10, ... since a date."""

    def write(folder):
        times_of = ("time", 5.0 * np.arange(8) if times is None else times, {"units": since, **attrs})
        xr.Dataset({"u": (("time", "y", "x"), RNG.standard_normal((8, 3, 4)))}, {"time": times_of}).to_netcdf(
            folder / "f.nc", engine="h5netcdf"
        )
        return folder / "f.nc"

    return write


def begins(date):
    def check(fields):
        found = str(fields.template["time"].values[0]).replace("T", " ")[: len(date)]
        assert found == date, f"{found}, expected {date}"

    return check


NOON = "2024-05-01 10:00"
UNKNOWN = (f"{NOON} CET", f"{NOON} Europe/Berlin", f"{NOON} PM", "05/01/2024", "2024-05-01 10:00 EST")
KNOWN = {f"{NOON}": NOON, f"{NOON}:00 +02:00": "2024-05-01 08:00", f"{NOON} -0500": "2024-05-01 15:00", f"{NOON} UTC": NOON,
         "2024-05-01T10:00:00Z": NOON, "20240501": "2024-05-01 00:00", "2024-5-1 10": NOON, "12000-01-01": "12000-01-01 00:00",
         "1500-01-01 +02:00": "1499-12-31 22:00"}  # fmt: skip
TIMES = [
    *(refused("metadata", f"fields since {since!r}", opened(of_times(f"minutes since {since}")), "its times are since .*zone as a number")
      for since in UNKNOWN),
    *(reads("metadata", f"fields since {since!r}", of_times(f"minutes since {since}"), begins(date)) for since, date in KNOWN.items()),
    *(refused("metadata", f"fields in {calendar} with a zone in words",
              opened(of_times("days since 2001-02-20 10:00 CET", calendar=calendar)), "CET.*zone as a number")
      for calendar in ("noleap", "360_day", "julian")),
    refused("metadata", "fields in noleap with a zone of one digit", opened(of_times("days since 2001-02-20 10:00 +2", calendar="noleap")),
            "zone as a number"),
    reads("metadata", "fields in noleap with a zone", of_times("days since 2001-02-20 10:00 +02:00", calendar="noleap"),
          begins("2001-02-20 08:00")),
    refused("metadata", "fields of 1500 with a zone of one digit", opened(of_times("days since 1500-02-20 10:00 +2")), "zone as a number"),
    refused("metadata", "hours since 1900 in single precision",
            opened(of_times("hours since 1900-01-01", (1e6 + np.arange(8) / 12).astype("f4"))), "too coarse.*float64"),
    reads("metadata", "days since 1900 in single precision", of_times("days since 1900-01-01", (4e4 + np.arange(8)).astype("f4")),
          begins("2009-07-08")),
]  # fmt: skip
ODD = [*TIMES]
