"""Time travel: a path that goes back towards noise and down again, several times, before it goes on.

    x_t ~ q(x_t | x_s) = N((alpha_t/alpha_s) x_s, sigma_t^2 - (alpha_t/alpha_s)^2 sigma_s^2)   on the way back, t > s

so that what was corrected at the end of a stretch is heard at its start (RePaint, arXiv:2201.09865, section 4.2; FreeDoM,
arXiv:2303.09833, algorithm 2). It is a grid, so it works with every solver, guide and correction.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from sciddm import grids
from sciddm.arithmetic import combine
from sciddm.keys import whole
from sciddm.process import Level


class TimeTravel(eqx.Module):
    """`grid=sd.TimeTravel("logsnr", jump=10, repeats=10)` in `sd.sample`; `steps` counts those of the grid it goes along.

    Args:
        grid: as `sd.sample` takes it, a name or a function.
        jump: steps of the grid from one return to the next; each goes back as far.
        repeats: how often each stretch is walked in all; 1 is the plain grid.
        window: (start, stop), shares of the steps within which it returns.
    Raises: ValueError on a jump or repeats below 1, or an empty window.
    """

    grid: Any
    jump: int = eqx.field(static=True)
    repeats: int = eqx.field(static=True)
    window: tuple = eqx.field(static=True)

    def __init__(self, grid="logsnr", *, jump: int = 1, repeats: int = 10, window=(0.0, 1.0)):
        jump, repeats = whole(jump, "time travel: jump"), whole(repeats, "time travel: repeats")
        if not 0.0 <= window[0] < window[1] <= 1.0:
            raise ValueError(f"time travel: window = {window}; expected shares of the path, 0 <= start < stop <= 1")
        if not (isinstance(grid, str) or callable(grid)):
            raise ValueError("time travel: grid must be the name of one or a function (process, steps) -> times")
        self.grid, self.jump, self.repeats, self.window = grid, jump, repeats, tuple(window)

    def places(self, steps: int) -> np.ndarray:
        """Indices into the grid of the times that the path visits in turn."""
        path = [0]
        for place in range(1, steps + 1):
            path.append(place)
            start = place - self.jump
            inside = self.window[0] * steps <= start and place <= self.window[1] * steps
            if place % self.jump == 0 and inside:
                path += (self.repeats - 1) * list(range(start, place + 1))
        return np.asarray(path)

    def __call__(self, process, steps: int):
        return grids.resolve(self.grid, process, steps)[self.places(steps)]


def noise_again(x_s, noise, level_s: Level, level_t: Level):
    """x_t ~ q(x_t | x_s), for a standard draw `noise` of the process's law."""
    ratio = jnp.where(level_t.alpha > 0, level_t.alpha / level_s.alpha, 0.0)
    # sigma_t^2 - ratio^2 sigma_s^2 = sigma_t^2 (1 - SNR_t / SNR_s), which does not cancel
    std = level_t.sigma * jnp.sqrt(-jnp.expm1(level_t.log_snr - level_s.log_snr))
    return combine(ratio, x_s, std, noise)
