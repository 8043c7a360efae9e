"""Symmetric noise: one draw a pair, for what belongs to pairs of points and not to either of them, such as bonds.

    eps_ij = eps_ji ~ N(0, 1) for i < j,  eps_ii = 0,        Sigma = 2 P,  P the projector on symmetric x with a diagonal of zeros

Both entries of a pair are the same number, so Sigma is singular: in orthonormal coordinates of the support, sqrt(2) times the number
of a pair, the variance is 2, and Sigma^+ = P / 2.
"""

import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import as_structs
from sciddm.noise.base import LOG_2PI, Noise, squared_norm


class Symmetric(Noise):
    """White noise of pairs: every leaf of x is (n, n, channels), symmetric, 0 on the diagonal.

    mask: (n,), 1 at points that are there, pairs with others stay exactly 0; (B, n) where every sample has its own (see `each`);
    None: all are there. Pairs are drawn in an order that does not depend on n: more padding draws the same numbers.
    Raises: ValueError if the mask does not fit the points (at use).
    """

    mask: jax.Array | None = None

    def per_sample(self, like):
        return self.mask is not None and jnp.ndim(self.mask) == 2

    def sample(self, key, like):
        leaves, structure = jax.tree.flatten(as_structs(like))
        keys = [key] if len(leaves) == 1 else list(jax.random.split(key, len(leaves)))
        return structure.unflatten([self._draw(k, leaf) for k, leaf in zip(keys, leaves, strict=True)])

    def log_prob(self, eps):
        return -0.25 * squared_norm(self.project(eps)) - 0.5 * self.dimension(eps) * (LOG_2PI + float(np.log(2.0)))

    def project(self, x):
        return jax.tree.map(lambda leaf: jnp.where(self._pairs(leaf), 0.5 * (leaf + leaf.swapaxes(0, 1)), 0), x)

    def covariance(self, u):
        return jax.tree.map(lambda leaf: 2.0 * leaf, self.project(u))

    def precision(self, u):
        return jax.tree.map(lambda leaf: 0.5 * leaf, self.project(u))

    def dimension(self, like):
        def leaf(one):
            return 0.5 * jnp.sum(self._pairs(one), dtype=jnp.result_type(float)) * one.shape[-1]

        return sum(leaf(one) for one in jax.tree.leaves(as_structs(like)))

    def _draw(self, key, leaf):
        n, channels = leaf.shape[0], leaf.shape[-1]
        i, j = np.tril_indices(n, -1)  # row by row: pairs of the first points come first, whatever n is
        drawn = jax.random.normal(key, (len(i), channels), leaf.dtype)
        half = jnp.zeros(leaf.shape, leaf.dtype).at[i, j].set(drawn)
        return jnp.where(self._pairs(leaf), half + half.swapaxes(0, 1), 0)

    def _pairs(self, leaf):
        # (n, n, 1): whether both are there, and are two
        points = leaf.shape[0]
        if self.mask is None:
            real = jnp.ones(points, bool)
        elif jnp.shape(self.mask) != (points,):
            raise ValueError(
                f"symmetric mask of shape {jnp.shape(self.mask)}: expected ({points},), or (B, {points}) with one a sample, "
                "through noise.each and noise.sample_batch"
            )
        else:
            real = jnp.asarray(self.mask) != 0
        return (real[:, None] & real[None] & ~jnp.eye(points, dtype=bool))[..., None]
