"""DPM-Solver++(2S) and, with noise, SEEDS-2: a second-order exponential integrator that looks at the middle of the step.

    D = x0_hat(x_m, m), m the middle in lambda, x_m one first-order step from x_t      (Lu et al. 2022, algorithm 1, arXiv:2211.01095)

With eta > 0 both steps share one Brownian path: the noise that x_m has met is carried on to x_s, which makes the method
of weak order 2                                                                  (Gonzalez et al. 2023, arXiv:2305.14267).
The first step from alpha = 0 has no middle: the trapezoid in alpha/sigma takes its place. The last one is of order 1.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.process import Level
from sciddm.solvers.base import AbstractDenoiserSolver
from sciddm.solvers.exponential import (
    add_noise,
    exponential_step,
    log_step,
    moments,
    noise_std,
    noise_time,
    weighted_sum,
)


class DPMpp2S(AbstractDenoiserSolver):
    """Second order, 2 steps - 1 calls. eta: 0 the probability flow, 1 the reverse equation (SEEDS-2)."""

    eta: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not self.eta >= 0:
            raise ValueError(f"eta = {self.eta}: expected 0 or more")

    def draws_noise(self):
        return self.eta > 0

    def order(self, terms):
        return 2

    def network_calls(self, steps):
        return 2 * steps - 1

    def advance(self, term, t, s, x_t, memory):
        eta, level_t, level_s = self.eta, term.level(t), term.level(s)
        answer = term.evaluate(x_t, t)
        x0_hat = answer.x0_hat

        def first_order(level):
            weight = moments((1.0 + eta) * log_step(level_t, level), 1)[0]
            return exponential_step(x_t, weighted_sum([weight], [x0_hat]), level_t, level, eta)

        def last():
            return add_noise(term, first_order(level_s), level_t, level_s, eta)

        def twice():
            h = log_step(level_t, level_s)
            finite = jnp.isfinite(h)
            left = jnp.where(finite, 0.5 * h, 0.0)  # from the second look to s, which it is itself from alpha = 0
            log_snr = level_s.log_snr - 2.0 * left
            m = jnp.where(finite, term.denoiser.process.time(log_snr), s)
            level_m = Level(term.level(m).alpha, term.level(m).sigma, log_snr)
            x_m = first_order(level_m)
            if eta:
                early = term.noise(x_t)
                x_m = combine(1.0, x_m, noise_std(level_t, level_m, eta), early)
            second = term.evaluate(x_m, m).x0_hat  # a kick is that at x_t
            whole, share = moments((1.0 + eta) * h, 1)[0], jnp.where(finite, 1.0, 0.5)
            integral = weighted_sum([(1.0 - share) * whole, share * whole], [x0_hat, second])
            x_s = exponential_step(x_t, integral, level_t, level_s, eta)
            if eta:
                # The noise up to m decays on its way to s; what comes after is new.
                decay = jnp.exp(-noise_time(left, eta))
                kept = noise_std(level_t, level_m, eta) / level_m.sigma * decay
                fresh = jnp.sqrt(jnp.maximum(1.0 - decay**2, 0.0))
                x_s = weighted_sum([1.0, level_s.sigma * kept, level_s.sigma * fresh], [x_s, early, term.noise(x_t, 1)])
            return x_s

        return jax.lax.cond(level_s.sigma > 0, twice, last), memory, answer
