"""What every particle method returns: a weighted population."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.keys import one_key
from sciddm.particles.resample import effective_sample_size, resolve


class Result(eqx.Module):
    """Weighted particles: sum_k w_k delta(x_k) with w = softmax(log_weights).

    particles: pytree of (K, ...); log_weights: (K,), whose log-mean-exp is `log_evidence` where the method estimates it; a search
    puts all weight on what it chose. log_evidence: scalar, log E[exp potential] under the model, nats; NaN where it is not estimated.
    info: `network_calls` (evaluations of one sample, in all) and what the method reports.
    """

    particles: Any
    log_weights: jax.Array
    log_evidence: jax.Array
    info: dict

    @property
    def ess(self):
        """Effective sample size, 1 / sum w^2, in [1, K]."""
        return effective_sample_size(self.log_weights)

    def resampled(self, key, count: int | None = None, resample="systematic"):
        """(count or K, ...) particles of equal weight. resample: a name of `RESAMPLERS` or a function like them."""
        ancestors = resolve(resample)(one_key(key), self.log_weights, count)
        return jax.tree.map(lambda leaf: leaf[ancestors], self.particles)

    def draw(self, key):
        """One x, without batch axis: particle k with probability w_k."""
        chosen = resolve("multinomial")(one_key(key), self.log_weights, 1)[0]
        return jax.tree.map(lambda leaf: leaf[chosen], self.particles)

    def best(self):
        """The particle of the largest weight, without batch axis: no sample of the law, but the top of a search."""
        return jax.tree.map(lambda leaf: leaf[jnp.argmax(self.log_weights)], self.particles)

    def mean(self, function: Callable | None = None):
        """sum_k w_k function(x_k), function acting on a batch (None: the particles themselves)."""
        values = self.particles if function is None else function(self.particles)
        weights = jax.nn.softmax(self.log_weights)

        def one(leaf):  # events and counts are averaged as the numbers that they are
            leaf = leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf.astype(weights.dtype)
            return jnp.tensordot(weights.astype(leaf.dtype), leaf, axes=1)

        return jax.tree.map(one, values)
