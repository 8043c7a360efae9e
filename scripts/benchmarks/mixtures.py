"""Exact mixtures that stand in for normalised data: every coordinate of mean 0 and variance 1."""

import numpy as np

import sciddm as sd


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
