"""What the tests of chains on the noise share: a reward whose posterior is known, and whether chains have a law."""

import jax
import jax.numpy as jnp
import numpy as np

CHAINS = 1500


def assert_law(states, mean, covariance):
    """Mean and second moments over chains within 3 Monte-Carlo standard errors; states: (kept, chains, d)."""
    for function, expected in (
        (lambda z: z, mean),
        (lambda z: (z - mean)[..., :, None] * (z - mean)[..., None, :], covariance),
    ):
        chains = np.asarray(function(np.asarray(states, float))).mean(0)  # chains are independent, their states are not
        error = chains.std(0) / np.sqrt(len(chains))
        assert np.all(np.abs(chains.mean(0) - expected) <= 3.0 * error + 1e-7), (chains.mean(0) - expected) / error


def quadratic(observed, precision):
    return jax.tree_util.Partial(_quadratic, observed, precision)


def _quadratic(observed, precision, z):
    return -0.5 * jnp.sum((z - observed) ** 2 * precision, axis=-1)
