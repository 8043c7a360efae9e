import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

import sciddm as sd

ops = sd.lookahead.operators


def seen(operator, x):
    """What the operator makes of x, in one program."""
    return np.asarray(jax.jit(lambda v: operator(v))(x))


def test_operators_agree_with_their_adjoints_by_dot_product():
    rng = np.random.default_rng(1)
    x, kernel, matrix = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 4, 4, 1), (3, 2), (3, 16)))
    for operator in (
        ops.Downsample(2), ops.Mask(np.arange(16.0).reshape(4, 4, 1) % 3 == 0), ops.Points(np.array([1, 7, 9])),
        ops.Points(np.array([[1, 7], [2, 3]])), ops.Matrix(matrix),
        ops.Blur(kernel), ops.Blur(kernel, periodic=False), ops.Blur(0.7), ops.Fourier(np.arange(16).reshape(4, 4) % 3 == 0),
        ops.LineIntegrals(np.array([0.0, 0.4, 2.0]), (4, 4)), ops.Compose(ops.Blur(0.7), ops.Downsample(2)),
    ):  # fmt: skip
        obs = sd.lookahead.Observation(operator, 0.0, 1.0)

        @jax.jit
        def both_ways(x, u, obs=obs):
            prediction, adjoint = obs.linearize(x)
            return prediction, adjoint(u), obs.forward(x)(x), obs.operator(3.0 * x)

        u = np.random.default_rng(0).normal(size=jax.eval_shape(operator, x).shape).astype(np.float32)
        prediction, back, again, thrice = (np.asarray(value) for value in both_ways(x, u))
        np.testing.assert_allclose(np.vdot(prediction, u), np.vdot(x, back), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(again, prediction, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(thrice, 3.0 * prediction, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("periodic,mode", [(True, "wrap"), (False, "constant")])
def test_blur_is_the_direct_convolution(periodic, mode):
    rng = np.random.default_rng(0)
    x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((1, 6, 7, 2), (3, 5)))
    expected = np.stack([scipy.ndimage.convolve(x[0, ..., c], kernel, mode=mode) for c in range(2)], -1)
    np.testing.assert_allclose(seen(ops.Blur(kernel, periodic), x)[0], expected, atol=1e-5)


def test_blur_of_a_point_is_the_kernel_in_any_number_of_axes():
    kernel = np.arange(1.0, 28.0).reshape(3, 3, 3)
    point, line = np.zeros((1, 5, 5, 5, 1), np.float32), np.zeros((1, 41, 1), np.float32)
    point[0, 2, 2, 2], line[0, 20] = 1.0, 1.0
    np.testing.assert_allclose(seen(ops.Blur(kernel), point)[0, 1:4, 1:4, 1:4, 0], kernel, atol=1e-4)
    gaussian = np.exp(-0.5 * (np.arange(41) - 20) ** 2 / 4.0) / np.sqrt(2 * np.pi * 4.0)
    for periodic in (True, False):
        np.testing.assert_allclose(seen(ops.Blur(2.0, periodic), line)[0, :, 0], gaussian, atol=1e-6)
    np.testing.assert_allclose(seen(ops.Blur(1.5), np.ones((1, 8, 1), np.float32)), 1.0, rtol=1e-5)


def test_line_integrals_of_a_disc_are_its_chords_at_every_angle():
    rows, columns = np.mgrid[:32, :32] - 15.5
    radius, shift = 10.0, np.array([2.0, -3.0])  # off centre: a wrong sign of an angle shows
    distance = np.hypot(rows - shift[0], columns - shift[1])
    disc = np.clip(radius + 0.5 - distance, 0.0, 1.0)[None, :, :, None]
    angles = np.array([0.0, 0.3, np.pi / 4, np.pi / 2, 2.5])
    chords = seen(ops.LineIntegrals(angles, (32, 32)), np.asarray(disc, np.float32))[0, :, :, 0]
    offsets = np.arange(32) - 15.5
    centre = shift[0] * np.cos(angles) - shift[1] * np.sin(angles)
    from_centre = offsets[None, :] - centre[:, None]
    exact = 2 * np.sqrt(np.maximum(radius**2 - from_centre**2, 0.0))
    inner = np.abs(from_centre) < 0.9 * radius
    np.testing.assert_allclose(chords[inner], exact[inner], atol=0.03 * 2 * radius)
    assert np.abs(chords[np.abs(from_centre) > radius + 2]).max() == 0.0


def test_line_integrals_at_right_angles_are_sums_of_rows_and_of_columns():
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)
    sums = seen(ops.LineIntegrals(np.array([0.0, np.pi / 2]), (6, 6)), x)
    np.testing.assert_allclose(sums[:, 0], x.sum(2), atol=1e-5)
    np.testing.assert_allclose(sums[:, 1], x.sum(1)[:, ::-1], atol=1e-5)


def test_fourier_sees_a_plane_wave_in_its_two_modes_and_keeps_the_norm():
    n = 8
    phase = 2 * np.pi * (2 * np.arange(n)[:, None] + 1 * np.arange(n)) / n
    wave = np.asarray(3.0 * np.cos(phase) + 2.0 * np.sin(phase), np.float32)[None, ..., None]
    modes = seen(ops.Fourier(np.ones((n, n))), wave)[0, :, :, 0].reshape(n, n, 2)
    expected = np.zeros((n, n, 2))
    expected[2, 1], expected[-2, -1] = [1.5 * n, -1.0 * n], [1.5 * n, 1.0 * n]
    np.testing.assert_allclose(modes, expected, atol=1e-4)
    np.testing.assert_allclose(np.sum(modes**2), np.sum(wave**2), rtol=1e-5)
    mask = np.zeros((n, n))
    mask[2, 1] = 1
    np.testing.assert_allclose(seen(ops.Fourier(mask), wave)[0, :, :, 0], [[1.5 * n, -1.0 * n]], atol=1e-4)


def test_a_field_that_does_not_fit_is_named():
    x = jnp.zeros((1, 4, 5, 1))
    for operator in (
        ops.Fourier(np.ones((4, 4))),
        ops.LineIntegrals([0.0], (4, 4)),
        ops.Blur(np.ones(3)),
        ops.Downsample(2),
    ):
        with pytest.raises(ValueError, match=r"\(4, 5\)"):
            operator(x)
