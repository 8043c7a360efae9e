"""Frames and gauges that a user brings, with what is odd about them."""

import gzip
import os

import numpy as np
from case import done, refused
from own_rain import NOW, latlon, projected, storm, times
from runs import trained
from weather_files import as_netcdf
from weather_odd import pipe

MORE = []


# What a user brings
def given(task, *things, count=2, more=()):
    """`sciddm sample` of a task with these; each thing is a text, or a function of the folder that gives one."""

    def run(folder):
        arguments = [one(folder) if callable(one) else one for one in things]
        return [
            "sample",
            "--workdir",
            trained("weather"),
            "--task",
            task,
            "--count",
            count,
            "--out",
            "out.nc",
            *more,
            *(word for one in arguments for word in ("--given", one)),
        ]

    return run


def written(data, name="f.nc", writer=as_netcdf):
    def write(folder):
        if not (folder / name).exists():
            writer(data, folder / name)
        return name

    return write


def table(*rows, header="time,lon,lat,value [mm/h]", name="gauges.csv"):
    def write(folder):
        (folder / name).write_text("\n".join([header, *rows]) + "\n")
        return name

    return write


def thing(make, name):
    def write(folder):
        if not os.path.lexists(folder / name):
            make(folder / name)
        return name

    return write


own = latlon(storm())
lon, lat = float(own.lon[7]), float(own.lat[28])
here = f"2026-06-14T15:45Z,{lon},{lat}"
codes = latlon(np.where(np.arange(32) == 5, 95.5, storm()).astype("f4"))
noleap = latlon(storm()).assign_coords(
    time=("time", 5.0 * np.arange(4), {"units": "minutes since 2026-06-14 15:25", "calendar": "noleap"})
)
MORE += [
    refused("hang", "given: a pipe", given("nowcast", thing(pipe, "f.nc")), "pipe"),
    refused("metadata", "given: 95.5 dBZ", given("nowcast", written(codes)), "--given missing=95.5"),
    done(
        "metadata",
        "given: 95.5 dBZ, and missing=95.5",
        given("nowcast", written(codes), "missing=95.5"),
        "3.1% of the past is missing",
    ),
    refused("metadata", "given: missing=x", given("nowcast", written(codes), "missing=x"), "missing"),
    refused("traceback", "given: another calendar", given("nowcast", written(noleap)), "noleap"),
    refused("traceback", "given: no frames", given("nowcast", written(own.isel(time=slice(0, 0)))), "f.nc"),
    refused("traceback", "given: one frame", given("nowcast", written(own.isel(time=[0]))), "f.nc"),
    refused("traceback", "given: all missing", given("nowcast", written(own.where(False))), "missing all over"),
    refused(
        "traceback", "given: an empty file", given("nowcast", thing(lambda path: path.write_bytes(b""), "f.nc")), "f.nc"
    ),
    refused("words", "given: no such file", given("nowcast", "newest.nc"), "no such file"),
    refused("words", "given: a name that is not known", given("nowcast", written(own), "nwo=2026"), "nwo"),
    refused("words", "given: now=soon", given("nowcast", written(own), "now=soon"), "now"),
    refused("words", "given: at=here", given("nowcast", written(own), "at=here"), "two numbers"),
    refused("words", "given: at=nan,nan", given("nowcast", written(own), "at=nan,nan"), "at=nan,nan"),
    refused("words", "given: at=inf,0", given("nowcast", written(own), "at=inf,0"), "at=inf,0"),
    refused("words", "given: at=5,95", given("nowcast", written(own), "at=5,95"), "at=5,95"),
    refused(
        "words",
        "given: no units",
        given("nowcast", written(latlon(storm(), units=""))),
        "--given units=UNIT|--given units=",
    ),
    refused(
        "words",
        "given: two variables",
        given("nowcast", written(own.assign(other=own.reflectivity))),
        "--given variable=",
    ),
    refused(
        "metadata", "given: pixels of another size", given("nowcast", written(latlon(storm(), pixel=2))), "pixels of"
    ),
    refused(
        "metadata", "given: another step", given("nowcast", written(latlon(storm(), times(4, 12)))), "12 min apart"
    ),
    refused(
        "metadata",
        "given: times twice",
        given("nowcast", written(latlon(storm(), times(4)[[0, 1, 1, 3]]))),
        "there twice",
    ),
    refused(
        "metadata",
        "given: a grid that is too small",
        given("nowcast", written(latlon(storm(shape=(20, 20))))),
        "20 x 20",
    ),
    refused(
        "metadata",
        "given: infinite values",
        given("nowcast", written(latlon(np.where(storm() > 40, np.inf, storm()).astype("f4")))),
        "inf",
    ),
    refused("nonsense", "given: nothing to fill", given("fill", written(latlon(storm(10)))), "nothing is missing"),
    refused("nonsense", "given: nothing between frames", given("interpolate", written(own)), "frames 5 min apart"),
    refused("nonsense", "given: fine ones to make finer", given("downscale", written(own)), "pixels of"),
    refused("nonsense", "given: gauges alone", given("assimilate", table(f"{here},3")), "no frames among it"),
    refused(
        "nonsense",
        "given: gauges of a nowcast",
        given("nowcast", written(own), table(f"{here},3")),
        "assimilate takes gauges",
    ),
    refused("nonsense", "given: frames without gauges", given("assimilate", written(own)), "no gauges"),
    refused(
        "metadata",
        "given: frames from another place",
        given(
            "nowcast",
            written(own.isel(time=[0, 1]), "a.nc"),
            written(latlon(storm(), west=6.0).isel(time=[2, 3]), "b.nc"),
        ),
        "first pixel lies",
    ),
    refused(
        "metadata",
        "given: frames of another projection",
        given("nowcast", written(own.isel(time=[0, 1]), "a.nc"), written(projected(storm()).isel(time=[2, 3]), "b.nc")),
        "same grid",
    ),
    done(
        "metadata",
        "given: frames whose clock is off by 20 s",
        given(
            "nowcast",
            written(latlon(storm(), NOW - np.array([900, 580, 300, 0])[[0, 1, 2, 3]].astype("timedelta64[s]"))),
        ),
    ),
]
CELLS = {
    "-1": "0 to 600",
    "99999": "0 to 600",
    "inf": "gauges.csv",
    "1e400": "gauges.csv",
    "rain": "gauges.csv",
    "1,5": "gauges.csv",
    "0x10": "gauges.csv",
    "²": "gauges.csv",
    "--5": "gauges.csv",
    "nan": "value",
    "": "value",
    "true": "gauges.csv",
    "3 mm": "gauges.csv",
}
for cell, said in CELLS.items():
    MORE.append(
        refused(
            "traceback", f"a gauge that says {cell!r}", given("assimilate", written(own), table(f"{here},{cell}")), said
        )
    )
PLACES = {
    "lat of 95": (f"2026-06-14T15:45Z,{lon},95,3", "-90 to 90"),
    "no lat": (f"2026-06-14T15:45Z,{lon},,3", "no place|lat"),
    "lon of 1000": (f"2026-06-14T15:45Z,1000,{lat},3", "inside of the grid"),
    "lon and lat swapped": (f"2026-06-14T15:45Z,{lat},{lon},3", "swapped"),
    "a time that is none": (f"yesterday,{lon},{lat},3", "yesterday"),
    "no time": (f",{lon},{lat},3", "no time|gauges.csv"),
    "the 31st of June": (f"2026-06-31T15:45Z,{lon},{lat},3", "2026-06-31"),
    "25 o'clock": (f"2026-06-14T25:45Z,{lon},{lat},3", "25:45"),
    "the year before": (f"2025-06-14T15:45Z,{lon},{lat},3", "between"),
    "the year 99999": (f"99999-06-14,{lon},{lat},3", "99999"),
    "too few cells": (f"2026-06-14T15:45Z,{lon}", "gauges.csv"),
    "too many cells": (f"{here},3,4,5", "gauges.csv"),
    "infinite lon": (f"2026-06-14T15:45Z,inf,{lat},3", "gauges.csv"),
    "an error of 0": (f"{here},3,0", "gauges.csv"),
}
for what, (row, said) in PLACES.items():
    header = "time,lon,lat,value [mm/h]" + (",error" if "error" in what else "")
    MORE.append(
        refused("traceback", f"a gauge with {what}", given("assimilate", written(own), table(row, header=header)), said)
    )
TABLES = {
    "no header": ("", "gauges.csv"),
    "a unit that is none": ("time,lon,lat,value [furlong]", "furlong"),
    "no unit": ("time,lon,lat,value", "no unit"),
    "no value": ("time,lon,lat,colour", "value"),
    "a column twice": ("time,lon,lon,value [mm/h]", "gauges.csv"),
    "mm without a time": ("time,lon,lat,rain [mm]", "interval"),
    "stations without places": ("time,station,id,value [mm/h]", "stations"),
}
for what, (header, said) in TABLES.items():
    MORE.append(
        refused(
            "traceback",
            f"a table of gauges with {what}",
            given("assimilate", written(own), table(f"{here},3", header=header)),
            said,
        )
    )
MORE += [
    refused(
        "traceback",
        "a table of gauges that is empty",
        given("assimilate", written(own), thing(lambda path: path.write_text(""), "gauges.csv")),
        "gauges.csv",
    ),
    refused(
        "traceback", "a table of gauges of a header alone", given("assimilate", written(own), table()), "gauges.csv"
    ),
    refused(
        "hang", "a table of gauges that is a pipe", given("assimilate", written(own), thing(pipe, "gauges.csv")), "pipe"
    ),
    refused(
        "traceback",
        "a table of gauges of bytes",
        given("assimilate", written(own), thing(lambda path: path.write_bytes(bytes(range(256))), "gauges.csv")),
        "gauges.csv",
    ),
    refused(
        "metadata",
        "a report twice",
        given("assimilate", written(own), table(f"{here},3", f"{here},4")),
        "a second report",
    ),
    done(
        "metadata",
        "a table of gauges in gzip",
        given(
            "assimilate",
            written(own),
            thing(
                lambda path: path.write_bytes(gzip.compress(f"time,lon,lat,value [mm/h]\n{here},3\n".encode())),
                "gauges.csv.gz",
            ),
        ),
    ),
]
