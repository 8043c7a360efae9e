"""Null-space guidance: what is measured comes from the measurement, the network fills in the rest.

    x0_hat' = x0_hat + A^+ L (y - A x0_hat),   L = min(1, (sigma_t/alpha_t) / noise_std)
                                                                            (Wang et al. 2023, eq. 13 and 17, arXiv:2212.00490)

L is the noisy form's: no more of y than hides in the noise of x_t; the published reduction of the step's own noise besides is left
out, for it belongs to one solver. Exact data (noise_std = 0) are met to rounding.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.keys import whole
from sciddm.lookahead.gradients import guidance_norm
from sciddm.lookahead.nearest import noise_to_signal, pseudo_inverse
from sciddm.lookahead.observe.observation import Observation
from sciddm.solvers.ddim import DDIM


def ddnm(denoiser: Denoiser, observation: Observation, *, iterations: int = 20) -> Denoiser:
    """`denoiser` made to agree with a linear observation.

    Args: iterations: at most so many conjugate-gradient steps for A^+; a mask or block means need one, m values at most m.
    As published it is sampled by DDIM with eta 0.85 in 100 steps uniform in t, unless `sd.sample` is given others.
    """
    whole(iterations, "iterations")
    return DDNM(denoiser, observation, iterations)


class DDNM(Guide):
    """See `ddnm`."""

    observation: Observation
    iterations: int = eqx.field(static=True)

    def defaults(self):
        return SamplingDefaults(solver=DDIM(eta=0.85), steps=100, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        prediction = self.observation.operator(x0_hat)
        residual = self.observation.residual_from(prediction)
        hidden = noise_to_signal(self.process, t)

        def limited(r, variance):
            variance = jnp.broadcast_to(variance, r.shape)
            share = jnp.where(variance > 0, expand(hidden, r) / jnp.where(variance > 0, variance, 1.0), 1.0)
            return r * jnp.sqrt(jnp.minimum(share, 1.0))

        wanted = jax.tree.map(limited, residual, self.observation.variance(prediction))
        shift = pseudo_inverse(self.observation, x0_hat, wanted, self.iterations)
        steered = combine(1.0, x0_hat, 1.0, self.process.noise.each("project", shift))
        norm = guidance_norm(self.process, x_t, t, x0_hat, steered)
        return answer.to(steered, {"residual": root_mean_square(residual), "guidance_norm": norm})
