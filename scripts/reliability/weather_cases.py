"""Odd radar: what is there and must not be ignored, other people's files, gauges in tables, options of tasks."""

import os
import zlib
from pathlib import Path

import numpy as np
import weather_attributes
import weather_given
import weather_grib
import weather_odd
import weather_places
import weather_times
from flips import Format
from weather_attributes import CODES, coded, rates, vil
from weather_files import (
    DBZ,
    PACKED,
    RAW,
    TIMES,
    as_classic,
    as_netcdf,
    as_sharded,
    as_version_2,
    as_zarr,
    grib,
    odim,
    odim_sweep,
    projected,
    sevir,
)

from domains.weather.archive import Archive, pack
from domains.weather.readers import read_archive, read_sequence

CASES = [*weather_attributes.CASES, *weather_times.CASES, *weather_places.MORE, *weather_odd.MORE, *weather_given.MORE, *weather_grib.CASES]
FORMATS = []


# Formats whose bytes are flipped
def writer(make, suffix):
    return lambda path: Path(make(path.with_suffix(suffix)))


def read(path):
    found = read_archive(path)
    return {
        "shape": found.frames.shape,
        "times": [str(t) for t in found.times],
        "interval": found.interval,
        "spacing": found.spacing_km,
        "digest": zlib.crc32(found.frames.tobytes()),
        "source": found.source.rpartition(":")[2],
    }


def own_store(path):
    # In a process of its own: the library that writes it starts threads, after which no other could be forked.
    child = os.fork()
    if child == 0:
        Archive(pack(DBZ), TIMES.astype("datetime64[s]"), 2.0).write(path)
        os._exit(0)
    os.waitpid(child, 0)
    return path


FORMATS += [
    Format("radar, our zarr store", writer(own_store, ".zarr"), read, checked=True),
    Format(
        "radar, netCDF-4",
        writer(lambda path: as_netcdf(projected(coded, **PACKED | {"_FillValue": np.uint8(255)}), path), ".nc"),
        read,
    ),
    Format("radar, classic netCDF", writer(lambda path: as_classic(projected(DBZ), path), ".nc"), read),
    Format("radar, others' zarr", writer(lambda path: as_zarr(projected(DBZ), path), ".zarr"), read),
    Format("radar, others' sharded zarr", writer(lambda path: as_sharded(projected(DBZ), path), ".zarr"), read),
    Format("radar, zarr of version 2", writer(lambda path: as_version_2(projected(DBZ), path), ".zarr"), read),
    Format("radar, GRIB", writer(lambda path: grib(path, rates[:2]), ".grib2"), read),
    Format(
        "radar, SEVIR",
        writer(lambda path: sevir(path, vil[:1, :, :, :2]), ".h5"),
        lambda path: {"digest": zlib.crc32(read_sequence(path).values.tobytes())},
    ),
    Format(
        "radar, ODIM composite",
        writer(lambda path: odim(path, RAW[0], datasets=2, starts=[0, 5], **CODES), ".h5"),
        read,
    ),
    Format(
        "radar, ODIM sweep",
        writer(lambda path: odim_sweep(path, np.full((360, 20), 80, np.uint8), **CODES), ".h5"),
        lambda path: {"digest": zlib.crc32(read_sequence(path).values.tobytes())},
    ),
]
