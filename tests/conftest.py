"""Shared fixtures: a persistent compile cache, which is most of the suite's time, and the exact mixture."""

import os
import pathlib

# Before jax is imported, and for the processes that tests start: the backend whose figures the tests hold, and the cache.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
cache = os.environ.get("SCIDDM_TEST_CACHE", str(pathlib.Path.home() / ".cache" / "sciddm" / "compiled"))
os.environ["JAX_COMPILATION_CACHE_DIR"] = cache
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
# From an empty cache most of the suite's time is compiling. Unoptimised machine code, made in one piece by the older emitters of loops,
# takes a third of it and computes the same.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
)
os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

_tests_run = 0


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="the slow studies too, which are marked so")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.fixture(autouse=True)
def _forget_programs():
    """Compiled programs are kept for ever, each with memory maps of its own: thousands of them reach the system's limit of maps."""
    global _tests_run
    yield
    _tests_run += 1
    if _tests_run % 30 == 0:
        jax.clear_caches()


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
