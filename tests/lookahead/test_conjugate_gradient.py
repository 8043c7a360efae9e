import jax
import jax.numpy as jnp
import numpy as np

from sciddm.lookahead.conjugate_gradient import conjugate_gradient


def test_conjugate_gradient_solves_each_sample_alone():
    root = jax.random.normal(jax.random.key(0), (5, 6, 6))
    matrices = root @ root.transpose(0, 2, 1) + jnp.eye(6)
    b = jax.random.normal(jax.random.key(1), (5, 6))
    solve = lambda m, v, n: conjugate_gradient(lambda p: jnp.einsum("bij,bj->bi", m, p), v, n, 1e-6)  # noqa: E731
    np.testing.assert_allclose(
        solve(matrices, b, 20), jnp.linalg.solve(matrices, b[..., None])[..., 0], rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(solve(matrices, b, 3)[:2], solve(matrices[:2], b[:2], 3), atol=1e-5)


def test_a_direction_of_negative_curvature_ends_a_samples_search_before_it_is_thrown_off():
    # the second sample's matrix is barely indefinite: one more step along its negative axis would be a jump of 1 / 1e-3
    matrices = jnp.stack([jnp.diag(jnp.array([2.0, 1.0])), jnp.diag(jnp.array([1.0, -0.011]))])
    b = jnp.array([[1.0, 1.0], [0.1, 1.0]])
    x = conjugate_gradient(lambda p: jnp.einsum("bij,bj->bi", matrices, p), b, 10, diagonal=0.01)
    np.testing.assert_allclose(x[0], b[0] / jnp.array([2.01, 1.01]), rtol=1e-4)
    assert float(jnp.abs(x[1]).max()) < 10.0


def test_the_diagonal_is_part_of_the_system():
    b = jnp.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(
        conjugate_gradient(lambda p: 2.0 * p, b, 5, diagonal=jnp.ones((1, 3))), b / 3.0, rtol=1e-5
    )
