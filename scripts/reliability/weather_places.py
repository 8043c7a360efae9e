"""Radar whose packing, ranges, times or places can't be meant: what would be read wrong in silence."""

import numpy as np
from case import done, refused
from weather_attributes import reads, refuses, train
from weather_files import DBZ, RAW, TIMES, as_netcdf, as_zarr, odim, odim_folder, odim_sweep, projected
from weather_times import bad_times, clock

from domains.weather.readers import read_sequence

MORE = []
MEANS_NOTHING = {
    "a scale of 0": ({"scale_factor": 0.0, "add_offset": 20.0}, "scale_factor is 0"),
    "a scale that is not a number": ({"scale_factor": np.nan}, "scale_factor is nan"),
    "an infinite scale": ({"scale_factor": np.inf}, "scale_factor is inf"),
    "an offset that is not a number": ({"scale_factor": 0.5, "add_offset": np.nan}, "add_offset nan"),
    "a scale of a word": ({"scale_factor": "half"}, "expected one number"),
    "a scale with a decimal comma": ({"scale_factor": "0,5"}, "expected one number"),
    "two scales": ({"scale_factor": np.array([0.5, 1.0])}, "expected one number"),
    "a valid range the wrong way round": ({"valid_range": np.array([80, 0], np.int16)}, "nothing lies"),
    "a valid range of one number": ({"valid_range": np.int16(30)}, "the lowest and the highest"),
    "a valid range of three numbers": ({"valid_range": np.array([0, 1, 30], np.int16)}, "the lowest and the highest"),
}
for name, (attrs, says) in MEANS_NOTHING.items():
    for kind in ("netCDF-4", "zarr"):
        MORE.append(refused("metadata", f"{name}, {kind}", refuses(kind, RAW.astype("i2"), attrs), says))
text = {"scale_factor": "0.5", "add_offset": "-32", "valid_range": "0, 250", "_Unsigned": "TRUE "}
MORE.append(done("metadata", "packing written as text", reads("netCDF-4", RAW.view("i1"), text, DBZ)))

# Times
step = 300 * np.arange(24)
for unit, seconds in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
    numbers = (clock - np.datetime64("1970-01-01", "s")).astype(float) / seconds
    since = f"{unit} since 1970-01-01"
    MORE.append(refused("metadata", f"{unit} of single precision", bad_times(minutes=numbers, since=since, dtype="f4"), "float64"))
for since in ("2024-05-01 10:00 CET", "2024-05-01 10:00 local", "2024-05-01 10:00 Europe/Berlin", "01-05-2024 10:00", "01/05/2024"):
    MORE.append(refused("metadata", f"since {since}", bad_times(minutes=step / 60, since=f"minutes since {since}"), "zone as a number"))
for since in ("24-05-01 10:00", "2500-01-01", "1500-01-01", "0001-01-01"):
    MORE.append(refused("metadata", f"since {since}", bad_times(minutes=step / 60, since=f"minutes since {since}"), "1930 to 2200"))


# Places
def places(y=None, x=None, writer=as_netcdf, suffix=".nc", drop=(), **attrs):
    def run(folder):
        data = projected()
        for dim, values in (("y", y), ("x", x)):
            data[dim] = (dim, data[dim].values if values is None else values, {"units": "m"} | attrs)
        data = data.drop_vars(drop).rename({dim: {"y": "lat", "x": "lon"}[dim] for dim in drop})
        if not (folder / f"f{suffix}").exists():
            writer(data, folder / f"f{suffix}")
        return train(f"f{suffix}")

    return run


def two_places(shift, **units):
    def run(folder):
        if not (folder / "r").exists():
            (folder / "r").mkdir()
            as_netcdf(projected(), folder / "r" / "a.nc")
            later = projected(times=TIMES + np.timedelta64(30, "m"))
            as_netcdf(later.assign_coords(x=("x", later.x.values + shift, later.x.attrs)), folder / "r" / "b.nc")
        return train("r")

    return run


for writer, suffix in ((as_netcdf, ".nc"), (as_zarr, ".zarr")):
    number = places(None, None, writer, suffix, units=1)
    MORE.append(refused("traceback", f"units of a place that are a number, {suffix}", number, "units '1'"))
MORE += [
    refused("traceback", "latitudes above 90", places(20.0 * np.arange(8), 20.0 * np.arange(10), units="degrees"), "90 at most"),
    refused("traceback", "a coordinate of words", places(np.array(list("abcdefgh"))), "no number"),
    refused("metadata", "lat and lon that are only counted", places(drop=("y", "x")), "'pixels'"),
    refused("metadata", "files of two places", two_places(50000), "lies elsewhere"),
    refused("metadata", "files half a pixel apart", two_places(1000), "lies elsewhere"),
    refused("runs", "files a twentieth of a pixel apart are of one place", two_places(100), "held_out"),
]


# ODIM
def composite(change, **options):
    import h5py

    def run(folder):
        if not (folder / "r").exists():
            for file in sorted(odim_folder(folder / "r", RAW[:2], gain=0.5, offset=-32.0, **options).iterdir()):
                with h5py.File(file, "r+") as opened:
                    change(opened)
        return train("r")

    return run


def of_gain(gain, quantity):
    return composite(lambda file: file["dataset1/data1/what"].attrs.update(gain=gain), quantity=quantity)


def what(**attrs):
    return composite(lambda file: file["what"].attrs.update({key: np.bytes_(value) for key, value in attrs.items()}))


def of_degrees(folder):
    import h5py

    path = odim(folder / "f.h5", RAW[0], gain=0.5, offset=-32.0)
    with h5py.File(path, "r+") as file:
        file["where"].attrs.update(projdef=np.bytes_("+proj=latlong +ellps=WGS84"), xscale=0.02, yscale=0.02)
        file["where"].attrs.update(LL_lon=5.0, LL_lat=52.0, UR_lon=5.2, UR_lat=52.16)
    found = read_sequence(path)
    assert found.y.attrs["units"] == "degrees_north" and abs(found.y.values[0] - 52.01) < 1e-6, f"{found.y}"


def leap_second(folder):
    import h5py

    path = odim(folder / "f.h5", RAW[0], gain=0.5, offset=-32.0)
    with h5py.File(path, "r+") as file:
        file["what"].attrs.update(date=np.bytes_("20161231"), time=np.bytes_("235960"))
    assert read_sequence(path)["time"].values[0] == np.datetime64("2017-01-01", "s")


def two_radars(folder):
    import h5py

    if not (folder / "r").exists():
        (folder / "r").mkdir()
        for i in range(2):
            path = odim_sweep(folder / "r" / f"{i}.h5", np.full((360, 20), 80, np.uint8), minute=5 * i, gain=0.5, offset=-32.0)
            with h5py.File(path, "r+") as file:
                file["where"].attrs["lat"] = 52.0 + i
    return train("r")


def twice(file):
    file["dataset1"].copy("data1", "data2")


MORE += [
    *[refused("metadata", f"a gain of {gain}, {quantity}", of_gain(gain, quantity), "gain is")
      for gain in (0.0, np.nan) for quantity in ("DBZH", "RATE")],
    *[refused("nonsense", f"time {time!r} of a composite", what(time=time), "HHMMSS") for time in ("10:00:00", "245900", "", "1")],
    refused("nonsense", "a date of two digits", what(date="240501"), "YYYYMMDD"),
    *[refused("metadata", f"a {kind}, which is no map", what(object=kind), "no map") for kind in ("XSEC", "VP", "RAY")],
    *[refused("words", f"a quantity {name!r}", composite(lambda file: None, quantity=name), name) for name in ("dbzh", "TH", "ACRR")],
    refused("words", "a quantity that is there twice in one data set", composite(twice), "leave the others out"),
    refused("metadata", "two radars in one folder", two_radars, "lies elsewhere"),
    done("metadata", "a composite in degrees", of_degrees),
    done("metadata", "a leap second", leap_second),
]  # fmt: skip
