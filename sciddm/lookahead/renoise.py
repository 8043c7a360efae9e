"""Decoupled steps: x_s is the answer with fresh noise, and what x_t was counts only through it.

    x_s = alpha_s x0_hat + sigma_s (sqrt(1 - share) eps_hat + sqrt(share) z)                  (Zhu et al. 2023, eq. 14, arXiv:2305.08995)

The step of methods that find x0_hat by an inner solve (diffpir, daps, sitcom, flowdps). It does not solve the reverse process of a
plain denoiser, whose x0_hat is a mean: with share 1 the spread that x_t carried is lost.
"""

import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import eps_from
from sciddm.solvers.base import AncestralSolver


class Renoise(AncestralSolver):
    """share: of fresh noise, in [0, 1], or "flow": 1 - sigma_s / (alpha_s + sigma_s). 0 is DDIM."""

    share: float | str = 1.0

    def draws_noise(self):
        return True

    def transition(self, term, t, s, x_t, x0_hat):
        level_t, level_s = term.level(t), term.level(s)
        share = level_s.alpha / (level_s.alpha + level_s.sigma) if self.share == "flow" else jnp.asarray(self.share)
        mean = combine(level_s.alpha, x0_hat, level_s.sigma * jnp.sqrt(1.0 - share), eps_from(x_t, x0_hat, level_t))
        return term.gaussian(mean, level_s.sigma * jnp.sqrt(share))
