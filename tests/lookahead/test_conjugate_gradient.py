import jax
import jax.numpy as jnp
import numpy as np

from sciddm.lookahead.conjugate_gradient import conjugate_gradient


def test_conjugate_gradient_solves_each_sample_alone():
    rng = np.random.default_rng(0)
    root, b = rng.normal(size=(5, 6, 6)), rng.normal(size=(5, 6)).astype(np.float32)
    matrices = (root @ root.transpose(0, 2, 1) + np.eye(6)).astype(np.float32)

    def solve(m, v, n):
        return conjugate_gradient(lambda p: jnp.einsum("bij,bj->bi", m, p), v, n, 1e-6)

    full, few, alone = jax.jit(lambda m, v: (solve(m, v, 20), solve(m, v, 3), solve(m[:2], v[:2], 3)))(matrices, b)
    np.testing.assert_allclose(full, np.linalg.solve(matrices, b[..., None])[..., 0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.asarray(few)[:2], alone, atol=1e-5)


def test_a_direction_of_negative_curvature_ends_a_samples_search_before_it_is_thrown_off():
    # the second sample's matrix is barely indefinite: one more step along its negative axis would be a jump of 1 / 1e-3
    matrices = np.array([np.diag([2.0, 1.0]), np.diag([1.0, -0.011])], np.float32)
    b = np.array([[1.0, 1.0], [0.1, 1.0]], np.float32)
    solve = jax.jit(lambda b: conjugate_gradient(lambda p: jnp.einsum("bij,bj->bi", matrices, p), b, 10, diagonal=0.01))
    x = np.asarray(solve(b))
    np.testing.assert_allclose(x[0], b[0] / np.array([2.01, 1.01]), rtol=1e-4)
    assert np.abs(x[1]).max() < 10.0


def test_a_search_that_leaves_more_than_it_began_with_answers_the_iterate_that_left_least():
    """A matrix that is not symmetric, as a network's Jacobian: the search is thrown off, of the second sample alone."""
    turned = np.array([[1.0, 30.0, 0.0], [-29.0, 1.0, 3.0], [0.0, 2.0, 1.0]], np.float32)
    matrices, b = np.stack([np.diag([3.0, 2.0, 1.0]).astype(np.float32), turned]), np.array([[1.0, 2.0, 3.0]] * 2, np.float32)
    solve = jax.jit(lambda b: conjugate_gradient(lambda p: jnp.einsum("bij,bj->bi", matrices, p), b, 10))
    x = np.asarray(solve(b))
    left = np.linalg.norm(b - np.einsum("bij,bj->bi", matrices, x), axis=1) / np.linalg.norm(b, axis=1)
    assert left[0] < 1e-4 and left[1] <= 1.0
    np.testing.assert_allclose(x[0], b[0] / np.array([3.0, 2.0, 1.0]), rtol=1e-4)


def test_the_diagonal_is_part_of_the_system():
    b = np.array([[1.0, 2.0, 3.0]], np.float32)
    solve = jax.jit(lambda b: conjugate_gradient(lambda p: 2.0 * p, b, 5, diagonal=jnp.ones((1, 3))))
    np.testing.assert_allclose(solve(b), b / 3.0, rtol=1e-5)
