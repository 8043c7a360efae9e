"""Heun's method on the probability flow in sigma/alpha, the deterministic sampler of EDM.

    x/alpha moves along eps_hat as sigma/alpha falls; the slope is the mean of eps_hat at both ends of the step
                                                    (Karras et al. 2022, algorithm 1, arXiv:2206.00364)

Order 2, two calls a step. From alpha = 0 the mean is that of x0_hat at both ends, the same rule in alpha/sigma; the last step to
sigma = 0 has no second slope and is a DDIM step.
"""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import eps_from
from sciddm.process import Level
from sciddm.solvers.base import AbstractDenoiserSolver, DenoiserTerm
from sciddm.solvers.ddim import ddim_step


def heun_step(term: DenoiserTerm, t, s, x_t, level_t: Level, level_s: Level):
    """x_s and the answer of the first call, whose kick is the step's; the levels are those of t and s."""
    answer = term.evaluate(x_t, t)
    x0_hat = answer.x0_hat
    predicted = ddim_step(x0_hat, x_t, level_t, level_s)

    def correct():
        second = term.evaluate(predicted, s).x0_hat
        slope = combine(1.0, eps_from(predicted, second, level_s), -1.0, eps_from(x_t, x0_hat, level_t))
        noisy = level_t.alpha > 0
        width = level_s.sigma - level_s.alpha / jnp.where(noisy, level_t.alpha, 1.0) * level_t.sigma
        from_slope = combine(1.0, predicted, jnp.where(noisy, 0.5 * width, 0.0), slope)
        return combine(1.0, from_slope, jnp.where(noisy, 0.0, 0.5 * level_s.alpha), combine(1.0, second, -1.0, x0_hat))

    return jax.lax.cond(level_s.sigma > 0, correct, lambda: predicted), answer


class Heun(AbstractDenoiserSolver):
    """Deterministic, second order; 2 steps - 1 calls."""

    def order(self, terms):
        return 2

    def network_calls(self, steps):
        return 2 * steps - 1

    def advance(self, term, t, s, x_t, memory):
        x_s, answer = heun_step(term, t, s, x_t, term.level(t), term.level(s))
        return x_s, memory, answer
