"""Moment matching: the likelihood of y under the denoiser's own Cov[x_0 | x_t], the Jacobian of Tweedie's formula.

    x0_hat' = x0_hat + C A^T (noise_std^2 + A C A^T)^-1 (y - A x0_hat),   C = Cov[x_0 | x_t] = (sigma_t^2/alpha_t) d x0_hat/d x_t Sigma
                                                           (Rozet et al. 2024, eq. 18-21, arXiv:2405.13712; TMPD, arXiv:2310.06721)

Exact for any Gaussian prior.
"""

import equinox as eqx

from sciddm.denoiser import Denoiser, Guide
from sciddm.keys import whole
from sciddm.lookahead.linear_gaussian import condition
from sciddm.lookahead.observe.observation import Observation


def mmps(denoiser: Denoiser, observation: Observation, *, iterations: int = 8) -> Denoiser:
    """`denoiser` drawn towards the observation; the nearest to the exact posterior of all plug-in guides where that is one Gaussian.

    Args: iterations: at most so many conjugate-gradient steps, each one vector-Jacobian product of the network.
    """
    whole(iterations, "iterations")
    return MMPS(denoiser, observation, iterations)


class MMPS(Guide):
    """See `mmps`."""

    observation: Observation
    iterations: int = eqx.field(static=True)

    def evaluate(self, x_t, t, cond=None):
        return condition(self.denoiser, self.observation, x_t, t, cond, self.iterations)
