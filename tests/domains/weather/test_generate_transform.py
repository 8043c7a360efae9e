"""The rain generator has the law it documents, and the transform its inverse."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from domains.weather import generate
from domains.weather.transform import NO_ECHO, decode, encode, rain_rate, reflectivity
from sciddm import UserError


def still(index, **changes):
    """An event without wind, whose frames are the moving frame itself."""
    event = generate.Event(3, index, 64)
    values = {**event.climate.__dict__, "wind": (0.0, 0.0), "shear": 0.0, "threshold": 0.0, "scale": 4.0} | changes
    event.climate = generate.Climate(**values)
    return event


def unclipped(event, count):
    # scale 4 around 15 dBZ: [0, 65] is reached at -3.75 standard deviations only
    return (event.frames(count) - generate.RAIN) / event.climate.scale


def test_modes_forget_at_the_rate_of_their_scale():
    # Correlation of neighbouring frames, in a ring of wavenumbers, is the ring's mean of r_k weighed with power.
    events = [still(i) for i in range(12)]
    pairs = [unclipped(event, 2) for event in events]
    n = 64
    k = np.hypot(np.fft.fftfreq(n, generate.SPACING)[:, None], np.fft.fftfreq(n, generate.SPACING)[None])
    window = np.outer(
        np.hanning(n), np.hanning(n)
    )  # the square is cut out of a wider one: without it, edges leak into all scales
    for low, high in ((1 / 40, 1 / 25), (1 / 20, 1 / 14), (1 / 12, 1 / 9)):
        ring = (k > low) & (k <= high)
        f = [np.fft.fft2(pair * window) for pair in pairs]
        cross = sum(np.real(a[ring] * np.conj(b[ring])).sum() for a, b in f)
        power = sum(0.5 * (np.abs(a[ring]) ** 2 + np.abs(b[ring]) ** 2).sum() for a, b in f)
        middle = generate.memory(np.array([low, high]))
        count = ring.sum() * len(events)
        tolerance = 3 / np.sqrt(count)
        assert middle.min() - tolerance < cross / power < middle.max() + tolerance


def test_fields_have_unit_variance_and_the_spectrum_of_two_slopes():
    fields = np.stack([unclipped(still(i, slopes=(2.0, 3.0), break_km=40.0), 1)[0] for i in range(40)])
    # Over the wide square variance is 1 exactly in expectation; of its fluctuations a correlation length of 40 km leaves about 12 a square.
    assert abs(np.mean(fields**2) - 1.0) < 3 * np.sqrt(2 / (12 * 40))
    event = still(0, slopes=(2.0, 3.0), break_km=40.0)
    power = event.amplitude**2
    assert np.isclose((2 * power.sum() - power[:, [0, -1]].sum()) / event.domain**2, 1.0, rtol=1e-5)
    along = power[0, 1:] / power[0, 1]
    k = event.wavenumber[0, 1:]
    first, second = k < 1 / 45, k > 1 / 35
    slope = lambda part: np.polyfit(np.log(k[part]), np.log(along[part]), 1)[0]  # noqa: E731
    assert np.isclose(slope(first & (k > 1 / 256)), -2.0, atol=0.02) and np.isclose(slope(second), -3.0, atol=0.02)


def test_rain_moves_with_the_wind():
    # One pixel down and two to the right a frame, and nothing ages: each frame is the one before, shifted.
    event = still(0, wind=(1.0, 2.0))
    event.memory = np.ones_like(event.memory)
    frames = event.frames(3)
    np.testing.assert_allclose(frames[1][1:, 2:], frames[0][:-1, :-2], atol=2e-2)
    np.testing.assert_allclose(frames[2][2:, 4:], frames[0][:-2, :-4], atol=2e-2)


def test_the_wind_is_free_of_divergence():
    v = generate.Event(0, 5, 64).displacement().astype(float)
    n = v.shape[1]
    k = 2j * np.pi * np.fft.fftfreq(n)
    divergence = np.fft.ifft2(k[:, None] * np.fft.fft2(v[0]) + k[None, :] * np.fft.fft2(v[1]))
    shear = np.sqrt(np.mean((v - v.mean((1, 2), keepdims=True)) ** 2))
    assert shear > 0.05 and np.abs(divergence).max() < 1e-5


def test_the_wet_share_is_that_of_the_climate():
    events = [generate.Event(1, i, 64) for i in range(60)]
    wet = np.array([(event.frames(1)[0] > generate.RAIN).mean() for event in events])
    asked = np.array([scipy.special.ndtr(-event.climate.threshold) for event in events])
    error = wet - asked
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(len(events)) and asked.min() > 0.079 and asked.max() < 0.451


def test_an_event_depends_on_seed_and_index_alone_and_an_oracle_keeps_its_past():
    alone = generate.make_events(4, [7], 6, 32)[0]
    np.testing.assert_array_equal(generate.make_events(4, [6, 7], 6, 32)[1], alone)
    assert np.abs(generate.make_events(5, [7], 6, 32)[0] - alone).max() > 1
    event = generate.Event(4, 7, 32)
    futures = [event.frames(6, future_seed=seed, known=4) for seed in (0, 1)]
    for future in futures:
        np.testing.assert_array_equal(future[:4], alone[:4])
        assert np.abs(future[4:] - alone[4:]).max() > 1
    assert np.abs(futures[0][4:] - futures[1][4:]).max() > 1


def test_the_oracle_is_calibrated():
    # Truth and oracle members are exchangeable, so (1 + 1/M) var = error of the mean, in expectation.
    variance, error = [], []
    for i in range(24):
        event = generate.Event(9, i, 32)
        truth = event.frames(7)[4:]
        members = np.stack([event.frames(7, future_seed=s, known=4)[4:] for s in range(4)])
        variance.append(1.25 * members.var(0, ddof=1).mean())
        error.append(((members.mean(0) - truth) ** 2).mean())
    ratio = np.asarray(variance) - np.asarray(error)
    assert abs(ratio.mean()) < 3 * ratio.std() / np.sqrt(len(ratio))


def test_archive_is_made_once_and_refuses_impossible_sizes(tmp_path):
    first = generate.ensure_archive(3, 5, 32, 0, tmp_path, progress=False)
    again = generate.ensure_archive(3, 5, 32, 0, tmp_path, progress=False)
    np.testing.assert_array_equal(first.frames, again.frames)
    assert first.events() == [(0, 5), (5, 10), (10, 15)] and first.interval == generate.INTERVAL
    np.testing.assert_allclose(first.dBZ(slice(5, 10)), generate.make_events(0, [1], 5, 32)[0], atol=0.00501)
    with pytest.raises(UserError, match="config.data.events = 1"):
        generate.ensure_archive(1, 5, 32, 0, tmp_path)


def test_transform_has_its_inverse_and_keeps_what_is_missing():
    dbz = np.array([0.0, 0.3, 14.9, 65.0, np.nan], np.float32)
    x = encode(dbz)
    assert x[0] == NO_ECHO
    np.testing.assert_array_equal(decode(x), dbz)
    # samples near no echo, just below the least echo, and above the scale
    np.testing.assert_array_equal(decode(np.array([-2.7, -1.1, -0.9, 80.0])), [0.0, 0.0, 0.0, 75.0])
    np.testing.assert_array_equal(np.asarray(decode(jnp.asarray(x[:4]))), dbz[:4])


def test_rain_rates_are_marshall_palmer():
    # Z = 200 R^1.6: 1 mm/h is 23.01 dBZ, 10 mm/h 39.01 dBZ
    np.testing.assert_allclose(reflectivity(np.array([1.0, 10.0])), 10 * np.log10([200.0, 200 * 10**1.6]), rtol=1e-6)
    np.testing.assert_allclose(rain_rate(reflectivity(np.array([0.1, 1.0, 40.0]))), [0.1, 1.0, 40.0], rtol=1e-6)
    assert rain_rate(np.array([0.0]))[0] == 0 and reflectivity(np.array([0.0, 0.01]))[1] == 0
    assert np.isnan(reflectivity(np.array([np.nan]))[0])
