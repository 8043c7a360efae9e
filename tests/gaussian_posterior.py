"""Gaussians and their mixtures by hand: posteriors in numpy, which compiles nothing, and a denoiser that compiles quickly."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import sciddm as sd


def gaussian_denoiser(process, variance, mean=0.0):
    """The exact denoiser of N(mean, variance I) on vectors, of few operations: it is compiled into many programs."""
    law = (jnp.asarray(variance), jnp.asarray(mean))
    return sd.FunctionDenoiser(jax.tree_util.Partial(_expected, process, law), process)


def _expected(process, law, x_t, t, cond):
    (variance, mean), alpha, sigma = law, process.alpha(t)[..., None], process.sigma(t)[..., None]
    return (alpha * variance * x_t + sigma**2 * mean) / (alpha**2 * variance + sigma**2)


def levels(process, grid, steps):
    """Times of a named grid and alpha and sigma there, in numpy, by one program."""

    @jax.jit
    def at_times():
        times = sd.grids.resolve(grid, process, steps)
        return times, process.alpha(times), process.sigma(times)

    return tuple(np.array(values, float) for values in at_times())


def mixture_posterior(weights, means, covariance, A, y, noise_std):
    """Weights, means and covariance of a mixture of one covariance given y = A x + noise, and log p(y)."""
    A, y = np.asarray(A, float), np.asarray(y, float)
    s = A @ covariance @ A.T + noise_std**2 * np.eye(len(y))
    gain, residual = covariance @ A.T @ np.linalg.inv(s), y - means @ A.T
    log_joint = np.atleast_1d(np.log(weights / np.sum(weights)) + multivariate_normal.logpdf(residual, cov=s))
    evidence = logsumexp(log_joint)
    return np.exp(log_joint - evidence), means + residual @ gain.T, covariance - gain @ A @ covariance, evidence


def gaussian_posterior(mean, covariance, A, y, noise_std):
    """Mean and covariance of a Gaussian given y = A x + noise."""
    _, means, covariance, _ = mixture_posterior(np.ones(1), np.atleast_2d(mean), covariance, A, y, noise_std)
    return means[0], covariance


def mixture_draws(weights, means, covariance, count, seed):
    """(count, d) draws of a mixture of one covariance."""
    rng = np.random.default_rng(seed)
    noise = rng.multivariate_normal(np.zeros(len(covariance)), covariance, size=count)
    return means[rng.choice(len(weights), p=np.asarray(weights, float) / np.sum(weights, dtype=float), size=count)] + noise
