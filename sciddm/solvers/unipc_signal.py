"""UniPC whose polynomials are in the share of signal in the place of log-SNR: what extrapolates x0_hat best in a few steps.

    c = alpha s / sqrt(alpha^2 s^2 + sigma^2),   s the standard deviation of the data;   c = 0 is pure noise, 1 the data

For data N(m, s^2 Sigma) x0_hat - m is a multiple of c along every path of the flow, so that two answers on it extrapolate it exactly,
onto the data too. For others x0_hat is linear in c near pure noise, where alpha/sigma is small, and smooth in c near the data, where it
is even in sigma/alpha. A polynomial in log-SNR runs away at both ends, where its order has to fall to 1.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import combine
from sciddm.grids import WIDTHS, check_width
from sciddm.keys import whole
from sciddm.process import Level
from sciddm.solvers.adams_bashforth import History
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.exponential import exponential_step, log_step, weighted_sum

# Gauss-Legendre in sqrt(q) on [0, 1], close where c changes most. There is a closed form, whose digits cancel in small steps.
_ROOTS, _WEIGHTS = ((1.0 + np.polynomial.legendre.leggauss(12)[0]) / 2.0, np.polynomial.legendre.leggauss(12)[1] / 2.0)
PLACES, QUADRATURE = _ROOTS**2, 2.0 * _ROOTS * _WEIGHTS
END = 30.0  # of log(alpha s / sigma)


class UniPCSignal(AbstractDenoiserSolver):
    """Predictor of order `points`, corrector of one more, one call a step. data_std: s, in the noise law's units."""

    points: int = eqx.field(static=True, default=2)
    data_std: Any = 1.0

    def __check_init__(self):
        whole(self.points, "points", 1, 4)
        check_width(self.data_std)

    def order(self, terms):
        return self.points + 1

    def memory(self, x):
        # history, the integral that predicted x, the order it had, and when that step began
        return History.empty(x, self.points), jax.tree.map(jnp.zeros_like, x), jnp.asarray(0), jnp.asarray(1.0)

    def advance(self, term, t, s, x_t, memory):
        history, predicted, order, before = memory
        level_t, level_s = term.level(t), term.level(s)
        answer = term.evaluate(x_t, t)
        x0_hat, here = answer.x0_hat, self._place(level_t)

        correct = history.count > 0
        level_before = term.level(jnp.where(correct, before, 1.0))
        weights = self._weights([here, *history.positions], level_before, level_t, order + 1)
        weights = [jnp.where(correct, weight, 0.0) for weight in weights]  # at first the step before is none, from noise to noise
        change = combine(1.0, weighted_sum(weights, [x0_hat, *history.estimates]), -1.0, predicted)
        x_t = combine(1.0, x_t, jnp.where(correct, level_t.alpha, 0.0), change)

        order, last = jnp.minimum(self.points, history.count + 1), self.points - 1
        weights = self._weights([here, *history.positions[:last]], level_t, level_s, order)
        predicted = weighted_sum(weights, [x0_hat, *history.estimates[:last]])
        x_s = exponential_step(x_t, predicted, level_t, level_s)
        return x_s, (history.push(x0_hat, here), predicted, order, jnp.asarray(t, before.dtype)), answer

    def _place(self, level: Level):
        """log(alpha s / sigma), from which c keeps its digits at both ends; -inf is pure noise."""
        return 0.5 * level.log_snr + jnp.log(jnp.clip(jnp.asarray(self.data_std, jnp.result_type(float)), *WIDTHS))

    def _weights(self, nodes, level_t: Level, level_s: Level, order):
        """w_j with sum_j w_j x0_hat_j = int_0^1 h e^{h (v - 1)} p(v) dv, p the polynomial in c through the first `order` nodes.

        With q = e^{h (v - 1)} that is int p dq from e^{-h} to 1, where the signal is q times that of s beside the noise of s.
        """
        low = jnp.exp(-log_step(level_t, level_s))
        q, quadrature = (jnp.asarray(values, low.dtype) for values in (PLACES, QUADRATURE))
        places = self._place(level_s) + jnp.log(low + (1.0 - low) * q)
        counted = [j < order for j in range(len(nodes))]
        gaps = {(j, k): gap_of_shares(nodes[j], nodes[k]) for j in range(len(nodes)) for k in range(j)}
        # Next to the data shares may agree in all digits: the newest answer alone is as good there.
        same = [counted[j] & counted[k] & (gap == 0) for (j, k), gap in gaps.items()]
        order = jnp.where(jnp.any(jnp.array(same)), 1, order) if same else order
        counted, weights = [j < order for j in range(len(nodes))], []
        for j in range(len(nodes)):
            basis = jnp.ones_like(places)
            for k in range(len(nodes)):
                if k != j:
                    gap = jnp.where(counted[j] & counted[k], gaps[j, k] if k < j else -gaps[k, j], 1.0)
                    basis = basis * jnp.where(counted[k], gap_of_shares(places, nodes[k]) / gap, 1.0)
            weights.append(jnp.where(counted[j], (1.0 - low) * jnp.sum(quadrature * basis), 0.0))
        return weights


def gap_of_shares(first, second):
    """c(first) - c(second), c(l) = 1 / sqrt(1 + e^{-2 l}), without loss of digits where both are near 1."""

    def parts(place):
        place = jnp.clip(place, -END, END)  # finite, as derivatives need it
        small = jnp.exp(-2.0 * jnp.abs(place))  # noise over signal or the other way round, in variance
        noisy = jnp.sqrt(small / (1.0 + small))
        missing = small / (1.0 + small + jnp.sqrt(1.0 + small))  # 1 - c
        return jnp.where(place < 0, noisy, 1.0 - missing), missing

    (share, missing), (other, other_missing) = parts(first), parts(second)
    return jnp.where((first > 0) & (second > 0), other_missing - missing, share - other)
