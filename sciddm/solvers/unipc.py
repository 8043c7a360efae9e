"""UniPC: an exponential Adams-Bashforth predictor, corrected by the answer that the next step asks for anyway.

    x_t <- x_t + alpha_t (int of D through the new answer and the last p  -  int of D that predicted x_t), then predict x_s
                                                     (Zhao et al. 2023, algorithm 1 and 2 in data prediction, arXiv:2302.04867)
The published coefficients R^-1 phi / B(h) are these integrals for every B(h). One call a step: the corrected x_t is not asked
about again. The last steps to the data are of lower order.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.keys import whole
from sciddm.solvers.adams_bashforth import History, usable_order
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.exponential import exponential_step, interpolation_weights, log_step, place, weighted_sum


class UniPC(AbstractDenoiserSolver):
    """Predictor of order p = `points` (2 or 3 as published), corrector of order p + 1, one call a step."""

    points: int = eqx.field(static=True, default=3)

    def __check_init__(self):
        whole(self.points, "points", 1, 4)

    def order(self, terms):
        return self.points + 1

    def memory(self, x):
        # history, the integral that predicted x, the order it had, and the weight of what lay before its first place
        return History.empty(x, self.points), jax.tree.map(jnp.zeros_like, x), jnp.asarray(0.0), jnp.asarray(0.0)

    def advance(self, term, t, s, x_t, memory):
        history, predicted, order, tail = memory
        level_t, level_s = term.level(t), term.level(s)
        answer = term.evaluate(x_t, t)
        x0_hat = answer.x0_hat
        h, here = log_step(level_t, level_s), place(level_t)
        history = history.before(here)

        # v counts from the step before: 0 at its start, 1 here.
        correct = history.count > 0
        width = jnp.where(correct, here - history.positions[0], 1.0)
        nodes = [jnp.ones_like(h), *(1.0 + (position - here) / width for position in history.positions)]
        weights = interpolation_weights(nodes, width, order + 1)
        weights[1] = weights[1] + tail
        change = combine(1.0, weighted_sum(weights, [x0_hat, *history.estimates]), -1.0, predicted)
        x_t = combine(1.0, x_t, jnp.where(correct, level_t.alpha, 0.0), change)

        order = usable_order(self.points, history, h, term.remaining)
        nodes = [jnp.zeros_like(h), *((position - here) / h for position in history.positions[: self.points - 1])]
        weights = interpolation_weights(nodes, h, order)
        predicted = weighted_sum(weights, [x0_hat, *history.estimates[: self.points - 1]])
        x_s = exponential_step(x_t, predicted, level_t, level_s)
        # A start at alpha = 0 has all of lambda below its place behind it, where x0_hat is what it is there.
        tail = jnp.where(level_t.alpha > 0, 0.0, jnp.exp(here - place(level_s)))
        return x_s, (history.push(x0_hat, here), predicted, order, tail), answer
