"""Noise laws: what eps is in x_t = alpha x_0 + sigma eps."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Noise(eqx.Module):
    """A law of eps on one x (no batch axis): how to draw it, weigh it, and stay in its support."""

    @abc.abstractmethod
    def sample(self, key, like):
        """One eps with the shapes and dtypes of `like`, a pytree of arrays, of jax.ShapeDtypeStruct, or of shapes."""

    @abc.abstractmethod
    def log_prob(self, eps):
        """log density of one eps, a scalar, in nats."""

    @abc.abstractmethod
    def project(self, x):
        """The nearest x in the law's support (the identity for white noise)."""

    def sample_batch(self, keys, like):
        """One eps a key: keys (B,), `like` a batch (B, ...). Sample i depends on keys[i] alone."""
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), like)
        return jax.vmap(lambda key: self.sample(key, one))(keys)


class White(Noise):
    """Independent standard normal entries."""

    def sample(self, key, like):
        leaves, structure = jax.tree.flatten(as_structs(like))
        keys = [key] if len(leaves) == 1 else list(jax.random.split(key, len(leaves)))
        draws = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
        return structure.unflatten(draws)

    def log_prob(self, eps):
        return sum(-0.5 * jnp.sum(leaf**2) - 0.5 * leaf.size * jnp.log(2 * jnp.pi) for leaf in jax.tree.leaves(eps))

    def project(self, x):
        return x


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
