"""Zero-centre-of-mass noise: white noise on the positions that are left when a point set may not drift.

    Sigma = (I_n - 1 1^T / n) x I_3,   the projector on sets of zero mean, of rank 3 (n - 1)      (arXiv:2203.17003, section 3.2)

A projector is its own pseudo-inverse and its pseudo-determinant is 1, so the density on the support is the white one.
"""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import as_structs
from sciddm.noise.base import LOG_2PI, Noise, draw_white, squared_norm


class ZeroCentreOfMass(Noise):
    """White noise projected to zero mean over the points: every leaf of x is (..., n, coordinates), points on the last but one axis.

    mask: (n,), 1 at real points and 0 at padding, which stays exactly 0 and counts for nothing; (B, n) where every sample has
    its own (see `each`); None: all points are real.
    Raises: ValueError if the mask has another rank, or does not fit the points (at use).
    """

    mask: jax.Array | None = None

    def per_sample(self, like):
        return self.mask is not None and jnp.ndim(self.mask) == 2

    def sample(self, key, like):
        return self.project(draw_white(key, like))

    def log_prob(self, eps):
        return -0.5 * (squared_norm(self.project(eps)) + self.dimension(eps) * LOG_2PI)

    def project(self, x):
        return jax.tree.map(self._centre, x)

    def covariance(self, u):
        return self.project(u)

    def precision(self, u):
        return self.project(u)

    def dimension(self, like):
        def leaf(one):
            *leading, points, coordinates = one.shape
            free = jnp.maximum(jnp.sum(self._real(points).astype(jnp.result_type(float))) - 1.0, 0.0)
            return free * coordinates * jnp.prod(jnp.asarray(leading, free.dtype))

        return sum(leaf(one) for one in jax.tree.leaves(as_structs(like)))

    def _centre(self, x):
        real = self._real(x.shape[-2])[:, None]
        x = jnp.where(real, x, 0)
        mean = jnp.sum(x, axis=-2, keepdims=True) / jnp.maximum(jnp.sum(real), 1).astype(x.dtype)
        return jnp.where(real, x - mean, 0)

    def _real(self, points: int):
        if self.mask is None:
            return jnp.ones(points, bool)
        if jnp.shape(self.mask) != (points,):
            raise ValueError(
                f"zero-centre-of-mass mask of shape {jnp.shape(self.mask)}: expected ({points},), or (B, {points}) with one a "
                "sample, through noise.each and noise.sample_batch"
            )
        return jnp.asarray(self.mask) != 0
