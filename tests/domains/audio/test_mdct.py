"""The transform of sounds is a turn of the space, and the one of the textbook."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from domains.audio.mdct import imdct, mdct, mdst, sines_of


def of_textbook(signal, bins, frame):
    """sqrt(2/M) sum of w_n x_n cos(pi/M (n + 1/2) (k + 1/2)) over 2 M samples around a block, n from its first one, w a half sine."""
    n, k = np.arange(-(bins // 2), bins + bins // 2), np.arange(bins)
    window = np.sin(np.pi * (n + bins // 2 + 0.5) / (2 * bins))
    return np.sqrt(2 / bins) * np.cos(np.pi / bins * np.outer(k + 0.5, n + 0.5)) @ (window * signal[frame * bins + n])


@pytest.mark.parametrize("bins", [8, 64, 128])
def test_inner_frames_are_those_of_the_textbook(bins):
    signal = np.random.default_rng(0).standard_normal(12 * bins)
    found = mdct(signal, bins)
    for frame in (2, 5, 9):
        np.testing.assert_allclose(found[frame], of_textbook(signal, bins, frame), atol=1e-12)


def test_it_is_orthonormal_and_undone_to_rounding():
    matrix = mdct(np.eye(96), 16).reshape(96, 96)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(96), atol=1e-12)
    signal = jax.random.normal(jax.random.key(0), (3, 8192))
    there = mdct(signal, 128)
    assert there.dtype == jnp.float32
    np.testing.assert_allclose(imdct(there), signal, atol=4e-6)
    np.testing.assert_allclose((there**2).sum((1, 2)), (signal**2).sum(1), rtol=1e-6)
    sines = mdst(np.eye(96), 16).reshape(96, 96)
    np.testing.assert_allclose(sines @ sines.T, np.eye(96), atol=1e-12)


def test_the_inverse_is_the_transpose():
    x, c = np.random.default_rng(1).standard_normal((2, 640))
    c = c.reshape(20, 32)
    assert np.vdot(mdct(x, 32), c) == pytest.approx(np.vdot(x, imdct(c)), rel=1e-12)


def test_cosines_and_sines_together_are_a_local_spectrum():
    tone = np.cos(0.3 * np.arange(4096) + 0.7)
    cosines = mdct(tone, 128)
    power = cosines**2 + sines_of(cosines) ** 2
    strongest = power[4:-4].max(1)
    assert np.ptp(strongest) < 0.01 * strongest.mean()
    assert np.ptp((cosines**2)[4:-4].max(1)) > 0.3 * strongest.mean()  # which cosines alone do not say


def test_a_length_that_bins_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="100 samples and 16 bins"):
        mdct(np.zeros(100), 16)
    with pytest.raises(ValueError, match="an even number"):
        mdct(np.zeros(105), 15)
