"""The law of one step, p(x_s | x_t): what a particle method draws from and weighs by."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, inner
from sciddm.noise import Noise


class Transition(eqx.Module):
    """A law of x_s, a pytree of (B, ...). A new one implements `sample` and `log_prob`."""

    @abc.abstractmethod
    def sample(self, keys):
        """x_s, one a key. keys: (B,)."""

    @abc.abstractmethod
    def log_prob(self, x_s):
        """(B,) log p(x_s | x_t), nats."""

    def weighed(self, proposal: "Transition", keys):
        """x_s drawn from `proposal`, and (B,) the log of this law's density over the proposal's there, nats."""
        x_s = proposal.sample(keys)
        return x_s, self.log_prob(x_s) - proposal.log_prob(x_s)


class GaussianTransition(Transition):
    """N(mean, std^2 Sigma), Sigma the noise law's covariance. mean: pytree of (B, ...); std: (), (B,), or broadcastable to it, above 0."""

    mean: Any
    std: jax.Array
    noise: Noise

    def sample(self, keys):
        return combine(1.0, self.mean, self.std, self.noise.sample_batch(keys, self.mean))

    def log_prob(self, x_s):
        eps = combine(1.0 / self.std, x_s, -1.0 / self.std, self.mean)
        return self.noise.each("log_prob", eps) - self.noise.each("dimension", x_s) * jnp.log(self.std)

    def weighed(self, proposal, keys):
        """See `Transition`. Of one std and noise law the ratio is -|d|^2 / 2 - <d, z>, in the norm of Sigma^-1, x_s = mean_q + std z,
        d = (mean_q - mean) / std, q the proposal: normalisation and dimension cancel, and no digits do."""
        if not isinstance(proposal, GaussianTransition) or proposal.std is not self.std or proposal.noise is not self.noise:
            return super().weighed(proposal, keys)
        z = self.noise.sample_batch(keys, self.mean)
        d = combine(1.0 / self.std, proposal.mean, -1.0 / self.std, self.mean)
        whitened = self.noise.each("precision", d)
        return combine(1.0, proposal.mean, self.std, z), -0.5 * inner(d, whitened) - inner(whitened, z)

    def to(self, mean, std=None) -> "GaussianTransition":
        """Around another mean, and of another std where one is given."""
        return GaussianTransition(mean, self.std if std is None else std, self.noise)
