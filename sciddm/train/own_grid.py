"""The sampling times of a run's own model, searched once at the end of training and kept in its last checkpoint."""

import sys

import jax
import numpy as np

from sciddm import grids, solvers
from sciddm.own_grid import FEWEST, search_own
from sciddm.train.checkpoint import first_line
from sciddm.train.sharding import place
from sciddm.train.state import with_params

SAMPLES = 32


def searched(config, domain, denoiser, params, sharding, progress: bool, given_up):
    """Rows of a `grids.Logistic`, or None where config.sampling takes another grid, or a solver that none is searched with.

    Conditional models are searched under the conditions of held-out samples, of training ones where none are held out. The training is
    done and worth its checkpoint: where the search fails, for want of memory or by a solver of the user's own, that is said, and no more.
    given_up: see `search_own`.
    """
    solver = solvers.resolve(config.sampling.solver)
    if config.sampling.grid != grids.OWN or solver.draws_noise() or solver.network_calls(1) is None or given_up():
        return None
    dataset = domain.dataset("test")
    dataset = dataset if len(dataset) else domain.dataset("train")
    devices = len(sharding.device_set)
    count = -(-min(SAMPLES, max(config.training.batch_size, FEWEST)) // devices) * devices  # what training has room for
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *(dataset[i % len(dataset)] for i in range(count)))
    cond = batch.get("cond")
    if cond is not None:
        cond = place(cond, jax.tree.map(lambda _: sharding, cond))
    shape = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), domain.example)
    model = with_params(denoiser, params)
    options = {"cond": cond, "solver": solver, "sharding": sharding, "progress": progress, "given_up": given_up}
    try:
        found = search_own(config.seed, model, shape, **options)
    except (RuntimeError, MemoryError, ValueError, TypeError) as error:
        print(f"no sampling times of the run's own: {first_line(error)}; it takes the grid optimised", file=sys.stderr)
        return None
    return found and found.rows
