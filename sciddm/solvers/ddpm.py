"""DDPM: ancestral sampling, the exact reverse kernel at x_0 = x0_hat.

    x_s ~ q(x_s | x_t, x_0 = x0_hat)                (Ho et al. 2020, eq. 6-7, arXiv:2006.11239)

Weak order 1; the last step has no noise because sigma_0 = 0.
"""

from sciddm.process import posterior_kernel
from sciddm.solvers.base import AncestralSolver


class DDPM(AncestralSolver):
    """Stochastic, one call a step."""

    def draws_noise(self):
        return True

    def kernel(self, term, t, s, x_t, x0_hat):
        return posterior_kernel(x0_hat, x_t, term.level(t), term.level(s))
