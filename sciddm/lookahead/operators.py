"""What an instrument sees: linear functions of a batch x_0. Any function does; these are the named ones."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


class Matrix(eqx.Module):
    """y = A vec(x_0). matrix: (m, d), d the number of entries of one x_0, leaves in order. Returns (B, m)."""

    matrix: jax.Array

    def __call__(self, x_0):
        rows = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(x_0)]
        return jnp.concatenate(rows, axis=1) @ self.matrix.T


class Points(eqx.Module):
    """The entries of x_0 at chosen places. indices: (m,), or (B, m) for each sample its own, into the flattened x_0 (leaves in
    order, as `Matrix`). Returns (B, m)."""

    indices: jax.Array

    def __call__(self, x_0):
        rows = jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(x_0)], axis=1)
        indices = jnp.broadcast_to(self.indices, (rows.shape[0], self.indices.shape[-1]))
        return jnp.take_along_axis(rows, indices, axis=1)


class Mask(eqx.Module):
    """x_0 where mask is 1 and 0 elsewhere. mask: a pytree like one x_0, or a batch of them."""

    mask: Any

    def __call__(self, x_0):
        return jax.tree.map(lambda leaf, mask: leaf * mask, x_0, self.mask)


class Downsample(eqx.Module):
    """Block means over the spatial axes of arrays (B, *spatial, C). factor: of every spatial axis."""

    factor: int = eqx.field(static=True)

    def __call__(self, x_0):
        return jax.tree.map(self._leaf, x_0)

    def _leaf(self, x):
        batch, *spatial, channels = x.shape
        if any(n % self.factor for n in spatial):
            raise ValueError(f"spatial shape {tuple(spatial)} is not divisible by factor {self.factor}")
        split = [size for n in spatial for size in (n // self.factor, self.factor)]
        blocks = x.reshape(batch, *split, channels)
        return blocks.mean(axis=tuple(range(2, 2 + 2 * len(spatial), 2)))
