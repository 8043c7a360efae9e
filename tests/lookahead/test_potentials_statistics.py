import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser

import sciddm as sd
from sciddm.lookahead import Observation, conjunction, mixture
from sciddm.lookahead.observe.statistics import Gram, PowerSpectrum, Quantiles


def test_conjunction_adds_and_mixture_averages_the_densities():
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    first = Observation(np.eye(3)[:1], np.array([1.0]), 0.5)
    second = lambda x_0, t: -jnp.sum(x_0**2, -1) * t  # noqa: E731
    potentials = (
        first, second, conjunction(first, second), conjunction(first, second, weights=[2.0, 0.1]),
        mixture(first, second), mixture(first, second, weights=[3.0, 1.0]),
    )  # fmt: skip
    a, b, *values = (np.asarray(value) for value in jax.jit(lambda v: [one(v, 0.5) for one in potentials])(x))
    halves, weighted = np.log(0.5 * np.exp(a) + 0.5 * np.exp(b)), np.log(0.75 * np.exp(a) + 0.25 * np.exp(b))
    for value, expected in zip(values, (a + b, 2 * a + 0.1 * b, halves, weighted), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    # far from all of it the nearest one draws
    far = mixture(lambda x_0, t: -1e4 + x_0[:, 0], lambda x_0, t: -2e4 + x_0[:, 1])
    gradient = jax.jit(jax.grad(lambda v: far(v, 0.5).sum()))(x)
    np.testing.assert_allclose(gradient, np.broadcast_to(np.eye(3)[0], (5, 3)))


def test_a_conjunction_steers_as_the_joint_observation():
    denoiser = gaussian_denoiser(sd.GaussianProcess.vp(), 1.0)
    x_t, eye, y = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), np.eye(3), np.array([1.0, -1.0])
    together = Observation(eye[:2], y, 0.3)
    parts = conjunction(Observation(eye[:1], y[:1], 0.3), Observation(eye[1:2], y[1:], 0.3))
    both = jax.jit(lambda x: [sd.lookahead.steer(denoiser, potential)(x, 0.5) for potential in (together, parts)])
    np.testing.assert_allclose(*both(x_t), rtol=1e-5, atol=1e-6)


def test_weights_that_make_no_sense_are_refused():
    one = lambda x_0, t: x_0[:, 0]  # noqa: E731
    for wrong in (
        lambda: conjunction(), lambda: conjunction(one, weights=[1.0, 2.0]), lambda: mixture(one, one, weights=[1.0, -1.0]),
        lambda: mixture(one, weights=[0.0]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            wrong()


def test_the_spectrum_of_white_noise_is_flat_at_its_variance():
    std = np.array([0.5, 2.0], np.float32)
    x = std * np.random.default_rng(0).normal(size=(200, 16, 16, 2)).astype(np.float32)
    spectrum, logarithm = jax.tree.map(
        np.asarray, jax.jit(lambda x: (PowerSpectrum(log=False)(x), PowerSpectrum(floor=0.1)(x)))(x)
    )
    assert spectrum.shape == (200, 8, 2)
    # the first shell holds 4 modes, 2 of them independent: 200 fields know it to 1 / sqrt(400)
    np.testing.assert_allclose(spectrum.mean(0), np.broadcast_to(std**2, (8, 2)), rtol=4 / np.sqrt(400))
    np.testing.assert_allclose(logarithm, np.log(spectrum + 0.1), rtol=1e-5, atol=1e-5)


def test_one_wave_fills_one_shell():
    wave = 3.0 * np.cos(2 * np.pi * 3 * np.arange(16) / 16)
    x = np.asarray(7.0 + np.broadcast_to(wave[:, None, None], (1, 16, 16, 1)), np.float32)
    spectrum = np.asarray(eqx.filter_jit(PowerSpectrum(log=False))(x))[0, :, 0]
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(16, 1 / 16), np.fft.fftfreq(16, 1 / 16)))
    modes = np.sum((frequencies > 2) & (frequencies <= 3))
    expected = np.zeros(8)
    expected[2] = 2 * (3.0 / 2) ** 2 * 256 / modes  # two modes of (amplitude / 2)^2 N
    np.testing.assert_allclose(spectrum, expected, rtol=1e-5, atol=1e-4)
    assert jax.eval_shape(PowerSpectrum(4), jnp.ones((2, 9, 3))).shape == (2, 4, 3)
    with pytest.raises(ValueError, match="holds no mode"):
        PowerSpectrum(40)(x)
    gradient = jax.jit(jax.grad(lambda v: PowerSpectrum()(v).sum()))
    assert np.isfinite(gradient(np.zeros_like(x))).all() and np.abs(gradient(x)).max() > 0


def test_quantiles_are_those_of_the_sample():
    x = np.stack([np.arange(101.0), 2 * np.arange(101.0)[::-1]], -1)[None].astype(np.float32)
    operator = Quantiles([0.0, 0.25, 0.5, 0.999])
    found, gradient = jax.tree.map(
        np.asarray, jax.jit(lambda x: (operator(x), jax.grad(lambda v: Quantiles([0.255])(v).sum())(x)))(x)
    )
    np.testing.assert_allclose(found[0], np.array([0.0, 25.0, 50.0, 99.9])[:, None] * [1, 2], rtol=1e-5)
    # between entries 25 and 26, half each
    assert gradient[0, 25, 0] == pytest.approx(0.5, abs=1e-4) and gradient[0, 26, 0] == pytest.approx(0.5, abs=1e-4)


def test_gram_is_the_mean_outer_product_of_features():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    features = lambda v: {"itself": v, "squared": v**2}  # noqa: E731
    grams = eqx.filter_jit(Gram(features))(x)
    rows = np.asarray(x).reshape(2, 20, 3)
    np.testing.assert_allclose(grams["itself"], rows.transpose(0, 2, 1) @ rows / 20, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grams["squared"][0], (rows[0] ** 2).T @ rows[0] ** 2 / 20, rtol=1e-4)


def test_steering_by_a_spectrum_gives_samples_that_spectrum():
    process = sd.GaussianProcess.vp()
    white = sd.FunctionDenoiser(lambda x, t, cond: process.alpha(t) * x, process)  # N(0, I)
    target = np.linspace(2.0, -2.0, 4)[:, None]
    obs = Observation(PowerSpectrum(4, floor=0.01), np.log(np.exp(target) + 0.01), 0.1)
    samples, info = sd.sample(
        jax.random.key(0), sd.lookahead.steer(white, obs), (8, 16, 16, 1), solver="ddpm", steps=60
    )
    residual, noise = eqx.filter_jit(obs.residual), np.random.default_rng(1).normal(size=(8, 16, 16, 1))
    assert np.abs(residual(noise.astype(np.float32))).mean() > 1.0
    assert np.abs(residual(samples)).mean() < 0.2
    assert info["residual"].shape == (60, 8)
