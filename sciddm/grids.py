"""Sampling-time grids: steps + 1 decreasing times from 1 (noise) to 0 (data)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.process import GaussianProcess

# log_snr beyond these is noise or data to any solver: alpha/sigma = e^-5 and e^5 for unit variance data.
LOG_SNR_RANGE = (-10.0, 10.0)


def log_snr_bounds(process: GaussianProcess):
    """The process's own log-SNR at t = 1 and t = 0, or `LOG_SNR_RANGE` where that is infinite."""
    noisy, clean = process.log_snr(1.0), process.log_snr(0.0)
    low = jnp.where(jnp.isfinite(noisy), noisy, LOG_SNR_RANGE[0])
    high = jnp.where(jnp.isfinite(clean), clean, LOG_SNR_RANGE[1])
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


class LogSNR(eqx.Module):
    """A grid through given log-SNRs: t = 1, the times of `inner` (steps - 1, increasing), t = 0. For any process, differentiable."""

    inner: jax.Array

    def __call__(self, process: GaussianProcess, steps: int):
        if len(self.inner) != steps - 1:
            raise ValueError(f"a grid of {len(self.inner)} inner log-SNRs has {len(self.inner) + 1} steps, not {steps}")
        times = jnp.clip(process.time(jnp.asarray(self.inner)), 0.0, 1.0)
        return jnp.concatenate([jnp.ones(1), times, jnp.zeros(1)])


def _between(process, steps, curve):
    # A process with alpha > 0 at t = 1 starts exactly there; one with alpha = 0 spends its first step on the way from
    # pure noise to the bound. Either way the last step, from the last but one point of the curve, goes to the data.
    low, high = log_snr_bounds(process)
    u = jnp.arange(steps) / max(steps, 1)
    inner = process.time(curve(low, high, u))
    return jnp.concatenate([jnp.ones(1), inner[1:], jnp.zeros(1)])


GRIDS: dict[str, Callable] = {"logsnr": uniform_log_snr, "edm": edm, "t": uniform_time}


def resolve(grid, process: GaussianProcess, steps: int):
    """Times from a name of `GRIDS`, a function (process, steps) -> times, or the decreasing times themselves.

    Raises: ValueError on an unknown name, or on times that are not strictly decreasing within [0, 1].
    """
    if steps < 1:
        raise ValueError(f"steps = {steps}: at least one step is needed")
    if isinstance(grid, str):
        if grid not in GRIDS:
            raise ValueError(f"grid {grid!r} is none of {sorted(GRIDS)}")
        return GRIDS[grid](process, steps)
    if callable(grid):
        return grid(process, steps)
    times = np.asarray(grid, jnp.result_type(float))
    if times.ndim != 1 or len(times) < 2 or np.any(np.diff(times) >= 0) or times[0] > 1 or times[-1] < 0:
        raise ValueError("a grid of times decreases strictly from at most 1 to at least 0")
    return jnp.asarray(times)
