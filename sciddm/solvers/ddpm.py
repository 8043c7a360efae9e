"""DDPM: ancestral sampling, the exact reverse kernel at x_0 = x0_hat.

    x_s ~ q(x_s | x_t, x_0 = x0_hat)                (Ho et al. 2020, eq. 6-7, arXiv:2006.11239)

What x_0 may be besides x0_hat widens the step: v sigma_t^2 / (v alpha_t^2 + sigma_t^2) Sigma is its covariance if data are N(0, v Sigma),
and with it the kernel is exact for them. v = 1 is the larger of the two variances of Ho et al. (section 3.2), v = 0 the smaller.
Weak order 1; where v = 0 the step onto the data has no noise, else it draws what x_0 may be.
"""

import equinox as eqx
import jax.numpy as jnp

from sciddm.process import posterior_kernel
from sciddm.solvers.base import AncestralSolver


class DDPM(AncestralSolver):
    """Stochastic, one call a step. prior_variance: v, of the data around E[x_0 | x_t]."""

    prior_variance: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not self.prior_variance >= 0:
            raise ValueError(f"prior_variance = {self.prior_variance}: expected 0 or more")

    def transition(self, term, t, s, x_t, x0_hat):
        level_t, level_s = term.level(t), term.level(s)
        mean, std = posterior_kernel(x0_hat, x_t, level_t, level_s)
        if not self.prior_variance:
            return term.gaussian(mean, std)
        share = -level_s.alpha * jnp.expm1(level_t.log_snr - level_s.log_snr)
        v = self.prior_variance
        unknown = v * level_t.sigma**2 / (v * level_t.alpha**2 + level_t.sigma**2)
        return term.gaussian(mean, jnp.sqrt(std**2 + share**2 * unknown))
