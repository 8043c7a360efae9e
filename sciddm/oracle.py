"""Exact answers: Gaussian mixtures, their denoisers, posteriors and evidence. What the rest of the library is held against."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from sciddm.answer import Answer
from sciddm.arithmetic import as_structs, expand
from sciddm.denoiser import Denoiser, SamplingDefaults, for_width
from sciddm.keys import one_key
from sciddm.noise import Noise, White
from sciddm.process import GaussianProcess


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

    @property
    def std(self):
        """() root mean square over the coordinates of the mixture's standard deviation."""
        xp = jnp if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(self)) else np
        weights, means, variances = (xp.asarray(leaf) for leaf in (self.weights, self.means, self.variances))
        within, between = weights @ variances.mean(1), weights @ ((means - weights @ means) ** 2).mean(1)
        return xp.asarray(xp.sqrt(within + between))

    def log_prob(self, x):
        """log p(x) in nats. x: (B, d) or (B, ...) flattening to it. Returns (B,)."""
        return jax.nn.logsumexp(self._log_joint(x.reshape(x.shape[0], -1), 1.0, 0.0), axis=-1)

    def score(self, x):
        """grad log p(x), like x."""
        return jax.vmap(jax.grad(lambda one: self.log_prob(one[None])[0]))(x)

    def sample(self, key, n: int):
        """(n, d) exact draws; draw i depends on (key, i) alone. key: a jax key or an integer seed."""
        key = one_key(key)

        def one(i):
            key_k, key_z = jax.random.split(jax.random.fold_in(key, i))
            k = jax.random.categorical(key_k, jnp.log(self.weights))
            z = jnp.sqrt(self.variances[k]) * jax.random.normal(key_z, self.means.shape[1:], self.means.dtype)
            return self.means[k] + (z if self.basis is None else self.basis[k] @ z)

        return jax.vmap(one)(jnp.arange(n))

    def denoiser(self, process: GaussianProcess, shape=None) -> Denoiser:
        """The exact E[x_0 | x_t] under `process`, whatever its noise law.

        Args: shape: of one x, a shape or a pytree of them with d entries in all; None: (d,). Under white noise it says nothing.
        Raises: ValueError if the noise law does not act on this shape, or is singular and the mixture not in its support.
        """
        if isinstance(process.noise, White):
            return MixtureDenoiser(self, process)
        basis, inverse = support_basis(process.noise, self.means.shape[1:] if shape is None else shape)
        means, covariances = np.asarray(self.means, np.float64), np.asarray(self.covariances, np.float64)
        if basis.shape[0] != means.shape[1]:
            raise ValueError(f"a mixture in {means.shape[1]} dimensions does not fill an x of shape {shape}")
        for what in (means[..., None], covariances):
            if np.abs(what - basis @ (inverse @ what)).max() > 1e-4 * np.abs(what).max():
                raise ValueError(
                    f"the mixture leaves the support of {type(process.noise).__name__} noise, where its density is 0: project it"
                )
        whitened = GaussianMixture(self.weights, means @ inverse.T, inverse @ covariances @ inverse.T)
        inner = MixtureDenoiser(whitened, GaussianProcess(process.schedule, White()))
        return WhitenedDenoiser(inner, process, *(jnp.asarray(m, self.means.dtype) for m in (basis, inverse)))

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

    @property
    def sampling(self) -> SamplingDefaults:
        """The default solver and grid for a law of this width."""
        return for_width(self.mixture.std)

    def evaluate(self, x_t, t, cond=None):
        mixture, x = self.mixture, x_t.reshape(x_t.shape[0], -1)
        alpha, sigma = (expand(v, x) for v in (self.process.alpha(t), self.process.sigma(t)))
        responsibility = jax.nn.softmax(mixture._log_joint(x, alpha, sigma), axis=-1)
        shrink = _last(alpha) * mixture.variances / (_last(alpha) ** 2 * mixture.variances + _last(sigma) ** 2)
        shift = mixture._rotate(x, alpha) * shrink
        if mixture.basis is not None:
            shift = jnp.einsum("bkj,kij->bki", shift, mixture.basis)
        return Answer(jnp.einsum("bk,bkd->bd", responsibility, mixture.means + shift).reshape(x_t.shape), {})


class WhitenedDenoiser(Denoiser):
    """D(x_t) = L D_z(L^+ x_t) under noise N(0, L L^T): z = L^+ x is a mixture under white noise. x: any pytree of (B, ...)."""

    inner: MixtureDenoiser
    process: GaussianProcess
    basis: jax.Array  # L, (d, r)
    inverse: jax.Array  # L^+, (r, d)

    @property
    def sampling(self) -> SamplingDefaults:
        """The default solver and grid for a law of this width beside the noise."""
        return self.inner.sampling

    def evaluate(self, x_t, t, cond=None):
        _, unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], x_t))
        z = jax.vmap(lambda one: ravel_pytree(one)[0])(x_t) @ self.inverse.T
        return Answer(jax.vmap(unravel)(self.inner(z, t) @ self.basis.T), {})


def support_basis(noise: Noise, shape):
    """L (d, r) and L^+ (r, d) of Sigma = L L^T: the law's axes, scaled. Sigma is built densely, in float64, by `noise.covariance`.

    Args: shape: of one x, or a pytree of shapes, d entries in all. Returns: numpy arrays; r is the dimension of the support.
    """
    with jax.enable_x64(True):
        one = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), as_structs(shape))
        flat, unravel = ravel_pytree(one)
        multiply = jax.jit(jax.vmap(lambda row: ravel_pytree(noise.covariance(unravel(row)))[0]))
        rows = multiply(jnp.eye(flat.size))
        values, vectors = np.linalg.eigh(np.asarray(0.5 * (rows + rows.T)))
    kept = values > 1e-10 * values.max()
    values, vectors = values[kept], vectors[:, kept]
    return vectors * np.sqrt(values), (vectors / np.sqrt(values)).T


def _last(value):
    return value[..., None] if jnp.ndim(value) else value
