import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from sciddm.solvers.exponential import interpolation_weights, moments

five_moments = jax.jit(lambda c: moments(c, 5))


@pytest.mark.parametrize("c", [1e-6, 1e-3, 0.3, 0.99, 1.01, 4.0, 30.0])
def test_moments_are_the_integrals_in_single_precision(c):
    with jax.enable_x64(False):
        ours = np.array([float(m) for m in five_moments(jnp.float32(c))])
    exact = [
        scipy.integrate.quad(lambda v, i=i: c * np.exp(c * (v - 1)) * v**i, 0, 1, epsabs=1e-13)[0] for i in range(5)
    ]
    np.testing.assert_allclose(ours, exact, rtol=2e-5)


def test_moments_of_an_infinite_step_are_one():
    assert [float(m) for m in moments(jnp.inf, 4)] == [1.0] * 4


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_weights_integrate_polynomials_of_their_degree_exactly(order):
    nodes, c = [0.0, -0.7, -1.9, -2.5], 1.3
    weights = interpolation_weights([jnp.asarray(v) for v in nodes], jnp.asarray(c), order)
    assert all(float(w) == 0.0 for w in weights[order:])
    for degree in range(order):
        found = sum(float(w) * v**degree for w, v in zip(weights, nodes, strict=True))
        exact = scipy.integrate.quad(lambda v, i=degree: c * np.exp(c * (v - 1)) * v**i, 0, 1)[0]
        assert found == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_weights_of_unused_nodes_are_zero_whatever_stands_there():
    weights = interpolation_weights([jnp.asarray(v) for v in (0.0, -jnp.inf, 0.0)], jnp.asarray(1.0), jnp.asarray(1))
    np.testing.assert_allclose(weights, [1.0 - np.exp(-1.0), 0.0, 0.0], rtol=1e-6)
