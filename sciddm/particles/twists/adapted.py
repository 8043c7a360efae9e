"""The step given what is measured: x_0, x_s and y are jointly Gaussian where Cov[x_0 | x_t] = C is known and A is linear.

    p(x_s | x_t) = N(mean, V),  V = std^2 Sigma + share^2 C,     S = R + A C A^T
    E[x_0 | x_s, x_t] = x0_hat + share C V^-1 (x_s - mean),      S' = R + A C' A^T,  C' = C - share^2 C V^-1 C
    q(x_s) = p(x_s | x_t, y),    p/q = N(y; A x0_hat, S) / N(y; A E[x_0 | x_s, x_t], S')

x_s of q is drawn by Matheron's rule: x_s and y of p, then x_s moved by what y is off. With h = N(y; A x0_hat, S) nothing is left to weigh
by where the data are Gaussian: the fully adapted particle filter (Pitt & Shephard 1999). A that is not linear, and other data, are
weighed by the ratio above whatever it is.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from sciddm.arithmetic import combine, inner
from sciddm.keys import fold
from sciddm.lapack import each
from sciddm.lookahead.observe.observation import Observation
from sciddm.transition import WideTransition


def given_observation(observation: Observation, x0_hat, model: WideTransition, keys):
    """x_s ~ q, and (K,) log p(x_s | x_t) - log q(x_s), nats. x0_hat: the mean of x_0 of which `model` is the step; keys: (K,)."""
    noise, spread, share = model.noise, model.spread, model.share
    prediction, adjoint = observation.linearize(x0_hat)
    std = jax.tree.map(
        lambda v, p: jnp.sqrt(jnp.broadcast_to(v, p.shape)), observation.variance(prediction), prediction
    )
    one, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], prediction))

    def row(unit):
        return adjoint(jax.tree.map(lambda leaf, like: leaf / like, unravel(unit), std))

    rows = jax.vmap(row)(jnp.eye(one.size, dtype=one.dtype))  # A, whitened by R: leaves (m, K, ...)
    coloured = jax.vmap(lambda g: noise.each("covariance", g))(rows)

    def seen(x):
        return jax.vmap(lambda g: inner(g, x), out_axes=1)(rows)

    def images(f):
        return jax.vmap(lambda g: spread.apply(noise, f, g))(coloured)

    def predicted(deviation):
        return seen(spread.apply(noise, lambda c: share * c / model.width(c) ** 2, deviation))

    handed = images(lambda c: c)
    before = _Normal(jax.vmap(seen, out_axes=1)(handed))
    after = _Normal(jax.vmap(seen, out_axes=1)(images(lambda c: c * (model.std / model.width(c)) ** 2)))
    whitened = jax.tree.map(jnp.divide, observation.residual_from(prediction), std)
    residual = jax.vmap(lambda leaf: ravel_pytree(leaf)[0])(whitened)

    deviation = model.widened(noise.sample_batch(keys, x0_hat))
    fresh = jax.vmap(lambda key: jax.random.normal(key, one.shape, one.dtype))(fold(keys, jnp.uint32(2**31 + 2**17)))
    off = before.solve(residual - predicted(deviation) - after.root(fresh))
    shift = jax.tree.map(lambda leaf: jnp.einsum("km,mk...->k...", off, leaf), handed)
    deviation = combine(1.0, deviation, share, shift)
    log_ratio = before.log_density(residual) - after.log_density(residual - predicted(deviation))
    return combine(1.0, model.mean, 1.0, deviation), log_ratio


class _Normal:
    """N(0, I + W) of (K, m), W (K, m, m) made symmetric and positive; densities without their constant."""

    def __init__(self, matrix):
        values, self.vectors = each(jnp.linalg.eigh, 0.5 * (matrix + jnp.swapaxes(matrix, 1, 2)))
        self.values = 1.0 + jnp.maximum(values, 0.0)

    def _scaled(self, factor, u):
        return jnp.einsum("kij,kj->ki", self.vectors, factor * jnp.einsum("kij,ki->kj", self.vectors, u))

    def solve(self, u):
        return self._scaled(1.0 / self.values, u)

    def root(self, u):
        return self._scaled(jnp.sqrt(self.values), u)

    def log_density(self, u):
        return -0.5 * (jnp.sum(u * self.solve(u), -1) + jnp.sum(jnp.log(self.values), -1))
