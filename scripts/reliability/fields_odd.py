"""More of what files of gridded fields say of themselves: zones of their dates, ways to pack numbers, steps that change, longitudes."""

import numpy as np
import tifffile
import xarray as xr
import zarr
from case import done, refused
from fields_meaning import HALVES, PACKED, RAW, RNG, gives, hdf5, netcdf, reads, sharded, together


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
HOLED = [np.nan, *HALVES[1:4], 95.5]
OTHERS = ({"scale": 0.5}, {"Scale": 0.5, "Offset": -32.0}, {"slope": 0.5, "intercept": -32.0}, {"SLOPE": np.float32(0.5)},
          {"gain": "0.5", "offset": "-32"}, {"offset": np.int16(-32)}, {"scale_factor": 0.5, "intercept": -32.0})  # fmt: skip
CODES = [
    *(refused("metadata", f"bytes with {', '.join(attrs)}, {kind}", opened(write(attrs)), "its integers have .*call them so in the file")
      for attrs in OTHERS for kind, write in {"HDF5": hdf5, "netCDF": lambda attrs: netcdf(attrs=attrs)}.items()
      if kind == "HDF5" or "scale" not in attrs),  # which its library takes for a switch of its own
    refused("metadata", "bytes with a slope in shards", opened(sharded({"slope": 0.5})), "have slope = 0.5"),
    gives("bytes with a scale of 1 and an offset of 0", hdf5({"scale": 1.0, "offset": 0.0}), RAW),
    gives("bytes with a scale in words", hdf5({"scale": "linear"}), RAW),
    gives("floats with a scale", hdf5({"scale": 0.5}, RAW.astype("f4")), RAW),
    *(gives(f"a missing value of {value} as a float, {form}", write(PACKED | {"missing_value": kind(value)}), values)
      for value, values in ((-32, HOLED), (95.5, HALVES), (255, HALVES), (-999, [*HALVES[:4], 95.5]))
      for form, kind, write in (("HDF5", float, hdf5), ("single precision", np.float32, hdf5), ("shards", float, sharded))),
    *(refused("metadata", f"a missing value of {value} that may be packed or not", opened(hdf5(PACKED | {"missing_value": value})),
              words) for value, words in ((48.0, "uint8, 48 or 160"), (-1.0, "uint8, 255 or 62"))),
    gives("a missing value of 16 bits, unpacked", hdf5({"scale_factor": 0.1, "missing_value": -9999.0}, np.array([1, -9999], "i2")),
          [0.1, np.nan]),
    gives("the scale and offset of GDAL", lambda folder: _gdal(folder, [0.5]), [[-32, -27], [48, 95]], variable="f"),
    refused("metadata", "a scale of GDAL for each band", opened(lambda folder: _gdal(folder, [0.5, 0.25])), "scale_factor is '0.5, 0.25'"),
]  # fmt: skip


def _gdal(folder, scales):
    items = "".join(f'<Item name="SCALE" sample="{i}" role="scale">{scale}</Item>' for i, scale in enumerate(scales))
    said = f'<GDALMetadata>{items}<Item name="OFFSET" sample="0" role="offset">-32</Item></GDALMetadata>'
    tifffile.imwrite(folder / "f.tif", RAW[:4].reshape(2, 2), extratags=[(42112, "s", 0, said, True)])
    return folder / "f.tif"


def stepping(times, step, words="", units="minutes since 2024-05-01", calendar="standard"):
    """Windows of four of times (n,): their step; and where words are given, what is refused and what its advice gives when it is typed."""

    def run(folder):
        import shlex

        from fields_domains import source_of

        from sciddm.errors import UserError

        when = ("time", np.asarray(times, float), {"units": units} | ({"calendar": calendar} if " since " in units else {}))
        data, crop = xr.Dataset({"u": (("time", "x"), np.ones((len(times), 5), "f4"))}, {"time": when}), ()
        if words:
            try:
                source_of(data, folder, window=4).rows("train")
                raise AssertionError("not refused")
            except UserError as error:
                assert words in str(error), str(error)
                crop = (shlex.split(str(error).rpartition("crop=")[2])[0],)
        source = source_of(data, folder, window=4, crop=crop)
        found = source.plan.layout.step
        assert np.isclose(found, step, rtol=1e-9) and len(source.rows("train")), f"{found}, {len(source.rows('train'))} windows"
        longest = (np.abs(np.diff(source.times)) <= 1.2 * np.median(np.abs(np.diff(source.times)))).all()
        assert longest or not words, "the advice leaves other steps"

    return run


COUNT = np.arange(30)
HALF = np.concatenate([5 * COUNT, 150 + 10 * COUNT])
JITTER = {n: 300.0 * np.arange(n) + 20 * (np.arange(n) % 2) for n in (40, 41)}
STEPS = [
    done("metadata", "fields half at 5 and half at 10 minutes", stepping(HALF, 5, "crop=time=2024-05-01T00:00:00"), "29 of 60 times"),
    done("metadata", "fields half at 10 and half at 5 minutes", stepping(450 - HALF[::-1], 5), "29 of 60 times .* at index 0"),
    done("metadata", "days, then pairs of days in noleap", stepping(HALF / 5, 1, "crop='time=", "days since 2001-02-20", "noleap"),
         "29 of 60"),
    done("metadata", "numbers of two steps", stepping(HALF / 50, 0.1, "crop=time=0.0:3.0", "s"), "29 of 60 times .* 0.1 s apart"),
    done("metadata", "one step of three is twice as long", stepping(np.delete(5 * np.arange(60), 30), 5)),
    *(done("metadata", f"{n} times of a clock off by 20 s every other frame", stepping(times, 5, units="seconds since 2024-05-01"))
      for n, times in JITTER.items()),
    *(done("metadata", f"the same, {n} of them falling", stepping(-times, -5, units="seconds since 2024-05-01"))
      for n, times in JITTER.items()),
]  # fmt: skip
WORLD = np.arange(0, 360, 45.0)


def lons(*each, of="u", lats=3):
    """Files, of a variable each or of times of one, with these longitudes."""
    sets = []
    for i, lon in enumerate(each):
        name, time = (of, 2 * i) if of else (f"u{i}", 0)
        values = np.broadcast_to(np.asarray(lon, float) % 360, (2, lats, len(lon)))
        coords = {"time": ("time", time + np.arange(2.0), {"units": "days since 2000-01-01"}), "lat": np.arange(float(lats)),
                  "lon": ("lon", lon, {"units": "degrees_east"})}  # fmt: skip
        sets.append(xr.Dataset({name: (("time", "lat", "lon"), values)}, coords))
    return together(*sets)


def in_place(fields):
    """Each value is its longitude."""
    for name in fields.placed:
        values = fields.read(name)
        np.testing.assert_array_equal(values, np.broadcast_to(fields.template["lon"].values % 360, values.shape))


WEST, TURNED = np.arange(340, 356, 4.0), np.arange(-20, -4, 4.0)
LONGITUDES = [
    reads("metadata", "files in the west, from 340 and from -20", lons(WEST, TURNED), in_place),
    reads("metadata", "the same, the other first", lons(TURNED, WEST), in_place),
    reads("metadata", "two variables, from 340 and from -20", lons(WEST, TURNED, of=""), in_place),
    reads("metadata", "from 340 and falling from -8", lons(WEST, TURNED[::-1]), in_place),
    reads("metadata", "the world, counted past 180 and not", lons(WORLD, (WORLD + 180) % 360 - 180), in_place),
    refused("metadata", "the world from 0 and from -180", opened(lons(WORLD, WORLD - 180)), r"begin elsewhere.*lon=ds\.lon % 360\)"),
    refused("metadata", "the world from -180 and from 0", opened(lons(WORLD - 180, WORLD)), r"begin elsewhere.*\+ 180\) % 360 - 180\)"),
    refused("metadata", "places in the east and in the west", opened(lons(WEST, WEST - 180)), "expected one grid, interpolate"),
]  # fmt: skip
def store_of(x, chunk, lost=()):
    """A store whose x is in chunks; lost: files of it that go."""

    def write(folder):
        group = zarr.open_group(folder / "f.zarr", mode="w")
        for name, values, many in (("u", np.arange(1.0, 1 + len(x)), len(x)), ("x", x, chunk)):
            group.create_array(name, data=values, chunks=(many,), fill_value=0.0, dimension_names=("x",))
        for name in lost:
            (folder / "f.zarr" / name).unlink()
        return folder / "f.zarr"

    return write


def counts(x):
    return lambda fields: np.testing.assert_array_equal(fields.template["x"], x)


ABSENT = [
    refused("metadata", "a store whose coordinate lost a chunk", opened(store_of(np.arange(6.0), 2, ["x/c/1"])), "'x' lacks 1 of 3 chunks"),
    refused("metadata", "a store whose coordinate lost its only chunk", opened(store_of(np.arange(6.0), 6, ["x/c/0"])), "'x' lacks 1 of 1"),
    reads("metadata", "a coordinate from 0 in chunks of one", store_of(np.arange(5.0), 1), counts(np.arange(5.0))),
    reads("metadata", "a coordinate whose last chunk is 0 alone", store_of(np.arange(5.0) - 4, 4), counts(np.arange(5.0) - 4)),
]  # fmt: skip
ODD = [*TIMES, *CODES, *STEPS, *LONGITUDES, *ABSENT]
