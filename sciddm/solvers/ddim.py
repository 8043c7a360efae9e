"""DDIM: the first-order exponential integrator of the probability flow.

    x_s = alpha_s x0_hat + sigma_s eps_hat          (Song et al. 2021, eq. 12 at sigma = 0, arXiv:2010.02502)

Order 1; finite where alpha_t = 0 and where sigma_s = 0.
"""

from sciddm.denoiser import eps_from
from sciddm.process import Level, combine
from sciddm.solvers.base import AbstractDenoiserSolver


def ddim_step(x0_hat, x_t, level_t: Level, level_s: Level):
    """alpha_s x0_hat + sigma_s eps_hat."""
    return combine(level_s.alpha, x0_hat, level_s.sigma, eps_from(x_t, x0_hat, level_t))


class DDIM(AbstractDenoiserSolver):
    """Deterministic, first order, one call a step."""

    def order(self, terms):
        return 1

    def advance(self, term, t, s, x_t, memory):
        x0_hat, report = term.evaluate(x_t, t)
        return ddim_step(x0_hat, x_t, term.level(t), term.level(s)), memory, report
