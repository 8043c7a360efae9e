"""Odd radar beside attributes: files that are cut, empty, huge or none, options out of bounds, frames and gauges that a user brings."""

import gzip
import os
import shutil

import h5py
import numpy as np
from case import done, refused
from own_rain import NOW, latlon, projected, storm, times
from runs import trained
from weather_files import DBZ, as_classic, as_netcdf, as_zarr, odim
from weather_files import projected as frames

from domains.weather.readers import read_archive

MORE = []


def smoke(*more):
    """`sciddm train` with these keys, which refuses before it makes any rain."""
    return lambda folder: [
        "train",
        "--config",
        "weather:smoke",
        "--config.data.cache=cache",
        "--workdir",
        "run",
        "--quiet",
        *more,
    ]


def train(write, path, *more):
    """`sciddm train` on what `write` writes."""

    def run(folder):
        if not (folder / path).exists():
            write(folder / path)
        return smoke(f"--config.data.path={path}", *more)(folder)

    return run


# Keys
for crop in (
    "1,2",
    "5",
    "1,2,3",
    "1,2,3,4,5",
    "-1,0,64,64",
    "0,0,64",
    "0,0,1,1",
    "a,b,c,d",
    "0.5,0,64,64",
    "0,0,64,nan",
    "None",
    "0,0,-64,-64",
):
    MORE.append(
        refused("traceback", f"--config.data.crop={crop}", smoke(f"--config.data.crop={crop}"), "config.data.crop")
    )
BOUNDS = {
    "data.outages": ("7", "-1", "nan", "inf", "x"), "data.most_missing": ("2", "-0.1", "nan"), "data.held_out": ("0", "-3", "nan", "inf", "2.5", "1024"),
    "data.size": ("0", "-64", "100000000", "64.5"), "data.past": ("0", "-1", "1000000000"), "data.future": ("0", "1000000000"),
    "data.stride": ("0", "-1"), "data.events": ("0", "1", "-5", "1000000000"), "data.frames": ("3", "0", "1000000000"),
    "data.augment": ("2", "maybe"), "tasks.extreme.reward": ("foo", "''", "rainn"), "tasks.extreme.threshold": ("0", "-1", "nan", "inf"),
    "tasks.extreme.num_particles": ("0", "-4", "1.5"), "tasks.extreme.twist": ("foo",), "tasks.extreme.solver": ("foo", "heun"),
    "tasks.assimilate.gauges": ("0", "2", "-1", "nan"), "tasks.assimilate.gauge_dbz": ("0", "-1", "nan", "inf"),
    "tasks.assimilate.gauge_frames": ("0", "-1", "1.5"), "tasks.assimilate.strength": ("0", "-1", "nan"), "tasks.assimilate.method": ("foo", "mmps(iterations=x"),
    "tasks.assimilate.steps": ("0", "-1"), "tasks.assimilate.grid": ("foo",), "tasks.downscale.factor": ("0", "1", "3", "-2", "2.5"),
    "tasks.downscale.noise_dbz": ("0", "-1", "nan", "inf"), "tasks.fill.noise_dbz": ("0", "inf"), "tasks.interpolate.every": ("0", "1", "16", "-1", "100"),
    "tasks.interpolate.noise_dbz": ("0",), "tasks.wide.size": ("0", "63", "10000000"), "tasks.wide.overlap": ("-1", "1", "nan"),
    "tasks.wide.strategy": ("foo",), "tasks.wide.chunk": ("0",), "tasks.rollout.windows": ("0", "-1", "1000000000"),
    "tasks.nowcast.steps": ("0",), "tasks.nowcast.solver": ("foo",), "tasks.nowcst.steps": ("3",), "tasks.fill.outages": ("3",),
}  # fmt: skip
for key, values in BOUNDS.items():
    for value in values:
        MORE.append(refused("nonsense", f"--config.{key}={value}", smoke(f"--config.{key}={value}"), key.split(".")[1]))


# Files
def no_frames(write):
    return lambda path: write(frames(DBZ[:0], times=np.zeros(0, "datetime64[ns]")), path)


def one_byte(path):
    path.write_bytes(b"\x89")


def cut(share):
    def write(path):
        as_netcdf(frames(), path)
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])

    return write


def pipe(path):
    os.mkfifo(path)


def zipped(path):
    as_classic(frames(), path.with_suffix(".tmp"))
    path.write_bytes(gzip.compress(path.with_suffix(".tmp").read_bytes()))


def huge_zarr(shape):
    def write(path):
        import zarr

        group = zarr.open_group(path, mode="w")
        group.create_array("dbz", shape=shape, chunks=(1, 1000, 1000), dtype="f4", dimension_names=("time", "y", "x"), attributes={"units": "dBZ"},
                           fill_value=float("nan"))  # fmt: skip
        for name, n in zip(("time", "y", "x"), shape, strict=True):
            about = (
                {"units": "minutes since 2024-05-01"}
                if name == "time"
                else {"units": "m", "standard_name": f"projection_{name}_coordinate"}
            )
            array = group.create_array(
                name, shape=(n,), chunks=(min(n, 1000),), dtype="f8", dimension_names=(name,), attributes=about
            )
            if n < 1000:
                array[:] = 5.0 * np.arange(n)

    return write


def huge_netcdf(shape):
    def write(path):
        with h5py.File(path, "w") as file:
            for name, n in zip(("time", "y", "x"), shape, strict=True):
                scale = file.create_dataset(name, shape=(n,), chunks=(min(n, 1000),), dtype="f8")
                scale.make_scale(name)
                scale.attrs["units"] = "minutes since 2024-05-01" if name == "time" else "m"
            data = file.create_dataset("dbz", shape=shape, chunks=(1, 100, 100), dtype="f4")
            data.attrs["units"] = "dBZ"
            for i, name in enumerate(("time", "y", "x")):
                data.dims[i].attach_scale(file[name])
            file.attrs["_NCProperties"] = "version=2"

    return write


def huge_classic(path):
    # The header says more than a file can hold.
    as_classic(frames(), path)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x00\x00\x00\x01y\x00\x00\x00") + 8
    data[at : at + 4] = (2**30).to_bytes(4, "big")
    path.write_bytes(bytes(data))


def beside(name, shape, chunks, dtype="f4", dims=None):
    """A store in which there is another array, never written."""

    def write(path):
        import zarr

        as_zarr(frames(), path)
        zarr.open_group(path, mode="r+").create_array(
            name, shape=shape, chunks=chunks, dtype=dtype, dimension_names=dims
        )

    return write


def reads(write, path, expected=DBZ, **said):
    def run(folder):
        write(folder / path)
        found = read_archive(folder / path, **said).dBZ()
        assert found.shape == np.shape(expected) and np.array_equal(found, expected, equal_nan=True), (
            f"another value: {found}"
        )

    return run


def lost(fill=0.0, **about):
    def write(path):
        as_zarr(frames(), path, fill_value=fill)
        shutil.rmtree(path / "reflectivity/c/2")

    return write


dry = DBZ.copy()
dry[2] = 0
masked = DBZ.copy()
masked[2] = np.nan
MORE += [
    refused("traceback", "netCDF without frames", train(no_frames(as_netcdf), "f.nc"), "expected frames"),
    refused("traceback", "classic netCDF without frames", train(no_frames(as_classic), "f.nc"), "expected frames|f.nc"),
    refused("traceback", "zarr without frames", train(no_frames(as_zarr), "f.zarr"), "expected frames|f.zarr"),
    refused("traceback", "netCDF without rows", train(lambda path: as_netcdf(frames(DBZ[:, :0]), path), "f.nc"), "expected frames"),
    refused("traceback", "one row", train(lambda path: as_netcdf(frames(DBZ[:, :1]), path), "f.nc"), "time, y and x|point"),
    refused("traceback", "all of it missing", train(lambda path: as_netcdf(frames(DBZ * np.nan), path), "f.nc"), "f.nc"),
    refused("traceback", "complex numbers", train(lambda path: as_netcdf(frames(DBZ.astype("c8")), path), "f.h5"), "f.h5"),
    done("metadata", "a lost chunk that is filled where that is said", reads(lost(), "f.zarr", dry, absent_chunks="fill"), "lacks 1 of 6 chunks"),
    refused("metadata", "a lost chunk that would read as dry", train(lost(), "f.zarr"), r"--config\.data\.absent_chunks=fill"),
    refused("metadata", "the same typed", train(lost(), "f.zarr", "--config.data.absent_chunks=fill"), "6 frames"),
    done("metadata", "a lost chunk that reads as missing", reads(lost(float("nan")), "f.zarr", masked)),
    done("traceback", "another array of a store, never written", reads(beside("other", (10**6, 10**6), (1000, 1000)), "f.zarr")),
    done("traceback", "another array in one chunk", reads(beside("table", (3, 4), (3, 4)), "f.zarr")),
    done("traceback", "another array of no axes", reads(beside("level", (), ()), "f.zarr")),
    done("traceback", "another array of the same axes as time", reads(beside("quality", (6,), (6,), "i4", ("time",)), "f.zarr")),
    done("traceback", "another array of words", reads(beside("names", (3,), (3,), "U5", ("station",)), "f.zarr")),
    refused("hang", "a store that says 1e9 x 1e9", train(huge_zarr((10, 10**9, 10**9)), "f.zarr"), "of memory"),
    refused("hang", "a store that says 1e6 frames of 1e5 x 1e5", train(huge_zarr((10**6, 10**5, 10**5)), "f.zarr"), "of memory|evenly"),
    refused("hang", "netCDF that says 1e9 x 1e9", train(huge_netcdf((10, 10**9, 10**9)), "f.nc"), "of memory"),
    refused("hang", "the same named .h5", train(huge_netcdf((10, 10**9, 10**9)), "f.h5"), "of memory"),
    refused("hang", "classic netCDF whose header says 2^30 rows", train(huge_classic, "f.nc"), "f.nc"),
    refused("hang", "a pipe", train(pipe, "f.nc"), "is a pipe"),
    refused("hang", "a pipe in a folder", train(lambda path: (path.mkdir(), pipe(path / "a.nc")), "radar"), "pipe|without frames"),
    refused("hang", "a device", smoke("--config.data.path=/dev/zero"), "device"),
    refused("traceback", "an empty file", train(lambda path: path.write_bytes(b""), "f.nc"), "f.nc"),
    refused("traceback", "one byte", train(one_byte, "f.nc"), "f.nc"),
    refused("traceback", "an empty GRIB", train(lambda path: path.write_bytes(b""), "f.grib2"), "f.grib2"),
    refused("traceback", "words named .h5", train(lambda path: path.write_text("words"), "f.h5"), "f.h5"),
    refused("traceback", "words named .grib", train(lambda path: path.write_text("GRIB words"), "f.grib"), "f.grib"),
    refused("traceback", "half a file", train(cut(0.5), "f.nc"), "f.nc"),
    refused("traceback", "a file without its last bytes", train(cut(0.98), "f.h5"), "f.h5"),
    refused("traceback", "netCDF in gzip", train(zipped, "f.nc.gz"), "gz"),
    refused("traceback", "netCDF in gzip named .nc", train(zipped, "f.nc"), "f.nc|6 frames"),
    refused("traceback", "an empty folder", train(lambda path: path.mkdir(), "radar"), "without frames"),
    refused("traceback", "an empty store", train(lambda path: (path.mkdir(), (path / "zarr.json").write_text("{}")), "f.zarr"), "f.zarr"),
    refused("traceback", "a store whose zarr.json is cut", train(lambda path: (as_zarr(frames(), path), (path / "zarr.json").write_text("{")), "f.zarr"),
            "f.zarr"),
    refused("traceback", "a link to itself", train(lambda path: os.symlink(path, path), "f.nc"), "f.nc"),
    refused("traceback", "HDF5 without anything", train(lambda path: h5py.File(path, "w").close(), "f.h5"), "f.h5"),
    refused("traceback", "netCDF without anything", train(lambda path: h5py.File(path, "w").close(), "f.nc"), "f.nc"),
    refused("traceback", "ODIM without anything", train(lambda path: odim_shell(path), "f.h5"), "f.h5"),
    refused("traceback", "ODIM whose date is no date", train(lambda path: odim_shell(odim(path, DBZ[0].astype("u1")), "2024"), "f.h5"), "f.h5"),
    refused("words", "a pattern that fits nothing", smoke("--config.data.path=radar/*.nc"), "no file fits"),
    refused("words", "no such file", smoke("--config.data.path=radar.nc"), "no such file"),
    refused("words", "two variables", train(lambda path: as_netcdf(frames().assign(other=frames().reflectivity), path), "f.nc"), r"--config\.data\.variable="),
    refused("words", "no units", train(lambda path: as_netcdf(frames(units=""), path), "f.nc"), r"--config\.data\.units=dBZ"),
    refused("words", "units of length", train(lambda path: as_netcdf(frames(units="m"), path), "f.nc"), r"--config\.data\.units="),
    refused("words", "a variable that is not there", train(lambda path: as_netcdf(frames(), path), "f.nc", "--config.data.variable=rain"),
            r"--config\.data\.variable=reflectivity"),
    refused("words", "units that are none", train(lambda path: as_netcdf(frames(), path), "f.nc", "--config.data.units=inch"), "inch"),
]  # fmt: skip


def odim_shell(path, date=None):
    with h5py.File(path, "a") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
        if date:
            file["what"].attrs["date"] = np.bytes_(date)


# What a user brings
def given(task, *things, count=2, more=()):
    """`sciddm sample` of a task with these; each thing is a text, or a function of the folder that gives one."""

    def run(folder):
        arguments = [one(folder) if callable(one) else one for one in things]
        return ["sample", "--workdir", trained("weather"), "--task", task, "--count", count, "--out", "out.nc", *more,
                *(word for one in arguments for word in ("--given", one))]  # fmt: skip

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
    done("metadata", "given: 95.5 dBZ, and missing=95.5", given("nowcast", written(codes), "missing=95.5"), "3.1% of the past is missing"),
    refused("metadata", "given: missing=x", given("nowcast", written(codes), "missing=x"), "missing"),
    refused("traceback", "given: another calendar", given("nowcast", written(noleap)), "noleap"),
    refused("traceback", "given: no frames", given("nowcast", written(own.isel(time=slice(0, 0)))), "f.nc"),
    refused("traceback", "given: one frame", given("nowcast", written(own.isel(time=[0]))), "f.nc"),
    refused("traceback", "given: all missing", given("nowcast", written(own.where(False))), "missing all over"),
    refused("traceback", "given: an empty file", given("nowcast", thing(lambda path: path.write_bytes(b""), "f.nc")), "f.nc"),
    refused("words", "given: no such file", given("nowcast", "newest.nc"), "no such file"),
    refused("words", "given: a name that is not known", given("nowcast", written(own), "nwo=2026"), "nwo"),
    refused("words", "given: now=soon", given("nowcast", written(own), "now=soon"), "now"),
    refused("words", "given: at=here", given("nowcast", written(own), "at=here"), "two numbers"),
    refused("words", "given: at=nan,nan", given("nowcast", written(own), "at=nan,nan"), "at=nan,nan"),
    refused("words", "given: at=inf,0", given("nowcast", written(own), "at=inf,0"), "at=inf,0"),
    refused("words", "given: at=5,95", given("nowcast", written(own), "at=5,95"), "at=5,95"),
    refused("words", "given: no units", given("nowcast", written(latlon(storm(), units=""))), "--given units=UNIT|--given units="),
    refused("words", "given: two variables", given("nowcast", written(own.assign(other=own.reflectivity))), "--given variable="),
    refused("metadata", "given: pixels of another size", given("nowcast", written(latlon(storm(), pixel=2))), "pixels of"),
    refused("metadata", "given: another step", given("nowcast", written(latlon(storm(), times(4, 12)))), "12 min apart"),
    refused("metadata", "given: times twice", given("nowcast", written(latlon(storm(), times(4)[[0, 1, 1, 3]]))), "there twice"),
    refused("metadata", "given: a grid that is too small", given("nowcast", written(latlon(storm(shape=(20, 20))))), "20 x 20"),
    refused("metadata", "given: infinite values", given("nowcast", written(latlon(np.where(storm() > 40, np.inf, storm()).astype("f4")))), "inf"),
    refused("nonsense", "given: nothing to fill", given("fill", written(latlon(storm(10)))), "nothing is missing"),
    refused("nonsense", "given: nothing between frames", given("interpolate", written(own)), "frames 5 min apart"),
    refused("nonsense", "given: fine ones to make finer", given("downscale", written(own)), "pixels of"),
    refused("nonsense", "given: gauges alone", given("assimilate", table(f"{here},3")), "no frames among it"),
    refused("nonsense", "given: gauges of a nowcast", given("nowcast", written(own), table(f"{here},3")), "assimilate takes gauges"),
    refused("nonsense", "given: frames without gauges", given("assimilate", written(own)), "no gauges"),
    refused("metadata", "given: frames from another place", given("nowcast", written(own.isel(time=[0, 1]), "a.nc"),
                                                                 written(latlon(storm(), west=6.0).isel(time=[2, 3]), "b.nc")), "first pixel lies"),
    refused("metadata", "given: frames of another projection", given("nowcast", written(own.isel(time=[0, 1]), "a.nc"),
                                                                    written(projected(storm()).isel(time=[2, 3]), "b.nc")), "same grid"),
    done("metadata", "given: frames whose clock is off by 20 s", given("nowcast", written(latlon(storm(), NOW - np.array([900, 580, 300, 0])[[0, 1, 2, 3]]
         .astype("timedelta64[s]"))))),
]  # fmt: skip
CELLS = {
    "-1": "0 to 600", "99999": "0 to 600", "inf": "gauges.csv", "1e400": "gauges.csv", "rain": "gauges.csv", "1,5": "gauges.csv", "0x10": "gauges.csv", "²": "gauges.csv",
    "--5": "gauges.csv", "nan": "value", "": "value", "true": "gauges.csv", "3 mm": "gauges.csv",
}  # fmt: skip
for cell, said in CELLS.items():
    MORE.append(
        refused(
            "traceback", f"a gauge that says {cell!r}", given("assimilate", written(own), table(f"{here},{cell}")), said
        )
    )
PLACES = {
    "lat of 95": (f"2026-06-14T15:45Z,{lon},95,3", "-90 to 90"), "no lat": (f"2026-06-14T15:45Z,{lon},,3", "no place|lat"),
    "lon of 1000": (f"2026-06-14T15:45Z,1000,{lat},3", "inside of the grid"), "lon and lat swapped": (f"2026-06-14T15:45Z,{lat},{lon},3", "swapped"),
    "a time that is none": (f"yesterday,{lon},{lat},3", "yesterday"), "no time": (f",{lon},{lat},3", "no time|gauges.csv"),
    "the 31st of June": (f"2026-06-31T15:45Z,{lon},{lat},3", "2026-06-31"), "25 o'clock": (f"2026-06-14T25:45Z,{lon},{lat},3", "25:45"),
    "the year before": (f"2025-06-14T15:45Z,{lon},{lat},3", "between"), "the year 99999": (f"99999-06-14,{lon},{lat},3", "99999"),
    "too few cells": (f"2026-06-14T15:45Z,{lon}", "gauges.csv"), "too many cells": (f"{here},3,4,5", "gauges.csv"),
    "infinite lon": (f"2026-06-14T15:45Z,inf,{lat},3", "gauges.csv"), "an error of 0": (f"{here},3,0", "gauges.csv"),
}  # fmt: skip
for what, (row, said) in PLACES.items():
    header = "time,lon,lat,value [mm/h]" + (",error" if "error" in what else "")
    MORE.append(
        refused("traceback", f"a gauge with {what}", given("assimilate", written(own), table(row, header=header)), said)
    )
TABLES = {
    "no header": ("", "gauges.csv"), "a unit that is none": ("time,lon,lat,value [furlong]", "furlong"), "no unit": ("time,lon,lat,value", "no unit"),
    "no value": ("time,lon,lat,colour", "value"), "a column twice": ("time,lon,lon,value [mm/h]", "gauges.csv"), "mm without a time": ("time,lon,lat,rain [mm]", "interval"),
    "stations without places": ("time,station,id,value [mm/h]", "stations"),
}  # fmt: skip
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
    refused("traceback", "a table of gauges that is empty", given("assimilate", written(own), thing(lambda path: path.write_text(""), "gauges.csv")), "gauges.csv"),
    refused("traceback", "a table of gauges of a header alone", given("assimilate", written(own), table()), "gauges.csv"),
    refused("hang", "a table of gauges that is a pipe", given("assimilate", written(own), thing(pipe, "gauges.csv")), "pipe"),
    refused("traceback", "a table of gauges of bytes", given("assimilate", written(own), thing(
        lambda path: path.write_bytes(bytes(range(256))), "gauges.csv")), "gauges.csv"),
    refused("metadata", "a report twice", given("assimilate", written(own), table(f"{here},3", f"{here},4")), "a second report"),
    done("metadata", "a table of gauges in gzip", given("assimilate", written(own), thing(
        lambda path: path.write_bytes(gzip.compress(f"time,lon,lat,value [mm/h]\n{here},3\n".encode())), "gauges.csv.gz"))),
]  # fmt: skip
