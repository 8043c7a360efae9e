"""Masked noise: entries that are not there carry none, and data are 0 there.

    Sigma = M S M,   M = diag(mask), S the covariance of the inner law (the identity unless given)

Under white noise Sigma = M is a projector: everything is exact and free. Under a coloured law (land in an ocean field) the
inverse on the support is that of a principal minor of S, which no transform makes diagonal: Sigma^+ u takes conjugate
gradients, preconditioned by M S^-1 M, and `log_prob` a dense Cholesky factor, O(d^3), for fields of a few thousand entries.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from sciddm.arithmetic import as_structs
from sciddm.noise.base import LOG_2PI, Noise, squared_norm
from sciddm.noise.coloured import Coloured
from sciddm.noise.white import White


class Masked(Noise):
    """Noise where mask is 1, exactly 0 where it is 0.

    Args:
        mask: a pytree prefix of x; its arrays have the rank of x's leaves and broadcast to them, (n, 1) for (n, f); one rank
            more, (B, n, 1), where every sample has its own (see `each`).
        law: of the entries that are there: White, or a coloured law of full rank.
    Raises: ValueError if law is neither, or where a mask's rank does not fit x (at use).
    """

    mask: Any
    law: Noise = White()

    def __check_init__(self):
        if not (isinstance(self.law, White) or (isinstance(self.law, Coloured) and self.law.full_rank)):
            raise ValueError(f"Masked: law is {type(self.law).__name__}, expected White or a coloured law of full rank")

    def per_sample(self, like):
        def has_batch(mask, part):
            return jnp.ndim(mask) == 1 + len(jax.tree.leaves(part)[0].shape)

        return eqx.tree_at(lambda law: (law.mask, law.law), self, (jax.tree.map(has_batch, self.mask, like), False))

    def sample(self, key, like):
        return self.project(self.law.sample(key, like))

    def log_prob(self, eps):
        if isinstance(self.law, White):
            return -0.5 * (squared_norm(self.project(eps)) + self.dimension(eps) * LOG_2PI)
        flat, unravel = ravel_pytree(self.project(eps))
        dense = jax.vmap(lambda row: ravel_pytree(self._filled(unravel(row)))[0])(jnp.eye(flat.size, dtype=flat.dtype))
        factor = jnp.linalg.cholesky(dense)
        white = jax.scipy.linalg.solve_triangular(factor, flat, lower=True)
        log_determinant = 2.0 * jnp.sum(jnp.log(jnp.diagonal(factor)))
        return -0.5 * (jnp.sum(white**2) + log_determinant + self.dimension(eps) * LOG_2PI)

    def project(self, x):
        return self._map(lambda leaf, real: jnp.where(real, leaf, 0), x)

    def covariance(self, u):
        u = self.project(u)
        return u if isinstance(self.law, White) else self.project(self.law.covariance(u))

    def precision(self, u):
        u = self.project(u)
        if isinstance(self.law, White):
            return u
        nearly = lambda v: self.project(self.law.precision(self.project(v)))  # noqa: E731
        return jax.scipy.sparse.linalg.cg(self.covariance, u, tol=1e-6, maxiter=200, M=nearly)[0]

    def dimension(self, like):
        count = lambda leaf, real: jnp.sum(jnp.broadcast_to(real, leaf.shape), dtype=jnp.result_type(float))  # noqa: E731
        return sum(jax.tree.leaves(self._map(count, as_structs(like))))

    def _filled(self, u):
        # Sigma on the support and the identity off it: invertible, with the same determinant
        return jax.tree.map(lambda v, s, p: s + v - p, u, self.covariance(u), self.project(u))

    def _map(self, function, x):
        def leaf(mask, one):
            if jnp.ndim(mask) != len(one.shape):
                raise ValueError(
                    f"mask of shape {jnp.shape(mask)} on an x of shape {tuple(one.shape)}: expected as many axes (size 1 "
                    "broadcasts), or one more in front with one a sample, through noise.each and noise.sample_batch"
                )
            return function(one, jnp.asarray(mask) != 0)

        return jax.tree.map(lambda mask, part: jax.tree.map(lambda one: leaf(mask, one), part), self.mask, x)
