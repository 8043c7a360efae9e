import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from sciddm import rewards


def test_means_maxima_and_shares_are_those_of_each_sample():
    field = jnp.array([[[0.0, 1.0], [2.0, 5.0]], [[-1.0, -1.0], [-2.0, 3.0]]])
    np.testing.assert_allclose(rewards.maximum(field), [5.0, 3.0])
    np.testing.assert_allclose(rewards.mean(field), [2.0, -0.25])
    np.testing.assert_allclose(rewards.mean_square(field), [7.5, 3.75])
    np.testing.assert_allclose(rewards.share_above(field, 0.5), [0.75, 0.25])
    np.testing.assert_allclose(rewards.share_above(field, 0.5, softness=1e-3), [0.75, 0.25], atol=1e-6)
    at_threshold = jax.grad(lambda x: rewards.share_above(x, 1.0, softness=2.0)[0])(jnp.ones((1, 2, 2)))
    np.testing.assert_allclose(at_threshold, 1 / 4 / 4 / 2)  # a sigmoid's slope, over four points and the softness


@pytest.mark.parametrize("connectivity", [4, 8])
def test_cells_are_those_that_scipy_labels(connectivity):
    fields = np.random.default_rng(0).normal(size=(24, 13, 17)).astype(np.float32)
    fields[:8] = scipy.ndimage.gaussian_filter(fields[:8], (0, 1.5, 1.5))
    thresholds = np.linspace(-0.5, 1.0, 24)[:, None, None]
    structure = np.ones((3, 3)) if connectivity == 8 else None
    found = jax.jit(lambda x: rewards.cells_above(x, thresholds, connectivity=connectivity))(fields)
    wanted = [scipy.ndimage.label(one > t[0], structure)[1] for one, t in zip(fields, thresholds, strict=True)]
    np.testing.assert_array_equal(found, wanted)
