"""EDM's stochastic sampler: noise is raised a little, then a Heun step takes it down again.

    t_up with sigma/alpha raised by (1 + gamma), gamma = min(churn h, sqrt(2) - 1); x moves along with fresh noise; Heun from t_up to s
                                                                    (Karras et al. 2022, algorithm 2, arXiv:2206.00364)
churn is S_churn per unit of lambda = log(alpha/sigma), so that it means the same on every grid and at every number of steps:
S_churn = churn (lambda_end - lambda_start). h = lambda_s - lambda_t. Raising moves along the process exactly, so the order is Heun's: 2.
"""

import equinox as eqx
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.process import Level
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.exponential import log_step
from sciddm.solvers.heun import heun_step


class EDM(AbstractDenoiserSolver):
    """2 steps - 1 calls. churn, noise: S_churn (see above) and S_noise; low, high: S_tmin and S_tmax, bounds of sigma/alpha."""

    churn: float = eqx.field(static=True, default=0.5)
    low: float = eqx.field(static=True, default=0.0)
    high: float = eqx.field(static=True, default=float("inf"))
    noise: float = eqx.field(static=True, default=1.0)

    def draws_noise(self):
        return True

    def order(self, terms):
        return 2

    def network_calls(self, steps):
        return 2 * steps - 1

    def advance(self, term, t, s, x_t, memory):
        process, level_t, level_s = term.denoiser.process, term.level(t), term.level(s)
        h, ratio = log_step(level_t, level_s), jnp.exp(-0.5 * level_t.log_snr)
        inside = jnp.isfinite(ratio) & (ratio >= self.low) & (ratio <= self.high)
        gamma = jnp.minimum(self.churn * jnp.where(jnp.isfinite(h), h, 1.0), jnp.sqrt(2.0) - 1.0)
        # Never beyond the noisiest level that the denoiser knows.
        raised = jnp.maximum(level_t.log_snr - 2.0 * jnp.log1p(gamma), process.log_snr(1.0))
        log_snr = jnp.where(inside, raised, level_t.log_snr)
        gamma = jnp.where(inside, jnp.expm1(0.5 * (level_t.log_snr - jnp.where(inside, log_snr, 0.0))), 0.0)
        # At alpha = 0 nothing can be raised: t stays, exactly.
        up = jnp.where(gamma > 0, process.time(jnp.where(inside, log_snr, 0.0)), t)
        level = Level(process.alpha(up), process.sigma(up), log_snr)
        gain = jnp.where(level_t.alpha > 0, level.alpha / jnp.where(level_t.alpha > 0, level_t.alpha, 1.0), 1.0)
        std = jnp.where(gamma > 0, self.noise * level.sigma * jnp.sqrt(1.0 - (1.0 + gamma) ** -2), 0.0)
        x_up = combine(gain, x_t, std, term.noise(x_t))
        x_s, answer = heun_step(term, up, s, x_up, level, level_s)
        return x_s, memory, answer
