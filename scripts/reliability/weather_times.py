"""When frames of radar are, and which forecasts are held against what was observed."""

import numpy as np
import xarray as xr
from case import done, refused
from weather_attributes import train
from weather_files import (
    DBZ,
    as_classic,
    as_netcdf,
    as_zarr,
    projected,
)

from domains.weather import baselines, tasks, verify
from domains.weather.readers import read_archive

CASES = []


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
    CASES.append(
        done(
            "metadata",
            f"hours since 1900, {writer.__name__}",
            timed(clock, writer=writer, suffix=suffix, minutes=hours, since="hours since 1900-01-01"),
        )
    )
CASES += [
    done("metadata", "days since 1970", timed(clock, minutes=hours / 24 - 25567, since="days since 1970-01-01")),
    done(
        "metadata",
        "days since the year 1 of the plain calendar",
        timed(
            clock,
            minutes=(clock - np.datetime64("0001-01-01", "s")).astype(float) / 86400,
            since="days since 0001-01-01",
            calendar="proleptic_gregorian",
        ),
    ),
    done(
        "metadata",
        "a clock off by 20 s every other frame",
        timed(clock + jitter, minutes=300 * np.arange(24) + jitter, since="seconds since 2024-05-01 10:00"),
    ),
    done(
        "metadata",
        "the same in two runs",
        timed(
            np.concatenate([clock + jitter, clock + jitter + 90000]),
            2,
            minutes=np.concatenate([300 * np.arange(24) + jitter, 90000 + 300 * np.arange(24) + jitter]),
            since="seconds since 2024-05-01 10:00",
        ),
    ),
    done(
        "metadata",
        "a clock that drifts",
        timed(
            np.datetime64("2024-05-01T10:00", "s") + 301 * np.arange(6).astype("timedelta64[s]"),
            interval=301 / 60,
            minutes=301 * np.arange(6),
            since="seconds since 2024-05-01 10:00",
        ),
    ),
    done(
        "metadata",
        "milliseconds beside the minute",
        timed(clock, minutes=5 * np.arange(24) + 0.004 * (np.arange(24) % 3 - 1)),
    ),
    done(
        "metadata",
        "a zone in the units",
        timed(clock - 7200, minutes=5 * np.arange(24), since="minutes since 2024-05-01 10:00 +2:00"),
    ),
    refused("metadata", "times twice", bad_times(minutes=[0, 5, 5, 10, 15, 20]), "index 2 is there twice"),
    refused(
        "metadata",
        "times that are the same to the second",
        bad_times(minutes=[0, 5, 5.0001, 10, 15, 20]),
        "index 2 is there twice",
    ),
    refused("metadata", "times that fall", bad_times(minutes=[25, 20, 15, 10, 5, 0]), "expected times that rise"),
    refused("metadata", "times in no order", bad_times(minutes=[0, 10, 5, 15, 20, 25]), "index 2 comes after"),
    refused("metadata", "a time that is missing", bad_times(minutes=[0, 5, np.nan, 15, 20, 25]), "frame 2 has no time"),
    refused(
        "metadata",
        "times without units",
        bad_times(minutes=[0, 5, 10, 15, 20, 25], since="1"),
        "no dates|time, y and x",
    ),
    refused(
        "metadata",
        "times since nothing",
        bad_times(minutes=[0, 5, 10, 15, 20, 25], since="minutes since the flood"),
        "f.nc",
    ),
    refused("runs", "one frame alone", bad_times(minutes=[0]), "1 frame"),
]
for calendar in ("noleap", "365_day", "360_day", "julian", "all_leap", "366_day"):
    for writer, suffix in ((as_netcdf, ".nc"), (as_zarr, ".zarr"))[: 2 if calendar in ("noleap", "360_day") else 1]:
        CASES.append(
            refused(
                "traceback",
                f"the calendar {calendar}{suffix}",
                bad_times(writer, suffix, minutes=5 * np.arange(24), calendar=calendar),
                calendar[:3],
            )
        )


def steps_told(parts, expected, words):
    """Frames at 5 minutes, and at others: what is left out is told. parts: minutes of each file."""

    def run(folder):
        (folder / "r").mkdir()
        for i, minutes in enumerate(parts):
            as_netcdf(of_times(minutes), folder / f"r/{i}.nc")
        found = read_archive(folder / "r")
        assert found.interval == expected and words in found.left_out(4), f"{found.interval}, {found.left_out(4)!r}"

    return run


five, ten = 5 * np.arange(12), 10 * np.arange(10)
CASES += [
    done("metadata", "one file half at 5 and half at 10 minutes", steps_told([np.concatenate([five, 60 + ten])], 5, "9 of 22 frames")),
    done("metadata", "a file at 5 and one at 10 minutes", steps_told([five, 300 + ten], 5, "10 of 22 frames")),
    done("metadata", "a file at 10 and one at 5 minutes", steps_told([ten, 300 + five], 5, "10 of them are 10 min apart")),
    done("metadata", "files at 5 minutes, a day apart", steps_told([five, 1440 + five], 5, "")),
]  # fmt: skip


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
        ways = [
            lambda: verify.table({"ours": forecast, "persistence": forecast[:1]}, observed),
            lambda: verify.crps(forecast, observed),
            lambda: verify.by_lead({"ours": forecast}, observed),
            lambda: tasks.task_scores(forecast, observed),
            lambda: verify.fss(forecast, observed, 25.0),
            lambda: verify.rank_histogram(forecast, observed),
            lambda: verify.categorical(forecast, observed, 25.0),
        ]
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
]


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
