"""Attributes of radar that are there and must not be ignored, in every kind of file."""

import numpy as np
from case import done, refused
from weather_files import (
    DBZ,
    KINDS,
    PACKED,
    RAW,
    as_netcdf,
    grib,
    odim,
    odim_folder,
    odim_sweep,
    projected,
    sevir,
)

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


CASES = []

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
    "valid_min of floats": (
        np.where(np.isnan(holed), -999, floats).astype("f4"),
        {"valid_min": np.float32(-40)},
        holed,
    ),
    "missing_value of floats": (floats, {"missing_value": np.float32(99)}, holed),
    "int16 in hundredths": (
        np.where(np.isnan(holed), -32768, holed * 100).astype("i2"),
        {"scale_factor": 0.01, "_FillValue": np.int16(-32768)},
        holed,
    ),
    "uint16 in hundredths with an offset": (
        np.where(np.isnan(holed), 65535, holed * 100 + 3200).astype("u2"),
        {"scale_factor": 0.01, "add_offset": -32.0, "_FillValue": np.uint16(65535)},
        holed,
    ),
}


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
    done(
        "metadata",
        "the same with --config.data.missing=255",
        lambda folder: same(
            read_archive(as_netcdf(projected(coded, **PACKED), folder / "f.nc"), missing=(255,)).dBZ(), holed
        ),
    ),
    refused(
        "metadata",
        "the same typed, goes on to the next",
        refuses("netCDF-4", coded, PACKED, "--config.data.missing=255"),
        "6 frames",
    ),
    refused(
        "metadata",
        "the last number of 16 bits, mm/h",
        refuses(
            "netCDF-4",
            np.where(np.isnan(holed), 65535, RATE * 100).astype("u2"),
            {"scale_factor": 0.01, "units": "mm/h"},
            name="rain",
        ),
        "655.35 mm/h",
        "missing=65535",
    ),
    refused(
        "metadata",
        "9999 mm/h",
        refuses("netCDF-4", heavy, {"units": "mm/h"}, name="rain"),
        "9999 mm/h",
        "--config.data.missing=9999",
    ),
    refused(
        "metadata",
        "9999 mm/h in a zarr",
        refuses("zarr", heavy, {"units": "mm/h"}, name="rain"),
        "9999 mm/h",
        "missing=9999",
    ),
    refused(
        "metadata",
        "9999 mm in 5 minutes",
        refuses("netCDF-4", (heavy / 12).astype("f4"), {"units": "mm/5min"}, name="rain"),
        "833.25 mm/5min",
        "missing=833.25",
    ),
    refused("metadata", "-999 dBZ", refuses("netCDF-4", dark, {}), "-999 dbz", "--config.data.missing=-999"),
    refused(
        "metadata",
        "dBZ of 90 to 97",
        refuses("netCDF-4", spread, {}),
        "no radar measures",
        r"--config\.data\.valid=-60,80",
    ),
    refused(
        "metadata",
        "the same with a valid range typed",
        refuses("netCDF-4", spread, {}, "--config.data.valid=-60,80"),
        "6 frames",
    ),
    done(
        "metadata",
        "the same with a valid range",
        lambda folder: same(
            read_archive(as_netcdf(projected(spread), folder / "f.nc"), valid=(-60, 80)).dBZ(),
            np.where(spread > 80, np.nan, spread),
        ),
    ),
    refused(
        "metadata", "bytes of plain dBZ whose 255 is not declared", refuses("netCDF-4", integers, {}), "missing=255"
    ),
    refused("metadata", "99 dBZ in floats", refuses("netCDF-4", floats, {}), "99 dbz", "missing=99"),
    refused(
        "metadata",
        "missing of words",
        refuses("netCDF-4", coded, PACKED, "--config.data.missing=none,x"),
        "config.data.missing",
    ),
    refused(
        "metadata",
        "valid of one number",
        refuses("netCDF-4", coded, PACKED, "--config.data.valid=5"),
        "config.data.valid",
    ),
    refused(
        "metadata",
        "valid the wrong way round",
        refuses("netCDF-4", coded, PACKED, "--config.data.valid=80,0"),
        "config.data.valid",
    ),
    refused(
        "metadata",
        "absent_chunks of another word",
        refuses("netCDF-4", coded, PACKED, "--config.data.absent_chunks=x"),
        "absent_chunks",
    ),
]

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
    done(
        "metadata",
        "a dry sky of rates with an offset",
        composite(np.zeros((2, 8, 10)), [sky, sky], quantity="RATE", **CODES | {"offset": 0.5}),
    ),
    done(
        "metadata",
        "a dry sky of dBZ with an offset above 0",
        composite(np.zeros((2, 8, 10)), [sky, sky], **CODES | {"offset": 5.0}),
    ),
    done("metadata", "undetect and echo of a composite", composite(seen, echo, **CODES)),
    done("metadata", "nodata of a composite", composite(holed, coded, **CODES | {"undetect": 0.0})),
    done(
        "metadata",
        "rates of a composite",
        composite(
            reflectivity(np.float32(0.1) * RAW), RAW, quantity="RATE", gain=0.1, offset=0.0, nodata=255.0, undetect=0.0
        ),
    ),
    done("metadata", "codes beside the data set", composite(seen, echo, dataset_what=CODES)),
    done(
        "metadata",
        "nodata that is undetect, too, is missing",
        composite(np.where(seen == 0, np.nan, DBZ)[:, :, :4], echo[:, :, :4], **CODES | {"nodata": 0.0}),
    ),
    done("metadata", "undetect of a sweep that no float holds", sweep_of_rates),
    done("metadata", "data sets of three times in one file, in any order", several_times),
    refused(
        "metadata",
        "255 without nodata in a composite",
        bad_composite(coded[2], gain=0.5, offset=-32.0, undetect=0.0),
        "95.5 dbz",
        "--config.data.missing=255",
    ),
    refused(
        "metadata",
        "two data sets of one time",
        bad_composite(datasets=2, **CODES),
        r"--config\.data\.variable=dataset1/DBZH",
    ),
    done(
        "metadata",
        "one of them by its name",
        lambda folder: same(
            [odim(folder / "r.h5", RAW[0], datasets=2, **CODES), read_one(folder / "r.h5", "dataset1/DBZH")][1],
            DBZ[:1, ::-1],
        ),
    ),
    refused(
        "metadata",
        "a data set that is not there",
        bad_composite(RAW[0], "--config.data.variable=dataset7/DBZH", datasets=2, **CODES),
        "dataset7",
    ),
    refused("metadata", "accumulated rain", bad_composite(quantity="ACRR", **CODES), "expected DBZH or RATE"),
    refused("metadata", "velocities", bad_composite(quantity="VRADH", **CODES), "expected DBZH or RATE"),
    refused("metadata", "xsize of another number", bad_composite(where={"xsize": 11}, **CODES), "xsize is 11"),
    refused(
        "metadata",
        "pixels that don't reach the corners",
        bad_composite(where={"xscale": 1000.0}, **CODES),
        "xscale = 1000",
    ),
    refused("metadata", "no size of a pixel", bad_composite(where={"xscale": np.bytes_("x")}, **CODES), "r.h5"),
    refused(
        "metadata",
        "a projection that is none",
        bad_composite(where={"projdef": np.bytes_("+proj=nothing")}, **CODES),
        "r.h5",
    ),
]


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
    done(
        "metadata",
        "missing of SEVIR",
        lambda folder: same(
            read_sequence(sevir(folder / "a.h5", vil))[:2, 0, 0], [np.nan, np.exp((254 - 83.9) / 38.9)], 1e-3
        ),
    ),
    refused(
        "metadata",
        "SEVIR's liquid taken for an echo",
        lambda folder: train(sevir(folder / "a.h5", vil).name),
        "no reflectivity",
    ),
    refused(
        "metadata", "SEVIR of 16 bits", lambda folder: train(sevir(folder / "a.h5", vil.astype("u2")).name), "uint8"
    ),
    done(
        "metadata",
        "missing of GRIB",
        lambda folder: same(
            read_archive(grib(folder / "f.grib2", np.where(np.isnan(holed), np.nan, rates))).dBZ(),
            np.where(np.isnan(holed), np.nan, reflectivity(rates)),
            0.03,
        ),
    ),
    refused(
        "metadata",
        "9999 in GRIB without a mask",
        lambda folder: train(grib(folder / "f.grib2", heavy, bitmap=False).name),
        "no radar measures",
    ),
    done(
        "metadata",
        "the same with a code",
        lambda folder: same(
            1.0 * np.isnan(read_archive(grib(folder / "f.grib2", heavy, bitmap=False), missing=(9999 / 3600,)).dBZ()),
            np.isnan(holed),
            0,
        ),
    ),
]
