import sys

import numpy as np
import pytest
import scipy.ndimage

from domains.weather import baselines
from domains.weather.generate import make_events
from domains.weather.transform import rain_rate
from sciddm.errors import UserError


def drifting(frames, shift, size=64, seed=0):
    """(frames, size, size) dBZ of one smooth field that moves by `shift`, (y, x) whole pixels a frame, and does not change."""
    noise = scipy.ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal((2 * size, 2 * size)), 3, mode="wrap"
    )
    field = np.clip(20 + 15 * noise / noise.std(), 0, 60)
    pad = size // 2
    moved = [np.roll(field, (t * shift[0], t * shift[1]), (0, 1)) for t in range(frames)]
    return np.stack(moved)[:, pad:-pad, pad:-pad].astype(np.float32)


def global_state():
    return np.random.get_state()[1].tobytes()  # noqa: NPY002 - pysteps draws from it


@pytest.fixture(scope="module")
def event():
    return make_events(5, [0], 16)[0]


def test_persistence_repeats_the_last_frame_and_fills_what_it_does_not_have():
    past = np.arange(4.0)[:, None, None] * np.ones((4, 6, 6))
    np.testing.assert_array_equal(baselines.persistence(past), 3.0 * np.ones((12, 6, 6)))
    past[3, 2] = np.nan
    answer = baselines.persistence(past)
    assert np.isfinite(answer).all() and (answer[:, 2] == 2.0).all() and (answer[:, 3] == 3.0).all()


def test_gaps_are_filled_from_the_frame_before_then_from_the_nearest_pixel():
    frames = np.stack([np.tile(np.arange(5.0), (4, 1)), np.full((4, 5), 9.0)])
    frames[0, :, 0] = np.nan
    frames[1, 0, :] = np.nan
    answer = baselines.filled(frames)
    np.testing.assert_array_equal(answer[0, :, 0], 1.0)
    np.testing.assert_array_equal(answer[1, 0], [1, 1, 2, 3, 4])
    assert (baselines.filled(np.full((2, 3, 3), np.nan)) == 0).all()
    later = np.stack([np.full((3, 3), np.nan), np.full((3, 3), 4.0)])
    assert (baselines.filled(later) == 4.0).all()


def test_optical_flow_finds_a_uniform_motion_and_a_missing_sector_does_not_move_it():
    past = drifting(4, (-1, 2))
    for gap in (False, True):
        if gap:
            past[:, 40:, 40:] = np.nan
        flow = baselines.motion(past)
        np.testing.assert_allclose(flow[:, 16:-16, 16:-16].mean((1, 2)), [2.0, -1.0], atol=0.1)  # x first
    past = drifting(4, (-1, 2))
    past[0] = np.nan
    np.testing.assert_allclose(baselines.motion(past)[:, 16:-16, 16:-16].mean((1, 2)), [2.0, -1.0], atol=0.1)


def test_where_nothing_can_be_followed_nothing_moves():
    dry, speck = np.zeros((4, 32, 32)), np.zeros((4, 32, 32))
    speck[:, 16, 16] = 30.0
    for past in (dry, np.full((4, 32, 32), np.nan), speck, np.full((4, 32, 32), 20.0)):
        assert (baselines.motion(past) == 0).all()
    assert (baselines.extrapolation(dry) == 0).all() and (baselines.steps(dry, members=2) == 0).all()


def test_extrapolation_along_a_known_flow_is_a_shift_and_inflow_is_the_edge():
    past = drifting(4, (0, 2))
    flow = np.stack([np.full((64, 64), 2.0), np.zeros((64, 64))])
    answer = baselines.extrapolation(past, frames=3, flow=flow)
    for t in range(3):
        moved = 2 * (t + 1)
        np.testing.assert_allclose(answer[t][:, moved:], past[-1][:, :-moved], atol=1e-4)
        np.testing.assert_allclose(answer[t][:, :moved], np.repeat(past[-1][:, :1], moved, 1), atol=1e-4)


def test_extrapolation_beats_persistence_where_rain_drifts(event):
    frames = drifting(16, (1, -2))
    errors = [np.abs(f(frames[:4]) - frames[4:]).mean() for f in (baselines.extrapolation, baselines.persistence)]
    assert errors[0] < 0.5 * errors[1]
    errors = [np.abs(f(event[:4]) - event[4:]).mean() for f in (baselines.extrapolation, baselines.persistence)]
    assert errors[0] < errors[1]


def test_steps_is_silent_complete_and_repeats_for_a_seed(event, capsys):
    past = event[:4].copy()
    past[:, 50:, :20] = np.nan
    before = global_state()
    capsys.readouterr()  # what importing pysteps here said
    first = baselines.steps(past, members=3, seed=4, frames=4)
    assert global_state() == before
    assert capsys.readouterr() == ("", "")
    assert first.shape == (3, 4, 64, 64) and np.isfinite(first).all() and first.min() == 0 and first.max() <= 75
    np.testing.assert_array_equal(first, baselines.steps(past, members=3, seed=4, frames=4))
    assert not (first == baselines.steps(past, members=3, seed=5, frames=4)).all()
    wider = baselines.steps(past, members=2, seed=4, frames=2, margin=8)
    assert wider.shape == (2, 2, 64, 64) and np.isfinite(wider).all()
    # A margin that was cut off wrongly would shift the first frame against the forecast without one.
    agreement = np.corrcoef(wider[:, 0].mean(0).ravel(), first[:, 0].mean(0).ravel())[0, 1]
    assert agreement > 0.8
    spread = first.std(0).mean((1, 2))
    assert spread[3] > spread[0] > 0


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysteps", None)
    for name in [m for m in sys.modules if m.startswith("pysteps.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=r"pip install -e \S+\[weather\]"):
        baselines.extrapolation(drifting(4, (0, 1)))


def test_interpolation_in_time_is_linear():
    before, after = np.full((3, 3), 10.0), np.full((3, 3), 30.0)
    np.testing.assert_allclose(baselines.interpolate_in_time(before, after, 3)[:, 0, 0], [15, 20, 25])


def test_morphing_moves_rain_where_blending_fades_it():
    frames = drifting(5, (1, 2))
    middle = frames[1:4, 12:-12, 12:-12]
    known = np.stack([np.full((64, 64), 8.0), np.full((64, 64), 4.0)])
    exact = baselines.morph(frames[0], frames[4], 3, flow=known)[:, 12:-12, 12:-12]
    np.testing.assert_allclose(exact, middle, atol=1e-3)
    found = np.abs(baselines.morph(frames[0], frames[4], 3)[:, 12:-12, 12:-12] - middle).mean()
    assert (
        found < 0.35 * np.abs(baselines.interpolate_in_time(frames[0], frames[4], 3)[:, 12:-12, 12:-12] - middle).mean()
    )


def test_inpainting_restores_a_plane_and_leaves_what_is_there():
    y, x = np.mgrid[:20, :20]
    plane = (10 + y + 0.5 * x).astype(np.float32)
    holed = np.stack([plane, plane])
    holed[0, 6:12, 5:14] = np.nan
    holed[1] = np.nan
    answer = baselines.inpaint(holed)
    np.testing.assert_allclose(answer[0], plane, atol=1e-4)
    assert np.isnan(answer[1]).all()
    holed[0, :, 15:] = np.nan  # an edge: no triangle reaches it
    edge = baselines.inpaint(holed)[0]
    assert np.isfinite(edge).all() and edge[3, 19] == pytest.approx(plane[3, 14])
    np.testing.assert_array_equal(edge[:, 0], plane[:, 0])


def test_gaps_are_filled_along_the_motion_also_where_whole_frames_are_missing():
    frames = drifting(6, (1, 2))
    holed = frames.copy()
    holed[2, 20:44, 20:44] = np.nan
    holed[4] = np.nan
    answer = baselines.inpaint_advected(holed)
    assert np.isfinite(answer).all()
    there = np.isfinite(holed)
    np.testing.assert_array_equal(answer[there], holed[there])
    gap = np.abs(answer - frames)[2, 20:44, 20:44].mean()
    assert gap < 0.3 * np.abs(baselines.inpaint(holed) - frames)[2, 20:44, 20:44].mean()
    assert np.abs(answer - frames)[4, 8:-8, 8:-8].mean() < 1.0


def test_bicubic_keeps_planes_and_never_goes_below_zero():
    y, x = np.mgrid[:16, :16]
    fine = baselines.bicubic(np.stack([4.0 * y + 2.0 * x] * 2), 4)
    assert fine.shape == (2, 64, 64)
    y, x = (np.mgrid[:64, :64] + 0.5) / 4 - 0.5
    np.testing.assert_allclose(fine[0, 20:-20, 20:-20], (4 * y + 2 * x)[20:-20, 20:-20], atol=0.05)
    assert baselines.bicubic(np.where(np.arange(16) == 8, 60.0, 0.0) * np.ones((16, 1)), 4).min() == 0


@pytest.mark.parametrize("of", ["rate", "dBZ"])
def test_rainfarm_keeps_the_mean_of_every_block_and_repeats_for_a_seed(event, of):
    value = rain_rate if of == "rate" else np.asarray
    coarse = event[3].reshape(16, 4, 16, 4).mean((1, 3))
    before = global_state()
    fine = baselines.rainfarm(coarse, 4, members=3, seed=1, of=of)
    assert global_state() == before
    blocks = value(fine).reshape(3, 16, 4, 16, 4).mean((2, 4))
    wet = value(coarse) > 1.0
    np.testing.assert_allclose(blocks[:, wet], np.repeat(value(coarse)[wet][None], 3, 0), rtol=0.05)
    np.testing.assert_array_equal(fine, baselines.rainfarm(coarse, 4, members=3, seed=1, of=of))
    assert not (fine[0] == fine[1]).all()
    assert (baselines.rainfarm(np.zeros((16, 16)), 4, members=2) == 0).all()


def test_where_it_rains_alike_everywhere_steps_and_rainfarm_say_that_it_goes_on():
    past = np.full((4, 24, 24), 20, np.float32)
    np.testing.assert_allclose(baselines.steps(past, members=2, frames=2), 20, atol=1e-3)
    np.testing.assert_allclose(baselines.rainfarm(past[0, :6, :6], 4, 2), 20, atol=1e-3)
