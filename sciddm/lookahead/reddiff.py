"""RED-diff: no path at all; x_0 itself is optimised, with the denoiser as a regulariser that is asked from noisy to clean.

    mu <- Adam on  |y - A mu|^2 / 2 + weight (sigma_t/alpha_t) <e, mu>,  e = eps_hat(alpha_t mu + sigma_t z) - z held fixed
                                                                          (Mardani et al. 2023, algorithm 1, arXiv:2305.04391)
Mode-seeking: what it spreads over is the optimiser's noise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from sciddm.arithmetic import combine, divide, root_mean_square
from sciddm.denoiser import Denoiser, SamplingDefaults, eps_from
from sciddm.lookahead.gradients import misfit, value_and_gradient
from sciddm.lookahead.nearest import pseudo_inverse
from sciddm.lookahead.observe.observation import Observation
from sciddm.lookahead.prescribed import Prescribed
from sciddm.solvers.base import AbstractDenoiserSolver


def reddiff(denoiser: Denoiser, observation: Observation, *, weight=0.25, learning_rate: float = 0.1) -> Denoiser:
    """`denoiser` to be sampled by RED-diff, a solver of its own: `sd.sample` takes no other for it.

    Args: weight: lambda; learning_rate: of Adam(0.9, 0.99), 0.02 to 0.5 as published.
    1000 steps uniform in t as published, unless `sd.sample` is given others; the path starts from A^+ y.
    """
    return Prescribed(denoiser, SamplingDefaults(REDDiff(observation, weight, learning_rate), 1000, "t", sampler="reddiff"))


class REDDiff(AbstractDenoiserSolver):
    """See `reddiff`."""

    observation: Observation
    weight: float
    learning_rate: float = eqx.field(static=True)

    def draws_noise(self):
        return True

    def order(self, terms):
        return 1

    def memory(self, x):
        return self._adam().init(x), jnp.asarray(True)

    def advance(self, term, t, s, x_t, memory):
        state, first = memory
        level = term.level(t)
        nothing = jax.tree.map(jnp.zeros_like, x_t)
        start = pseudo_inverse(self.observation, nothing, self.observation.residual(nothing), 20)
        mu = jax.tree.map(lambda a, b: jnp.where(first, a, b), start, x_t)
        z = term.noise(mu)
        noisy = combine(level.alpha, mu, level.sigma, z)
        answer = term.evaluate(noisy, t).unmoved("reddiff")
        x0_hat = answer.x0_hat
        _, towards = value_and_gradient(misfit(self.observation), mu, t)
        # at alpha = 0 the network knows nothing of mu
        weight = self.weight * divide(level.sigma, level.alpha)
        regulariser = combine(weight, eps_from(noisy, x0_hat, level), -weight, z)
        gradient = jax.tree.map(lambda g, r: r - g, towards, regulariser)
        move, state = self._adam().update(gradient, state)
        residual = root_mean_square(self.observation.residual(mu))
        return combine(1.0, mu, 1.0, move), (state, jnp.asarray(False)), answer.to(x0_hat, {"residual": residual})

    def _adam(self):
        return optax.adam(self.learning_rate, b1=0.9, b2=0.99)
