"""Training-free guidance: the family that DPS, LGD, MPGD, FreeDoM and universal guidance are members of.

    delta_t = rho grad_{x_t} r~(x0_hat(x_t)),   delta_0 = `iterations` steps of length mu along grad r~ from x0_hat
    x_s <- x_s + (alpha_s/alpha_t) delta_t + alpha_s delta_0,   r~(x) = log mean_i exp r(x + std sigma_t z_i)
                                                              (Ye et al. 2024, algorithm 1, arXiv:2409.15761)
rho and mu are constant in time here; the published schedule "increase" weighs them by (alpha_t/alpha_s)^2 over its mean besides,
which is near 1 on a fine grid. Published values are searched for each task: rho and mu in powers of 2 around 1.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.answer import Kick
from sciddm.arithmetic import combine, expand, norm
from sciddm.denoiser import Denoiser, Draws, Guide, SamplingDefaults, linearize
from sciddm.keys import whole
from sciddm.lookahead.gradients import misfit, potential_report, value_and_gradient
from sciddm.lookahead.lgd import smoothed
from sciddm.time_travel import TimeTravel


def tfg(
    denoiser: Denoiser, potential, *, rho=1.0, mu=1.0, std=0.01, iterations: int = 4, repeats: int = 1, samples: int = 4, clip=100.0,
) -> Denoiser:  # fmt: skip
    """`denoiser` whose every step is followed by moves towards high potential, of x_t and of x_0.

    Args:
        potential: (x_0, t) -> (B,), or an Observation, which counts as -|y - A x_0|^2 / (2 |A|^2).
        rho, mu: strength through the network, and of the steps on x_0; std, samples: of the smoothing of r.
        iterations, repeats: N_iter steps on x_0, N_recur visits of each noise level; clip: the longest gradient let through.
    As published it is sampled by "ddpm" in 100 steps uniform in t, unless `sd.sample` is given others.
    """
    whole(iterations, "iterations")
    whole(repeats, "repeats")
    whole(samples, "samples")
    values = [jnp.asarray(value, jnp.float32) for value in (rho, mu, std, clip)]
    return TFG(denoiser, potential, *values, iterations, repeats, samples)


class TFG(Guide):
    """See `tfg`."""

    potential: Any
    rho: jax.Array
    mu: jax.Array
    std: jax.Array
    clip: jax.Array
    iterations: int = eqx.field(static=True)
    repeats: int = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    draws: Draws = Draws()

    def defaults(self):
        return SamplingDefaults(solver="ddpm", steps=100, grid=TimeTravel("t", repeats=self.repeats))

    def evaluate(self, x_t, t, cond=None):
        answer, vjp = linearize(self.denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        noise, std = self.process.noise, self.std * self.process.sigma(t)
        smooth = smoothed(misfit(self.potential), std, noise, self.draws, self.samples, x0_hat)
        value, gradient = value_and_gradient(smooth, x0_hat, t)
        delta_t = self._scaled(self.rho, noise.each("covariance", vjp(gradient)))

        def step(x, _):
            _, slope = value_and_gradient(smooth, x, t)
            return combine(1.0, x, 1.0, self._scaled(self.mu, noise.each("project", slope))), None

        best = jax.lax.scan(step, x0_hat, length=self.iterations)[0]
        kick = Kick(of_x_t=delta_t, of_x_0=combine(1.0, best, -1.0, x0_hat))
        return answer.kicked(kick, potential_report(self.potential, x0_hat, value))

    def _scaled(self, strength, gradient):
        length = norm(gradient)
        factor = strength * jnp.where(length > self.clip, self.clip / jnp.maximum(length, 1e-30), 1.0)
        return jax.tree.map(lambda leaf: expand(factor, leaf) * leaf, gradient)
