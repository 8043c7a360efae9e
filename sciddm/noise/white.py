"""White noise: Sigma = I. Everything that asks it for Sigma gets the identity, at no cost."""

import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import as_structs
from sciddm.noise.base import LOG_2PI, Noise, draw_white, squared_norm


class White(Noise):
    """Independent standard normal entries: log p(eps) = -|eps|^2 / 2 - d/2 log 2 pi."""

    def sample(self, key, like):
        return draw_white(key, like)

    def log_prob(self, eps):
        return -0.5 * (squared_norm(eps) + self.dimension(eps) * LOG_2PI)

    def project(self, x):
        return x

    def covariance(self, u):
        return u

    def precision(self, u):
        return u

    def dimension(self, like):
        return jnp.asarray(
            sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(as_structs(like))), jnp.result_type(float)
        )
