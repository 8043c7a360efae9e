"""FlowDPS: gradient steps on the clean end of a flow, more of them kept the noisier it is, and part of the noisy end drawn anew.

    x_s = alpha_s ((1 - c) x0_hat + c x_y) + sigma_s (sqrt(c_s) eps_hat + sqrt(1 - c_s) z),   c = sigma_t / (alpha_t + sigma_t)
                                                                              (Kim et al. 2025, algorithm 1, arXiv:2503.08136)
where x_y is `steps` gradient steps on |y - A x_0|^2 from x0_hat.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.answer import Kick
from sciddm.arithmetic import combine, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults
from sciddm.keys import whole
from sciddm.lookahead.gradients import descend, misfit
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.renoise import Renoise


def flowdps(denoiser: Denoiser, observation: Observation, *, steps: int = 3, rate=1.0) -> Denoiser:
    """`denoiser` whose steps keep a share of a descent towards the observation; made for flows, works on any process.

    Args: steps, rate: of the descent; on -|y - A x_0|^2 / (2 |A|^2). The published 30 is for the mean of squares of a latent's image.
    As published it is sampled in 28 steps by a `Renoise` whose share is 1 - c_s, unless `sd.sample` is given others.
    """
    whole(steps, "steps")
    return FlowDPS(denoiser, observation, jnp.asarray(rate, jnp.float32), steps)


class FlowDPS(Guide):
    """See `flowdps`."""

    observation: Observation
    rate: jax.Array
    steps: int = eqx.field(static=True)

    def defaults(self):
        return SamplingDefaults(solver=Renoise("flow"), steps=28, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        agreeing = descend(misfit(self.observation), x0_hat, t, self.steps, self.rate)
        kept = sigma / (alpha + sigma)
        # a kick, because eps_hat is that of the unguided answer
        shift = combine(kept, agreeing, -kept, x0_hat)
        residual = root_mean_square(self.observation.residual(x0_hat))
        return answer.kicked(Kick(of_x_0=shift), {"residual": residual})
