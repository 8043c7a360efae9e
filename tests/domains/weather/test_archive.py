import json

import numpy as np
import pytest
import xarray as xr

from domains.weather.archive import MISSING, Archive, pack, step_of, unpack, whole_seconds
from domains.weather.readers import read_archive
from sciddm import store
from sciddm.errors import UserError

START = np.datetime64("2024-05-01T00:00", "s")


def times(*runs, interval=5):
    """Runs of (first minute, frames)."""
    minutes = np.concatenate([first + interval * np.arange(count) for first, count in runs])
    return START + (minutes * 60).astype("timedelta64[s]")


def archive(*runs, shape=(8, 8), interval=5):
    when = times(*runs, interval=interval)
    frames = pack(np.random.default_rng(0).uniform(0, 60, (len(when), *shape)).astype(np.float32))
    return Archive(frames, when, 2.0)


def test_packing_keeps_half_a_step_and_the_missing():
    dbz = np.random.default_rng(0).uniform(0, 75, 1000).astype(np.float32)
    dbz[::7] = np.nan
    np.testing.assert_allclose(unpack(pack(dbz)), dbz, atol=0.00501)
    assert unpack(pack(dbz)).dtype == np.float32 and (np.isnan(unpack(pack(dbz))) == np.isnan(dbz)).all()
    np.testing.assert_array_equal(pack(unpack(pack(dbz))), pack(dbz))


@pytest.mark.parametrize(
    "seconds, minutes",
    [
        (300 * np.arange(6) + 20 * (np.arange(6) % 2), 5.0), (300 * np.arange(200) + 20 * (np.arange(200) % 2), 5.0),
        ([0, 300, 600, 1000, 1300, 1600, 9000, 9300], 5.0), ([0, 301, 602, 903], 301 / 60), ([0, 150, 300, 450], 2.5), ([0, 600], 10.0),
    ],
)  # fmt: skip
def test_the_interval_is_the_slope_of_the_longest_run(seconds, minutes):
    assert step_of(START + np.asarray(seconds).astype("timedelta64[s]")) == minutes


def test_a_jittering_clock_makes_one_event_and_times_are_rounded():
    when = START + (300 * np.arange(10) + 20 * (np.arange(10) % 2)).astype("timedelta64[s]")
    one = Archive(np.zeros((10, 8, 8), np.int16), when, 2.0)
    assert one.interval == 5.0 and one.events() == [(0, 10)]
    late = when.astype("datetime64[us]") - np.timedelta64(3, "us")
    late[3] = np.datetime64("NaT")
    np.testing.assert_array_equal(whole_seconds(late)[[0, 9]], when[[0, 9]])
    assert np.isnat(whole_seconds(late)[3])


def test_frames_of_another_step_are_told_of():
    assert archive((0, 10), (100, 4)).left_out(4) == ""
    minutes = np.concatenate([5 * np.arange(12), 60 + 10 * np.arange(10)])
    one = Archive(np.zeros((22, 8, 8), np.int16), START + 60 * minutes.astype("timedelta64[s]"), 2.0)
    first = START + np.timedelta64(70, "m")
    assert one.left_out(4) == (
        f"9 of 22 frames are in no run of 4 that are 5 min apart, and are left out, the first of {first}; 9 of them are 10 min apart"
    )


def test_windows_never_cross_a_gap():
    one = archive((0, 10), (100, 3), (200, 7))
    assert one.interval == 5 and one.events() == [(0, 10), (10, 13), (13, 20)]
    first = one.windows(4)
    assert len(first) == 7 + 0 + 4 and len(one.windows(4, stride=3)) == 3 + 2
    steps = np.diff(one.times[first[:, None] + np.arange(4)], axis=1)
    assert (steps == np.timedelta64(300, "s")).all()
    # A clock that is half a minute off makes no gap, a frame that is skipped does.
    late = one.times.copy()
    late[5] += np.timedelta64(29, "s")
    assert Archive(one.frames, late, 2.0).events() == one.events()
    assert Archive(np.delete(one.frames, 5, 0), np.delete(one.times, 5), 2.0).events()[:2] == [(0, 5), (5, 9)]


def last_and_first(one, train, test, length):
    first = [one.windows(length, 1, part) for part in (train, test)]
    return one.times[first[0] + length - 1].max(), one.times[first[1]].min()


@pytest.mark.parametrize("held_out", [2, 0.2])
def test_split_holds_out_whole_events_and_leaves_a_window_between(held_out):
    one = archive(*[(100 * i, 8) for i in range(10)])
    train, test = one.split(held_out, 4)
    assert test == one.events()[-2:] and train == one.events()[:-2]
    # Runs an instant apart, such as about a skipped frame, leak otherwise.
    near = archive((0, 20), (105, 20))
    train, test = near.split(1, 4)
    end, start = last_and_first(near, train, test, 4)
    assert test == [(20, 40)] and start - end > 4 * np.timedelta64(300, "s")


def test_one_long_event_is_split_by_days_with_a_window_between():
    one = archive((0, 5 * 288))
    train, test = one.split(1, 16)
    assert test == [(4 * 288, 5 * 288)] and train == [(0, 4 * 288 - 16)]
    end, start = last_and_first(one, train, test, 16)
    assert start - end > 16 * np.timedelta64(300, "s")
    hourly = archive((0, 60), interval=360)  # a day is 4 frames, less than four windows of 4
    assert hourly.split(1, 4) == ([(0, 36)], [(40, 60)])


def test_splits_that_leave_nothing_are_refused():
    one = archive((0, 8), (100, 8))
    for held_out in (0, 2, 5):
        with pytest.raises(UserError, match=f"config.data.held_out = {held_out}: archive has 2 events"):
            one.split(held_out, 4)
    with pytest.raises(UserError, match="nothing of archive is left to train on"):
        archive((0, 5), (26, 5)).split(1, 4)


def test_crops_cover_the_grid():
    covered = np.zeros((20, 33), bool)
    for y, x in archive((0, 4), shape=(20, 33)).crops(8):
        assert y + 8 <= 20 and x + 8 <= 33
        covered[y : y + 8, x : x + 8] = True
    assert covered.all() and archive((0, 4)).crops(8) == [(0, 0)]
    with pytest.raises(UserError, match="20 x 33 pixels; expected at least config.data.size = 21"):
        archive((0, 4), shape=(20, 33)).crops(21)


def test_windows_whose_target_is_missing_are_left_out():
    one = archive((0, 10), shape=(8, 16))
    one.frames[5, :, 8:] = MISSING  # the right crop of one frame of ten
    places = np.array([[first, 0, x] for first in one.windows(4) for x in (0, 8)])
    np.testing.assert_array_equal(one.usable(places, 4, 8, 0.25), places)
    kept = one.usable(places, 4, 8, 0.24)
    gone = [list(row) for row in places.tolist() if row not in kept.tolist()]
    assert gone == [[first, 0, 8] for first in (2, 3, 4, 5)]
    # Frames of the past may lack what they like.
    gone = [r for r in places.tolist() if r not in one.usable(places, 4, 8, 0.24, past=2).tolist()]
    assert gone == [[first, 0, 8] for first in (2, 3)]


def test_times_and_lengths_at_fault_are_named():
    frames = np.zeros((4, 8, 8), np.int16)
    with pytest.raises(UserError, match="2024-05-01T00:05:00 at index 2 is there twice"):
        Archive(frames, times((0, 2), (5, 2)), 2.0)
    with pytest.raises(UserError, match="index 2 comes after 2024-05-01T01:45:00"):
        Archive(frames, times((100, 2), (0, 2)), 2.0)
    when = times((0, 4))
    when[1] = np.datetime64("NaT")
    with pytest.raises(UserError, match="frame 1 has no time"):
        Archive(frames, when, 2.0)
    with pytest.raises(UserError, match="4 frames; expected at least the 16 of a window"):
        archive((0, 4)).windows(16)
    with pytest.raises(UserError, match="no 4 frames in a row are 5 min apart, the longest run is 3"):
        archive((0, 3), (100, 3)).windows(4)


@pytest.fixture
def stored(tmp_path):
    one = archive(*[(100 * i, 8) for i in range(150)], shape=(8, 16))
    one.frames[3, 2, 1] = MISSING
    one.frames[7] = MISSING
    return one, one.write(tmp_path / "a.zarr", {"seed": 3})


def test_a_written_archive_is_cf_with_a_chunk_a_frame_and_reads_back_exactly(stored):
    one, path = stored
    again = read_archive(path)
    np.testing.assert_array_equal(again.frames, one.frames)
    np.testing.assert_array_equal(again.times, one.times)
    assert (again.interval, again.spacing_km) == (5, 2)
    with xr.open_zarr(path, consolidated=False, chunks=None) as plain:  # what everybody else's software sees
        np.testing.assert_allclose(plain.reflectivity, one.dBZ(), rtol=1e-5)
        assert plain.reflectivity.encoding["chunks"] == (1, 8, 16)
        assert plain.reflectivity.attrs["standard_name"] == "equivalent_reflectivity_factor"
        assert plain.reflectivity.attrs["units"] == "dBZ" and plain.attrs["seed"] == 3
        assert plain.y.attrs == {"standard_name": "projection_y_coordinate", "units": "m"}
        np.testing.assert_allclose(plain.x, 1000 + 2000 * np.arange(16))
        assert plain[plain.reflectivity.attrs["grid_mapping"]].attrs["grid_mapping_name"] == "azimuthal_equidistant"
    np.testing.assert_array_equal(read_archive(path, crop=(1, 2, 4, 8)).frames, one.frames[:, 1:5, 2:10])


@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_a_damaged_or_missing_file_is_named_with_its_frames(stored, damage):
    _, path = stored
    names = [name for name in json.loads(store.manifest_path(path).read_text()) if name.startswith("reflectivity/c/")]
    assert len(names) == 2  # 1200 frames
    file = path / "reflectivity/c/1/0/0"
    if damage == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    with pytest.raises(UserError, match=f"a.zarr: variable 'reflectivity', times 768 to 1199 .*{damage}"):
        read_archive(path)
