"""Rewards of fields: maps of pressure, rain, vorticity."""

import jax
import jax.numpy as jnp

from sciddm.rewards.components import count_components


def maximum(field):
    """The largest value. field: (B, ...). Returns (B,), in the field's units."""
    return jnp.max(field, axis=tuple(range(1, field.ndim)))


def mean(field):
    """The mean value. field: (B, ...). Returns (B,), in the field's units."""
    return jnp.mean(field, axis=tuple(range(1, field.ndim)))


def mean_square(field):
    """The mean square: twice the energy of a velocity, twice the enstrophy of a vorticity. field: (B, ...). Returns (B,), units squared."""
    return mean(jnp.square(field))


def share_above(field, threshold, softness=0.0):
    """Share of the field above a threshold: mean of sigmoid((field - threshold) / softness).

    Args: field: (B, ...); threshold: in the field's units, broadcastable to it; softness: in the field's units, 0 counts the points
        themselves and has no gradient.
    Returns: (B,), 0 to 1.
    """
    if softness == 0:
        return mean((field > threshold).astype(jnp.result_type(float)))
    return mean(jax.nn.sigmoid((field - threshold) / softness))


def cells_above(field, threshold, *, connectivity: int = 8, periodic: bool = False):
    """Number of connected regions above a threshold, such as rain cells. Not differentiable.

    Args: field: (B, n, m); threshold: in the field's units, broadcastable to it; connectivity: 4, neighbours share a side, or 8, or
        a corner; periodic: whether the first row and column touch the last.
    Returns: (B,) float, a count.
    Raises: ValueError on another connectivity or number of axes.
    """
    if connectivity not in (4, 8) or field.ndim != 3:
        raise ValueError(
            f"connectivity = {connectivity}, field of shape {field.shape}: expected 4 or 8, and (B, rows, columns)"
        )
    shape, mode = field.shape, {"mode": "wrap"} if periodic else {"constant_values": -1}

    def largest_around(labels):
        padded = jnp.pad(labels.reshape(shape), ((0, 0), (1, 1), (1, 1)), **mode)
        if connectivity == 8:
            # the largest of a 3 x 3 block is the largest along one axis, then along the other
            columns = jnp.maximum(jnp.maximum(padded[:, :, :-2], padded[:, :, 1:-1]), padded[:, :, 2:])
            around = jnp.maximum(jnp.maximum(columns[:, :-2], columns[:, 1:-1]), columns[:, 2:])
        else:
            along_rows = jnp.maximum(padded[:, 1:-1, :-2], padded[:, 1:-1, 2:])
            around = jnp.maximum(along_rows, jnp.maximum(padded[:, :-2, 1:-1], padded[:, 2:, 1:-1]))
        return around.reshape(labels.shape)

    nodes = (field > threshold).reshape(shape[0], -1)
    return count_components(nodes, largest_around).astype(jnp.result_type(float))
