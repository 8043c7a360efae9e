"""How a sample is made: one scan over a fixed grid of times."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm import grids, solvers
from sciddm.arithmetic import as_structs, batch_size, cast
from sciddm.denoiser import Denoiser
from sciddm.errors import Refusal
from sciddm.keys import checked_key, fold, sample_keys, whole
from sciddm.reverse import by, reverse_step
from sciddm.solvers.base import DenoiserTerm
from sciddm.time_travel import TimeTravel, noise_again


def sample(
    key, denoiser: Denoiser, shape, *, cond=None, solver=None, steps=None, grid=None, corrections=(), start=None,
    return_path=False,
):  # fmt: skip
    """Draw samples of x_0 by solving the reverse process from noise (t = 1) to data (t = 0).

    Sample i depends on (key, i) alone: not on the batch size, the device count or the sharding.

    Args:
        key: one key, folded by sample index, an integer seed of one, or (B,) keys, one a sample.
        shape: a shape with its batch axis, or a pytree of them or of jax.ShapeDtypeStruct.
        solver: a name of `sd.solvers.SOLVERS`, a solver of ours, or any diffrax solver.
        steps: of the grid.
        grid: a name of `sd.grids.GRIDS`, a function (process, steps) -> times, or decreasing times (`steps` is then their number - 1),
            or a `grids.LogSNR` (`steps` is then its own), or a `TimeTravel` along one of them.
            Where solver, steps or grid is None the denoiser's default is taken (`denoiser.sampling`), else "unipc2-signal", 20, "optimised"
            (both for data of unit variance; `denoiser.for_width(std)` are those for others). grid "own" is the denoiser's, too.
        corrections: `Correction`s applied after each step, in turn, after those that the denoiser brings along.
        start: x at the grid's first time, like the samples; None draws it from the noise law.
    Returns:
        samples like `shape`; info: `network_calls` in all and `calls` of each step, `times` (steps + 1,), what guides and corrections
        report, each (steps, B) (0 where time travel goes back), and `path`, x at all times, with `return_path`.
    Raises: ValueError on an unknown solver or grid, another number of keys than samples, times that don't decrease, or a start that does
        not fit the shape; Refusal, which is one, on a solver that the guide can't work with.
    """
    like = as_structs(shape)
    key = checked_key(key, batch_size(like))  # folded by sample inside of the compiled programs
    solver, steps, grid = fill_defaults(denoiser, solver, steps, grid)
    corrections = denoiser.sampling.corrections + tuple(corrections)
    if start is None:
        start = start_from_noise(key, denoiser.given(cond).process, like, steps, grid)
    else:
        start = _checked_start(start, like)
    back = _goes_back(grid, steps)
    samples, info = _scan(key, denoiser, cond, solver, steps, grid, back, corrections, start, return_path)
    # an adaptive solver: as many as its slowest sample took
    own = None if solver.network_calls(1) is not None else jnp.max(info["evaluations"], axis=1)
    calls = planned_calls(denoiser, solver, steps, grid, corrections, own)
    total = int(calls.sum()) if isinstance(calls, np.ndarray) else calls.sum()
    return samples, {"network_calls": total, "calls": calls, **info}


def planned_calls(denoiser: Denoiser, solver, steps, grid, corrections=(), own=None):
    """(steps,) network calls a sample of each step, of what `fill_defaults` returns; own: those of an adaptive solver, which has no plan.

    Raises: Refusal of an adaptive solver without `own`.
    """
    if own is None and solver.network_calls(1) is None:
        raise Refusal(
            f"{type(solver).__name__} takes as many network calls as it needs: a budget wants a solver of fixed steps"
        )
    places = grid.places(steps) if isinstance(grid, TimeTravel) else np.arange(steps + 1)
    ends = (places == steps)[1:] & (isinstance(grid, str) or callable(grid) or grid[-1] <= 0)
    calls = _calls(solver, ends) if own is None else own
    return (
        (calls + sum(_calls(part, ends) for part in corrections))
        * ~np.asarray(_goes_back(grid, steps))
        * denoiser.calls
    )


def _goes_back(grid, steps) -> tuple[bool, ...]:
    places = grid.places(steps) if isinstance(grid, TimeTravel) else np.arange(steps + 1)
    return tuple((np.diff(places) < 0).tolist())


def fill_defaults(denoiser: Denoiser, solver=None, steps=None, grid=None):
    """Solver, steps and grid of `sample`: the caller's, else the denoiser's defaults (`denoiser.sampling`), else those of the package.

    Raises: ValueError on an unknown solver or grid, or times that don't decrease; Refusal on a solver that the guide can't work with.
    """
    if not isinstance(denoiser, Denoiser):
        raise TypeError(
            f"denoiser is a {type(denoiser).__name__}; expected a sciddm.Denoiser. FunctionDenoiser(function, process) makes one of a "
            "function (x_t, t, cond) -> x0_hat"
        )
    defaults = denoiser.sampling
    if defaults.sampler is not None and solver is not None:
        raise Refusal(f"{defaults.sampler} is a sampler of its own, not a shift of x0_hat: leave `solver` out")
    named = isinstance(solver, str)
    solver = solvers.resolve(next(s for s in (solver, defaults.solver, "unipc2-signal") if s is not None))
    if named and isinstance(solver, solvers.UniPCSignal) and isinstance(defaults.solver, solvers.UniPCSignal):
        solver = solvers.UniPCSignal(solver.points, defaults.solver.data_std)  # a name can't say how wide the data are
    grid = None if isinstance(grid, str) and grid == grids.OWN else grid
    grid = next(g for g in (grid, defaults.grid, "optimised") if g is not None)
    steps = whole(next(s for s in (steps, defaults.steps, 20) if s is not None), "steps")
    if not (isinstance(grid, str) or callable(grid)):
        grid = grids.checked_times(grid)  # of numpy, so that it stays concrete under jit
        steps = len(grid) - 1
    elif isinstance(grid, grids.LogSNR):
        steps = grid.steps
    elif isinstance(grid, str):
        grids.named(grid)
    if not isinstance(grid, (str, np.ndarray, grids.Logistic)):
        grids.check_function(grid, denoiser.process, steps)
    return solver, steps, grid


def _checked_start(start, like):
    # integers would give integer samples: like the samples they become
    shapes, expected = jax.tree.map(jnp.shape, start), jax.tree.map(lambda leaf: leaf.shape, like)
    if shapes != expected:
        raise ValueError(f"start has shapes {shapes}, expected {expected}")

    def leaf(value, struct):
        if not isinstance(value, jax.core.Tracer) and not np.all(finite := np.isfinite(np.asarray(value, np.float64))):
            place = tuple(int(i) for i in np.argwhere(~finite)[0])
            raise ValueError(f"start is not finite at {place}: expected numbers, x at the grid's first time")
        value = jnp.asarray(value)
        return value if jnp.issubdtype(value.dtype, jnp.inexact) else value.astype(struct.dtype)

    return jax.tree.map(leaf, start, like)


def _calls(part, ends: np.ndarray) -> np.ndarray:
    # (steps,) evaluations of a solver or a correction: one that ends on the data may cost less than others.
    return np.where(ends, part.network_calls(1), part.network_calls(2) - part.network_calls(1))


@eqx.filter_jit
def start_from_noise(key, process, like, steps, grid):
    """x at the grid's first time, drawn from the noise law; like a batch, sample i keyed by (key, i), or by (B,) keys."""
    # A program of its own: drawing normal numbers takes as long to compile as a small network, and all solvers share it.
    eps = process.noise.sample_batch(fold(sample_keys(key, batch_size(like)), 0), like)
    sigma = process.sigma(grid_times(grid, process, steps)[0])
    return jax.tree.map(lambda leaf: leaf * sigma.astype(leaf.dtype), eps)


def grid_times(grid, process, steps):
    """The times of what `fill_defaults` returns as a grid, (steps + 1,)."""
    return grids.resolve(grid, process, steps) if isinstance(grid, str) or callable(grid) else jnp.asarray(grid)


@eqx.filter_jit
def _scan(key, denoiser, cond, solver, steps, grid, back, corrections, start, return_path):
    denoiser, keys = denoiser.given(cond), sample_keys(key, batch_size(start))
    times = grid_times(grid, denoiser.process, steps)
    count = times.shape[0] - 1
    to_data = times[-1] <= 0

    def forth(x_t, memory, index, t, s):
        remaining = jnp.where(to_data, count - 1.0 - index, jnp.inf)
        x_s, memory, report = reverse_step(
            denoiser, by(solver, t, s, x_t, memory), fold(keys, index + 1), t, s, x_t,
            cond=cond, corrections=corrections, remaining=remaining,
        )  # fmt: skip
        return (x_s, memory), report

    def back_again(x_s, memory, index, s, t):
        term = DenoiserTerm(denoiser, cond, fold(keys, index + 1))
        x_t = noise_again(x_s, term.noise(x_s), term.level(s), term.level(t))
        # What a multistep solver remembers belongs to the path that was left.
        return (x_t, cast(solver.init(term, t, s, x_t, None), memory)), nothing

    def step(carry, now):
        index, returns, t, s = now
        if any(back):
            carry, report = jax.lax.cond(returns, back_again, forth, *carry, index, t, s)
        else:
            carry, report = forth(*carry, index, t, s)
        return carry, (report, carry[0] if return_path else None)

    memory = solver.init(DenoiserTerm(denoiser, cond, keys), times[0], times[1], start, None)
    if any(back):
        shapes = jax.eval_shape(forth, start, memory, 0, times[0], times[1])[1]
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    now = jnp.arange(count), jnp.asarray(back), times[:-1], times[1:]
    (samples, _), (report, path) = jax.lax.scan(step, (start, memory), now)
    info = {"times": times, **report}
    if return_path:
        info["path"] = jax.tree.map(lambda x, later: jnp.concatenate([x[None], later]), start, path)
    return samples, info
