import sys

import numpy as np
import pytest
import scipy.stats

from domains.audio import metrics

RATE = 8000


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def harmonic(hertz, seconds=1.0):
    """Ten harmonics that fall off by 1/k."""
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * k * hertz * time + k) / k for k in range(1, 11))


def test_si_sdr_is_the_ratio_of_energies_for_noise_orthogonal_to_the_truth_at_any_scale():
    truth, error = noise(2, 4000)
    error -= (error @ truth) / (truth @ truth) * truth
    error *= np.sqrt((truth @ truth) / (error @ error)) * 10 ** (-13 / 20)
    for gain in (1.0, 0.01, -30.0):
        np.testing.assert_allclose(metrics.si_sdr(gain * (truth + error), truth), 13.0, atol=1e-9)


def test_si_sdr_keeps_the_mean_and_says_what_has_no_ratio():
    truth = noise(4000)
    shifted = truth - truth.mean()
    # a constant c is orthogonal to a truth without mean: n c^2 of noise
    expected = 10 * np.log10((shifted**2).mean() / 0.25)
    np.testing.assert_allclose(metrics.si_sdr(shifted + 0.5, shifted), expected, rtol=1e-9)
    assert metrics.si_sdr(truth, truth) == np.inf
    assert metrics.si_sdr(0 * truth, truth) == -np.inf
    assert np.isnan(metrics.si_sdr(truth, 0 * truth))


def test_si_sdr_counts_the_samples_asked_for_and_broadcasts_over_members():
    truth, members = noise(400), noise(3, 2, 400, seed=1)
    where = np.arange(400) < 100
    found = metrics.si_sdr(members, truth, where=where)
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found[2, 1], metrics.si_sdr(members[2, 1, :100], truth[:100]))


@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_log_spectral_distance_of_a_gain_is_the_gain_in_db_in_any_band_and_frame(gain):
    truth, where = noise(5000), np.arange(5000) == 2600
    for options in ({}, {"where": where}, {"band": (2000, 4000)}, {"window": 256, "hop": 64}):
        found = metrics.log_spectral_distance(gain * truth, truth, **options)
        np.testing.assert_allclose(found, abs(20 * np.log10(gain)), rtol=1e-9)
    assert metrics.log_spectral_distance(truth, truth) == 0.0


def test_log_spectral_distance_is_blind_below_the_floor():
    assert metrics.log_spectral_distance(1e-8 * noise(3000), np.zeros(3000)) == 0.0


def test_log_spectral_distance_sees_the_band_and_the_frames_asked_for_only():
    time = np.arange(8192) / RATE
    low, high = np.sin(2 * np.pi * 500 * time) + 0.1 * noise(8192), 0.1 * np.sin(2 * np.pi * 3000 * time)
    changed = low + high
    assert metrics.log_spectral_distance(changed, low, band=(0, 2000)) < 1e-2
    assert metrics.log_spectral_distance(changed, low, band=(2900, 3100)) > 5
    end = low.copy()
    end[7000:] = 0
    assert metrics.log_spectral_distance(end, low, where=time < 0.5) == 0.0
    assert metrics.log_spectral_distance(end, low, where=time > 0.99) > 20
    assert np.isnan(metrics.log_spectral_distance(end, low, where=time < 0))


def test_frames_that_touch_are_those_whose_window_holds_a_sample():
    # frames of 512 start at 0, 128, ..., so sample 600 is in those that start from 89 to 600
    start = 128 * np.arange(13)
    np.testing.assert_array_equal(metrics.touching(np.arange(2048) == 600), (start > 600 - 512) & (start <= 600))


def test_every_sample_is_in_a_frame():
    assert metrics.framed(np.ones(1000), 512, 128).shape == (5, 512)
    assert metrics.framed(np.ones(1024), 512, 128).shape == (5, 512)
    assert metrics.framed(np.ones(100), 512, 128).shape == (1, 512)
    np.testing.assert_array_equal(metrics.framed(np.arange(1000.0), 512, 128)[4, :488], np.arange(512.0, 1000.0))


def test_multi_resolution_distance_of_a_gain_is_its_closed_form():
    truth, gain = noise(4000), 0.7
    found = metrics.multi_resolution_stft(gain * np.stack([truth, truth]), truth)
    np.testing.assert_allclose(found, (1 - gain) - np.log(gain), rtol=1e-9)
    assert metrics.multi_resolution_stft(truth, truth) == 0.0


@pytest.mark.parametrize("hertz", [60.0, 110.0, 220.5, 437.0])
def test_pitch_of_a_harmonic_tone_is_its_fundamental(hertz):
    found, voiced = metrics.pitch(harmonic(hertz))
    whole = slice(None, -4)  # the last frames are filled up with zeros
    assert voiced[whole].all()
    assert np.abs(1200 * np.log2(found[whole] / hertz)).max() < 10


def test_noise_and_silence_have_no_pitch():
    assert metrics.pitch(noise(8000))[1].mean() < 0.02
    assert not metrics.pitch(np.zeros(8000))[1].any()
    assert np.isnan(metrics.pitch_within(harmonic(200.0), np.zeros(8000)))


def test_pitch_within_tells_40_from_60_cents():
    truth = harmonic(200.0)
    near, far = harmonic(200.0 * 2 ** (40 / 1200)), harmonic(200.0 * 2 ** (60 / 1200))
    found = metrics.pitch_within(np.stack([truth, near, far]), truth)
    assert found[0] == 1.0 and found[1] > 0.95 and found[2] < 0.05


def test_ranks_of_exchangeable_members_are_uniform_and_cover_as_an_honest_ensemble():
    count, draws = 9, noise(10, 400 * 512, seed=3)
    # windows that do not overlap and every tenth bin: Hann windows tie neighbouring bins, and chi-square wants independent ones
    far = [metrics.spectrum_ranks(draws[1:], draws[0], hop=512, band=(b, b), rate=512)[1] for b in range(20, 240, 10)]
    counts = np.sum(far, 0)
    assert counts.sum() == 400 * len(far)
    assert scipy.stats.chisquare(counts).pvalue > 1e-3
    coverage, pooled = metrics.spectrum_ranks(draws[1:], draws[0])
    np.testing.assert_allclose(coverage, (count - 1) / (count + 1), atol=0.01)
    np.testing.assert_allclose(coverage, pooled[1:-1].sum() / pooled.sum())
    narrow, _ = metrics.spectrum_ranks(0.5 * draws[1:], draws[0])
    assert narrow < 0.7


def test_ranks_leave_out_ties_at_the_floor_and_frames_elsewhere():
    members, truth = noise(4, 2048), np.zeros(2048)
    truth[:1024] = 100 * noise(1024, seed=1)
    members[:, 1024:] = 0.0
    coverage, counts = metrics.spectrum_ranks(members, truth, np.arange(2048) >= 1536)
    assert np.isnan(coverage) and counts.sum() == 0
    coverage, counts = metrics.spectrum_ranks(members, truth, np.arange(2048) < 512)
    assert coverage < 0.05 and counts[4] > 0.95 * counts.sum()


def test_pesq_of_equal_signals_is_its_best_and_silence_has_none():
    pytest.importorskip("pesq")
    rng = np.random.default_rng(0)
    speech = harmonic(150.0, 2.0) * (1 + np.sin(2 * np.pi * 4 * np.arange(16000) / RATE)) + 0.01 * rng.standard_normal(16000)
    noisy = speech + rng.standard_normal(16000)
    equal, worse = metrics.pesq_nb(np.stack([speech, noisy]), speech, RATE)
    np.testing.assert_allclose(equal, 4.55, atol=0.01)
    assert worse < 3
    assert np.isnan(metrics.pesq_nb(speech, 0 * speech, RATE)) and np.isnan(metrics.pesq_nb(speech[:99], speech[:99], RATE))


def test_stoi_of_equal_signals_is_1_and_silence_has_none():
    pytest.importorskip("pystoi")
    speech = noise(8000)
    np.testing.assert_allclose(metrics.stoi(speech, speech, RATE), 1.0, atol=1e-6)
    assert metrics.stoi(speech + 3 * noise(8000, seed=1), speech, RATE) < 0.9
    assert np.isnan(metrics.stoi(speech, 0 * speech, RATE)) and np.isnan(metrics.stoi(speech[:900], speech[:900], RATE))


def test_a_score_whose_package_is_missing_is_none_and_said_once(monkeypatch, capsys):
    metrics._there.cache_clear()
    monkeypatch.setitem(sys.modules, "pesq", None)
    try:
        assert metrics.pesq_nb(noise(8000), noise(8000), RATE) is None
        assert metrics.pesq_nb(noise(8000), noise(8000), RATE) is None
    finally:
        metrics._there.cache_clear()
    assert capsys.readouterr().err.count("no pesq") == 1
