import importlib

import numpy as np
import pytest
import xarray as xr

from sciddm import metrics
from sciddm.errors import UserError


def field(values):
    """DataArray of (time, y, x)."""
    return xr.DataArray(np.asarray(values, float), dims=("time", "y", "x"))


def hann(n):
    return np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)] * 2)


def below(n, cutoff, seed):
    """A field without waves beyond a wavenumber in any direction (else some are in the corners, which belong to no ring)."""
    k = np.fft.fftfreq(n, 1 / n)
    white = np.fft.fft2(np.random.default_rng(seed).standard_normal((n, n)))
    return np.fft.ifft2(white * (np.hypot(k[:, None], k) < cutoff)).real


@pytest.mark.parametrize("wave,ring", [((2, 2), 3), ((1, 1), 1), ((0, 5), 5), ((4, 5), 6)])  # |k| = 2.83, 1.41, 5, 6.40
def test_a_wave_without_window_is_in_the_ring_of_the_nearest_wavenumber_and_in_no_other(wave, ring):
    y, x = np.mgrid[:16, :16]
    z = 17.0 + 3 * np.sqrt(2) * np.cos(2 * np.pi * (wave[0] * y + wave[1] * x) / 16)
    power = metrics.radial_spectrum(field(z[None]), window=None)
    assert float((power * power.modes)[ring - 1]) == pytest.approx(9.0)
    assert float(np.delete(power.values, ring - 1).max()) < 1e-20


def test_a_wave_under_the_window_spreads_over_its_neighbours_and_keeps_its_variance():
    n, k = 64, 8
    wave = np.sqrt(2) * 3.0 * np.sin(2 * np.pi * k * np.arange(n) / n) * np.ones((n, 1))
    power = metrics.radial_spectrum(field(wave[None] + 17.0), spacing=2.0)
    assert float(power.wavelength[power.values.argmax()]) == 128 / k
    # A Hann window spreads a line over three neighbours: all of the variance 9 is between k - 2 and k + 2.
    ring = power * power.modes
    assert float(ring.sum()) == pytest.approx(9.0, rel=1e-6)
    assert float(ring[k - 3 : k + 2].sum()) == pytest.approx(9.0, rel=1e-6)


def test_power_of_all_modes_sums_to_the_variance_windowed_or_not():
    z = below(32, 10, seed=5) + 4.0
    power = metrics.radial_spectrum(field(z[None]), window=None)
    assert float((power * power.modes).sum()) == pytest.approx(z.var())
    window = hann(32)
    z = z - (window * z).sum() / window.sum()
    power = metrics.radial_spectrum(field(z[None]))
    variance = np.mean((window * z) ** 2) / np.mean(window**2)
    assert float((power * power.modes).sum()) == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize("window", ["hann", None])
def test_spectrum_of_white_noise_is_flat_and_of_its_variance(window):
    z = 2.0 * np.random.default_rng(6).standard_normal((400, 32, 32))
    power = metrics.radial_spectrum(field(z), window=window)
    # Of 400 frames and at least 8 / 2 modes a ring, neighbours correlated by the window: under 5 % standard error.
    np.testing.assert_allclose(power[2:] * 32**2, 4.0, rtol=0.1)


def test_spectrum_agrees_with_pysteps_on_the_same_field_windowed_or_not():
    spectral = importlib.import_module("pysteps.utils.spectral")
    n = 32
    z, window = np.random.default_rng(7).standard_normal((n, n)), hann(32)
    windowed = window * (z - (window * z).sum() / window.sum())
    for ours, theirs in (
        (metrics.radial_spectrum(field(z[None])) * np.mean(window**2), windowed),
        (metrics.radial_spectrum(field(z[None]), window=None), z),
    ):
        expected = spectral.rapsd(theirs, fft_method=np.fft)  # |F|^2 / N^2, ring 0 first
        np.testing.assert_allclose(ours[: n // 2 - 1] * n**2, expected[1 : n // 2], rtol=1e-6)


@pytest.mark.parametrize("window", ["hann", None])
def test_missing_pixels_have_no_power_and_a_constant_field_none_wherever_they_are(window):
    z = np.full((2, 16, 16), 17.0)
    z[0, 3:6, 4:9] = np.nan
    np.testing.assert_allclose(metrics.radial_spectrum(field(z), window=window), 0.0, atol=1e-20)
    shifted = np.where(np.isnan(z), np.nan, z + below(16, 5, seed=1))
    a, b = (metrics.radial_spectrum(field(shifted + c), window=window) for c in (0.0, 100.0))
    np.testing.assert_allclose(a, b, rtol=1e-9)


def test_arrays_have_the_same_spectrum_as_labelled_fields_and_keep_axes_by_number():
    z = np.random.default_rng(9).standard_normal((3, 4, 16, 16))
    named = xr.DataArray(z, dims=("event", "time", "y", "x"), coords={"time": [5, 10, 15, 20]})
    kept = metrics.radial_spectrum(named.transpose("y", "event", "x", "time"), keep="time")
    assert kept.dims == ("time", "wavelength") and list(kept.time) == [5, 10, 15, 20]
    np.testing.assert_allclose(metrics.radial_spectrum(z, keep=("axis_1",)), kept)
    np.testing.assert_allclose(metrics.radial_spectrum(z), kept.mean("time"))


def test_spectrum_error_is_of_members_and_not_of_their_mean():
    observed = np.random.default_rng(8).standard_normal((1, 32, 32))
    same = metrics.spectrum_error_dB(np.stack([observed, -observed]), observed)
    assert float(same["max"]) == pytest.approx(0.0, abs=1e-9)
    louder = metrics.spectrum_error_dB(np.sqrt(10) * observed[None], observed)
    assert float(louder["max"]) == pytest.approx(10.0) == float(louder["mean"])
    assert float(louder.wavelength.min()) > 4
    kept = metrics.spectrum_error_dB(np.sqrt(10) * np.stack([observed, 10 * observed]), observed, keep="member")
    np.testing.assert_allclose(kept["max"], [10.0, 30.0])


def test_a_field_that_is_not_square_and_an_unknown_window_are_refused():
    with pytest.raises(UserError, match="square fields, got 8 x 6"):
        metrics.radial_spectrum(field(np.zeros((1, 8, 6))))
    with pytest.raises(UserError, match="expected 'hann' or None, got 'tukey'"):
        metrics.radial_spectrum(np.zeros((8, 8)), window="tukey")
