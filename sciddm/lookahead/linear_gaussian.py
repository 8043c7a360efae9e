"""The step that guides by second moments share: conditioning a Gaussian around x0_hat on a linear observation.

    x0_hat' = x0_hat + C A^T (noise_std^2 + A S A^T)^-1 (y - A x0_hat),   C = Cov[x_0 | x_t] = (sigma_t^2/alpha_t) Sigma J^T

J = d x0_hat / d x_t and Sigma the noise law's covariance, so C u is a vector-Jacobian product and one product with Sigma: no
dense Jacobian and no forward mode. S is C itself, or a guess of it.
"""

import jax

from sciddm.arithmetic import combine, expand, root_mean_square
from sciddm.denoiser import Denoiser, linearize
from sciddm.lookahead.conjugate_gradient import conjugate_gradient
from sciddm.lookahead.gradients import gain, guidance_norm
from sciddm.lookahead.observe.observation import Observation


def condition(denoiser: Denoiser, observation: Observation, x_t, t, cond, iterations: int, guess=None):
    """The `Answer` of one evaluation, with x0_hat'.

    Args: x_t: pytree of (B, ...); iterations: of conjugate gradients at most; guess: u -> S u, like x_t, None for C.
    """
    answer, vjp = linearize(denoiser, x_t, t, cond)
    x0_hat = answer.x0_hat
    prediction, adjoint = observation.linearize(x0_hat)
    forward, scale = observation.forward(x0_hat), gain(denoiser.process, t)

    def covariance(u):
        return jax.tree.map(lambda leaf: expand(scale, leaf) * leaf, denoiser.process.noise.each("covariance", vjp(u)))

    inner = covariance if guess is None else guess
    residual = observation.residual_from(prediction)
    solution = conjugate_gradient(
        lambda u: forward(inner(adjoint(u))), residual, iterations, diagonal=observation.variance(prediction)
    )
    steered = combine(1.0, x0_hat, 1.0, covariance(adjoint(solution)))
    norm = guidance_norm(denoiser.process, x_t, t, x0_hat, steered)
    return answer.to(steered, {"residual": root_mean_square(residual), "guidance_norm": norm})
