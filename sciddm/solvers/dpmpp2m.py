"""DPM-Solver++(2M): a two-step exponential integrator in lambda = log(alpha/sigma), of the flow or of the reverse equation.

    D = x0_hat + (h / 2 h_before) (x0_hat - x0_hat_before), held over the step; h = lambda_s - lambda_t
                                                                       (Lu et al. 2022, algorithm 2, arXiv:2211.01095)
One call a step. The first and the last step are of order 1: there is no x0_hat before the first one, and no finite h to
extrapolate over in the last one. Order 2, weakly so with noise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.exponential import add_noise, exponential_step, log_step, moments, place, weighted_sum


class DPMpp2M(AbstractDenoiserSolver):
    """One call a step. eta: 0 the probability flow, 1 the reverse equation."""

    eta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not self.eta >= 0:
            raise ValueError(f"eta = {self.eta}: expected 0 or more")

    def draws_noise(self):
        return self.eta > 0

    def order(self, terms):
        return 2

    def memory(self, x):
        return jax.tree.map(jnp.zeros_like, x), jnp.asarray(-jnp.inf)

    def advance(self, term, t, s, x_t, memory):
        before, position = memory
        level_t, level_s = term.level(t), term.level(s)
        answer = term.evaluate(x_t, t)
        x0_hat = answer.x0_hat
        h, here = log_step(level_t, level_s), place(level_t)
        usable = jnp.isfinite(h) & jnp.isfinite(position) & (here > position)
        lean = 0.5 * jnp.where(usable, h, 0.0) / jnp.where(usable, here - position, 1.0)  # its gradient is finite too
        whole = moments((1.0 + self.eta) * h, 1)[0]
        integral = weighted_sum([whole * (1.0 + lean), -whole * lean], [x0_hat, before])
        x_s = exponential_step(x_t, integral, level_t, level_s, self.eta)
        return add_noise(term, x_s, level_t, level_s, self.eta), (x0_hat, here), answer
