import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd


def test_operators_agree_with_their_adjoints_by_dot_product():
    ops = sd.lookahead.operators
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 1))
    for operator in (
        ops.Downsample(2), ops.Mask(jnp.arange(16.0).reshape(4, 4, 1) % 3 == 0), ops.Points(jnp.array([1, 7, 9])),
        ops.Points(jnp.array([[1, 7], [2, 3]])), ops.Matrix(jax.random.normal(jax.random.key(1), (3, 16))),
    ):  # fmt: skip
        obs = sd.lookahead.Observation(operator, 0.0, 1.0)
        prediction, adjoint = obs.linearize(x)
        u = jax.random.normal(jax.random.key(2), prediction.shape)
        np.testing.assert_allclose(jnp.vdot(prediction, u), jnp.vdot(x, adjoint(u)), rtol=1e-5)
        np.testing.assert_allclose(obs.forward(x)(x), prediction, rtol=1e-5)
