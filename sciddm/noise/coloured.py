"""What coloured laws share: a Sigma whose powers are cheap, because some fast transform makes it diagonal."""

import abc

import equinox as eqx
import jax

from sciddm.noise.base import LOG_2PI, Noise, draw_white, squared_norm


class Coloured(Noise):
    """eps = Sigma^(1/2) z, z white. A new law implements `power`, `log_determinant`, `dimension`, `project` and `full_rank`."""

    full_rank: eqx.AbstractVar[bool]  # whether the support is the whole space

    @abc.abstractmethod
    def power(self, x, exponent: float):
        """Sigma^exponent x, like x; on the support alone where Sigma is singular."""

    @abc.abstractmethod
    def log_determinant(self, like):
        """log det Sigma on the support, for an x like `like`, a scalar."""

    def colour(self, z):
        """Sigma^(1/2) z: white noise made noise of this law."""
        return self.power(z, 0.5)

    def whiten(self, x):
        """Sigma^(-1/2) x: noise of this law made white (on the support)."""
        return self.power(x, -0.5)

    def sample(self, key, like):
        return self.colour(draw_white(key, like))

    def log_prob(self, eps):
        return -0.5 * (squared_norm(self.whiten(eps)) + self.log_determinant(eps) + self.dimension(eps) * LOG_2PI)

    def covariance(self, u):
        return self.power(u, 1.0)

    def precision(self, u):
        return self.power(u, -1.0)


def check_grid(law, leaf, grid: tuple):
    """Raise unless `leaf` is (..., *grid, channels)."""
    if leaf.shape[-1 - len(grid) : -1] != grid:
        raise ValueError(
            f"{type(law).__name__} noise on a grid of {grid} acts on arrays (..., {', '.join(map(str, grid))}, channels), "
            f"got {tuple(leaf.shape)}"
        )


def on_leaves(function, x):
    """function(leaf) in at least float32, which transforms need, and back in the leaf's own dtype."""

    def one(leaf):
        wide = leaf if leaf.dtype.itemsize >= 4 else leaf.astype("float32")
        return function(wide).astype(leaf.dtype)

    return jax.tree.map(one, x)
