"""The law of one step, p(x_s | x_t): what a particle method draws from and weighs by."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand, inner
from sciddm.noise import Noise
from sciddm.spread import Spread


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

    def smeared(self, std) -> "Transition":
        """Itself, with this std where it has none and so no density."""
        return self


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

    def smeared(self, std):
        return self.to(self.mean, jnp.where(self.std > 0, self.std, std))


class WideTransition(Transition):
    """N(mean, std^2 Sigma + share^2 C): x_0 is not known at x_t, C = Cov[x_0 | x_t] is, and the step hands `share` of x_0 on.

    mean: pytree of (B, ...); std, share: () or (B,); spread: C, relative to the noise law's Sigma.
    """

    mean: Any
    std: jax.Array
    share: jax.Array
    spread: Spread
    noise: Noise

    def width(self, c):
        """sqrt(std^2 + share^2 c) of variances c, (B, ...)."""
        return jnp.sqrt(expand(self.std, c) ** 2 + expand(self.share, c) ** 2 * c)

    def sample(self, keys):
        return combine(1.0, self.mean, 1.0, self.widened(self.noise.sample_batch(keys, self.mean)))

    def log_prob(self, x_s):
        eps = self.whitened(combine(1.0, x_s, -1.0, self.mean))
        return self.noise.each("log_prob", eps) - self.spread.log_determinant(self.noise, self.width)

    def weighed(self, proposal, keys):
        """See `GaussianTransition.weighed`."""
        if not isinstance(proposal, WideTransition) or proposal.spread is not self.spread or proposal.std is not self.std:
            return super().weighed(proposal, keys)
        z = self.noise.sample_batch(keys, self.mean)
        d = self.whitened(combine(1.0, proposal.mean, -1.0, self.mean))
        dual = self.noise.each("precision", d)
        return combine(1.0, proposal.mean, 1.0, self.widened(z)), -0.5 * inner(d, dual) - inner(dual, z)

    def widened(self, z):
        """The deviation from the mean that noise z of the law makes."""
        return self.spread.apply(self.noise, self.width, z)

    def whitened(self, deviation):
        """The noise z that makes it."""
        return self.spread.apply(self.noise, lambda c: 1.0 / self.width(c), deviation)

    def to(self, mean) -> "WideTransition":
        """Around another mean."""
        return WideTransition(mean, self.std, self.share, self.spread, self.noise)
