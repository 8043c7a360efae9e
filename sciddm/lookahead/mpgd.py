"""Manifold-preserving guidance: a gradient step on the expected output itself, without the network's Jacobian.

    x0_hat' = x0_hat + (scale / alpha_t) grad_{x_0} r(x0_hat)                        (He et al. 2024, algorithm 1, arXiv:2311.16424)

Cheap and mode-seeking: nothing in it knows how uncertain x0_hat is, so its spread is not that of a posterior.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, divide
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.lookahead.gradients import guidance_norm, misfit, potential_report, value_and_gradient


def mpgd(denoiser: Denoiser, potential, *, scale=1.0, projection=None) -> Denoiser:
    """`denoiser` moved towards high potential, at the cost of a plain step.

    Args:
        potential: (x_0, t) -> (B,); an Observation counts as -|y - A x_0|^2 / (2 |A|^2).
        projection: back to the data's manifold after the step, like an autoencoder's round trip; x_0 -> x_0.
    """
    return MPGD(denoiser, potential, jnp.asarray(scale, jnp.float32), projection)


class MPGD(Guide):
    """See `mpgd`."""

    potential: Any
    scale: jax.Array
    projection: Any

    def defaults(self):
        return SamplingDefaults(solver="ddim", steps=100, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(misfit(self.potential), x0_hat, t)
        uphill = self.process.noise.each("project", gradient)
        steered = combine(1.0, x0_hat, divide(self.scale, self.process.alpha(t)), uphill)
        if self.projection is not None:
            steered = self.projection(steered)
        report = potential_report(self.potential, x0_hat, value)
        return answer.to(steered, report | {"guidance_norm": guidance_norm(self.process, x_t, t, x0_hat, steered)})
