"""What is heard is linear, with the adjoint that guides use; what is certain is a projection; and a gap's law is the exact one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy

import sciddm as sd
from domains.audio.damage import Damage
from domains.audio.mdct import mdct
from domains.audio.observe import Filtered, Known, Wave
from domains.audio.part import Part
from domains.audio.put_back import continued
from sciddm.lookahead import mmps, synchronize, windows

BINS, FRAMES = 8, 6
SAMPLES = BINS * FRAMES
STD = np.linspace(1.0, 0.3, BINS)


class Model:
    """What a part asks of a domain."""

    std, rate, bins, samples = STD, 8000, BINS, SAMPLES


def autoregression(samples, a=(-1.6, 0.8)):
    """(n, n) covariance of the stationary x_t = 1.6 x_{t-1} - 0.8 x_{t-2} + e_t, and unit variance."""
    r = np.zeros(samples)
    r[0], r[1] = 1.0, -a[0] / (1 + a[1])
    for lag in range(2, samples):
        r[lag] = -a[0] * r[lag - 1] - a[1] * r[lag - 2]
    return scipy.linalg.toeplitz(r)


def of_coefficients(covariance):
    """That of the normalised coefficients of signals with this covariance."""
    turn = mdct(np.eye(len(covariance)), BINS).reshape(len(covariance), -1) / np.tile(STD, len(covariance) // BINS)
    return turn.T @ covariance @ turn


@pytest.mark.parametrize("taps", [None, np.array([0.2, 0.5, -0.1])])
def test_what_is_heard_passes_the_dot_product_test(taps, x64):
    mixing = jnp.asarray([[1.0, 0.5], [0.3, -2.0]])
    wave = Wave(jnp.asarray(STD), mixing, jnp.linalg.inv(mixing))
    heard = wave if taps is None else sd.lookahead.operators.Compose(wave, Filtered(jnp.asarray(taps)))
    z = jax.random.normal(jax.random.key(0), (2, FRAMES, BINS, 2))
    y, adjoint = jax.vjp(heard, z)
    u = jax.random.normal(jax.random.key(1), y.shape)
    assert jnp.vdot(y, u) == pytest.approx(float(jnp.vdot(z, adjoint(u)[0])), rel=1e-10)
    np.testing.assert_allclose(wave.inverse(wave(z)), z, atol=1e-12)
    if taps is not None:
        expected = np.convolve(np.asarray(wave(z))[1, :, 0], taps, "same")
        np.testing.assert_allclose(y[1, :, 0], expected, atol=1e-12)


def test_what_is_certain_is_put_back_and_the_rest_goes_on(x64):
    rng = np.random.default_rng(0)
    sound = rng.standard_normal((SAMPLES, 1))
    known, side = rng.random((SAMPLES, 1)) < 0.5, np.sign(rng.standard_normal((SAMPLES, 1)))
    side = np.where(known, 0.0, side * (rng.random((SAMPLES, 1)) < 0.5))
    wave = Wave(jnp.asarray(STD))
    project = Known(wave, jnp.asarray(sound), jnp.asarray(known), jnp.asarray(side))
    z = jax.random.normal(jax.random.key(0), (3, FRAMES, BINS, 1))
    before, after = np.asarray(wave(z)), np.asarray(wave(project(z)))
    np.testing.assert_allclose(after[:, known], np.broadcast_to(sound[known], (3, known.sum())), atol=1e-12)
    assert np.all(side * (after - sound) >= -1e-12)
    moved = continued(jnp.asarray(sound - before), jnp.asarray(known, float)[None], wave, wave.inverse, 10)
    free = ~known & (side * (before + moved - sound) >= 0)
    np.testing.assert_allclose(after[free], (before + moved)[free], atol=1e-12)
    np.testing.assert_allclose(project(project(z)), project(z), atol=1e-12)


def test_the_law_of_a_gap_is_the_closed_form():
    """A Gaussian autoregression with its exact denoiser, asked as tasks ask: mean and covariance of the gap to Monte-Carlo error."""
    prior = autoregression(SAMPLES)
    sound = np.random.default_rng(3).multivariate_normal(np.zeros(SAMPLES), prior)
    gap = np.zeros(SAMPLES, bool)
    gap[20:27] = True
    given = prior[np.ix_(gap, ~gap)] @ np.linalg.inv(prior[np.ix_(~gap, ~gap)] + 1e-4 * np.eye(SAMPLES - gap.sum()))
    mean, covariance = given @ sound[~gap], prior[np.ix_(gap, gap)] - given @ prior[np.ix_(~gap, gap)]

    law = sd.oracle.GaussianMixture(np.ones(1), np.zeros((1, SAMPLES)), of_coefficients(prior))
    denoiser = law.denoiser(sd.GaussianProcess.edm(), (FRAMES, BINS, 1))
    observation = Part.of_damage(Damage(sound, gap=gap)).observation(Model, 1e-2)
    count = 1500
    samples, _ = sd.sample(
        jax.random.key(0), mmps(denoiser, observation, iterations=40), (count, FRAMES, BINS, 1), solver="dpmpp2m", steps=40, grid="logsnr"
    )
    found = np.asarray(Wave(jnp.asarray(STD, jnp.float32))(samples))[:, gap, 0]
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(found.mean(0) - mean), 5 * spread / np.sqrt(count) + 0.01)
    np.testing.assert_allclose(np.cov(found.T) / np.outer(spread, spread), covariance / np.outer(spread, spread), atol=0.12)
    assert spread.max() > 2 * spread.min()  # a gap that is anything but white


def by_windows(prior, size, starts, steps=600):
    """(n, n) covariance of what the probability flow makes of windows of a Gaussian that are averaged: in the limit of small steps."""
    count = starts[-1] + size
    picked = [np.eye(count)[start : start + size] for start in starts]
    share = 1.0 / sum(one.sum(0) for one in picked)
    variance, basis = np.linalg.eigh(prior)

    def slope(sigma, flow):  # sigma dx/dsigma = x - x0_hat
        window = basis * (variance / (variance + sigma**2)) @ basis.T
        return flow - share[:, None] * sum(one.T @ (window @ (one @ flow)) for one in picked)

    levels = np.geomspace(80.0, 1e-3, steps + 1)
    flow = 80.0 * np.eye(count)
    for sigma, after in zip(levels[:-1], levels[1:], strict=True):
        step = np.log(after / sigma)
        first = slope(sigma, flow)
        flow = flow + 0.5 * step * (first + slope(after, flow + step * first))
    return flow @ flow.T


def test_windows_of_a_chain_have_the_law_that_averages_leave():
    """An autoregression three windows long, by windows that overlap by half: seams and all, as by linear algebra."""
    count, frames = 3 * SAMPLES, 3 * FRAMES
    prior = of_coefficients(autoregression(SAMPLES))
    starts = range(0, count - SAMPLES + 1, SAMPLES // 2)
    turn = np.tile(STD, frames)[:, None] * mdct(np.eye(count), BINS).reshape(count, -1).T
    expected = turn.T @ by_windows(prior, SAMPLES, starts) @ turn  # of the waveform
    denoiser = sd.oracle.GaussianMixture(np.ones(1), np.zeros((1, SAMPLES)), prior).denoiser(sd.GaussianProcess.edm(), (FRAMES, BINS, 1))
    whole = synchronize(denoiser, windows(frames, FRAMES, FRAMES // 2))
    draws = 4000
    samples, _ = sd.sample(jax.random.key(0), whole, (draws, frames, BINS, 1), solver="dpmpp2m", steps=40, grid="logsnr")
    waves = np.asarray(Wave(jnp.asarray(STD, jnp.float32))(samples))[..., 0]
    found, scale = waves.T @ waves / draws, np.sqrt(np.diag(expected))
    error = (found - expected) / np.outer(scale, scale)
    assert np.abs(error).max() < 5.5 / np.sqrt(draws) + 0.02
    exact = autoregression(count)
    lost = 1 - np.diag(expected) / np.diag(exact)
    edges, middle = lost[: SAMPLES // 4].mean(), lost[SAMPLES // 2 : -SAMPLES // 2].mean()
    assert abs(edges) < 0.02 and 0.02 < middle < 0.1  # what one window sees alone is as it should be; averages are quieter
