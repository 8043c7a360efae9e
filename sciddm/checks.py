"""What a config says to processes, solvers, networks, losses and tasks, held against what takes it, before anything is made."""

import contextlib
import json
from collections.abc import Mapping

import jax
import numpy as np

from sciddm import grids, solvers
from sciddm.config import naming_keys, resolved
from sciddm.domain import domain_type
from sciddm.errors import UserError
from sciddm.named import near
from sciddm.networks.kinds import check_network
from sciddm.noise import White
from sciddm.tasks.base import check_tasks, task_types
from sciddm.train.state import check_denoiser, make_objective, make_process

_FINE: set[str] = set()  # configs of this process that were looked at
MOST_STEPS = 10**6
MOST_SIGNAL = -3.0  # log signal-to-noise ratio at t = 1: alpha is a fifth of sigma there


def check_parts(config) -> None:
    """Process, loss, sampling, network, tasks and what the domain itself checks.

    Raises: UserError that names the key.
    """
    parts = {key: value for key, value in resolved(config).items() if key not in ("checkpoint", "mesh")}
    parts["training"] = parts["training"]["batch_size"]
    seen = json.dumps(parts, sort_keys=True, default=str)
    if seen not in _FINE:  # looking at a network takes half a second
        with naming_keys():
            _check_parts(config)
        _FINE.add(seen)


def _check_parts(config) -> None:
    kind = domain_type(config)
    check_process(config)
    make_objective(config)
    check_sampling(config, config.sampling, "config.sampling")
    for old, new in kind.renamed_keys.items():
        if has_key(config, old):
            raise UserError(
                f"config.{old} is of an older version; it is now {' and '.join(f'config.{key}' for key in new)}"
            )
    kind.check(config)
    check_tasks(kind, config)
    types = task_types(kind, config)
    for name, options in config.tasks.items():
        check_sampling(config, options, f"config.tasks.{name}")
    for name in config.evaluation.tasks:
        if not isinstance(name, str) or name not in types:
            raise UserError(
                f"config.evaluation.tasks: {name!r} is no task of this config; expected some of {sorted(types)}{near(name, types)}"
            )
    outline = kind.outline(config)
    if outline and kind.networks:
        check_denoiser(config, kind, outline)
    elif kind.networks:
        check_network(config.network, kind.networks, {})


def check_process(config) -> None:
    """The process can be made, and its log-SNR falls from data to what is almost nothing but noise. Raises: UserError on config.process."""
    process = make_process(config, White())
    values = np.asarray(jax.jit(process.log_snr)(np.linspace(0.05, 1.0, 7, dtype=np.float32)))
    said = ", ".join(f"{key} = {value}" for key, value in config.process.items() if key != "name") or "no options"
    if not (np.isfinite(values[:-1]).all() and (np.diff(values) < 0).all()):
        raise UserError(
            f"config.process: with {said} the log signal-to-noise ratio does not fall from data to noise; see sciddm/process.py"
        )
    if values[-1] > MOST_SIGNAL:
        raise UserError(
            f"config.process: with {said} the log signal-to-noise ratio at t = 1 is {values[-1]:.2g}; expected below {MOST_SIGNAL:g}, "
            "since samples start from nothing but noise there"
        )


def check_sampling(config, options: Mapping, where: str) -> None:
    """solver, steps and grid, where they are named. Raises: UserError."""
    if options.get("solver") is not None:
        with _at(f"{where}.solver"):
            solvers.resolve(options["solver"])
    steps = options.get("steps")
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise UserError(f"{where}.steps = {steps}: expected 1 to {MOST_STEPS}")
    if options.get("grid") is not None:
        with _at(f"{where}.grid"):
            _check_grid(config, options["grid"], steps or config.sampling.steps)


def _check_grid(config, grid: str, steps: int) -> None:
    if grid == grids.OWN:
        return
    if grid.endswith(".json"):
        grids.load(grid)
    else:
        grids.check_function(grids.named(grid), make_process(config, White()), min(steps, 1000))


def has_key(config, dotted: str) -> bool:
    """Whether a config has the key."""
    for part in dotted.split("."):
        if not hasattr(config, "get") or part not in config:
            return False
        config = config[part]
    return True


@contextlib.contextmanager
def _at(key: str):
    try:
        yield
    except (ValueError, TypeError, UserError) as error:
        raise UserError(f"{key}: {error}") from error
