import numpy as np
import pytest

from domains.audio import aspade
from domains.audio.metrics import si_sdr


def tones(n=2400):
    time = np.arange(n) / 8000
    return sum(a * np.sin(2 * np.pi * f * time + f) for a, f in ((0.5, 220.0), (0.3, 615.0), (0.2, 1290.0)))


@pytest.mark.parametrize("low, high", [(-0.3, 0.3), (-10.0, 0.2), (-0.25, 0.6)])
def test_a_few_tones_clipped_come_back(low, high):
    truth = tones()
    clipped = np.clip(truth, low, high)
    restored = aspade.declip(clipped, low, high)
    assert si_sdr(restored, truth) > si_sdr(clipped, truth) + 15
    assert si_sdr(restored, truth) > 25


def test_the_answer_agrees_with_every_sample():
    truth = np.random.default_rng(0).standard_normal(2000)
    clipped = np.clip(truth, -0.8, 1.1)
    restored, up, down = aspade.declip(clipped, -0.8, 1.1), clipped >= 1.1, clipped <= -0.8
    np.testing.assert_allclose(restored[~up & ~down], truth[~up & ~down], atol=1e-12)
    assert (restored[up] >= 1.1 - 1e-12).all() and (restored[down] <= -0.8 + 1e-12).all()
    assert restored.shape == truth.shape and np.isfinite(restored).all()


def test_which_samples_are_clipped_may_be_said_in_the_place_of_the_levels():
    clipped = np.clip(tones(), -0.25, 0.6)
    side = np.sign(clipped) * ((clipped >= 0.6) | (clipped <= -0.25))
    found = aspade.declip(clipped, side=side)
    np.testing.assert_allclose(found, aspade.declip(clipped, -0.25, 0.6), atol=1e-12)
    pair = aspade.declip(np.stack([clipped, tones()], -1), side=np.stack([side, 0 * side], -1))
    np.testing.assert_allclose(pair, np.stack([found, tones()], -1), atol=1e-12)
    rough = aspade.declip(clipped, side=side, dtype=np.float32)
    np.testing.assert_allclose(rough, found, atol=2e-2)


@pytest.mark.parametrize("n", [1, 100, 511, 1537])
def test_what_is_not_clipped_is_left_as_it_is(n):
    np.testing.assert_allclose(aspade.declip(tones(n), -2.0, 2.0), tones(n), atol=1e-12)


def test_the_answer_scales_with_the_signal_and_channels_are_restored_each_by_itself():
    clipped = np.clip(tones(1200), -0.3, 0.4)
    found = aspade.declip(clipped, -0.3, 0.4)
    pair = aspade.declip(np.stack([100 * clipped, clipped[::-1] * 100], -1), -30.0, 40.0)
    np.testing.assert_allclose(pair[:, 0], 100 * found, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(pair[:, 1], aspade.declip(100 * clipped[::-1], -30.0, 40.0))


def test_a_threshold_keeps_the_largest_and_zeros_stay_zeros():
    assert not aspade.declip(np.zeros(1000), -1.0, 1.0).any()
    # one bin of a window that is not clipped at all by its bounds: sparse at k = 1
    frame = np.cos(2 * np.pi * 8 * np.arange(64) / 64)[None]
    free = np.full_like(frame, np.inf)
    np.testing.assert_allclose(aspade._spade(frame, frame, frame, 1, 1, 0.0), frame)
    open_above = aspade._spade(np.minimum(frame, 0.7), np.where(frame >= 0.7, 0.7, frame), np.where(frame >= 0.7, free, frame), 1, 8, 1e-3)
    np.testing.assert_allclose(open_above, frame, atol=0.02)
