"""Diffusion posterior sampling: after each step, a step down the residual's norm, of a length that does not know how large it is.

    x_s <- x_s - (scale / |y - A x0_hat|) Sigma grad_{x_t} |y - A x0_hat(x_t)|^2       (Chung et al. 2023, algorithm 1, arXiv:2209.14687)

The released code takes the gradient of the norm, half of this. Its strength is that of `scale` times the number of steps, not
that of a likelihood; `steer` with an Observation is the same direction with the likelihood's own weight.
"""

import jax
import jax.numpy as jnp

from sciddm.answer import Kick
from sciddm.arithmetic import divide, expand, norm, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults, linearize
from sciddm.lookahead.observe.observation import Observation


def dps(denoiser: Denoiser, observation: Observation, *, scale=1.0) -> Denoiser:
    """`denoiser` whose every step is followed by one towards the observation.

    Args: scale: zeta', the published 1 for images (0.3 to 1); 0.1 for the mixture of 25 components.
    As published it is sampled by "ddpm" in 1000 steps uniform in t, unless `sd.sample` is given others.
    """
    return DPS(denoiser, observation, jnp.asarray(scale, jnp.float32))


class DPS(Guide):
    """See `dps`."""

    observation: Observation
    scale: jax.Array

    def defaults(self):
        return SamplingDefaults(solver="ddpm", steps=1000, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer, vjp = linearize(self.denoiser, x_t, t, cond)
        prediction, adjoint = self.observation.linearize(answer.x0_hat)
        residual = self.observation.residual_from(prediction)
        length = divide(2.0 * self.scale, norm(residual))
        uphill = self.process.noise.each("covariance", vjp(adjoint(residual)))
        shift = jax.tree.map(lambda leaf: expand(length, leaf) * leaf, uphill)
        return answer.kicked(Kick(of_x_s=shift), {"residual": root_mean_square(residual)})
