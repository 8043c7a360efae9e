"""Heun's method on the probability flow in sigma/alpha, the deterministic sampler of EDM.

    x/alpha moves along eps_hat as sigma/alpha falls; the slope is the mean of eps_hat at both ends of the step
                                                    (Karras et al. 2022, algorithm 1, arXiv:2206.00364)

Order 2, two calls a step. The first step from alpha = 0 and the last to sigma = 0 have no second slope: they are DDIM steps.
"""

import jax
import jax.numpy as jnp

from sciddm.denoiser import eps_from
from sciddm.process import combine
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.ddim import ddim_step


class Heun(AbstractDenoiserSolver):
    """Deterministic, second order; 2 steps - 1 calls."""

    def order(self, terms):
        return 2

    def network_calls(self, steps):
        return 2 * steps - 1

    def advance(self, term, t, s, x_t, memory):
        level_t, level_s = term.level(t), term.level(s)
        x0_hat, report = term.evaluate(x_t, t)
        predicted = ddim_step(x0_hat, x_t, level_t, level_s)

        def correct():
            change = combine(
                1.0, eps_from(predicted, term.evaluate(predicted, s)[0], level_s), -1.0, eps_from(x_t, x0_hat, level_t)
            )
            ratio = level_s.alpha / jnp.where(level_t.alpha > 0, level_t.alpha, 1.0)
            width = jnp.where(level_t.alpha > 0, level_s.sigma - ratio * level_t.sigma, 0.0)
            return combine(1.0, predicted, 0.5 * width, change)

        return jax.lax.cond(level_s.sigma > 0, correct, lambda: predicted), memory, report
