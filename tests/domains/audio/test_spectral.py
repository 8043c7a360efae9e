import numpy as np
import pytest
import scipy.signal

from domains.audio import spectral
from domains.audio.metrics import si_sdr

RATE = 8000


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def coloured(n, seed=0):
    """Gaussian noise of smooth density |1 / (1 - .8 exp(-iw))|^2, and the density at 129 frequencies 0..rate/2."""
    x = scipy.signal.lfilter([1.0], [1.0, -0.8], noise(n + 1000, seed=seed))[1000:]
    return x, 1 / np.abs(1 - 0.8 * np.exp(-1j * np.linspace(0, np.pi, 129))) ** 2


@pytest.mark.parametrize("rate, cutoff", [(8000, 2000), (8000, 1000), (8000, 3400), (44100, 8000)])
def test_the_low_pass_has_the_ripple_and_the_stop_band_that_it_says(rate, cutoff):
    taps = spectral.low_pass_taps(rate, cutoff)
    hertz, response = np.fft.rfftfreq(1 << 15, 1 / rate), np.abs(np.fft.rfft(taps, 1 << 15))
    assert len(taps) % 2 == 1
    np.testing.assert_array_equal(taps, taps[::-1])
    np.testing.assert_allclose(taps.sum(), 1.0, atol=1e-12)
    assert np.abs(response[hertz < 0.95 * cutoff] - 1).max() < 1.2e-3
    assert response[hertz > 1.05 * cutoff].max(initial=0) < 1.2e-3
    np.testing.assert_allclose(np.interp(cutoff, hertz, response), 0.5, atol=1e-3)


def test_the_low_pass_is_the_symmetric_convolution_with_its_taps():
    x, taps = noise(2, 300), spectral.low_pass_taps(RATE, 2000)
    for n in (300, 100):  # longer and shorter than the filter
        expected = [np.convolve(row, taps)[len(taps) // 2 :][:n] for row in x[:, :n]]
        np.testing.assert_allclose(spectral.low_pass(x[:, :n], RATE, 2000), expected, atol=1e-12)
    np.testing.assert_allclose(spectral.low_pass(x[0], RATE, 2000), spectral.low_pass(x, RATE, 2000)[0], atol=1e-12)


def test_band_limiting_keeps_what_is_below_and_nothing_above():
    pytest.importorskip("soxr")
    time, inner = np.arange(8000) / RATE, slice(1000, 7000)
    low, high = np.sin(2 * np.pi * 700 * time), np.sin(2 * np.pi * 2900 * time)
    found = spectral.band_limited(np.stack([low + high, high]), RATE, 2000)
    np.testing.assert_allclose(found[0, inner], low[inner], atol=1e-4)
    assert np.abs(found[1, inner]).max() < 1e-4
    assert spectral.band_limited(noise(8191), RATE, 1700).shape == (8191,)


@pytest.mark.parametrize("suppress", [spectral.wiener, spectral.spectral_subtraction])
@pytest.mark.parametrize("n", [100, 8001])
def test_without_noise_nothing_changes(suppress, n):
    np.testing.assert_allclose(suppress(noise(2, n), 0.0), noise(2, n), atol=1e-6)


def test_wieners_gain_for_a_known_spectrum_reaches_the_least_mean_square_error():
    x, density = coloured(80_000)
    for std in (0.5, 2.0):
        found = spectral.wiener(x + std * noise(80_000, seed=1), std, spectrum=density)
        least = scipy.integrate.trapezoid(density * std**2 / (density + std**2), dx=1 / 128)
        np.testing.assert_allclose(np.mean((found - x) ** 2), least, rtol=0.03)


def test_wieners_gain_takes_the_spectrum_of_coloured_noise():
    noisy, density = coloured(80_000)
    x = noise(80_000, seed=1)
    found = spectral.wiener(x + noisy, np.sqrt(density), spectrum=np.ones(129))
    least = scipy.integrate.trapezoid(density / (density + 1), dx=1 / 128)
    np.testing.assert_allclose(np.mean((found - x) ** 2), least, rtol=0.03)


@pytest.mark.parametrize("suppress, gain", [(spectral.wiener, 12), (spectral.spectral_subtraction, 9)])
def test_a_tone_in_noise_is_freed_of_most_of_it(suppress, gain):
    tone = np.sin(2 * np.pi * 600 * np.arange(16_000) / RATE)
    noisy = np.stack([tone + noise(16_000), noise(16_000)])
    found = suppress(noisy, 1.0)
    assert si_sdr(found[0], tone) > si_sdr(noisy[0], tone) + gain
    assert (found[1] ** 2).mean() < 0.15


def test_deconvolution_without_noise_inverts_exactly():
    x, response = noise(1000), noise(30, seed=1) * 0.8 ** np.arange(30)
    found = spectral.wiener_deconvolution(np.convolve(x, response), response, 0.0)
    np.testing.assert_allclose(found[:1000], x, atol=1e-9)
    np.testing.assert_allclose(found[1000:], 0, atol=1e-9)


def test_deconvolution_with_a_known_spectrum_reaches_the_least_mean_square_error():
    x, density = coloured(60_000)
    response, std = np.array([1.0, 0.0, -0.7]), 0.8
    heard = np.convolve(x, response)
    found = spectral.wiener_deconvolution(heard + std * noise(len(heard), seed=1), response, std, spectrum=density)
    power = np.abs(np.fft.rfft(response, 256)) ** 2
    least = scipy.integrate.trapezoid(density * std**2 / (power * density + std**2), dx=1 / 128)
    np.testing.assert_allclose(np.mean((found[:60_000] - x) ** 2), least, rtol=0.03)
    guessed = spectral.wiener_deconvolution(heard + std * noise(len(heard), seed=1), response, std)
    assert np.mean((guessed[:60_000] - x) ** 2) < 1.1 * least


def test_factors_take_sources_of_disjoint_bands_apart():
    low, high = (spectral.low_pass(noise(2, 6000, seed=s), RATE, 1500) for s in (0, 1))
    high = high * np.cos(np.pi * np.arange(6000))  # 0..1.5 kHz turned over to 2.5..4 kHz
    found = spectral.nmf_separate(low[0] + high[0], [low[1]], high[1], components=4, iterations=60)
    assert si_sdr(found[0], low[0]) > 15 and si_sdr(found[1], high[0]) > 15
    np.testing.assert_allclose(found[0] + found[1], low[0] + high[0], atol=1e-12)
