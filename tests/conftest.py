"""Shared fixtures: a persistent compile cache, which is most of the suite's time, and the exact mixture."""

import os
import pathlib

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # figures in the tests are of this backend

import jax
import numpy as np
import pytest

CACHE = pathlib.Path(os.environ.get("SCIDDM_TEST_CACHE", pathlib.Path.home() / ".cache" / "sciddm" / "compiled"))
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.fixture
def mixture():
    """A two-component mixture in three dimensions, far from Gaussian."""
    import sciddm as sd

    return sd.oracle.GaussianMixture([0.3, 0.7], [[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]], 0.2)


@pytest.fixture
def sliced():
    """Mean over 64 directions of the 1-Wasserstein distance between two sets of equal size."""

    def distance(a, b, directions=64):
        d = np.random.default_rng(0).normal(size=(directions, a.shape[1]))
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        return np.abs(np.sort(np.asarray(a) @ d.T, 0) - np.sort(np.asarray(b) @ d.T, 0)).mean()

    return distance


@pytest.fixture
def x64():
    """Double precision for the length of one test."""
    with jax.enable_x64(True):
        yield
