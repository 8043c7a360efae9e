"""Exponential Adams-Bashforth: x0_hat extrapolated by the polynomial in lambda through the last `points` answers, integrated exactly.

    D(v) = sum_j x0_hat_j l_j(v), the weights int c e^{c (v - 1)} l_j(v) dv     (Zhang & Chen 2022, section 4, arXiv:2204.13902,
                                                                                 here for x0_hat in lambda)
Order 3 is what DPM-Solver++(3M) sets out to be: its published step halves the second difference (arXiv:2211.01095, phi_3), which
costs it the third order. One call a step; order 1, 2, ... in the first steps and ..., 2, 1 in the last ones to the data.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.keys import whole
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.exponential import add_noise, exponential_step, interpolation_weights, log_step, place, weighted_sum


class History(eqx.Module):
    """The last answers, newest first: x0_hat and its lambda. `count` of them are there."""

    estimates: tuple
    positions: tuple
    count: jax.Array

    @classmethod
    def empty(cls, x, length: int) -> "History":
        zeros, nowhere = (
            jax.tree.map(jnp.zeros_like, x),
            jnp.asarray(-1e3),
        )  # finite, as gradients with respect to the grid need it
        return cls((zeros,) * length, (nowhere,) * length, jnp.asarray(0))

    def before(self, position) -> "History":
        """What counts for a step from `position`: all of it, or nothing where it does not lie before (after a start at alpha = 0)."""
        return History(self.estimates, self.positions, jnp.where(position > self.positions[0], self.count, 0))

    def push(self, estimate, position) -> "History":
        """With one more in front and the oldest gone."""
        length = len(self.estimates)
        return History(
            (estimate, *self.estimates)[:length],
            (position, *self.positions)[:length],
            jnp.minimum(self.count + 1, length),
        )


def usable_order(order: int, history: History, h, remaining):
    """How many answers a step may extrapolate: those that there are, fewer towards the data, one where h is infinite."""
    order = jnp.minimum(jnp.minimum(order, history.count + 1), remaining + 1)
    return jnp.where(jnp.isfinite(h), order, 1)


class AdamsBashforth(AbstractDenoiserSolver):
    """Of any order from 1 to 4, one call a step. eta: 0 the probability flow, 1 the reverse equation (then of weak order 2 at most)."""

    points: int = eqx.field(static=True, default=3)
    eta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        whole(self.points, "points", 1, 4)

    def draws_noise(self):
        return self.eta > 0

    def order(self, terms):
        return min(self.points, 2) if self.eta else self.points

    def memory(self, x):
        return History.empty(x, self.points - 1)

    def advance(self, term, t, s, x_t, memory):
        level_t, level_s = term.level(t), term.level(s)
        answer = term.evaluate(x_t, t)
        x0_hat = answer.x0_hat
        h, here = log_step(level_t, level_s), place(level_t)
        history = memory.before(here)
        nodes = [jnp.zeros_like(h), *((position - here) / h for position in history.positions)]
        weights = interpolation_weights(
            nodes, (1.0 + self.eta) * h, usable_order(self.points, history, h, term.remaining)
        )
        integral = weighted_sum(weights, [x0_hat, *history.estimates])
        x_s = exponential_step(x_t, integral, level_t, level_s, self.eta)
        return add_noise(term, x_s, level_t, level_s, self.eta), history.push(x0_hat, here), answer
