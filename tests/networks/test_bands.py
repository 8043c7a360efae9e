"""What is finer than a network passes on goes past it: by how much is known in closed form."""

import jax
import numpy as np
import pytest
from flax import nnx
from networks.common import filled, normal, run

import sciddm as sd
from sciddm.networks import split
from sciddm.networks.bands import BLURS, LONG, Bands, blur

AXES = {1: (True,), 2: (False, True), 3: (True, False, False)}
GRIDS = {1: (24,), 2: (7, 12), 3: (5, 6, 1)}


def blurred(x, sigma, periodic):
    """By definition: along each axis the sum over all points, and over what comes around within 40 points where it is periodic."""
    for axis, wraps in enumerate(periodic, 1):
        size = x.shape[axis]
        turns = np.arange(-(40 // size) - 1, 40 // size + 2) * size if wraps else np.zeros(1)
        distance = np.arange(size)[:, None, None] - np.arange(size)[:, None] + turns
        weights = np.exp(-0.5 * (distance / sigma) ** 2).sum(-1)
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ (weights / weights.sum(1, keepdims=True)).T, -1, axis)
    return x


def with_gain(ndim, gain, channels=2):
    """Bands whose gain is this at every level, and whose convolutions are zero."""
    bands = split(Bands(channels, ndim=ndim, features=8, width=4, periodic=AXES[ndim], rngs=nnx.Rngs(0)))
    bias = np.full_like(bands.params["gain"]["bias"], gain)
    return bands.replace(bands.params | {"gain": bands.params["gain"] | {"bias": bias}})


def add_fine(bands, x, answer, level):
    # `run` hands on (x, noise level, cond): these modules take the answer in the level's place.
    return run(bands, x, answer, level)


@pytest.mark.parametrize("ndim", AXES)
def test_blur_is_the_gaussian_mean_around_each_point(ndim):
    x = normal(1, 2, *GRIDS[ndim], 3)
    for sigma in BLURS:
        np.testing.assert_allclose(blur(x, sigma, AXES[ndim]), blurred(x, sigma, AXES[ndim]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("periodic", [False, True])
def test_blur_along_a_long_axis_is_the_same(periodic):
    x = normal(1, 1, LONG + 7, 2, 1)
    found = jax.jit(lambda x: blur(x, 2.0, (periodic, False)))(x)
    np.testing.assert_allclose(found, blurred(x, 2.0, (periodic, False)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ndim", AXES)
def test_with_wiener_gains_bands_give_the_posterior_mean_of_white_fine_detail(ndim):
    # x_0 white with unit variance: E[x_0 | x_t] = alpha x_t at alpha^2 + sigma^2 = 1, in every scale. Amplified noise has unit
    # variance, so the signal's share alpha of a band that stands 1 / sigma high takes the gain alpha sigma.
    process, x_t = sd.GaussianProcess.cosine(), normal(2, 2, *GRIDS[ndim], 2)
    for t in (0.1, 0.6):
        alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
        bands = with_gain(ndim, alpha * sigma)
        denoiser = sd.NetworkDenoiser(lambda x, level, cond, bands=bands: add_fine(bands, x, 0 * x, level), process, "x0")
        fine = x_t - blurred(x_t, BLURS[-1], AXES[ndim])
        np.testing.assert_allclose(denoiser(x_t, t), alpha * fine, rtol=1e-4, atol=1e-5)


def test_a_coarse_answer_and_bands_make_the_whole_field_at_small_noise():
    x, s = normal(3, 2, *GRIDS[2], 2), 0.05
    whole = add_fine(with_gain(2, s / np.hypot(1, s)), x, np.asarray(blurred(x, BLURS[-1], AXES[2])), np.log(s) / 4)
    np.testing.assert_allclose(whole, x, rtol=1e-4, atol=1e-5)


def test_a_fresh_path_leaves_the_answer_alone():
    x, answer = normal(3, 2, *GRIDS[2], 2), normal(4, 2, *GRIDS[2], 2)
    np.testing.assert_array_equal(add_fine(with_gain(2, 0.0), x, answer, np.float32(0.3)), answer)


def test_the_path_commutes_with_a_roll_along_its_periodic_axis_alone_and_sees_the_answer():
    bands = filled(Bands(2, ndim=2, features=8, width=4, periodic=AXES[2], rngs=nnx.Rngs(0)))
    x, answer, level = normal(3, 2, *GRIDS[2], 2), normal(4, 2, *GRIDS[2], 2), np.float32([-0.2, 0.3])
    here = add_fine(bands, x, answer, level)
    for axis in (1, 2):
        furthest = np.abs(add_fine(bands, np.roll(x, 3, axis), np.roll(answer, 3, axis), level) - np.roll(here, 3, axis)).max()
        assert furthest < 1e-4 if axis == 2 else furthest > 1e-2
    assert np.abs(add_fine(bands, x, 2 * answer, level) - here - answer).max() > 1e-2
