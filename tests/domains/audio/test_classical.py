"""One channel restored by the classical methods, as a baseline and as the network's first guess."""

import numpy as np
import pytest

from domains.audio import aspade, janssen, spectral
from domains.audio.classical import SHORT, restored
from domains.audio.metrics import si_sdr
from tests.small_sounds import RATE, sound

TRUTH = sound(0, 1.0)
NO, NONE = np.zeros(len(TRUTH), bool), np.zeros(len(TRUTH))


def hidden(*gaps):
    found = NO.copy()
    for first, last in gaps:
        found[round(first * RATE) : round(last * RATE)] = True
    return found


def test_each_kind_of_damage_has_its_method():
    np.testing.assert_array_equal(restored(TRUTH, NO, NONE, None, RATE), TRUTH)
    short, long = hidden((0.30, 0.32)), hidden((0.60, 0.70))
    np.testing.assert_array_equal(restored(TRUTH, short, NONE, None, RATE), janssen.fill_gaps(TRUTH, short, rate=RATE))
    both = restored(TRUTH, short | long, NONE, None, RATE)
    filled = janssen.fill_gaps(TRUTH, short | long, rate=RATE)
    np.testing.assert_array_equal(both[short], filled[short])
    np.testing.assert_array_equal(both[long], janssen.extrapolated(filled, long, rate=RATE)[long])
    np.testing.assert_array_equal(restored(TRUTH, long, NONE, None, RATE, onward=False), janssen.fill_gaps(TRUTH, long, rate=RATE))
    clip = np.clip(TRUTH, -0.05, 0.05)
    side = np.sign(TRUTH) * (np.abs(TRUTH) > 0.05)
    np.testing.assert_allclose(restored(clip, NO, side, None, RATE), aspade.declip(clip, -0.05, 0.05, rate=RATE), atol=1e-12)
    np.testing.assert_array_equal(restored(TRUTH, NO, NONE, 0.01, RATE), spectral.wiener(TRUTH, 0.01, rate=RATE))


@pytest.mark.parametrize("quick", [False, True])
def test_what_is_heard_stays_and_what_stands_in_a_gap_counts_for_nothing(quick):
    gap = hidden((0.2, 0.2 + SHORT / 2), (0.6, 0.6 + 2 * SHORT))
    found = restored(np.where(gap, 7.0, TRUTH), gap, NONE, None, RATE, quick=quick)
    np.testing.assert_array_equal(found[~gap], TRUTH[~gap])
    assert np.abs(found).max() < 1.0
    assert not restored(TRUTH, ~NO, NONE, None, RATE, quick=quick).any()  # nothing is known


def test_a_first_guess_is_nearly_as_near():
    clip, side = np.clip(TRUTH, -0.05, 0.05), np.sign(TRUTH) * (np.abs(TRUTH) > 0.05)
    slow, quick = (restored(clip, NO, side, None, RATE, quick=one) for one in (False, True))
    assert si_sdr(quick, TRUTH) > si_sdr(slow, TRUTH) - 1
    assert si_sdr(quick, TRUTH) > si_sdr(clip, TRUTH) + 2
    assert (side * (quick - clip) > -1e-6).all()
