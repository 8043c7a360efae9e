"""Potentials from potentials: (x_0, t) -> (B,), log h in nats. An `Observation` is one.

conjunction    log prod_i h_i^{w_i} = sum_i w_i log h_i      all must hold, weights are temperatures
mixture        log sum_i w_i h_i                             any may hold, weights sum to 1
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def conjunction(*potentials: Callable, weights=None) -> Callable:
    """sum_i w_i log h_i; weights default to 1. Raises: ValueError without potentials, or unless there is a weight for each."""
    return Conjunction(potentials, _weights(potentials, weights))


def mixture(*potentials: Callable, weights=None) -> Callable:
    """log sum_i w_i h_i; weights are normalised and default to equal ones.

    Raises: ValueError without potentials, unless there is a weight for each, or if one is negative or all are 0.
    """
    weights = _weights(potentials, weights)
    if not isinstance(weights, jax.core.Tracer) and (
        np.any(np.asarray(weights) < 0) or not np.any(np.asarray(weights))
    ):
        raise ValueError(f"weights = {weights}: expected probabilities of the potentials of a mixture, up to a factor")
    return Mixture(potentials, weights / jnp.sum(weights))


class Conjunction(eqx.Module):
    """See `conjunction`."""

    potentials: tuple[Callable, ...]
    weights: jax.Array

    def __call__(self, x_0, t=None):
        return jnp.tensordot(self.weights, _values(self.potentials, x_0, t), axes=1)


class Mixture(eqx.Module):
    """See `mixture`."""

    potentials: tuple[Callable, ...]
    weights: jax.Array

    def __call__(self, x_0, t=None):
        return jax.nn.logsumexp(_values(self.potentials, x_0, t), axis=0, b=self.weights[:, None])


def _values(potentials, x_0, t):
    return jnp.stack([potential(x_0, t) for potential in potentials])


def _weights(potentials, weights):
    if not potentials:
        raise ValueError("expected at least one potential")
    if weights is None:
        return jnp.ones(len(potentials))
    weights = jnp.asarray(weights, jnp.result_type(float))
    if weights.shape != (len(potentials),):
        raise ValueError(f"weights of shape {weights.shape}: expected one for each of the {len(potentials)} potentials")
    return weights
