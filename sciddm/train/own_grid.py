"""The sampling times of a run's own model, searched once at the end of training and kept in its last checkpoint."""

import jax
import numpy as np

from sciddm import grids, solvers
from sciddm.own_grid import search_own
from sciddm.train.sharding import place
from sciddm.train.state import with_params

SAMPLES = 32


def searched(config, domain, denoiser, params, sharding, progress: bool):
    """Rows of a `grids.Logistic`, or None where config.sampling takes another grid, or a solver that none is searched with.

    Conditional models are searched under the conditions of held-out samples, of training ones where none are held out.
    """
    solver = solvers.resolve(config.sampling.solver)
    if config.sampling.grid != grids.OWN or solver.draws_noise() or solver.network_calls(1) is None:
        return None
    dataset = domain.dataset("test")
    dataset = dataset if len(dataset) else domain.dataset("train")
    count = -(-SAMPLES // len(sharding.device_set)) * len(sharding.device_set)
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *(dataset[i % len(dataset)] for i in range(count)))
    cond = batch.get("cond")
    if cond is not None:
        cond = place(cond, jax.tree.map(lambda _: sharding, cond))
    shape = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), domain.example)
    model = with_params(denoiser, params)
    return search_own(config.seed, model, shape, cond=cond, solver=solver, sharding=sharding, progress=progress).rows
