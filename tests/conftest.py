"""Shared by all tests: a persistent compile cache, trained runs that are made once for all workers, and the exact mixture."""

import gc
import os
import pathlib
import shutil
from functools import cache, partial
from importlib.metadata import version

# Before jax is imported, and for the processes that tests start: the backend whose figures the tests hold, and the cache.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
compiled = os.environ.get("SCIDDM_TEST_CACHE", str(pathlib.Path.home() / ".cache" / "sciddm" / "compiled"))
os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "0"
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")  # where in Python an operation was made: written, and read by nobody here
# From an empty cache most of the suite's time is compiling. Unoptimised machine code, made in one piece by the older emitters of loops,
# takes a third of it and computes the same. Later jaxlibs have those emitters no more, and end a process that asks for them.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10.")
)
os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from filelock import FileLock  # noqa: E402

jax.devices()  # one, before a command line of this process asks for one a core
gc.freeze()  # what is imported stays, and programs are many small objects: a twentieth of the time went into counting them
gc.set_threshold(200_000, 20, 100)
_tests_run = 0


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="the slow studies too, which are marked so")


# The files of the longest tests come first where several workers share them, so that none is left with one at the end.
LONG = ("test_notebooks", "test_docs", "test_domain_contract", "test_cli", "test_resume", "test_sharding", "test_checkpoint")


def pytest_collection_modifyitems(config, items):
    if "PYTEST_XDIST_WORKER" in os.environ:
        order = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))
    if not config.getoption("--all"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def memory_maps():
    """(of this process, as many as the system allows); where that isn't said, programs are taken to have some ten each."""
    try:
        with open("/proc/self/maps", "rb") as maps, open("/proc/sys/vm/max_map_count") as most:
            return sum(1 for _ in maps), int(most.read())
    except OSError:
        return 100 * _tests_run, 6000


@pytest.fixture(autouse=True)
def _forget_programs():
    """Compiled programs are kept for ever, each with memory maps of its own, of which the system allows so many: at a sixth of
    them, where they take some three gigabytes, they are dropped. What later tests need again is in the cache on the disk."""
    global _tests_run
    yield
    _tests_run += 1
    if _tests_run % 10 == 0:
        maps, most = memory_maps()
        if maps > most / 6:
            jax.clear_caches()
            _tests_run = 0


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """once(name, make): a folder that make(folder) fills in the first test that asks for it, whichever worker that runs in. All tests
    of the run read it; one that changes something copies it first."""
    common = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent

    def folder(name, make):
        place, done = common / "once" / name, common / "once" / f"{name}.done"
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            if not done.exists():
                shutil.rmtree(place)
                place.mkdir()
                make(place)
                done.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def toy_run(once):
    """A finished run of `toy_config()`, with checkpoints at steps 20, 40 and 60."""
    from toy_domain import toy_config

    from sciddm.train import fit

    config = toy_config(held_out=32)
    config.sampling.grid = "own"
    return once("toy", lambda folder: fit(config, folder, progress=False))


@pytest.fixture(scope="session")
def small_run(once):
    """small_run(name): a run of `small_config(name)`, trained for two steps and then for two more, with its data in `cache` beside it."""
    from small_configs import small_config

    from sciddm.train import fit

    def make(folder, name):
        config = small_config(name, folder / "cache")
        for steps in (2, 4):
            config.training.steps = steps
            assert int(fit(config, folder / "run", progress=False).step) == steps

    return lambda name: once(f"small-{name}", partial(make, name=name)) / "run"


@pytest.fixture(scope="session")
def small_model(small_run):
    """small_model(name): of that run."""
    import sciddm as sd

    return cache(lambda name: sd.load(small_run(name)))


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
