"""FlowChef: the gradient at the expected output, taken as the gradient at x_t: the network is skipped.

    x_s <- x_s + scale grad_{x_0} r(x0_hat)                                          (Patel et al. 2024, algorithm 1, arXiv:2412.00100)

On a straight flow x0_hat follows x_t nearly one to one, which is why it can work. Mode-seeking.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sciddm.answer import Kick
from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.lookahead.gradients import misfit, potential_report, value_and_gradient


def flowchef(denoiser: Denoiser, potential, *, scale=1.0) -> Denoiser:
    """`denoiser` whose every step is followed by one along the gradient at the expected output, at the cost of a plain step.

    Args: potential: (x_0, t) -> (B,), or an Observation, which counts as -|y - A x_0|^2 / (2 |A|^2).
    """
    return FlowChef(denoiser, potential, jnp.asarray(scale, jnp.float32))


class FlowChef(Guide):
    """See `flowchef`."""

    potential: Any
    scale: jax.Array

    def defaults(self):
        return SamplingDefaults(solver="ddim", steps=50, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        value, gradient = value_and_gradient(misfit(self.potential), answer.x0_hat, t)
        uphill = self.process.noise.each("project", gradient)
        kick = Kick(of_x_s=combine(self.scale, uphill, 0.0, uphill))
        return answer.kicked(kick, potential_report(self.potential, answer.x0_hat, value))
