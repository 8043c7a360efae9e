"""Arithmetic on batches: pytrees of (B, ...), with coefficients that are one for all, one a sample, or broadcast to the leaves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def expand(t, x):
    """`t` of shape (), (B,) or (B, T, ...) with trailing axes added until it broadcasts to x."""
    t = jnp.asarray(t)
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim)) if 0 < t.ndim < x.ndim else t


def combine(a, x, b, y):
    """a x + b y leaf by leaf; a and b are scalars, (B,), or broadcast to the leaves, in the leaves' dtype."""
    return jax.tree.map(lambda u, v: expand(a, u).astype(u.dtype) * u + expand(b, v).astype(u.dtype) * v, x, y)


def inner(x, y):
    """(B,) inner product over all entries of each sample."""
    products = jax.tree.map(lambda a, b: jnp.sum(a * b, axis=tuple(range(1, a.ndim))), x, y)
    return sum(jax.tree.leaves(products))


def root_mean_square(x):
    """(B,) root mean square over all entries of each sample."""
    count = sum(leaf.size // leaf.shape[0] for leaf in jax.tree.leaves(x))
    total = sum(jnp.sum(leaf**2, axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(x))
    return jnp.sqrt(total / count)


def norm(x):
    """(B,) Euclidean norm of each sample, with a gradient of 0 where it is 0."""
    square = inner(x, x)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def divide(numerator, denominator):
    """numerator / denominator, and 0 where the denominator is 0."""
    return jnp.where(denominator != 0, numerator / jnp.where(denominator != 0, denominator, 1.0), 0.0)


def batch_size(x) -> int:
    """The leading axis that all leaves of x share."""
    return jax.tree.leaves(x)[0].shape[0]


def widen(x):
    """Leaves of half precision in float32: an integrator's small steps would be lost in their rounding."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)), x)


def cast(x, like):
    """x in the dtypes of `like`, leaf by leaf."""
    return jax.tree.map(lambda leaf, other: leaf.astype(other.dtype), x, like)


def as_structs(shape) -> Any:
    """A shape, or a pytree of shapes, arrays or structs, as a pytree of jax.ShapeDtypeStruct (float32 unless given)."""

    def is_shape(node):
        return isinstance(node, (tuple, list)) and len(node) > 0 and all(isinstance(n, (int, np.integer)) for n in node)

    def struct(node):
        return (
            jax.ShapeDtypeStruct(tuple(node), jnp.float32)
            if is_shape(node)
            else jax.ShapeDtypeStruct(node.shape, node.dtype)
        )

    return jax.tree.map(struct, shape, is_leaf=is_shape)
