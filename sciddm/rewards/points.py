"""Rewards of points: atoms of a molecule, joints of a body. Positions are (B, N, D); a mask (B, N) or (N,) says which are there."""

import jax
import jax.numpy as jnp

from sciddm.rewards.components import count_components


def radius_of_gyration(positions, mask=None):
    """Root mean square distance to the centre: sqrt(1/n sum_i |x_i - mean(x)|^2).

    Args: positions: (B, N, D); mask: (B, N) or (N,), 1 where there is a point; weights such as masses do too.
    Returns: (B,), in the positions' units.
    """
    weights = _weights(positions, mask)
    share = weights / jnp.sum(weights, axis=1, keepdims=True)
    centre = jnp.einsum("bn,bnd->bd", share, positions)
    square = jnp.einsum("bn,bnd->b", share, jnp.square(positions - centre[:, None]))
    return _root(square)


def contacts(positions, cutoff, mask=None, softness=0.0):
    """Number of pairs closer than a cutoff: sum_{i<j} sigmoid((cutoff - |x_i - x_j|) / softness).

    Args: positions: (B, N, D); cutoff: in their units, broadcastable to (B, N, N); mask: (B, N) or (N,), 1 where there is a point;
        softness: in their units, 0 counts the pairs themselves and has no gradient.
    Returns: (B,), a count.
    """
    if softness == 0:
        return 0.5 * jnp.sum(neighbours(positions, cutoff, mask), axis=(1, 2), dtype=jnp.result_type(float))
    close = jax.nn.sigmoid((cutoff - _distances(positions)) / softness)
    return 0.5 * jnp.sum(jnp.where(_pairs(positions, mask), close, 0.0), axis=(1, 2))


def neighbours(positions, cutoff, mask=None):
    """Which pairs are closer than a cutoff, (B, N, N) bool, none with itself: the bonds that `rings` takes. Args: as of `contacts`."""
    return _pairs(positions, mask) & (_distances(positions) < cutoff)


def count(mask):
    """Number of points that are there, such as atoms. mask: (B, N), 1 where there is one. Returns (B,), a count."""
    return jnp.sum(mask, axis=1, dtype=jnp.result_type(float))


def rings(bonds, mask=None):
    """Number of independent rings of a graph (its cyclomatic number): edges - nodes + components. Not differentiable.

    Args: bonds: (B, N, N) bool or 0/1, symmetric (see `neighbours`); mask: (B, N) or (N,), 1 where there is a node.
    Returns: (B,) float, a count.
    """
    bonds = bonds.astype(bool) & _pairs(bonds, mask)
    nodes = _weights(bonds, mask) > 0

    def largest_around(labels):
        return jnp.max(jnp.where(bonds, labels[:, None, :], -1), axis=2)

    edges = jnp.sum(bonds, axis=(1, 2), dtype=jnp.int32) // 2
    cycles = edges - jnp.sum(nodes, axis=1, dtype=jnp.int32) + count_components(nodes, largest_around)
    return cycles.astype(jnp.result_type(float))


def kinetic_energy(positions, frame_time, masses=None):
    """Mean kinetic energy over time, velocities by central differences: mean_t sum_i m_i/2 |(x_i(t+1) - x_i(t-1)) / (2 frame_time)|^2.

    Args: positions: (B, T, N, D), T >= 3, metres; frame_time: seconds between frames; masses: (N,) kg, None: equal ones of 1 kg in all.
    Returns: (B,), joules; joules per kg of the whole where masses is None.
    """
    velocity = (positions[:, 2:] - positions[:, :-2]) / (2.0 * frame_time)
    number = positions.shape[2]
    masses = jnp.full(number, 1.0 / number) if masses is None else jnp.asarray(masses)
    return jnp.mean(0.5 * jnp.einsum("n,btnd->bt", masses, jnp.square(velocity)), axis=1)


def _weights(like, mask):
    mask = jnp.ones(like.shape[:2]) if mask is None else jnp.asarray(mask, jnp.result_type(float))
    return jnp.broadcast_to(mask, like.shape[:2])


def _pairs(like, mask):
    # (B, N, N): whether both are there, and are two
    there = _weights(like, mask) > 0
    return there[:, :, None] & there[:, None, :] & ~jnp.eye(like.shape[1], dtype=bool)


def _distances(positions):
    return _root(jnp.sum(jnp.square(positions[:, :, None] - positions[:, None, :]), axis=-1))


def _root(square):
    # sqrt with gradient 0, not infinity, at 0: that of a point to itself
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)
