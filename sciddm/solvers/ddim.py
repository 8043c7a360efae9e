"""DDIM: the first-order exponential integrator, with any share eta of the reverse kernel's noise.

    x_s = alpha_s x0_hat + sqrt(sigma_s^2 - std^2) eps_hat + std z,   std = eta sigma_s sqrt(1 - (alpha_t sigma_s / alpha_s sigma_t)^2)
                                                                      (Song et al. 2021, eq. 12 and 16, arXiv:2010.02502)

eta = 0 is deterministic, eta = 1 is DDPM. Order 1; finite where alpha_t = 0 and where sigma_s = 0.
"""

import equinox as eqx
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import eps_from
from sciddm.process import Level
from sciddm.solvers.base import AncestralSolver


def ddim_step(x0_hat, x_t, level_t: Level, level_s: Level):
    """alpha_s x0_hat + sigma_s eps_hat."""
    return combine(level_s.alpha, x0_hat, level_s.sigma, eps_from(x_t, x0_hat, level_t))


class DDIM(AncestralSolver):
    """First order, one call a step. eta: in [0, 1]."""

    eta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta = {self.eta}: expected 0 to 1")

    def draws_noise(self):
        return self.eta > 0

    def transition(self, term, t, s, x_t, x0_hat):
        level_t, level_s = term.level(t), term.level(s)
        share = self.eta * jnp.sqrt(-jnp.expm1(level_t.log_snr - level_s.log_snr))
        kept = Level(level_s.alpha, level_s.sigma * jnp.sqrt(1.0 - share**2), level_s.log_snr)
        return term.gaussian(ddim_step(x0_hat, x_t, level_t, kept), level_s.sigma * share)
