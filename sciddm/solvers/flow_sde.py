"""The probability flow with any amount of noise: every g(t) gives the same marginals.

    dx = [v(x, t) - (g^2/2) score] dt + g dW, t falling     (Song et al. 2021, appendix D, arXiv:2011.13456; Albergo et al. 2023,
                                                             eq. 2.27, arXiv:2303.08797)
With x_t = alpha x0_hat + sigma eps and x0_hat held over the step, eps alone is stirred, by an Ornstein-Uhlenbeck process, so that

    x_s = alpha_s x0_hat + sigma_s (e^{-K} eps_hat + sqrt(1 - e^{-2K}) z),   K = int_s^t g^2 / (2 sigma^2) du

which stays finite for any g, g = 0 being DDIM and g^2 = the process's own diffusion DDPM. Order 1, weakly.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import combine
from sciddm.denoiser import eps_from
from sciddm.solvers.base import AncestralSolver

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def linear(t):
    """g(t) = t, mild and without a singularity where sigma falls like t (RBF's choice is 3 t^2)."""
    return t


class FlowSDE(AncestralSolver):
    """One call a step. g: a function of t in [0, 1], in the units of x per square root of t."""

    g: Callable = eqx.field(static=True, default=linear)

    def draws_noise(self):
        return True

    def transition(self, term, t, s, x_t, x0_hat):
        level_t, level_s = term.level(t), term.level(s)
        # Gauss-Legendre never asks at the ends, where sigma may be 0.
        u = s + 0.5 * (t - s) * (1.0 + jnp.asarray(_NODES, level_t.alpha.dtype))
        rate = 0.5 * (jnp.broadcast_to(self.g(u), u.shape) / term.denoiser.process.sigma(u)) ** 2
        stirred = 0.5 * (t - s) * jnp.sum(jnp.asarray(_WEIGHTS, rate.dtype) * rate)
        kept, fresh = jnp.exp(-stirred), jnp.sqrt(-jnp.expm1(-2.0 * stirred))
        mean = combine(level_s.alpha, x0_hat, level_s.sigma * kept, eps_from(x_t, x0_hat, level_t))
        return term.gaussian(mean, level_s.sigma * fresh)
