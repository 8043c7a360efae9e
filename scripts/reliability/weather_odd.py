"""Radar in files that are cut, empty, huge or none, and keys and options out of bounds."""

import gzip
import os
import shutil

import h5py
import numpy as np
from case import done, refused
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
    "data.outages": ("7", "-1", "nan", "inf", "x"),
    "data.most_missing": ("2", "-0.1", "nan"),
    "data.held_out": ("0", "-3", "nan", "inf", "2.5", "1024"),
    "data.size": ("0", "-64", "100000000", "64.5"),
    "data.past": ("0", "-1", "1000000000"),
    "data.future": ("0", "1000000000"),
    "data.stride": ("0", "-1"),
    "data.events": ("0", "1", "-5", "1000000000"),
    "data.frames": ("3", "0", "1000000000"),
    "data.augment": ("2", "maybe"),
    "tasks.extreme.reward": ("foo", "''", "rainn"),
    "tasks.extreme.threshold": ("0", "-1", "nan", "inf"),
    "tasks.extreme.num_particles": ("0", "-4", "1.5"),
    "tasks.extreme.twist": ("foo",),
    "tasks.extreme.solver": ("foo", "heun"),
    "tasks.assimilate.gauges": ("0", "2", "-1", "nan"),
    "tasks.assimilate.gauge_dbz": ("0", "-1", "nan", "inf"),
    "tasks.assimilate.gauge_frames": ("0", "-1", "1.5"),
    "tasks.assimilate.strength": ("0", "-1", "nan"),
    "tasks.assimilate.method": ("foo", "mmps(iterations=x"),
    "tasks.assimilate.steps": ("0", "-1"),
    "tasks.assimilate.grid": ("foo",),
    "tasks.downscale.factor": ("0", "1", "3", "-2", "2.5"),
    "tasks.downscale.noise_dbz": ("0", "-1", "nan", "inf"),
    "tasks.fill.noise_dbz": ("0", "inf"),
    "tasks.interpolate.every": ("0", "1", "16", "-1", "100"),
    "tasks.interpolate.noise_dbz": ("0",),
    "tasks.wide.size": ("0", "63", "10000000"),
    "tasks.wide.overlap": ("-1", "1", "nan"),
    "tasks.wide.strategy": ("foo",),
    "tasks.wide.chunk": ("0",),
    "tasks.rollout.windows": ("0", "-1", "1000000000"),
    "tasks.nowcast.steps": ("0",),
    "tasks.nowcast.solver": ("foo",),
    "tasks.nowcst.steps": ("3",),
    "tasks.fill.outages": ("3",),
}
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
        group.create_array(
            "dbz",
            shape=shape,
            chunks=(1, 1000, 1000),
            dtype="f4",
            dimension_names=("time", "y", "x"),
            attributes={"units": "dBZ"},
            fill_value=float("nan"),
        )
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
    refused(
        "traceback",
        "netCDF without rows",
        train(lambda path: as_netcdf(frames(DBZ[:, :0]), path), "f.nc"),
        "expected frames",
    ),
    refused(
        "traceback", "one row", train(lambda path: as_netcdf(frames(DBZ[:, :1]), path), "f.nc"), "time, y and x|point"
    ),
    refused(
        "traceback", "all of it missing", train(lambda path: as_netcdf(frames(DBZ * np.nan), path), "f.nc"), "f.nc"
    ),
    refused(
        "traceback", "complex numbers", train(lambda path: as_netcdf(frames(DBZ.astype("c8")), path), "f.h5"), "f.h5"
    ),
    done(
        "metadata",
        "a lost chunk that is filled where that is said",
        reads(lost(), "f.zarr", dry, absent_chunks="fill"),
        "lacks 1 of 6 chunks",
    ),
    refused(
        "metadata",
        "a lost chunk that would read as dry",
        train(lost(), "f.zarr"),
        r"--config\.data\.absent_chunks=fill",
    ),
    refused("metadata", "the same typed", train(lost(), "f.zarr", "--config.data.absent_chunks=fill"), "6 frames"),
    done("metadata", "a lost chunk that reads as missing", reads(lost(float("nan")), "f.zarr", masked)),
    done(
        "traceback",
        "another array of a store, never written",
        reads(beside("other", (10**6, 10**6), (1000, 1000)), "f.zarr"),
    ),
    done("traceback", "another array in one chunk", reads(beside("table", (3, 4), (3, 4)), "f.zarr")),
    done("traceback", "another array of no axes", reads(beside("level", (), ()), "f.zarr")),
    done(
        "traceback",
        "another array of the same axes as time",
        reads(beside("quality", (6,), (6,), "i4", ("time",)), "f.zarr"),
    ),
    done("traceback", "another array of words", reads(beside("names", (3,), (3,), "U5", ("station",)), "f.zarr")),
    refused("hang", "a store that says 1e9 x 1e9", train(huge_zarr((10, 10**9, 10**9)), "f.zarr"), "of memory"),
    refused(
        "hang",
        "a store that says 1e6 frames of 1e5 x 1e5",
        train(huge_zarr((10**6, 10**5, 10**5)), "f.zarr"),
        "of memory|evenly",
    ),
    refused("hang", "netCDF that says 1e9 x 1e9", train(huge_netcdf((10, 10**9, 10**9)), "f.nc"), "of memory"),
    refused("hang", "the same named .h5", train(huge_netcdf((10, 10**9, 10**9)), "f.h5"), "of memory"),
    refused("hang", "classic netCDF whose header says 2^30 rows", train(huge_classic, "f.nc"), "f.nc"),
    refused("hang", "a pipe", train(pipe, "f.nc"), "is a pipe"),
    refused(
        "hang",
        "a pipe in a folder",
        train(lambda path: (path.mkdir(), pipe(path / "a.nc")), "radar"),
        "pipe|without frames",
    ),
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
    refused(
        "traceback",
        "an empty store",
        train(lambda path: (path.mkdir(), (path / "zarr.json").write_text("{}")), "f.zarr"),
        "f.zarr",
    ),
    refused(
        "traceback",
        "a store whose zarr.json is cut",
        train(lambda path: (as_zarr(frames(), path), (path / "zarr.json").write_text("{")), "f.zarr"),
        "f.zarr",
    ),
    refused("traceback", "a link to itself", train(lambda path: os.symlink(path, path), "f.nc"), "f.nc"),
    refused("traceback", "HDF5 without anything", train(lambda path: h5py.File(path, "w").close(), "f.h5"), "f.h5"),
    refused("traceback", "netCDF without anything", train(lambda path: h5py.File(path, "w").close(), "f.nc"), "f.nc"),
    refused("traceback", "ODIM without anything", train(lambda path: odim_shell(path), "f.h5"), "f.h5"),
    refused(
        "traceback",
        "ODIM whose date is no date",
        train(lambda path: odim_shell(odim(path, DBZ[0].astype("u1")), "2024"), "f.h5"),
        "f.h5",
    ),
    refused("words", "a pattern that fits nothing", smoke("--config.data.path=radar/*.nc"), "no file fits"),
    refused("words", "no such file", smoke("--config.data.path=radar.nc"), "no such file"),
    refused(
        "words",
        "two variables",
        train(lambda path: as_netcdf(frames().assign(other=frames().reflectivity), path), "f.nc"),
        r"--config\.data\.variable=",
    ),
    refused(
        "words", "no units", train(lambda path: as_netcdf(frames(units=""), path), "f.nc"), r"--config\.data\.units=dBZ"
    ),
    refused(
        "words",
        "units of length",
        train(lambda path: as_netcdf(frames(units="m"), path), "f.nc"),
        r"--config\.data\.units=",
    ),
    refused(
        "words",
        "a variable that is not there",
        train(lambda path: as_netcdf(frames(), path), "f.nc", "--config.data.variable=rain"),
        r"--config\.data\.variable=reflectivity",
    ),
    refused(
        "words",
        "units that are none",
        train(lambda path: as_netcdf(frames(), path), "f.nc", "--config.data.units=inch"),
        "inch",
    ),
]


def odim_shell(path, date=None):
    with h5py.File(path, "a") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
        if date:
            file["what"].attrs["date"] = np.bytes_(date)
