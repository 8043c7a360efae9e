"""DiffPIR: half-quadratic splitting, the data's and the network's say in turn.

    x0_hat' = argmin_x |y - A x|^2 / noise_std^2 + weight (alpha_t/sigma_t)^2 |x - x0_hat|^2,   then fresh noise up to x_s
                                                                            (Zhu et al. 2023, eq. 11-14, arXiv:2305.08995)
x0_hat is taken as the mean of N(x0_hat, sigma_t^2 / (weight alpha_t^2) I): too wide a guess where the data are narrower.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.keys import whole
from sciddm.lookahead.gradients import guidance_norm
from sciddm.lookahead.nearest import noise_to_signal, pull
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.renoise import Renoise


def diffpir(
    denoiser: Denoiser, observation: Observation, *, weight=1.0, zeta: float = 1.0, iterations: int = 20
) -> Denoiser:
    """`denoiser` balanced with a linear observation, at the cost of a plain step.

    Args:
        weight: lambda of the prior, as published 1 for inpainting, 8 in InverseBench.
        zeta: share of fresh noise in a step; iterations: at most so many conjugate-gradient steps.
    As published it is sampled by `Renoise(zeta)` in 100 steps uniform in t, unless `sd.sample` is given others.
    """
    whole(iterations, "iterations")
    return DiffPIR(denoiser, observation, jnp.asarray(weight, jnp.float32), zeta, iterations)


class DiffPIR(Guide):
    """See `diffpir`."""

    observation: Observation
    weight: jax.Array
    zeta: float = eqx.field(static=True)
    iterations: int = eqx.field(static=True)

    def defaults(self):
        return SamplingDefaults(solver=Renoise(self.zeta), steps=100, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        variance = noise_to_signal(self.process, t) / self.weight
        steered = self.process.noise.each("project", pull(self.observation, x0_hat, variance, self.iterations))
        residual = root_mean_square(self.observation.residual(x0_hat))
        norm = guidance_norm(self.process, x_t, t, x0_hat, steered)
        return answer.to(steered, {"residual": residual, "guidance_norm": norm})
