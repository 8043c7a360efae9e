"""Loss-guided diffusion: the potential averaged over a Gaussian guess of x_0 around the expected output, by Monte Carlo.

    x0_hat' = x0_hat + scale (sigma_t^2/alpha_t) Sigma grad_{x_t} log mean_i exp r(x0_hat + r_t z_i)
    r_t^2 = sigma_t^2 / (alpha_t^2 + sigma_t^2)                          (Song et al. 2023, "LGD-MC", eq. 8, ICML 2023)

With many draws and a Gaussian observation it is `pigdm` of a unit prior; one draw is `steer` with a jitter.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, combine
from sciddm.denoiser import Denoiser, Draws, Guide, linearize
from sciddm.keys import fold, whole
from sciddm.lookahead.gradients import gain, guidance_norm, potential_report, value_and_gradient
from sciddm.lookahead.observe.observation import need_density


def lgd(denoiser: Denoiser, potential, *, samples: int = 10, scale=1.0) -> Denoiser:
    """`denoiser` drawn towards high potential of what x_0 may be, not only of its mean.

    Args: potential: (x_0, t) -> (B,) in nats, or an Observation; samples: draws z_i of one step (3 to 10 as published).
    """
    whole(samples, "samples")
    need_density(potential, "lgd")
    return LGD(denoiser, potential, jnp.asarray(scale, jnp.float32), samples)


class LGD(Guide):
    """See `lgd`."""

    potential: Any
    scale: jax.Array
    samples: int = eqx.field(static=True)
    draws: Draws = Draws()

    def evaluate(self, x_t, t, cond=None):
        answer, vjp = linearize(self.denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        smooth = smoothed(
            self.potential, sigma / jnp.hypot(alpha, sigma), self.process.noise, self.draws, self.samples, x0_hat
        )
        value, gradient = value_and_gradient(smooth, x0_hat, t)
        uphill = self.process.noise.each("covariance", vjp(gradient))
        steered = combine(1.0, x0_hat, self.scale * gain(self.process, t), uphill)
        report = potential_report(self.potential, x0_hat, value)
        return answer.to(steered, report | {"guidance_norm": guidance_norm(self.process, x_t, t, x0_hat, steered)})


def smoothed(potential, std, noise, draws: Draws, count: int, like):
    """(x_0, t) -> log mean_i exp potential(x_0 + std z_i, t), with the same `count` draws wherever it is asked.

    Args: std: () or broadcastable to x_0; like: a batch of x_0.
    """
    keys = draws(batch_size(like))
    z = jax.vmap(lambda index: noise.sample_batch(fold(keys, index), like))(jnp.arange(count))

    def average(x_0, t):
        values = jax.vmap(lambda shift: potential(combine(1.0, x_0, std, shift), t))(z)
        return jax.nn.logsumexp(values, axis=0) - jnp.log(count)

    return average
