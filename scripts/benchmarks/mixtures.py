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
