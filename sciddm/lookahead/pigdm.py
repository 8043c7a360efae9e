"""Pseudo-inverse guidance: the likelihood of y under a guess of Cov[x_0 | x_t] that is isotropic where the noise is white.

    x0_hat' = x0_hat + (sigma_t^2/alpha_t) Sigma J^T A^T (noise_std^2 + r_t^2 A Sigma A^T)^-1 (y - A x0_hat),   J = d x0_hat / d x_t
    r_t^2 = v sigma_t^2 / (v alpha_t^2 + sigma_t^2)                            (Song et al. 2023, openreview 9_gsMA8MRKQ, for Sigma = I)

Exact for a Gaussian prior of covariance v Sigma, Sigma the noise law's: v I under white noise.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import expand
from sciddm.denoiser import Denoiser, Guide
from sciddm.keys import whole
from sciddm.lookahead.linear_gaussian import condition
from sciddm.lookahead.observe.observation import Observation


def pigdm(denoiser: Denoiser, observation: Observation, *, prior_variance=1.0, iterations: int = 20) -> Denoiser:
    """`denoiser` drawn towards the observation.

    Args:
        prior_variance: v, the variance of normalised data.
        iterations: at most so many conjugate-gradient steps (no network call in them); a mask needs one, m values at most m.
    """
    whole(iterations, "iterations")
    return PiGDM(denoiser, observation, jnp.asarray(prior_variance, jnp.float32), iterations)


class PiGDM(Guide):
    """See `pigdm`."""

    observation: Observation
    prior_variance: jax.Array
    iterations: int = eqx.field(static=True)

    def evaluate(self, x_t, t, cond=None):
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        variance = self.prior_variance * sigma**2 / (self.prior_variance * alpha**2 + sigma**2)

        def guess(u):
            return jax.tree.map(lambda leaf: expand(variance, leaf) * leaf, self.process.noise.each("covariance", u))

        return condition(self.denoiser, self.observation, x_t, t, cond, self.iterations, guess)
