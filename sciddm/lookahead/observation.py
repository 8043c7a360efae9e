"""What was measured: y = A(x_0) + noise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.lookahead.operators import Matrix
from sciddm.process import batch_size


class Observation(eqx.Module):
    """y = A(x_0) + noise_std * standard normal, of normalised x_0.

    Args:
        operator: a function of a batch x_0 (B, ...) -> pytree of (B, ...), a (m, d) matrix on the flattened x_0, or an object of
            `sd.lookahead.operators`. A function that is not linear is linearised at x0_hat.
        value: like the operator's output, one for all samples (no batch axis) or one a sample.
        noise_std: positive; scalar, or shaped like value.
    Raises: ValueError if noise_std is negative, or where value does not fit the operator's output (at use).
    """

    operator: Any
    value: Any
    noise_std: Any

    def __init__(self, operator, value, noise_std):
        is_matrix = not callable(operator) and jnp.ndim(operator) == 2
        if not callable(operator) and not is_matrix:
            raise ValueError(
                f"operator: expected a function or a (m, d) matrix, got {type(operator).__name__} of {jnp.ndim(operator)} axes"
            )
        if any(
            not isinstance(leaf, jax.core.Tracer) and jnp.any(jnp.asarray(leaf) < 0)
            for leaf in jax.tree.leaves(noise_std)
        ):
            raise ValueError("noise_std is negative: expected standard deviations, in the units of value")
        self.operator = Matrix(jnp.asarray(operator, jnp.result_type(float))) if is_matrix else operator
        self.value = jax.tree.map(jnp.asarray, value)
        self.noise_std = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(float)), noise_std)

    def residual(self, x_0):
        """y - A(x_0), like the operator's output."""
        return self.residual_from(self.operator(x_0))

    def residual_from(self, prediction):
        """y - prediction, for a prediction A(x_0) already made."""
        return jax.tree.map(lambda y, p: _fit(y, p, "value") - p, self.value, prediction)

    def variance(self, prediction):
        """noise_std^2, broadcastable to the operator's output."""
        std = self.noise_std
        if jax.tree.structure(std) != jax.tree.structure(prediction):
            std = jax.tree.map(lambda _: std, prediction)
        return jax.tree.map(lambda s, p: _fit(s, p, "noise_std") ** 2, std, prediction)

    def linearize(self, x_0):
        """A(x_0) and its adjoint at x_0, u -> (dA/dx_0)^T u: the transpose itself where A is linear."""
        prediction, vjp = jax.vjp(self.operator, x_0)
        return prediction, lambda u: vjp(u)[0]

    def forward(self, x_0):
        """u -> (dA/dx_0) u, by transposing the adjoint: no forward mode, which networks with a custom vjp lack."""
        prediction, adjoint = self.linearize(x_0)
        transpose = jax.linear_transpose(adjoint, prediction)
        return lambda u: transpose(u)[0]

    def log_likelihood(self, x_0):
        """log N(y; A(x_0), noise_std^2), normalised, in nats. Returns (B,)."""
        residual = self.residual(x_0)
        variance = self.variance(residual)

        def leaf(r, v):
            per_entry = -0.5 * (r**2 / v + jnp.log(2 * jnp.pi * v))
            return jnp.sum(per_entry, axis=tuple(range(1, r.ndim)))

        return sum(jax.tree.leaves(jax.tree.map(leaf, residual, variance)))


def root_mean_square(x):
    """(B,) root mean square over all entries of each sample."""
    count = sum(leaf.size // leaf.shape[0] for leaf in jax.tree.leaves(x))
    total = sum(jnp.sum(leaf**2, axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(x))
    return jnp.sqrt(total / count)


def _fit(value, prediction, name):
    # One for all samples has no batch axis: its trailing axes are those of one prediction.
    value = jnp.asarray(value)
    one, batch = prediction.shape[1:], batch_size(prediction)
    if value.ndim == 0 or value.shape in (one, prediction.shape, (1, *one)):
        return value
    if value.shape == (batch,) + (1,) * len(one):
        return value
    raise ValueError(
        f"observation {name} of shape {value.shape} does not fit the operator's output: expected {one} or {prediction.shape}"
    )
