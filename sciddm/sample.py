"""How a sample is made: one scan over a fixed grid of times."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm import grids, solvers
from sciddm.denoiser import Denoiser
from sciddm.noise import as_structs
from sciddm.process import batch_size, sample_keys
from sciddm.solvers.base import DenoiserTerm, fold


class Correction(eqx.Module):
    """What happens to the path between two steps and is no vector field: projections, Langevin moves, time travel."""

    @abc.abstractmethod
    def __call__(self, term: DenoiserTerm, s, x_s):
        """x_s after the correction, and a dict of (B,) arrays for `info`. `term` carries denoiser, cond and this step's keys."""

    def network_calls(self, steps: int) -> int:
        """Evaluations of the denoiser that it adds to `steps` steps to the data."""
        return 0


def sample(
    key, denoiser: Denoiser, shape, *, cond=None, solver="unipc2", steps=20, grid="optimised", corrections=(), start=None,
    return_path=False,
):  # fmt: skip
    """Draw samples of x_0 by solving the reverse process from noise (t = 1) to data (t = 0).

    Sample i depends on (key, i) alone: not on the batch size, the device count or the sharding.

    Args:
        key: one key, folded by sample index, or (B,) keys, one a sample.
        shape: a shape with its batch axis, or a pytree of them or of jax.ShapeDtypeStruct.
        solver: a name of `sd.solvers.SOLVERS`, a solver of ours, or any diffrax solver.
        grid: a name of `sd.grids.GRIDS`, a function (process, steps) -> times, or decreasing times (`steps` is then their number - 1),
            or a `grids.LogSNR` (`steps` is then its own).
        corrections: `Correction`s applied after each step, in turn.
        start: x at the grid's first time, like the samples; None draws it from the noise law.
    Returns:
        samples like `shape`; info: `network_calls`, `times` (steps + 1,), what guides and corrections report, each (steps, B),
        and `path`, x at all times, with `return_path`.
    Raises: ValueError on an unknown solver or grid, or a start that does not fit the shape.
    """
    like = as_structs(shape)
    if start is not None and jax.tree.map(jnp.shape, start) != jax.tree.map(lambda leaf: leaf.shape, like):
        raise ValueError(
            f"start has shapes {jax.tree.map(jnp.shape, start)}, expected {jax.tree.map(lambda leaf: leaf.shape, like)}"
        )
    solver = solvers.resolve(solver)
    if not (isinstance(grid, str) or callable(grid)):
        grid = np.asarray(grids.resolve(grid, denoiser.process, steps))
        steps = len(grid) - 1
    elif isinstance(grid, grids.LogSNR):
        steps = grid.steps
    if start is None:
        start = _start(key, denoiser.process, like, steps, grid)
    samples, info = _scan(key, denoiser, cond, solver, steps, grid, tuple(corrections), start, return_path)
    calls = solver.network_calls(steps)
    if calls is None:  # an adaptive solver: as many as its slowest sample took
        calls = jnp.max(info["evaluations"], axis=1).sum()
    calls += sum(correction.network_calls(steps) for correction in corrections)
    return samples, {"network_calls": calls * denoiser.calls, **info}


@eqx.filter_jit
def _start(key, process, like, steps, grid):
    # A program of its own: drawing normal numbers takes as long to compile as a small network, and all solvers share it.
    eps = process.noise.sample_batch(fold(sample_keys(key, batch_size(like)), 0), like)
    sigma = process.sigma(_times(grid, process, steps)[0])
    return jax.tree.map(lambda leaf: leaf * sigma.astype(leaf.dtype), eps)


def _times(grid, process, steps):
    return grids.resolve(grid, process, steps) if isinstance(grid, str) or callable(grid) else jnp.asarray(grid)


@eqx.filter_jit
def _scan(key, denoiser, cond, solver, steps, grid, corrections, start, return_path):
    keys, times = sample_keys(key, batch_size(start)), _times(grid, denoiser.process, steps)
    count = times.shape[0] - 1
    to_data = times[-1] <= 0

    def step(carry, now):
        x_t, memory = carry
        index, t, s = now
        step_keys = fold(keys, index + 1)
        term = DenoiserTerm(denoiser, cond, step_keys, jnp.where(to_data, count - 1.0 - index, jnp.inf))
        x_s, _, dense, memory, _ = solver.step(term, t, s, x_t, None, memory, False)
        report = dict(dense["report"])
        for place, correction in enumerate(corrections):
            x_s, more = correction(DenoiserTerm(denoiser, cond, fold(step_keys, place + 1)), s, x_s)
            report |= more
        return (x_s, memory), (report, x_s if return_path else None)

    first = DenoiserTerm(denoiser, cond, keys)
    memory = solver.init(first, times[0], times[1], start, None)
    (samples, _), (report, path) = jax.lax.scan(step, (start, memory), (jnp.arange(count), times[:-1], times[1:]))
    info = {"times": times, **report}
    if return_path:
        info["path"] = jax.tree.map(lambda x, later: jnp.concatenate([x[None], later]), start, path)
    return samples, info
