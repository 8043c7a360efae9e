"""The step that guides by second moments share: conditioning a Gaussian around x0_hat on a linear observation.

    x0_hat' = x0_hat + C A^T (noise_std^2 + A S A^T)^-1 (y - A x0_hat),   C = Cov[x_0 | x_t] = (sigma_t^2/alpha_t) Sigma J^T

J = d x0_hat / d x_t and Sigma the noise law's covariance, so C u is a vector-Jacobian product and one product with Sigma: no
dense Jacobian and no forward mode. S is C itself, or a guess of it.
"""

import jax
import jax.numpy as jnp

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
    residual, variance = observation.residual_from(prediction), observation.variance(prediction)
    system, right = lambda u: forward(inner(adjoint(u))), residual
    if len(jax.tree.leaves(prediction)) > 1:
        # In units of their own none of the measurements would outweigh the others in the few iterations.
        variance = jax.tree.map(lambda v, leaf: jnp.broadcast_to(v, leaf.shape), variance, prediction)
        units = units_of(denoiser.process, t, forward, adjoint, prediction, variance)
        scaled = lambda u: jax.tree.map(lambda leaf, unit: leaf / expand(unit, leaf), u, units)  # noqa: E731
        solution = scaled(
            conjugate_gradient(lambda u: scaled(system(scaled(u))), scaled(right), iterations, diagonal=scaled(scaled(variance)))
        )
    else:
        solution = conjugate_gradient(system, right, iterations, diagonal=variance)
    steered = combine(1.0, x0_hat, 1.0, covariance(adjoint(solution)))
    norm = guidance_norm(denoiser.process, x_t, t, x0_hat, steered)
    return answer.to(steered, {"residual": root_mean_square(residual), "guidance_norm": norm})


def units_of(process, t, forward, adjoint, prediction, variance):
    """(B,) for each leaf of a prediction: the root mean square of what may be expected of its residual.

    By one product with signs each, u^T A Sigma A^T u, and the variance of a unit prior at x_t.
    """
    leaves, structure = jax.tree.flatten(prediction)
    spread = process.sigma(t) ** 2 / (process.alpha(t) ** 2 + process.sigma(t) ** 2)
    units = []
    for i, leaf in enumerate(leaves):
        signs = jax.random.rademacher(jax.random.key(i), leaf.shape[1:], leaf.dtype)
        probe = [jnp.zeros_like(other) for other in leaves]
        probe[i] = jnp.broadcast_to(signs, leaf.shape)
        back = jax.tree.leaves(forward(process.noise.each("covariance", adjoint(structure.unflatten(probe)))))[i]
        axes = tuple(range(1, leaf.ndim))
        expected = jax.tree.leaves(variance)[i].mean(axes) + spread * jnp.maximum((probe[i] * back).mean(axes), 0.0)
        units.append(jnp.sqrt(jnp.where(expected > 0, expected, 1.0)))
    return structure.unflatten(units)
