"""What a noise law is: eps in x_t = alpha x_0 + sigma eps, a Gaussian N(0, Sigma) that may live on a subspace.

Everything downstream asks the law instead of assuming Sigma = I:

    score           grad log p_t(x_t) = -Sigma^+ E[eps | x_t] / sigma
    guidance        a score correction g shifts the denoiser by (sigma^2 / alpha) Sigma g
    second moment   d E[x_0 | x_t] / d x_t = (alpha / sigma^2) Cov[x_0 | x_t] Sigma^+

Where Sigma is singular, data, noise and every x_t live in its range, the law's support, and densities are densities on it.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import as_structs

LOG_2PI = float(np.log(2.0 * np.pi))


class Noise(eqx.Module):
    """A law of eps ~ N(0, Sigma) on one x, a pytree without batch axis. `each` and `sample_batch` act on batches.

    A new law implements the six methods below, and `per_sample` if parameters of its own may carry a batch axis.
    """

    def given(self, cond) -> "Noise":
        """The law of samples that are conditioned on `cond`: this one, unless it is a `ByCondition`."""
        return self

    @abc.abstractmethod
    def sample(self, key, like):
        """One eps with the shapes and dtypes of `like`, a pytree of arrays, of jax.ShapeDtypeStruct, or of shapes."""

    @abc.abstractmethod
    def log_prob(self, eps):
        """log density of one eps on the support, a scalar, in nats. What of eps lies off the support is not looked at."""

    @abc.abstractmethod
    def project(self, x):
        """The nearest x in the support (the identity where Sigma has full rank)."""

    @abc.abstractmethod
    def covariance(self, u):
        """Sigma u, like u."""

    @abc.abstractmethod
    def precision(self, u):
        """Sigma^+ u, like u: the pseudo-inverse, which inverts Sigma on the support and is 0 off it."""

    @abc.abstractmethod
    def dimension(self, like):
        """Degrees of freedom of the support, a scalar; `like` as in `sample`."""

    def per_sample(self, like):
        """Which parameters carry a batch axis: True or False at a leaf, or at a whole branch, of this module; `like` is one x."""
        return False

    def each(self, name: str, *args):
        """The method called `name` on every sample: args and results are pytrees of (B, ...).

        noise.each("log_prob", eps) -> (B,); noise.each("covariance", u) -> like u; noise.each("dimension", x) -> (B,).
        Parameters with a batch axis go along with the samples, the others are shared.
        """
        batched, shared = eqx.partition(self, self.per_sample(_one(args[0])))
        return jax.vmap(lambda law, *one: getattr(eqx.combine(law, shared), name)(*one))(batched, *args)

    def sample_batch(self, keys, like):
        """One eps a key: keys (B,), `like` a batch (B, ...). Sample i depends on keys[i] (and its own parameters) alone."""
        one = _one(like)
        batched, shared = eqx.partition(self, self.per_sample(one))
        return jax.vmap(lambda law, key: eqx.combine(law, shared).sample(key, one))(batched, keys)


def _one(batch):
    """The struct of one sample of a batch."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), batch)


def draw_white(key, like):
    """Independent standard normal entries like `like`, each leaf with a key of its own."""
    leaves, structure = jax.tree.flatten(as_structs(like))
    keys = [key] if len(leaves) == 1 else list(jax.random.split(key, len(leaves)))
    draws = [jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)]
    return structure.unflatten(draws)


def squared_norm(x):
    """Sum of x^2 over all entries of all leaves."""
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(x))
