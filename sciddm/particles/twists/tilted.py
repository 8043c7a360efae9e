"""A potential that is no observation, along the one direction of x_0 that its gradient sees.

    x_0 = x0_hat + u z,  z ~ N(0, 1),  u = C g / sqrt(c),  c = g^T C g,  g = grad potential(x0_hat),  C = Cov[x_0 | x_t]
    log h_t = potential(x0_hat) + c / (2 (1 - k)) - log(1 - k) / 2,   k = u^T H u;        x0_hat' = x0_hat + C g / (1 - k)

All else of x_0 has no correlation with its change to first order. Exact for a Gaussian x_0 | x_t and potentials that are quadratic in one
linear function of it: linear rewards, one value measured. H is the potential's Hessian; no network call, one more vector-Jacobian product.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, divide, expand, inner
from sciddm.denoiser import linearize
from sciddm.lookahead.gradients import gain, guidance_norm, value_and_gradient
from sciddm.particles.twists.base import Look, Twist

CONVEX = 0.5  # k at most: beyond it the Gaussian integral runs away, and the guess with it


class Tilted(Twist):
    """potential: (x_0, t) -> (K,), nats, twice differentiable where its gradient is not 0."""

    potential: Any

    def look(self, denoiser, x_t, t, cond, index, memory):
        process = denoiser.process
        answer, vjp = linearize(denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(self.potential, x0_hat, t)
        direction = spread(process, vjp, gradient, t)
        variance = jnp.maximum(inner(gradient, direction), 0.0)

        def slope(x):
            return jnp.sum(inner(value_and_gradient(self.potential, x, t)[1], direction))

        curvature = divide(inner(direction, jax.grad(slope)(x0_hat)), variance)
        room = 1.0 - jnp.minimum(curvature, CONVEX)
        log_h = value + 0.5 * variance / room - 0.5 * jnp.log(room)
        # a variance below 0 is no covariance: such a particle takes the model's own step
        steered = combine(1.0, x0_hat, jnp.where(variance > 0, 1.0 / room, 0.0), direction)
        norm = guidance_norm(process, x_t, t, x0_hat, steered)
        return Look(x0_hat, steered, log_h, answer.report | {"potential": value, "guidance_norm": norm}), memory


def spread(process, vjp, u, t):
    """Cov[x_0 | x_t] u = (sigma^2/alpha) Sigma J^T u."""
    scale = gain(process, t)
    return jax.tree.map(lambda leaf: expand(scale, leaf) * leaf, process.noise.each("covariance", vjp(u)))
