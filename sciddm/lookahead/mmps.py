"""Moment matching: the likelihood of y under the denoiser's own Cov[x_0 | x_t], the Jacobian of Tweedie's formula.

    x0_hat' = x0_hat + C A^T (noise_std^2 + A C A^T)^-1 (y - A x0_hat),   C = Cov[x_0 | x_t] = (sigma_t^2/alpha_t) d x0_hat/d x_t
                                                           (Rozet et al. 2024, eq. 18-21, arXiv:2405.13712; TMPD, arXiv:2310.06721)

C is symmetric, so C u is a vector-Jacobian product: conjugate gradients need no dense Jacobian and no forward mode.
Exact for any Gaussian prior.
"""

import equinox as eqx
import jax

from sciddm.denoiser import Denoiser, linearize
from sciddm.lookahead.conjugate_gradient import conjugate_gradient
from sciddm.lookahead.observation import Observation, root_mean_square
from sciddm.lookahead.steer import gain, guidance_norm
from sciddm.process import GaussianProcess, combine


def mmps(denoiser: Denoiser, observation: Observation, *, iterations: int = 8) -> Denoiser:
    """`denoiser` drawn towards the observation; the nearest to the exact posterior of all plug-in guides.

    Args: iterations: at most so many conjugate-gradient steps, each one vector-Jacobian product of the network.
    """
    return MMPS(denoiser, observation, iterations)


class MMPS(Denoiser):
    """See `mmps`."""

    denoiser: Denoiser
    observation: Observation
    iterations: int = eqx.field(static=True)

    @property
    def process(self) -> GaussianProcess:
        return self.denoiser.process

    @property
    def calls(self):
        return self.denoiser.calls

    def evaluate(self, x_t, t, cond=None):
        x0_hat, vjp, report = linearize(self.denoiser, x_t, t, cond)
        prediction, adjoint = self.observation.linearize(x0_hat)
        forward = self.observation.forward(x0_hat)
        noise = self.observation.variance(prediction)
        scale = gain(self.process, t)

        def covariance(u):
            return jax.tree.map(lambda leaf: scale * leaf, vjp(u))

        def system(u):
            return forward(covariance(adjoint(u)))

        residual = self.observation.residual_from(prediction)
        solution = conjugate_gradient(system, residual, self.iterations, diagonal=noise)
        steered = combine(1.0, x0_hat, 1.0, covariance(adjoint(solution)))
        report = report | {"residual": root_mean_square(residual), "guidance_norm": guidance_norm(x0_hat, steered)}
        return steered, report
