"""Exact answers: Gaussian mixtures, their denoisers, posteriors and evidence. What the rest of the library is held against."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.denoiser import Denoiser
from sciddm.process import GaussianProcess, expand


class GaussianMixture(eqx.Module):
    """sum_k w_k N(m_k, C_k) on R^d. Covariances are kept as C_k = Q_k diag(v_k) Q_k^T; Q is None where all are diagonal.

    Args: weights: (K,), normalised here; means: (K, d); covariance: scalar, (d,) or (d, d), or one a component: (K,), (K, d),
    (K, d, d). Where K = d, a vector is a diagonal shared by all and a square matrix a shared covariance.
    Raises: ValueError if the covariance has none of these shapes.
    """

    weights: jax.Array
    means: jax.Array
    variances: jax.Array  # (K, d)
    basis: jax.Array | None  # (K, d, d), columns are axes

    def __init__(self, weights, means, covariance):
        self.means = jnp.atleast_2d(jnp.asarray(means, jnp.result_type(float)))
        k, d = self.means.shape
        self.weights = jnp.broadcast_to(jnp.asarray(weights, self.means.dtype), (k,))
        self.weights = self.weights / self.weights.sum()
        c = jnp.asarray(covariance, self.means.dtype)
        if c.shape in ((d, d), (k, d, d)):
            # eigh in float64: the posterior of an exact observation has variances that float32 can't tell from noise
            values, vectors = np.linalg.eigh(np.asarray(c, np.float64))
            self.variances = jnp.broadcast_to(jnp.asarray(np.maximum(values, 0.0), c.dtype), (k, d))
            self.basis = jnp.broadcast_to(jnp.asarray(vectors, c.dtype), (k, d, d))
        elif c.shape in ((), (d,), (k, d)):
            self.variances, self.basis = jnp.broadcast_to(c, (k, d)), None
        elif c.shape == (k,):
            self.variances, self.basis = jnp.broadcast_to(c[:, None], (k, d)), None
        else:
            raise ValueError(
                f"covariance of shape {c.shape}: expected (), ({d},), ({d}, {d}), ({k},), ({k}, {d}) or ({k}, {d}, {d})"
            )

    @property
    def covariances(self):
        """(K, d, d)."""
        if self.basis is None:
            return jax.vmap(jnp.diag)(self.variances)
        return jnp.einsum("kij,kj,klj->kil", self.basis, self.variances, self.basis)

    @property
    def mean(self):
        """(d,) mean of the mixture."""
        return self.weights @ self.means

    @property
    def covariance(self):
        """(d, d) covariance of the mixture."""
        centred = self.means - self.mean
        return jnp.einsum("k,kij->ij", self.weights, self.covariances + centred[:, :, None] * centred[:, None, :])

    def log_prob(self, x):
        """log p(x) in nats. x: (B, d) or (B, ...) flattening to it. Returns (B,)."""
        return jax.nn.logsumexp(self._log_joint(x.reshape(x.shape[0], -1), 1.0, 0.0), axis=-1)

    def score(self, x):
        """grad log p(x), like x."""
        return jax.vmap(jax.grad(lambda one: self.log_prob(one[None])[0]))(x)

    def sample(self, key, n: int):
        """(n, d) exact draws; draw i depends on (key, i) alone."""

        def one(i):
            key_k, key_z = jax.random.split(jax.random.fold_in(key, i))
            k = jax.random.categorical(key_k, jnp.log(self.weights))
            z = jnp.sqrt(self.variances[k]) * jax.random.normal(key_z, self.means.shape[1:], self.means.dtype)
            return self.means[k] + (z if self.basis is None else self.basis[k] @ z)

        return jax.vmap(one)(jnp.arange(n))

    def denoiser(self, process: GaussianProcess) -> "MixtureDenoiser":
        """The exact E[x_0 | x_t] under `process`."""
        return MixtureDenoiser(self, process)

    def posterior(self, A, y, noise_std) -> "GaussianMixture":
        """The exact law of x given y = A x + noise.

        S_k = A C_k A^T + R,  m_k' = m_k + C_k A^T S_k^-1 (y - A m_k),  C_k' = C_k - C_k A^T S_k^-1 A C_k,  w_k' ~ w_k N(y; A m_k, S_k)

        Args: A: (m, d); y: (m,); noise_std: scalar or (m,).
        """
        gain, residual, log_weights = self._condition(A, y, noise_std)
        means = self.means + jnp.einsum("kdm,km->kd", gain, residual)
        c = self.covariances
        reduced = c - jnp.einsum("kdm,mj,kji->kdi", gain, jnp.asarray(A, c.dtype), c)
        return GaussianMixture(jax.nn.softmax(log_weights), means, 0.5 * (reduced + reduced.transpose(0, 2, 1)))

    def log_evidence(self, A, y, noise_std):
        """log p(y) of y = A x + noise, in nats."""
        return jax.nn.logsumexp(self._condition(A, y, noise_std)[2])

    def _condition(self, A, y, noise_std):
        A, y = jnp.asarray(A, self.means.dtype), jnp.asarray(y, self.means.dtype)
        noise = jnp.diag(jnp.broadcast_to(jnp.asarray(noise_std, y.dtype) ** 2, y.shape))
        cross = jnp.einsum("kij,mj->kim", self.covariances, A)
        s = jnp.einsum("mi,kin->kmn", A, cross) + noise
        residual = y - self.means @ A.T
        solved = jnp.linalg.solve(s, residual[..., None])[..., 0]
        log_det = jnp.linalg.slogdet(s)[1]
        log_like = -0.5 * (jnp.sum(residual * solved, -1) + log_det + y.size * jnp.log(2 * jnp.pi))
        gain = jnp.linalg.solve(s, cross.transpose(0, 2, 1)).transpose(0, 2, 1)
        return gain, residual, jnp.log(self.weights) + log_like

    def _log_joint(self, x, alpha, sigma):
        # (B, K): log w_k + log N(x; alpha m_k, alpha^2 C_k + sigma^2 I), alpha and sigma scalar or (B, 1)
        offset = self._rotate(x, alpha)
        variance = _last(alpha) ** 2 * self.variances + _last(sigma) ** 2
        log_density = -0.5 * jnp.sum(offset**2 / variance + jnp.log(2 * jnp.pi * variance), -1)
        return jnp.log(self.weights) + log_density

    def _rotate(self, x, alpha):
        # (B, K, d): x - alpha m_k in each component's own axes
        offset = x[:, None, :] - _last(alpha) * self.means
        return offset if self.basis is None else jnp.einsum("bki,kij->bkj", offset, self.basis)


class MixtureDenoiser(Denoiser):
    """E[x_0 | x_t] = sum_k r_k(x_t) (m_k + alpha C_k (alpha^2 C_k + sigma^2)^-1 (x_t - alpha m_k)), r_k the responsibilities."""

    mixture: GaussianMixture
    process: GaussianProcess

    def evaluate(self, x_t, t, cond=None):
        mixture, x = self.mixture, x_t.reshape(x_t.shape[0], -1)
        alpha, sigma = (expand(v, x) for v in (self.process.alpha(t), self.process.sigma(t)))
        responsibility = jax.nn.softmax(mixture._log_joint(x, alpha, sigma), axis=-1)
        shrink = _last(alpha) * mixture.variances / (_last(alpha) ** 2 * mixture.variances + _last(sigma) ** 2)
        shift = mixture._rotate(x, alpha) * shrink
        if mixture.basis is not None:
            shift = jnp.einsum("bkj,kij->bki", shift, mixture.basis)
        return jnp.einsum("bk,bkd->bd", responsibility, mixture.means + shift).reshape(x_t.shape), {}


def _last(value):
    return value[..., None] if jnp.ndim(value) else value
