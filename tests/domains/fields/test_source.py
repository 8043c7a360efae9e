"""Windows of a file: what is trained on and what is held out share no frame, from memory or from disk alike."""

import numpy as np
import pytest
import xarray as xr
from fields_domains import source_of
from small_fields import small_dataset

from configs.fields import get_config
from domains.fields.readers import open_fields
from domains.fields.roles import make_plan
from domains.fields.source import Source
from sciddm.errors import UserError


def run(times=200, **coords):
    values = np.arange(times, dtype=np.float32)[:, None] + np.zeros(5, np.float32)
    return xr.Dataset({"u": (("time", "x"), values)}, coords)


def frames(source, split):
    return {int(t) + i for _, t in source.rows(split) for i in range(source.length)}


@pytest.mark.parametrize("window", [1, 5])
@pytest.mark.parametrize("held_out", [0.1, 0.3, 2])
def test_a_long_run_is_split_in_blocks_with_a_window_between_training_and_test(window, held_out, tmp_path):
    source = source_of(run(), tmp_path, held_out, window=window)
    train, test = frames(source, "train"), frames(source, "test")
    apart = min(abs(a - b) for a in train for b in test)
    assert apart > window  # a whole window of frames lies between
    share = len(test) / (200 if held_out < 1 else 200 / held_out / window * held_out)
    assert abs(len(test) - (held_out * 200 if held_out < 1 else held_out * window)) <= 5 * window, share
    assert len(train) > 200 - len(test) - 12 * window
    rows = source.rows("test")[:, 1]
    assert (np.diff(np.sort(rows)) >= window).all()


def test_samples_are_held_out_whole(tmp_path):
    source = source_of(small_dataset(samples=20), tmp_path, 0.2, window=4)
    assert set(source.rows("train")[:, 0]) == set(range(16)) and set(source.rows("test")[:, 0]) == set(range(16, 20))
    assert len(source.rows("train")) == 16 * 3 and len(source.rows("test")) == 4


def test_times_of_another_step_are_told_of_with_what_takes_those_of_one_alone(tmp_path, capsys):
    times = np.concatenate([5 * np.arange(30), 150 + 10 * np.arange(30)])
    data = run(60, time=("time", times.astype(float), {"units": "minutes since 2024-05-01"}))
    with pytest.raises(UserError, match="expected three windows at least: --config.data.crop=") as told:
        source_of(data, tmp_path, window=4).rows("train")
    assert "29 of 60 times are in no run of 4 that are 5 minutes apart, and are left out, the first at index 31" in capsys.readouterr().err
    source = source_of(data, tmp_path, window=4, crop=(str(told.value).rpartition("crop=")[2],))
    assert source.plan.layout.step == 5 and len(source.rows("train")) == 20 and not capsys.readouterr().err


@pytest.mark.parametrize("times", [40, 41])
def test_a_clock_that_jitters_leaves_no_gap(times, tmp_path):
    seconds = 300.0 * np.arange(times) + 20 * (np.arange(times) % 2)
    source = source_of(run(times, time=("time", seconds, {"units": "seconds since 2024-05-01"})), tmp_path, window=4)
    assert source.plan.layout.step == 5 and len(source.rows("train")) == times - 11


def test_a_window_never_reaches_across_a_gap_in_time(tmp_path):
    times = np.concatenate([np.arange(60.0), 100 + np.arange(140.0)])
    source = source_of(run(time=("time", times, {"units": "s"})), tmp_path, window=5)
    assert not any(t < 60 <= t + i for split in ("train", "test") for _, t in source.rows(split) for i in range(5))


def test_windows_are_the_file_s_values_by_name_from_memory_and_from_disk_alike(tmp_path):
    dataset = small_dataset(samples=12)
    whole = source_of(dataset, tmp_path, window=4)
    disk = source_of(dataset, tmp_path, memory=0.0, window=4)
    for row in whole.rows("train")[::7]:
        expected = dataset.isel(sample=row[0], time=slice(row[1], row[1] + 4)).transpose("time", "y", "x")
        expected = np.stack([expected["c"].values, expected["T"].values], -1)
        np.testing.assert_array_equal(whole.window(row), expected)
        np.testing.assert_array_equal(disk.window(row), expected)


def test_a_coarse_and_cropped_window_holds_means_of_the_file_s_points(tmp_path):
    dataset = small_dataset(samples=12)
    source = source_of(dataset, tmp_path, crop=("x=0:1.2", "time=10:50"), coarsen=("x=2", "y=3"))
    expected = (
        dataset["c"].isel(sample=3, time=2 + 1, x=slice(0, 4)).coarsen(x=2, y=3).mean().transpose("y", "x").values
    )
    np.testing.assert_allclose(source.window((3, 2))[..., 0], expected, rtol=1e-6)
    assert len(source.times) == 5


def test_samples_over_several_files_follow_each_other(tmp_path):
    dataset = small_dataset(samples=12)
    for i in range(3):
        dataset.isel(sample=slice(4 * i, 4 * i + 4)).to_netcdf(tmp_path / f"part{i}.nc", engine="h5netcdf")
    config = get_config()
    fields = open_fields(tmp_path / "part*.nc")
    source = Source(fields, make_plan(fields, config.data), 0.2)
    np.testing.assert_array_equal(
        source.window((9, 1))[..., 0], dataset["c"].isel(sample=9, time=1).transpose("y", "x").values
    )


@pytest.mark.parametrize(
    "held_out, window, said", [(200, 1, "one left"), (0.5, 90, "no train window"), (1.0, 200, "one held out")]
)
def test_a_file_too_short_to_be_split_says_so(held_out, window, said, tmp_path):
    with pytest.raises(UserError, match=said):
        source_of(run(), tmp_path, held_out, window=window).rows("train")
