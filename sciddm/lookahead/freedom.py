"""FreeDoM: the gradient through the network, as long as a fixed share of the denoising itself, and time travel in the middle of the path.

    x0_hat' = x0_hat + scale rms(x_t/alpha_t - x0_hat) g / rms(g),   g = Sigma grad_{x_t} r(x0_hat(x_t))
                                                            (Yu et al. 2023, algorithm 2 and its released code, arXiv:2303.09833)
There the move is made on x_s, in units of what x0_hat contributes to it, which for its DDPM steps is this shift.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, divide, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults, linearize
from sciddm.keys import whole
from sciddm.lookahead.gradients import guidance_norm, potential_report, value_and_gradient
from sciddm.lookahead.observe.observation import need_density
from sciddm.time_travel import TimeTravel


def freedom(denoiser: Denoiser, potential, *, scale=0.02, repeats: int = 3, window=(0.3, 0.7)) -> Denoiser:
    """`denoiser` drawn towards high potential, by a length that does not depend on the potential's units.

    Args:
        potential: (x_0, t) -> (B,), or an Observation: only its gradient's direction counts.
        scale: share of the denoising, as published 0.02 for faces, 0.2 of a guidance correction for style.
        repeats, window: time travel, each step of the window's share of the path so often, on 100 "ddpm" steps uniform in t unless
            `sd.sample` is given others.
    """
    whole(repeats, "repeats")
    need_density(potential, "freedom")
    return FreeDoM(denoiser, potential, jnp.asarray(scale, jnp.float32), repeats, tuple(window))


class FreeDoM(Guide):
    """See `freedom`."""

    potential: Any
    scale: jax.Array
    repeats: int = eqx.field(static=True)
    window: tuple = eqx.field(static=True)

    def defaults(self):
        grid = TimeTravel("t", repeats=self.repeats, window=self.window)
        return SamplingDefaults(solver="ddpm", steps=100, grid=grid)

    def evaluate(self, x_t, t, cond=None):
        answer, vjp = linearize(self.denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(self.potential, x0_hat, t)
        uphill = self.process.noise.each("covariance", vjp(gradient))
        alpha = self.process.alpha(t)
        denoising = divide(root_mean_square(combine(1.0, x_t, -alpha, x0_hat)), alpha)
        length = self.scale * divide(denoising, root_mean_square(uphill))
        steered = combine(1.0, x0_hat, length, uphill)
        report = potential_report(self.potential, x0_hat, value)
        return answer.to(steered, report | {"guidance_norm": guidance_norm(self.process, x_t, t, x0_hat, steered)})
