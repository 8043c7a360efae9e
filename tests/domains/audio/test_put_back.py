"""What is put back goes on where nothing is known as the mean of the noise there, by linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from domains.audio.mdct import imdct, mdct
from domains.audio.put_back import continued, distance

BINS, FRAMES = 16, 8
SAMPLES = BINS * FRAMES
STD = np.geomspace(1.0, 1e-3, BINS)  # steeper than speech
KNOWN = (np.arange(SAMPLES) % 50 < 35).astype(float)


def inverse(wave):
    return mdct(wave, BINS) / STD.astype(wave.dtype)


def wave(coefficients):
    return imdct(coefficients * STD.astype(coefficients.dtype))


def exact(residual, known):
    """E[n_u | n_k] of a Gaussian whose normalised coefficients are white."""
    turn = mdct(np.eye(SAMPLES), BINS) * STD  # samples by coefficients
    turn = turn.reshape(SAMPLES, -1)
    covariance = turn @ turn.T
    k, u, found = known > 0, known == 0, np.array(residual)
    found[:, u] = residual[:, k] @ np.linalg.solve(covariance[np.ix_(k, k)], covariance[np.ix_(k, u)])
    return found


def noise(count=3):
    return np.random.default_rng(0).standard_normal((count, FRAMES, BINS))


def test_it_is_the_mean_given_what_is_known(x64):
    residual = np.random.default_rng(1).standard_normal((3, SAMPLES))
    found = np.asarray(continued(jnp.asarray(residual), jnp.asarray(KNOWN)[None], wave, inverse, turns=200))
    np.testing.assert_allclose(found, exact(residual, KNOWN), atol=1e-8)


def test_a_few_turns_leave_little_of_the_click_that_a_replacement_leaves(x64):
    """Of residuals like noise, in the norm of normalised coefficients, at most a hundredth of what the replacement is above the least."""
    turn = mdct(np.eye(SAMPLES), BINS).reshape(SAMPLES, -1)
    residual = (noise() * STD).reshape(3, -1) @ turn.T
    size = lambda delta: float((np.asarray(inverse(jnp.asarray(delta))) ** 2).sum())  # noqa: E731
    least, replaced = size(exact(residual, KNOWN)), size(residual * KNOWN)
    few = size(continued(jnp.asarray(residual), jnp.asarray(KNOWN)[None], wave, inverse))
    assert least <= few < least + (replaced - least) / 100
    assert replaced > 1.3 * least


@pytest.mark.parametrize("known", [np.zeros(SAMPLES), np.ones(SAMPLES)])
def test_nothing_known_changes_nothing_and_all_known_replaces_all(known):
    residual = jnp.asarray(np.random.default_rng(1).standard_normal((2, SAMPLES)), jnp.float32)
    found = continued(residual, jnp.asarray(known, jnp.float32)[None], wave, inverse)
    np.testing.assert_array_equal(found, residual * known)
    slope = jax.grad(lambda x: (continued(x, jnp.asarray(known, jnp.float32)[None], wave, inverse) ** 2).sum())(residual)
    np.testing.assert_allclose(slope, 2 * residual * known, rtol=1e-6)


@pytest.mark.parametrize("known", [KNOWN, 1 - KNOWN, np.arange(SAMPLES) == 100, np.arange(SAMPLES) == 0])
def test_the_distance_is_to_the_nearest_sample_that_is_known(known):
    at = np.arange(SAMPLES)
    nearest = np.abs(at[:, None] - at[known > 0]).min(1)
    found = distance(jnp.asarray(np.stack([known, np.zeros(SAMPLES)]), jnp.float32))
    np.testing.assert_array_equal(found, [nearest, np.full(SAMPLES, np.inf)])
