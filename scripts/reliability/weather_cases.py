"""Odd radar: what is there and must not be ignored, other people's files, gauges in tables, options of tasks."""

import os
import zlib
from pathlib import Path

import numpy as np
import xarray as xr
from case import done, refused
from flips import Format
from own_rain import latlon, storm
from runs import copied
from weather_files import (
    DBZ, KINDS, PACKED, RAW, TIMES, as_classic, as_netcdf, as_sharded, as_version_2, as_zarr, grib, odim, odim_folder, odim_sweep,
    projected, sevir,
)  # fmt: skip

from domains.weather import baselines, tasks, verify
from domains.weather.archive import Archive, pack
from domains.weather.readers import read_archive, read_sequence
from domains.weather.transform import rain_rate, reflectivity


def train(path, *more):
    """`sciddm train` on it, which reads all of it before anything else and refuses so few frames."""
    return ["train", "--config", "weather:smoke", f"--config.data.path={path}", "--workdir", "run", "--quiet", *more]


def same(found, expected, within=0.006):
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    assert (np.isnan(found) == np.isnan(expected)).all(), (
        f"{np.isnan(found).sum()} missing, expected {np.isnan(expected).sum()}"
    )
    worst = np.nanmax(np.abs(found - expected)) if np.isfinite(expected).any() else 0.0
    assert worst <= within, f"off by {worst:g} at most"


def with_code(code, dtype=np.uint8, raw=RAW):
    """Raw numbers of which one is a code, and what they are in dBZ when it means missing."""
    coded, expected = raw.astype(dtype), DBZ.copy()
    coded[2, 1, 7], expected[2, 1, 7] = code, np.nan
    return coded, expected


CASES, FORMATS = [], []

# A: attributes, in every kind of file. (name, raw, attributes, expected dBZ)
coded, holed = with_code(255)
floats = DBZ.copy()
floats[2, 1, 7] = 99.0
integers = with_code(255, raw=np.round(DBZ).astype(np.uint8))[0]
MEANT = {
    "_FillValue of packed bytes": (coded, PACKED | {"_FillValue": np.uint8(255)}, holed),
    "missing_value of packed bytes": (coded, PACKED | {"missing_value": np.uint8(255)}, holed),
    "two missing values": (coded, PACKED | {"missing_value": np.array([254, 255], np.uint8)}, holed),
    "_Unsigned bytes": (coded.view(np.int8), PACKED | {"_Unsigned": "true", "missing_value": np.int8(-1)}, holed),
    "a valid range of packed numbers": (coded, PACKED | {"valid_range": np.array([0, 250], np.uint8)}, holed),
    "valid_max of packed numbers": (coded, PACKED | {"valid_max": np.uint8(250)}, holed),
    "a valid range of unpacked numbers": (coded, PACKED | {"valid_range": np.array([-32.0, 80.0], np.float32)}, holed),
    "valid_max of floats": (floats, {"valid_max": np.float32(80)}, holed),
    "a valid range of floats": (floats, {"valid_range": np.array([0, 80], np.float32)}, holed),
    "valid_min of floats": (np.where(np.isnan(holed), -999, floats).astype("f4"), {"valid_min": np.float32(-40)}, holed),
    "missing_value of floats": (floats, {"missing_value": np.float32(99)}, holed),
    "int16 in hundredths": (np.where(np.isnan(holed), -32768, holed * 100).astype("i2"),
                            {"scale_factor": 0.01, "_FillValue": np.int16(-32768)}, holed),
    "uint16 in hundredths with an offset": (np.where(np.isnan(holed), 65535, holed * 100 + 3200).astype("u2"),
                                            {"scale_factor": 0.01, "add_offset": -32.0, "_FillValue": np.uint16(65535)}, holed),
}  # fmt: skip


def reads(kind, raw, attrs, expected):
    write, suffix = KINDS[kind]

    def run(folder):
        same(read_archive(write(projected(raw, **attrs), folder / f"f{suffix}")).dBZ(), expected)

    return run


def refuses(kind, raw, attrs, *more, name="reflectivity"):
    write, suffix = KINDS[kind]

    def run(folder):
        path = f"f{suffix}"
        if not (folder / path).exists():
            write(projected(raw, name, **attrs), folder / path)
        return train(path, *more)

    return run


for what, (raw, attrs, expected) in MEANT.items():
    for kind in KINDS:
        if (kind == "classic netCDF" and raw.dtype.kind == "u") or (
            kind == "zarr of version 2" and "_FillValue" in attrs
        ):
            continue  # which knows no unsigned numbers; which has its missing value in another place
        CASES.append(done("metadata", f"{what}, {kind}", reads(kind, raw, attrs, expected)))
UNDECLARED = (
    r"is 95\.5 dbz at index \(2, 1, 7\) .*, 255 in the file, which no radar measures.*--config\.data\.missing=255",
)
RATE = rain_rate(DBZ)
heavy, dark = RATE.copy(), DBZ.copy()
heavy[2, 1, 7], dark[2, 1, 7] = 9999, -999
spread = DBZ.copy()
spread[2, :, 7] = np.arange(90, 98)
for kind in ("netCDF-4", "netCDF-4 named .h5", "zarr", "sharded zarr", "zarr of version 2"):
    CASES.append(refused("metadata", f"255 that is not declared, {kind}", refuses(kind, coded, PACKED), *UNDECLARED))
CASES += [
    done("metadata", "the same with --config.data.missing=255", lambda folder: same(
        read_archive(as_netcdf(projected(coded, **PACKED), folder / "f.nc"), missing=(255,)).dBZ(), holed)),
    refused("metadata", "the same typed, goes on to the next", refuses("netCDF-4", coded, PACKED, "--config.data.missing=255"), "6 frames"),
    refused("metadata", "the last number of 16 bits, mm/h", refuses(
        "netCDF-4", np.where(np.isnan(holed), 65535, RATE * 100).astype("u2"), {"scale_factor": 0.01, "units": "mm/h"}, name="rain"),
        "655.35 mm/h", "missing=65535"),
    refused("metadata", "9999 mm/h", refuses("netCDF-4", heavy, {"units": "mm/h"}, name="rain"), "9999 mm/h", "--config.data.missing=9999"),
    refused("metadata", "9999 mm/h in a zarr", refuses("zarr", heavy, {"units": "mm/h"}, name="rain"), "9999 mm/h", "missing=9999"),
    refused("metadata", "9999 mm in 5 minutes", refuses("netCDF-4", (heavy / 12).astype("f4"), {"units": "mm/5min"}, name="rain"), "833.25 mm/5min", "missing=833.25"),
    refused("metadata", "-999 dBZ", refuses("netCDF-4", dark, {}), "-999 dbz", "--config.data.missing=-999"),
    refused("metadata", "dBZ of 90 to 97", refuses("netCDF-4", spread, {}), "no radar measures", r"--config\.data\.valid=-60,80"),
    refused("metadata", "the same with a valid range typed", refuses("netCDF-4", spread, {}, "--config.data.valid=-60,80"), "6 frames"),
    done("metadata", "the same with a valid range", lambda folder: same(
        read_archive(as_netcdf(projected(spread), folder / "f.nc"), valid=(-60, 80)).dBZ(), np.where(spread > 80, np.nan, spread))),
    refused("metadata", "bytes of plain dBZ whose 255 is not declared", refuses("netCDF-4", integers, {}), "missing=255"),
    refused("metadata", "99 dBZ in floats", refuses("netCDF-4", floats, {}), "99 dbz", "missing=99"),
    refused("metadata", "missing of words", refuses("netCDF-4", coded, PACKED, "--config.data.missing=none,x"), "config.data.missing"),
    refused("metadata", "valid of one number", refuses("netCDF-4", coded, PACKED, "--config.data.valid=5"), "config.data.valid"),
    refused("metadata", "valid the wrong way round", refuses("netCDF-4", coded, PACKED, "--config.data.valid=80,0"), "config.data.valid"),
    refused("metadata", "absent_chunks of another word", refuses("netCDF-4", coded, PACKED, "--config.data.absent_chunks=x"), "absent_chunks"),
]  # fmt: skip

# ODIM
sky = np.zeros((8, 10), np.uint8)  # all of it undetect
echo = RAW.copy()
echo[:, 5] = 0
seen = np.where(np.arange(8)[None, :, None] == 5, 0, DBZ)
CODES = {"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}


def composite(expected, frames, within=0.006, **options):
    return lambda folder: same(
        read_archive(odim_folder(folder / "radar", frames, **options)).dBZ(), np.asarray(expected)[:, ::-1], within
    )


def bad_composite(raw=RAW[0], *more, **options):
    def run(folder):
        if not (folder / "r.h5").exists():
            odim(folder / "r.h5", raw, **options)
        return train("r.h5", *more)

    return run


def sweep_of_rates(folder):
    raw = np.full((360, 40), 20, np.uint8)
    raw[80:100], raw[170:190] = 255, 1  # east missing, south nothing
    for minute in (0, 5):
        odim_sweep(
            folder / f"v{minute}.h5",
            raw,
            quantity="DBZH",
            minute=minute,
            gain=0.1,
            offset=5.5,
            nodata=255.0,
            undetect=1.0,
        )
    dbz = read_archive(folder).dBZ(0)
    assert np.isnan(dbz[39, 54]) and dbz[24, 39] == 0 and abs(dbz[54, 39] - 7.5) < 0.01, (
        f"{dbz[39, 54]}, {dbz[24, 39]}, {dbz[54, 39]}"
    )


def several_times(folder):
    odim(folder / "r.h5", RAW[0], datasets=3, starts=[10, 0, 5], **CODES)
    found = read_archive(folder / "r.h5")
    assert len(found) == 3 and found.interval == 5.0, f"{found.times}"


CASES += [
    done("metadata", "a dry sky of rates with an offset", composite(np.zeros((2, 8, 10)), [sky, sky], quantity="RATE", **CODES | {"offset": 0.5})),
    done("metadata", "a dry sky of dBZ with an offset above 0", composite(np.zeros((2, 8, 10)), [sky, sky], **CODES | {"offset": 5.0})),
    done("metadata", "undetect and echo of a composite", composite(seen, echo, **CODES)),
    done("metadata", "nodata of a composite", composite(holed, coded, **CODES | {"undetect": 0.0})),
    done("metadata", "rates of a composite", composite(
        reflectivity(np.float32(0.1) * RAW), RAW, quantity="RATE", gain=0.1, offset=0.0, nodata=255.0, undetect=0.0)),
    done("metadata", "codes beside the data set", composite(seen, echo, dataset_what=CODES)),
    done("metadata", "nodata that is undetect, too, is missing", composite(np.where(seen == 0, np.nan, DBZ)[:, :, :4], echo[:, :, :4],
                                                                           **CODES | {"nodata": 0.0})),
    done("metadata", "undetect of a sweep that no float holds", sweep_of_rates),
    done("metadata", "data sets of three times in one file, in any order", several_times),
    refused("metadata", "255 without nodata in a composite", bad_composite(coded[2], gain=0.5, offset=-32.0, undetect=0.0),
            "95.5 dbz", "--config.data.missing=255"),
    refused("metadata", "two data sets of one time", bad_composite(datasets=2, **CODES), r"--config\.data\.variable=dataset1/DBZH"),
    done("metadata", "one of them by its name", lambda folder: same(
        [odim(folder / "r.h5", RAW[0], datasets=2, **CODES), read_one(folder / "r.h5", "dataset1/DBZH")][1], DBZ[:1, ::-1])),
    refused("metadata", "a data set that is not there", bad_composite(
        RAW[0], "--config.data.variable=dataset7/DBZH", datasets=2, **CODES), "dataset7"),
    refused("metadata", "accumulated rain", bad_composite(quantity="ACRR", **CODES), "expected DBZH or RATE"),
    refused("metadata", "velocities", bad_composite(quantity="VRADH", **CODES), "expected DBZH or RATE"),
    refused("metadata", "xsize of another number", bad_composite(where={"xsize": 11}, **CODES), "xsize is 11"),
    refused("metadata", "pixels that don't reach the corners", bad_composite(where={"xscale": 1000.0}, **CODES), "xscale = 1000"),
    refused("metadata", "no size of a pixel", bad_composite(where={"xscale": np.bytes_("x")}, **CODES), "r.h5"),
    refused("metadata", "a projection that is none", bad_composite(where={"projdef": np.bytes_("+proj=nothing")}, **CODES), "r.h5"),
]  # fmt: skip


def read_one(path, variable):
    from domains.weather import formats
    from domains.weather.coded import Said, values_of
    from domains.weather.readers import canonical

    [(file, part)] = formats.open_parts(path, Said(variable))
    return values_of(file, canonical(file, part))


# Other formats
vil = np.full((2, 8, 8, 49), 100, np.uint8)
vil[0, 0, 0, :2] = 255, 254
rates = np.round(np.maximum(RATE, 0.5), 3)
CASES += [
    done("metadata", "missing of SEVIR", lambda folder: same(
        read_sequence(sevir(folder / "a.h5", vil))[:2, 0, 0], [np.nan, np.exp((254 - 83.9) / 38.9)], 1e-3)),
    refused("metadata", "SEVIR's liquid taken for an echo", lambda folder: train(sevir(folder / "a.h5", vil).name), "no reflectivity"),
    refused("metadata", "SEVIR of 16 bits", lambda folder: train(sevir(folder / "a.h5", vil.astype("u2")).name), "uint8"),
    done("metadata", "missing of GRIB", lambda folder: same(
        read_archive(grib(folder / "f.grib2", np.where(np.isnan(holed), np.nan, rates))).dBZ(), np.where(np.isnan(holed), np.nan, reflectivity(rates)), 0.03)),
    refused("metadata", "9999 in GRIB without a mask", lambda folder: train(grib(folder / "f.grib2", heavy, bitmap=False).name), "no radar measures"),
    done("metadata", "the same with a code", lambda folder: same(
        1.0 * np.isnan(read_archive(grib(folder / "f.grib2", heavy, bitmap=False), missing=(9999 / 3600,)).dBZ()), np.isnan(holed), 0)),
]  # fmt: skip


# Times
def of_times(minutes, since="minutes since 2024-05-01 10:00", dtype=np.float64, frames=None, **attrs):
    """A file whose times are these numbers."""
    minutes = np.asarray(minutes, dtype)
    values = np.resize(DBZ, (len(minutes), 8, 10)) if frames is None else frames
    data = projected(values, times=np.arange(len(minutes)))
    return data.assign_coords(time=("time", minutes, {"units": since} | attrs))


def timed(expected, events=1, interval=5.0, writer=as_netcdf, suffix=".nc", **options):
    def run(folder):
        found = read_archive(writer(of_times(**options), folder / f"f{suffix}"))
        assert (found.times == np.asarray(expected, "datetime64[s]")).all(), f"times {found.times}"
        assert found.interval == interval, f"interval {found.interval}"
        assert len(found.events()) == events, f"{len(found.events())} events"

    return run


def bad_times(writer=as_netcdf, suffix=".nc", **options):
    def run(folder):
        if not (folder / f"f{suffix}").exists():
            writer(of_times(**options), folder / f"f{suffix}")
        return train(f"f{suffix}")

    return run


clock = np.datetime64("2024-05-01T10:00", "s") + 300 * np.arange(24).astype("timedelta64[s]")
hours = (clock - np.datetime64("1900-01-01", "s")).astype(float) / 3600
jitter = np.arange(24) % 2 * 20
for writer, suffix in ((as_netcdf, ".nc"), (as_classic, ".nc"), (as_zarr, ".zarr")):
    CASES.append(done("metadata", f"hours since 1900, {writer.__name__}", timed(
        clock, writer=writer, suffix=suffix, minutes=hours, since="hours since 1900-01-01")))  # fmt: skip
CASES += [
    done("metadata", "days since 1970", timed(clock, minutes=hours / 24 - 25567, since="days since 1970-01-01")),
    done("metadata", "days since the year 1 of the plain calendar", timed(
        clock, minutes=(clock - np.datetime64("0001-01-01", "s")).astype(float) / 86400, since="days since 0001-01-01",
        calendar="proleptic_gregorian")),
    done("metadata", "a clock off by 20 s every other frame", timed(
        clock + jitter, minutes=300 * np.arange(24) + jitter, since="seconds since 2024-05-01 10:00")),
    done("metadata", "the same in two runs", timed(
        np.concatenate([clock + jitter, clock + jitter + 90000]), 2,
        minutes=np.concatenate([300 * np.arange(24) + jitter, 90000 + 300 * np.arange(24) + jitter]), since="seconds since 2024-05-01 10:00")),
    done("metadata", "a clock that drifts", timed(
        np.datetime64("2024-05-01T10:00", "s") + 301 * np.arange(6).astype("timedelta64[s]"), interval=301 / 60,
        minutes=301 * np.arange(6), since="seconds since 2024-05-01 10:00")),
    done("metadata", "milliseconds beside the minute", timed(clock, minutes=5 * np.arange(24) + 0.004 * (np.arange(24) % 3 - 1))),
    done("metadata", "a zone in the units", timed(clock - 7200, minutes=5 * np.arange(24), since="minutes since 2024-05-01 10:00 +2:00")),
    refused("metadata", "times twice", bad_times(minutes=[0, 5, 5, 10, 15, 20]), "index 2 is there twice"),
    refused("metadata", "times that are the same to the second", bad_times(minutes=[0, 5, 5.0001, 10, 15, 20]), "index 2 is there twice"),
    refused("metadata", "times that fall", bad_times(minutes=[25, 20, 15, 10, 5, 0]), "expected times that rise"),
    refused("metadata", "times in no order", bad_times(minutes=[0, 10, 5, 15, 20, 25]), "index 2 comes after"),
    refused("metadata", "a time that is missing", bad_times(minutes=[0, 5, np.nan, 15, 20, 25]), "frame 2 has no time"),
    refused("metadata", "times without units", bad_times(minutes=[0, 5, 10, 15, 20, 25], since="1"), "no dates|time, y and x"),
    refused("metadata", "times since nothing", bad_times(minutes=[0, 5, 10, 15, 20, 25], since="minutes since the flood"), "f.nc"),
    refused("runs", "one frame alone", bad_times(minutes=[0]), "1 frame"),
]  # fmt: skip
for calendar in ("noleap", "365_day", "360_day", "julian", "all_leap", "366_day"):
    for writer, suffix in ((as_netcdf, ".nc"), (as_zarr, ".zarr"))[: 2 if calendar in ("noleap", "360_day") else 1]:
        CASES.append(refused("traceback", f"the calendar {calendar}{suffix}", bad_times(
            writer, suffix, minutes=5 * np.arange(24), calendar=calendar), calendar[:3]))  # fmt: skip


# Forecasts held against what was observed
def pair(ours=None, theirs=None):
    """Members and observation of 3 leads on 8 x 8 pixels, with other coordinates where they are given."""
    base = {"time": [5.0, 10.0, 15.0], "y": 2.0 * np.arange(8) + 0.1, "x": 2.0 * np.arange(8) + 0.1}
    values = np.random.default_rng(1).uniform(0, 50, (4, 3, 8, 8))
    forecast = xr.DataArray(values, dims=("member", "time", "y", "x"), coords=base | (ours or {}))
    return forecast, xr.DataArray(values[0] + 1, dims=("time", "y", "x"), coords=base | (theirs or {}))


def scores(ours=None, theirs=None, wrong=True):
    def run(folder):
        from sciddm.errors import UserError

        forecast, observed = pair(ours, theirs)
        ways = [lambda: verify.table({"ours": forecast, "persistence": forecast[:1]}, observed), lambda: verify.crps(forecast, observed),
                lambda: verify.by_lead({"ours": forecast}, observed), lambda: tasks.task_scores(forecast, observed),
                lambda: verify.fss(forecast, observed, 25.0), lambda: verify.rank_histogram(forecast, observed),
                lambda: verify.categorical(forecast, observed, 25.0)]  # fmt: skip
        for i, way in enumerate(ways):
            try:
                found = way()
            except UserError as error:
                assert wrong, f"way {i}: {error}"
                assert "coordinates of forecast and observed differ" in str(error), str(error)
            else:
                assert not wrong, f"way {i} scored {found}"
        if not wrong:
            assert ways[0]()["ours"]["scored"] == 1.0, "not all pixels were scored"

    return run


single = (2.0 * np.arange(8) + 0.1).astype(np.float32)
km = xr.Variable("y", np.arange(8.0), {"units": "km"})
metres = xr.Variable("y", np.arange(8.0), {"units": "m"})
CASES += [
    done("metadata", "forecasts whose y is of single precision", scores({"y": single}, wrong=False)),
    done("metadata", "an observation whose x is of single precision", scores(None, {"x": single}, wrong=False)),
    done("metadata", "leads of 10, 15 and 20 beside 5, 10 and 15", scores({"time": [10.0, 15.0, 20.0]})),
    done("metadata", "a forecast shifted by half a pixel", scores({"y": 2.0 * np.arange(8) + 1.1})),
    done("metadata", "a forecast shifted by a hundredth of a pixel", scores({"y": 2.0 * np.arange(8) + 0.12})),
    done("metadata", "a forecast from north to south", scores({"y": 2.0 * np.arange(8)[::-1] + 0.1})),
    done("metadata", "a forecast in metres, an observation in km", scores({"y": 2000.0 * np.arange(8) + 100})),
    done("metadata", "the same numbers of km and of m", scores({"y": km}, {"y": metres})),
    done("metadata", "leads in another order", scores({"time": [5.0, 15.0, 10.0]})),
]  # fmt: skip


def dry_day(folder):
    zero = pair()[0] * 0
    found = verify.table({"ours": zero, "persistence": zero[:1]}, zero[0])
    assert np.isnan(found["ours"]["skill"]) and found["ours"]["CRPS"] == 0, f"{found['ours']}"
    found = tasks.task_scores(zero, zero[0])
    assert found["CRPS"] == 0 and np.isnan(found["FSS 25 dBZ"]), f"{found}"
    assert np.isnan(verify.climate(np.zeros((2, 8, 8, 4)), np.zeros((2, 8, 8, 4)), 2.0)["change of frames"])


def leads_to_one_per_cent(folder):
    forecast, observed = pair({"time": [5.004, 10.008, 15.012]}, {"time": [5.004, 10.008, 15.012]})
    assert {"CRPS at 5 min", "CRPS at 15 min"} <= set(verify.table({"ours": forecast}, observed)["ours"])


def nothing_seen(folder):
    forecast, observed = pair()
    assert np.isnan(verify.table({"ours": forecast, "persistence": forecast[:1]}, observed * np.nan)["ours"]["skill"])


def alike(value, seed=0):
    past = np.full((4, 32, 32), value, np.float32)
    found = baselines.steps(past, members=2, frames=3)
    assert found.shape == (2, 3, 32, 32) and np.abs(found - value).max() < 1e-3, f"{found.min()} to {found.max()}"
    assert baselines.rainfarm(past[0, :8, :8], 4, 2).shape == (2, 32, 32)


def one_pixel(folder):
    past = np.zeros((4, 32, 32), np.float32)
    past[:, 16, 16] = 30
    assert np.isfinite(baselines.steps(past, members=2, frames=3)).all()


CASES += [
    done("traceback", "skill of a dry forecast of a dry day", dry_day),
    done("traceback", "scores of a day on which nothing was seen", nothing_seen),
    done("traceback", "scores at 5 minutes where they are 5.004", leads_to_one_per_cent),
    done("traceback", "STEPS where it rains alike everywhere", lambda folder: alike(20.0)),
    done("traceback", "STEPS where hail falls alike everywhere", lambda folder: alike(70.0)),
    done("traceback", "STEPS of one pixel of rain", one_pixel),
]
from weather_odd import MORE  # noqa: E402

CASES += MORE


# Formats whose bytes are flipped
def writer(make, suffix):
    return lambda path: Path(make(path.with_suffix(suffix)))


def read(path):
    found = read_archive(path)
    return {"shape": found.frames.shape, "times": [str(t) for t in found.times], "interval": found.interval, "spacing": found.spacing_km,
            "digest": zlib.crc32(found.frames.tobytes()), "source": found.source.rpartition(":")[2]}  # fmt: skip


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
    Format("radar, netCDF-4", writer(lambda path: as_netcdf(projected(coded, **PACKED | {"_FillValue": np.uint8(255)}), path), ".nc"), read),
    Format("radar, classic netCDF", writer(lambda path: as_classic(projected(DBZ), path), ".nc"), read),
    Format("radar, others' zarr", writer(lambda path: as_zarr(projected(DBZ), path), ".zarr"), read),
    Format("radar, others' sharded zarr", writer(lambda path: as_sharded(projected(DBZ), path), ".zarr"), read),
    Format("radar, zarr of version 2", writer(lambda path: as_version_2(projected(DBZ), path), ".zarr"), read),
    Format("radar, GRIB", writer(lambda path: grib(path, rates[:2]), ".grib2"), read),
    Format("radar, SEVIR", writer(lambda path: sevir(path, vil[:1, :, :, :2]), ".h5"),
           lambda path: {"digest": zlib.crc32(read_sequence(path).values.tobytes())}),
    Format("radar, ODIM composite", writer(lambda path: odim(path, RAW[0], datasets=2, starts=[0, 5], **CODES), ".h5"), read),
    Format("radar, ODIM sweep", writer(lambda path: odim_sweep(path, np.full((360, 20), 80, np.uint8), **CODES), ".h5"),
           lambda path: {"digest": zlib.crc32(read_sequence(path).values.tobytes())}),
]  # fmt: skip
