"""Exact mixtures that stand in for normalised data: every coordinate of mean 0 and variance 1."""

import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd
from sciddm.answer import Answer
from sciddm.denoiser import for_width


def unit_mixture(seed: int, dimension: int, components: int, std: float) -> sd.oracle.GaussianMixture:
    """Normal means scaled to unit variance, Dirichlet(`components`) weights; std: of a component, below 1."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(components, dimension))
    weights = rng.dirichlet(np.full(components, float(components)))
    means -= weights @ means
    means *= np.sqrt((1.0 - std**2) / (weights @ means**2))
    return sd.oracle.GaussianMixture(weights, means, std**2)


def twenty_five(seed: int, dimension: int, seen: int):
    """The inverse problem on 25 components (Cardoso et al. 2023, arXiv:2308.07983): prior, A (m, d), y, noise_std, the truth x.

    Means (-8i, -8j, -8i, ...), i, j in -2..2, covariance I, weights chi^2_1; A Gaussian with its singular values replaced by sorted
    uniform ones; noise_std uniform up to the largest. The data are not normalised, as published.
    """
    rng = np.random.default_rng(1000 * dimension + 100 * seen + seed)
    means = np.array([np.tile([-8.0 * i, -8.0 * j], dimension // 2) for i in range(-2, 3) for j in range(-2, 3)])
    prior = sd.oracle.GaussianMixture(rng.normal(size=25) ** 2, means, 1.0)
    left, _, right = np.linalg.svd(rng.normal(size=(seen, dimension)), full_matrices=False)
    values = np.sort(rng.uniform(size=seen))[::-1]
    A, noise_std = (left * values) @ right, rng.uniform() * values.max()
    weights = np.asarray(prior.weights, float)
    x = means[rng.choice(25, p=weights / weights.sum())] + rng.normal(size=dimension)
    return prior, A, A @ x + noise_std * rng.normal(size=seen), noise_std, x


class IsotropicDenoiser(sd.Denoiser):
    """The exact denoiser of components N(m_k, I): a mixture of few dimensions in the span of the means, one Gaussian off it.

    The same as `GaussianMixture.denoiser`, whose cost is (B, K, d) an evaluation; here it is (B, d).
    """

    inside: sd.Denoiser
    basis: jax.Array  # (d, r), orthonormal
    process: sd.GaussianProcess
    std: jax.Array  # of the mixture

    @property
    def sampling(self):
        return for_width(self.std)

    def evaluate(self, x_t, t, cond=None):
        z = x_t @ self.basis
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        shrink = alpha / (alpha**2 + sigma**2)
        return Answer(shrink * x_t + (self.inside(z, t) - shrink * z) @ self.basis.T, {})


def isotropic_denoiser(prior: sd.oracle.GaussianMixture, process: sd.GaussianProcess) -> IsotropicDenoiser:
    """See `IsotropicDenoiser`; prior: of components of covariance I."""
    means = np.asarray(prior.means, float)
    _, values, right = np.linalg.svd(means, full_matrices=False)
    basis = right[values > 1e-9 * values.max()].T
    inside = sd.oracle.GaussianMixture(prior.weights, means @ basis, 1.0).denoiser(process)
    return IsotropicDenoiser(inside, jnp.asarray(basis, jnp.float32), process, jnp.asarray(prior.std))


def isotropic_posterior(prior: sd.oracle.GaussianMixture, A, y, noise_std):
    """What `GaussianMixture.posterior` and `log_evidence` say of components N(m_k, I), in float64 and without a d x d matrix.

    Returns: draw(seed, n) -> (n, d) exact samples and their components (n,), weights (K,) of the posterior, log evidence in nats.
    """
    means, prior_weights = np.asarray(prior.means, float), np.asarray(prior.weights, float)
    s = A @ A.T + noise_std**2 * np.eye(len(y))
    residual = y - means @ A.T
    solved = np.linalg.solve(s, residual.T).T
    log_joint = np.log(prior_weights) - 0.5 * (
        np.sum(residual * solved, -1) + np.linalg.slogdet(s)[1] + len(y) * np.log(2.0 * np.pi)
    )
    evidence = np.logaddexp.reduce(log_joint)
    weights = np.exp(log_joint - evidence)

    def draw(seed, n):
        rng = np.random.default_rng(seed)
        k = rng.choice(len(weights), n, p=weights / weights.sum())
        x = means[k] + rng.normal(size=(n, means.shape[1]))
        simulated = x @ A.T + noise_std * rng.normal(size=(n, len(y)))
        return x + np.linalg.solve(s, (y - simulated).T).T @ A, k

    return draw, weights, evidence
