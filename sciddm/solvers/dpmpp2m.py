"""DPM-Solver++(2M): a two-step exponential integrator in lambda = log(alpha/sigma).

    x_s = (sigma_s/sigma_t) x_t - alpha_s (e^-h - 1) D,   h = lambda_s - lambda_t
    D = x0_hat + (h / 2 h_before) (x0_hat - x0_hat_before)         (Lu et al. 2022, algorithm 2, arXiv:2211.01095)

Order 2, one call a step. The first and the last step are of order 1: there is no x0_hat before the first one, and no
finite h to extrapolate over in the last one.
"""

import jax
import jax.numpy as jnp

from sciddm.process import combine
from sciddm.solvers.base import AbstractDenoiserSolver


class DPMpp2M(AbstractDenoiserSolver):
    """Deterministic, second order, one call a step."""

    def order(self, terms):
        return 2

    def memory(self, x):
        return jax.tree.map(jnp.zeros_like, x), jnp.asarray(jnp.inf)

    def advance(self, term, t, s, x_t, memory):
        before, h_before = memory
        level_t, level_s = term.level(t), term.level(s)
        x0_hat, report = term.evaluate(x_t, t)
        h = 0.5 * (level_s.log_snr - level_t.log_snr)
        weight = jnp.where(jnp.isfinite(h) & jnp.isfinite(h_before), 0.5 * h / h_before, 0.0)
        estimate = combine(1.0 + weight, x0_hat, -weight, before)
        x_s = combine(level_s.sigma / level_t.sigma, x_t, -level_s.alpha * jnp.expm1(-h), estimate)
        return x_s, (x0_hat, h), report
