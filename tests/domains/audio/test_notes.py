import time

import numpy as np
import pytest

from domains.audio import notes

RATE = 8000


@pytest.mark.parametrize("seconds, rate", [(0.01, 8000), (0.5, 8000), (3.0, 44100), (1.0, 4000)])
def test_a_melody_has_its_length_its_peak_and_no_clicks_at_the_ends_of_notes(seconds, rate):
    for seed in range(5):
        sound = notes.notes(seed, seconds, rate)
        assert sound.shape == (round(seconds * rate),) and sound.dtype == np.float32
        np.testing.assert_allclose(np.abs(sound).max(), notes.PEAK, rtol=1e-6)


def test_a_seed_is_a_melody_and_another_seed_another():
    np.testing.assert_array_equal(notes.notes(3, 2.0), notes.notes(3, 2.0))
    np.testing.assert_array_equal(notes.notes([3, 1], 2.0), notes.notes([3, 1], 2.0))
    assert np.abs(notes.notes(3, 2.0) - notes.notes(4, 2.0)).max() > 0.1
    first, second = (notes.notes(s, 30.0) for s in (1, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_the_sum_of_partials_is_the_one_written_out():
    hertz, loud, decay = np.array([220.0, 441.0, 3790.0, 3810.0]), np.array([1.0, 0.5, 0.3, 9.0]), np.array([0.1, 0.05, np.inf, 1.0])
    found = notes._partials(np.random.default_rng(0), hertz, loud, decay, 0.2, RATE)
    phase, t = 2 * np.pi * np.random.default_rng(0).random(notes.PARTIALS), np.arange(1600) / RATE
    # the last one lies above .95 of half the rate
    expected = sum(loud[k] * np.exp(-t / decay[k]) * np.sin(2 * np.pi * hertz[k] * t + phase[k]) for k in range(3))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("play", [notes._plucked, notes._blown])
def test_a_note_starts_and_ends_in_silence_and_lies_below_half_the_rate(play):
    note = play(np.random.default_rng(0), 1046.5, 0.5, RATE, np.full(3, 0.5))
    assert note[0] == 0.0 and abs(note[-1]) < 1e-3
    power = np.abs(np.fft.rfft(note * np.hanning(len(note)))) ** 2
    assert power[np.fft.rfftfreq(len(note), 1 / RATE) > 3850].sum() < 1e-6 * power.sum()


def test_a_blown_note_has_the_pitch_that_was_asked_for():
    note = notes._blown(np.random.default_rng(0), 220.0, 1.0, RATE, np.array([0.5, 0.5, 0.5]))
    power = np.abs(np.fft.rfft(note * np.hanning(len(note)), 1 << 16)) ** 2
    assert abs(np.fft.rfftfreq(1 << 16, 1 / RATE)[power.argmax()] - 220.0) < 1


def test_a_string_decays_the_faster_the_higher_the_partial():
    note = notes._plucked(np.random.default_rng(0), 220.0, 1.0, RATE, np.array([0.3, 0.0, 0.5]))
    early, late = (np.abs(np.fft.rfft(note[first : first + 2000] * np.hanning(2000))) for first in (100, 4000))
    lost = [early[55 * k] / late[55 * k] for k in (1, 2, 4)]  # bins of 4 Hz
    assert 1 < lost[0] < lost[1] < lost[2]


def test_a_minute_takes_a_fraction_of_a_second():
    notes.notes(0, 1.0)
    spent = []
    for seed in range(3):
        begin = time.process_time()
        notes.notes(seed, 60.0)
        spent.append(time.process_time() - begin)
    assert min(spent) < 0.5  # 0.1 where nothing else runs
