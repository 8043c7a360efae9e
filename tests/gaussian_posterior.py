"""Posteriors of Gaussian mixtures by hand, in numpy: what samplers are held against without compiling anything."""

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal


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
