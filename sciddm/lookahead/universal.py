"""Universal guidance: a step through the network, then steps on the expected output itself, each noise level several times over.

    x0_hat' = x0_hat + scale (sigma_t^2/alpha_t) Sigma grad_{x_t} r(x0_hat(x_t)) + delta
                                                                    (Bansal et al. 2023, algorithm 1, arXiv:2302.07121)
The first is forward guidance, the plug-in; delta is backward guidance, `backward_steps` gradient steps on r from x0_hat.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults, linearize
from sciddm.keys import whole
from sciddm.lookahead.gradients import descend, gain, guidance_norm, misfit, potential_report, value_and_gradient
from sciddm.lookahead.observe.observation import need_density
from sciddm.time_travel import TimeTravel


def universal(
    denoiser: Denoiser, potential, *, scale=1.0, backward_steps: int = 1, backward_rate=1.0, repeats: int = 1
) -> Denoiser:
    """`denoiser` drawn towards high potential from both sides.

    Args:
        potential: (x_0, t) -> (B,) in nats, or an Observation, whose backward steps are on -|y - A x_0|^2 / (2 |A|^2).
        backward_steps, backward_rate: m and their length; published per task.
        repeats: k, how often each noise level is visited, by a `TimeTravel` where `sd.sample` is not given a grid.
    """
    whole(repeats, "repeats")
    whole(backward_steps, "backward_steps", 0)
    need_density(potential, "universal")
    scale, rate = (jnp.asarray(value, jnp.float32) for value in (scale, backward_rate))
    return Universal(denoiser, potential, scale, rate, backward_steps, repeats)


class Universal(Guide):
    """See `universal`."""

    potential: Any
    scale: jax.Array
    rate: jax.Array
    backward_steps: int = eqx.field(static=True)
    repeats: int = eqx.field(static=True)

    def defaults(self):
        if self.repeats == 1:
            return SamplingDefaults()
        return SamplingDefaults(solver="ddpm", steps=100, grid=TimeTravel("logsnr", repeats=self.repeats))

    def evaluate(self, x_t, t, cond=None):
        answer, vjp = linearize(self.denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(self.potential, x0_hat, t)
        uphill = self.process.noise.each("covariance", vjp(gradient))
        steered = combine(1.0, x0_hat, self.scale * gain(self.process, t), uphill)
        best = descend(misfit(self.potential), x0_hat, t, self.backward_steps, self.rate)
        delta = self.process.noise.each("project", combine(1.0, best, -1.0, x0_hat))
        steered = combine(1.0, steered, 1.0, delta)
        report = potential_report(self.potential, x0_hat, value)
        return answer.to(steered, report | {"guidance_norm": guidance_norm(self.process, x_t, t, x0_hat, steered)})
