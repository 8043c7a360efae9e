"""The sampling times of a run's own model, searched once at the end of training, or later, and kept in its last checkpoint."""

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np

from sciddm import grids, solvers
from sciddm.devices import chosen
from sciddm.errors import UserError
from sciddm.export import is_export
from sciddm.overrides import found_beside
from sciddm.own_grid import FEWEST, search_own
from sciddm.runs import finished, read
from sciddm.train.checkpoint import Checkpoints, first_line
from sciddm.train.gradient import with_params
from sciddm.train.sharding import place

SAMPLES = 32


def searched(config, domain, denoiser, params, sharding, progress: bool, given_up):
    """Rows of a `grids.Logistic`, or None where config.sampling takes another grid, or a solver that none is searched with.

    Conditional models are searched under the conditions of held-out samples, of training ones where none are held out. The training is
    done and worth its checkpoint: where the search fails, for want of memory or by a solver of the user's own, that is said, and no more.
    given_up: see `search_own`.
    """
    solver = solvers.resolve(config.sampling.solver)
    if config.sampling.grid != grids.OWN or not searched_with(solver) or given_up():
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


def searched_with(solver) -> bool:
    """Whether times are searched for a solver, or a name of one: of fixed steps, without noise."""
    solver = solvers.resolve(solver)
    return not solver.draws_noise() and solver.network_calls(1) is not None


def lacking(workdir, config) -> int | None:
    """The last step of a run whose budget is spent and that lacks the grid that `config` asks for: an older run, or one of another
    config.sampling. None for any other."""
    if config.sampling.grid != grids.OWN or not searched_with(config.sampling.solver) or jax.process_count() > 1:
        return None
    try:
        run = read(workdir)
    except UserError:  # nothing of a run is there yet
        return None
    return run.step if finished(run, config) and not run.meta.get("grid") else None


def search_afterwards(workdir, config, progress: bool) -> bool:
    """Puts the grid of a finished run into its last checkpoint, without a step of training, and what `config` says of sampling with it.

    Returns: whether it came to its end, and was not stopped.
    """
    from sciddm.model import load
    from sciddm.train.loop import StopSignal, alone

    stop = StopSignal("stopping: the run stays as it was; the same command searches its sampling times again")
    with alone(Path(workdir)), stop:
        if lacking(workdir, config) is None:  # since it was asked
            return True
        model = load(workdir)
        device = jax.sharding.SingleDeviceSharding(chosen()[0])
        params = model.denoiser.network.params
        grid = searched(config, model.domain, model.denoiser, params, device, progress, lambda: stop.asked)
        if grid is not None:
            stored = model.about["config"]
            sampling = stored["sampling"] | {"grid": grids.OWN, "solver": config.sampling.solver}
            Checkpoints(workdir, read_only=True).amend(model.step, {"grid": grid, "config": stored | {"sampling": sampling}})
    return not stop.asked


def way_to_one(run, solver=None) -> str:
    """Of a run without a grid of its own, in words: how it comes by one. solver: None for the run's."""
    config = run.meta["config"]
    solver, path = solver or config["sampling"]["solver"], shlex.quote(str(run.path))
    if not searched_with(solver):
        return f"none is searched with {solver}, but with solvers of fixed steps that draw no noise"
    own = f"--config.sampling.grid=own --config.sampling.solver={shlex.quote(str(solver))}"
    if is_export(run.path):
        return f"the run that it was exported from searches one by `sciddm train` with {own}; export that again"
    if not finished(run):
        return "the same `sciddm train` goes on, and searches one at its end"
    before = found_beside(SimpleNamespace(domain=config["domain"]))
    return f"`{before}sciddm train --config {path}/config.json --workdir {path} {own}` searches one, without training further"
