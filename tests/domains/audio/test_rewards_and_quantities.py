"""What a sound is said to be like, of tones whose level and frequency are known."""

import numpy as np
import pytest
import xarray as xr

from domains.audio import scores
from domains.audio.levels import active, active_level
from domains.audio.mdct import mdct
from domains.audio.rewards import make_rewards


class Model:
    """What rewards ask of a domain."""

    rate, bins = 8000, 32


def tone(hertz, amplitude=0.1, samples=4096):
    return amplitude * np.cos(2 * np.pi * hertz * np.arange(samples) / 8000)


def test_level_and_brightness_are_those_of_tones():
    waves = np.stack([tone(1000.0), tone(2500.0, 0.2)])
    found = scores.quantities(xr.Dataset({"waveform": (("sample", "time"), waves)}, attrs={"rate": 8000}))
    np.testing.assert_allclose(found["level"].mean("time"), 20 * np.log10(np.array([0.1, 0.2]) / np.sqrt(2)), atol=0.1)
    np.testing.assert_allclose(found["brightness"].mean("time"), [1000, 2500], atol=10)
    assert found["level"].units == "dB" and found["brightness"].units == "Hz"


def test_rewards_are_those_of_tones():
    x = mdct(np.stack([tone(500.0), tone(2500.0, 0.2), np.zeros(4096)]).astype(np.float32), 32)[..., None]
    rewards = {name: np.asarray(one.function(x)) for name, one in make_rewards(Model).items()}
    np.testing.assert_allclose(rewards["brightness"][:2], [500, 2500], atol=40)
    assert rewards["treble"][0] < -20 and rewards["treble"][1] > 20
    np.testing.assert_allclose(rewards["level"][:2], 20 * np.log10(np.array([0.1, 0.2]) / np.sqrt(2)), atol=0.05)
    assert np.isfinite(rewards["level"]).all()


def test_pauses_do_not_count_in_the_active_level():
    wave = np.concatenate([np.zeros(8192), tone(1000.0, 0.1, 8192), 1e-4 * tone(1000.0, 1.0, 8192)])
    assert active_level(wave, 8000) == pytest.approx(0.1 / np.sqrt(2), rel=0.01)
    assert active(wave, 8000)[9000:16000].all() and not active(wave, 8000)[:8000].any()
    assert active_level(np.zeros(100), 8000) == 0.0


def test_of_many_is_zero_of_the_same_sounds_and_measures_a_gain():
    waves = np.random.default_rng(0).standard_normal((4, 8192)) * 0.1
    same, louder = scores.of_many(waves, waves, 8000), scores.of_many(2 * waves, waves, 8000)
    assert same["long-term spectrum [dB]"] == 0.0 and same["bands, sliced Wasserstein [dB]"] == 0.0
    assert louder["long-term spectrum [dB]"] == pytest.approx(20 * np.log10(2), abs=1e-6)
