"""Sampling-time grids: steps + 1 decreasing times from 1 (noise) to 0 (data)."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.errors import UserError
from sciddm.named import Kind, options_of
from sciddm.named import named as with_options
from sciddm.process import GaussianProcess

# log_snr beyond these is noise or data to any solver: alpha/sigma = e^-5 and e^5 for unit variance data.
LOG_SNR_RANGE = (-10.0, 10.0)
WIDTHS = (0.01, 100.0)
OWN = "own"  # the denoiser's own grid, see `own_grid`
SEARCHED_FROM = -8.76  # where the process begins that searched log-SNRs are commonly found on


def log_snr_bounds(process: GaussianProcess, shift=0.0):
    """The process's own log-SNR at t = 1 and t = 0, or `LOG_SNR_RANGE` + shift where that is infinite."""
    noisy, clean = process.log_snr(1.0), process.log_snr(0.0)
    low = jnp.where(jnp.isfinite(noisy), noisy, LOG_SNR_RANGE[0] + shift)
    high = jnp.where(jnp.isfinite(clean), clean, LOG_SNR_RANGE[1] + shift)
    return low, high


def uniform_log_snr(process: GaussianProcess, steps: int):
    """Uniform in log_snr between the process's bounds; the last step goes to the data."""
    return _between(process, steps, lambda low, high, u: low + u * (high - low))


def edm(process: GaussianProcess, steps: int, rho: float = 7.0):
    """Uniform in (sigma/alpha)^(1/rho) (Karras et al. 2022, eq. 5, arXiv:2206.00364)."""

    def noise_to_signal(low, high, u):
        noisy, clean = jnp.exp(-0.5 * low / rho), jnp.exp(-0.5 * high / rho)
        return -2.0 * rho * jnp.log(noisy + u * (clean - noisy))

    return _between(process, steps, noise_to_signal)


def uniform_time(process: GaussianProcess, steps: int):
    """Uniform in t."""
    return jnp.linspace(1.0, 0.0, steps + 1)


def optimised(process: GaussianProcess, steps: int):
    """The grid that serves the default solver best over many kinds of data of unit variance (see OPTIMISED)."""
    return Logistic()(process, steps)


def check_width(data_std) -> None:
    """Raises: ValueError where the standard deviation of the data is a number, and negative or no finite one."""
    if isinstance(data_std, (int, float, np.generic)) and not 0 <= data_std < float("inf"):
        raise ValueError(f"data_std = {data_std}: expected the standard deviation of the data, a positive number")


def _plain_rows(rows) -> tuple[tuple[float, ...], ...]:
    # lists and arrays too; as tuples of Python's numbers they are compared and hashed, as what programs are compiled for has to be
    try:
        return tuple(tuple(float(value + 0) for value in row) for row in rows)  # + 0: a text is no number, though it may look like one
    except (TypeError, ValueError) as error:
        said = " ".join(repr(rows).split())
        raise ValueError(f"rows = {said:.100}: expected numbers (steps, centre, left, right), a row or several") from error


class Logistic(eqx.Module):
    """Log-SNRs at quantiles of a skewed logistic law, which steps of a share u = k / steps of the path go through:

        log_snr(u) = centre + 2 left log(2 u) - 2 right log(2 - 2 u)

    left = right = 1 and centre = 0 are times uniform in sigma / (alpha + sigma), the t of rectified flow, whatever the process. u is drawn
    in so that all stays within the bounds of the process.

    rows: (steps, centre, left, right), in between interpolated in log steps; data_std: of data as wide, the centre moves along, so that
    alpha^2 data_std^2 / sigma^2 is what it was. Wider or narrower data than `WIDTHS` take the grid of its ends.
    """

    rows: tuple[tuple[float, ...], ...] = eqx.field(static=True, converter=_plain_rows, default_factory=lambda: OPTIMISED)
    data_std: Any = 1.0

    def __check_init__(self):
        check_width(self.data_std)
        table = np.asarray(self.rows if {len(row) for row in self.rows} == {4} else np.nan)
        if not np.isfinite(table).all() or np.any(table[:, [0, 2, 3]] <= 0):
            raise ValueError(f"rows = {self.rows}: expected (steps, centre, left, right), finite, all but the centre above 0")
        if np.any(np.diff(table[:, 0]) <= 0):
            raise ValueError(f"rows = {self.rows}: their numbers of steps must increase")

    def shape(self, steps: int) -> tuple[float, float, float]:
        """centre, left and right for so many steps, of data of unit variance."""
        known = np.log([row[0] for row in self.rows])
        centre, left, right = (np.interp(np.log(steps), known, column) for column in zip(*[row[1:] for row in self.rows], strict=True))
        return float(centre), float(left), float(right)

    def __call__(self, process: GaussianProcess, steps: int):
        centre, left, right = self.shape(steps)
        shift = -2.0 * jnp.log(jnp.clip(jnp.asarray(self.data_std, jnp.result_type(float)), *WIDTHS))
        low, high = log_snr_bounds(process, shift)
        third = (high - low) / 3.0
        centre = jnp.clip(centre + shift, low + third, high - third)
        # e^-2 of the law at the most is cut off on either side, where a process has a narrow range
        left, right = jnp.minimum(left, (centre - low) / 5.0), jnp.minimum(right, (high - centre) / 5.0)
        middle = centre + 2.0 * np.log(2.0) * (left - right)
        first, last = jnp.exp(0.5 * (low - middle) / left), -jnp.expm1(0.5 * (middle - high) / right)
        u = first + (last - first) * jnp.arange(1, steps) / steps
        inner = middle + 2.0 * left * jnp.log(u) - 2.0 * right * jnp.log1p(-u)
        return jnp.concatenate([jnp.ones(1), process.time(inner), jnp.zeros(1)])


def Optimised(std=1.0) -> Logistic:  # noqa: N802, a class's name in earlier versions
    """The grid `optimised` for data of standard deviation `std`."""
    return Logistic(data_std=std)


class LogSNR(eqx.Module):
    """A grid through given log-SNRs: t = 1, the times of `inner` (steps - 1, increasing), t = 0. For any process, differentiable.

    Where the process does not reach so far, they are drawn together until they fit between its ends; `start`: of the process that
    they were found on.
    """

    inner: jax.Array
    start: Any = SEARCHED_FROM

    @property
    def steps(self) -> int:
        """Its number of steps."""
        return len(self.inner) + 1

    def __call__(self, process: GaussianProcess, steps: int):
        if steps != self.steps:
            raise ValueError(f"a grid through {len(self.inner)} log-SNRs has {self.steps} steps, not {steps}")
        inner = jnp.asarray(self.inner)
        low, high = process.log_snr(1.0), process.log_snr(0.0)
        first, last = jnp.minimum(inner[0], self.start), inner[-1]
        margin = jnp.minimum((high - low) / 3.0, 1.0)
        squeezed_first = jnp.clip(first, low, high - 2.0 * margin)
        squeezed_last = jnp.clip(last, squeezed_first + margin, high - margin)
        scale = (squeezed_last - squeezed_first) / jnp.maximum(last - first, 1e-6)
        fits = (inner[0] > low) & (last < high)
        fitted = jnp.where(fits, inner, squeezed_first + (inner - first) * scale)
        times = jnp.clip(process.time(fitted), 0.0, 1.0)
        return jnp.concatenate([jnp.ones(1), times, jnp.zeros(1)])


def load(path) -> LogSNR:
    """A grid that `scripts/optimise_grid.py` wrote: JSON with the key "log_snr".

    Raises: UserError if the file is not there or holds no increasing, finite numbers.
    """
    try:
        inner = np.asarray(json.loads(Path(path).read_text())["log_snr"], np.float32)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"grid {path}: {type(error).__name__}: {error}; expected the JSON of scripts/optimise_grid.py"
        ) from error
    if inner.ndim != 1 or len(inner) < 1 or not np.all(np.isfinite(inner)) or np.any(np.diff(inner) <= 0):
        raise UserError(f"grid {path}: its log_snr must be a list of finite numbers that increase; make it again")
    return LogSNR(inner)


def _between(process, steps, curve):
    # A process with alpha > 0 at t = 1 starts exactly there; one with alpha = 0 spends its first step on the way from
    # pure noise to the bound. Either way the last step, from the last but one point of the curve, goes to the data.
    low, high = log_snr_bounds(process)
    u = jnp.arange(steps) / max(steps, 1)
    inner = process.time(curve(low, high, u))
    return jnp.concatenate([jnp.ones(1), inner[1:], jnp.zeros(1)])


GRIDS: dict[str, Callable] = {"logsnr": uniform_log_snr, "edm": edm, "t": uniform_time, "optimised": optimised}

# steps, centre, left, right, by scripts/benchmarks/optimised_grids.py; the last row, where all are good, for solvers of other kinds.
OPTIMISED = ((5, 0.4, 1.0, 1.5), (10, 0.8, 0.95, 1.5), (20, 1.1, 0.85, 1.5), (60, 0.8, 1.3, 1.6))


KIND = Kind(
    "grid", GRIDS, lambda found: inspect.isfunction(found) and list(options_of(found))[:2] == ["process", "steps"],
    "a function (process, steps) -> steps + 1 decreasing times",
)  # fmt: skip


def named(grid: str) -> Callable:
    """The grid of this name, of `GRIDS` or package.module:Name. Raises: ValueError if there is none."""
    return with_options(grid, KIND, ("process", "steps"))


def resolve(grid, process: GaussianProcess, steps: int):
    """Times from a name of `GRIDS`, a function (process, steps) -> times, or the decreasing times themselves.

    Raises: ValueError on an unknown name, or on times that are not strictly decreasing within [0, 1].
    """
    if steps < 1:
        raise ValueError(f"steps = {steps}: at least one step is needed")
    if isinstance(grid, str):
        return named(grid)(process, steps)
    if callable(grid):
        return jnp.asarray(grid(process, steps))
    return jnp.asarray(checked_times(grid))


def checked_times(grid) -> np.ndarray:
    """Times given as such. Raises: ValueError unless they are finite and decrease strictly within [0, 1]."""
    times = np.asarray(grid, jnp.result_type(float))
    if times.ndim != 1 or len(times) < 2 or not (np.all(np.diff(times) < 0) and 0 <= times[-1] and times[0] <= 1):
        raise ValueError(f"a grid of times decreases strictly from at most 1 to at least 0, got {_shortly(times)}")
    return times


def check_function(grid: Callable, process: GaussianProcess, steps: int) -> None:
    """Looks at what a function (process, steps) -> times gives, wherever that is a number and nothing traced.

    Raises: ValueError unless its times, those between two returns of a `TimeTravel`, are steps + 1 and decrease strictly within [0, 1].
    """
    inner = getattr(grid, "grid", grid)  # a time travel goes along another grid
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((inner, process)))
    if traced or not callable(inner):
        return
    with jax.ensure_compile_time_eval():
        times = _evaluate(inner, process, steps)
    if np.shape(times) != (steps + 1,):
        raise ValueError(f"grid: the function gives times of shape {np.shape(times)} for {steps} steps: expected ({steps + 1},)")
    checked_times(times)


@eqx.filter_jit
def _evaluate(grid, process, steps):
    return jnp.asarray(grid(process, steps))


def _shortly(times: np.ndarray) -> str:
    rows = np.array2string(times, precision=4, threshold=8, separator=", ")
    return rows if times.ndim == 1 else f"an array of shape {times.shape}"
