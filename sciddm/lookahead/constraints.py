"""Hard constraints: the nearest x that satisfies them, and guides and corrections that put it there.

    x0_hat' = P(x0_hat),  P(x) = argmin_{z in C} |z - x|

`constrain` projects what the path is drawn to; `Project` the samples themselves, once they are data, so that the constraint holds to
rounding whatever the solver. C restricts normalised x_0. For C = {A x = b} and white noise `constrain` is the exact conditional law of
a Gaussian prior of covariance v I, and of no other: where entries correlate, what A sees says something of what it does not, which a
projection leaves out and `mmps` with noise_std = 0 does not.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import combine, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.reverse import Correction


class Mean(eqx.Module):
    """The mean over the spatial axes of each channel is `value`: a conserved mass, of arrays (B, *spatial, C).

    value: a number, (C,) or (B, C). P shifts each channel.
    """

    value: Any

    def __call__(self, x):
        def leaf(v):
            axes = tuple(range(1, v.ndim - 1))
            return v + jnp.expand_dims(jnp.asarray(self.value, v.dtype) - v.mean(axes), axes)

        return jax.tree.map(leaf, x)


class Fixed(eqx.Module):
    """x = value where mask holds: boundary values, known cells. mask, value: pytrees like one x or a batch, or what broadcasts to it."""

    mask: Any
    value: Any

    def __call__(self, x):
        return jax.tree.map(lambda v, mask, value: jnp.where(mask, value, v).astype(v.dtype), x, self.mask, self.value)


class CentreOfMass(eqx.Module):
    """The mean over points of arrays (B, points, D) is zero. mask: (points,) or (B, points), 1 for the points that count; others stay."""

    mask: Any = None

    def __call__(self, x):
        def leaf(v):
            mask = jnp.ones(v.shape[1:2], v.dtype) if self.mask is None else jnp.asarray(self.mask, v.dtype)
            mask = jnp.broadcast_to(mask, v.shape[:2])[..., None]
            return v - mask * (v * mask).sum(1, keepdims=True) / jnp.maximum(mask.sum(1, keepdims=True), 1.0)

        return jax.tree.map(leaf, x)


class Linear(eqx.Module):
    """A x = b: P(x) = x - A^+ (A x - b).

    Args: matrix: A, (m, d) on the flattened x, an array (B, ...); value: b, (m,) or (B, m), in the range of A.
    Raises: ValueError unless matrix has two axes and value m entries.
    """

    matrix: jax.Array
    inverse: jax.Array
    value: jax.Array

    def __init__(self, matrix, value):
        if np.ndim(matrix) != 2 or np.shape(value)[-1:] != np.shape(matrix)[:1]:
            raise ValueError(
                f"matrix of shape {np.shape(matrix)}, value of shape {np.shape(value)}: expected (m, d), and (m,) or (B, m)"
            )
        dtype = jnp.result_type(float)
        self.matrix, self.value = jnp.asarray(matrix, dtype), jnp.asarray(value, dtype)
        self.inverse = jnp.asarray(np.linalg.pinv(np.asarray(matrix, np.float64)), dtype)

    def __call__(self, x):
        rows = x.reshape(x.shape[0], -1)
        for _ in range(2):  # the second round removes what the first one's rounding leaves
            rows = rows - (rows @ self.matrix.T - self.value) @ self.inverse.T
        return rows.reshape(x.shape)


class PositiveMass(eqx.Module):
    """x >= 0 with the sum over the spatial axes of each channel `total`: the simplex, of arrays (B, *spatial, C).

    P(x) = max(x - theta, 0), theta from the sorted entries                              (Duchi et al. 2008, figure 1)

    total: a positive number, (C,) or (B, C), of normalised x.
    """

    total: Any

    def __call__(self, x):
        return jax.tree.map(self._leaf, x)

    def _leaf(self, x):
        rows = jnp.moveaxis(x.reshape(x.shape[0], -1, x.shape[-1]), 1, -1)  # (B, C, n)
        total = jnp.broadcast_to(jnp.asarray(self.total, x.dtype), rows.shape[:2])[..., None]
        ordered = -jnp.sort(-rows, axis=-1)
        count = jnp.arange(1, rows.shape[-1] + 1, dtype=x.dtype)
        theta = (jnp.cumsum(ordered, -1) - total) / count
        kept = jnp.sum(ordered > theta, -1, keepdims=True)
        theta = jnp.take_along_axis(theta, kept - 1, -1)
        # once more over the entries that stay: a long running sum has lost digits that one sum keeps
        stays = rows > theta
        theta = theta + (jnp.sum(jnp.where(stays, rows - theta, 0.0), -1, keepdims=True) - total) / stays.sum(
            -1, keepdims=True
        )
        return jnp.moveaxis(jnp.maximum(rows - theta, 0.0), -1, 1).reshape(x.shape)


def constrain(denoiser: Denoiser, projection) -> Denoiser:
    """`denoiser` whose expected output satisfies a constraint, and whose samples do: it brings `Project` along.

    Args: projection: x -> x, one of this module or any function of a batch. The report's `constraint` is the rms distance it moves.
    """
    return Constrained(denoiser, projection)


class Constrained(Guide):
    """See `constrain`."""

    projection: Any

    def defaults(self):
        return SamplingDefaults(corrections=(Project(self.projection),))

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        projected = self.projection(x0_hat)
        return answer.to(projected, {"constraint": root_mean_square(combine(1.0, projected, -1.0, x0_hat))})


class Project(Correction):
    """`corrections=(sd.lookahead.Project(projection),)` in `sd.sample`: the samples satisfy the constraint, under any solver and guide.

    It acts where sigma = 0 alone: noise does not satisfy a constraint on data. The report's `projected` is the rms distance moved.
    """

    projection: Any

    def __call__(self, term, s, x_s):
        x = jax.lax.cond(term.level(s).sigma > 0, lambda: x_s, lambda: self.projection(x_s))
        return x, {"projected": root_mean_square(combine(1.0, x, -1.0, x_s))}
