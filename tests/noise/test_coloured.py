import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd


def test_channels_and_leading_axes_are_independent_fields(holds_the_contract):
    law = sd.SpectralField.power_law((4,), 2.0, 1.5)
    one = np.asarray(jax.jit(jax.vmap(lambda row: law.covariance(row[:, None])[:, 0]))(np.eye(4, dtype=np.float64)))
    sigma = holds_the_contract(law, jnp.zeros((2, 4, 2)))
    np.testing.assert_allclose(sigma, np.kron(np.eye(2), np.kron(one, np.eye(2))), atol=1e-10)


def test_colouring_and_whitening_invert_each_other_in_float32():
    wind = np.random.default_rng(0).normal(size=(16, 9, 2)).astype(np.float32)
    for periodic in (True, False):
        law = sd.SpectralField.power_law((16, 9), 4.0, 5.0, nugget=1e-3, periodic=periodic)
        z = {"wind": wind, "half": np.ones((16, 9, 1), jnp.bfloat16)}
        back = jax.jit(lambda z, law=law: law.whiten(law.colour(z)))(z)
        np.testing.assert_allclose(back["wind"], z["wind"], atol=1e-4)
        assert back["half"].dtype == jnp.bfloat16
