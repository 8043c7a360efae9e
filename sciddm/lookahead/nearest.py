"""What methods without the network's Jacobian share: the nearest x_0 that agrees with a linear observation, strictly or in balance."""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand
from sciddm.lookahead.conjugate_gradient import conjugate_gradient
from sciddm.lookahead.observe.observation import Observation


def pseudo_inverse(observation: Observation, x_0, u, iterations: int):
    """A^+ u = A^T (A A^T)^-1 u at x_0, the shortest x with A x = u where there is one. u: like the operator's output."""
    _, adjoint = observation.linearize(x_0)
    forward = observation.forward(x_0)
    return adjoint(conjugate_gradient(lambda v: forward(adjoint(v)), u, iterations, tolerance=1e-6))


def pull(observation: Observation, x_0, variance, iterations: int, residual=None):
    """x_0 + variance A^T (R + variance A A^T)^-1 (y - A x_0), R the noise's variance: the mean of N(x_0, variance I) given y, and

        argmin_x  |y - A x|^2 / R + |x - x_0|^2 / variance

    Args: x_0: pytree of (B, ...); variance: () or (B,); residual: in the place of y - A x_0.
    """
    prediction, adjoint = observation.linearize(x_0)
    forward = observation.forward(x_0)
    residual = observation.residual_from(prediction) if residual is None else residual

    def system(u):
        return jax.tree.map(lambda leaf: expand(variance, leaf) * leaf, forward(adjoint(u)))

    weights = conjugate_gradient(
        system, residual, iterations, tolerance=1e-6, diagonal=observation.variance(prediction)
    )
    return combine(1.0, x_0, variance, adjoint(weights))


def noise_to_signal(process, t):
    """sigma_t^2 / alpha_t^2, at most 1e6: pure noise knows nothing of x_0."""
    return jnp.exp(jnp.minimum(-process.log_snr(t), jnp.log(1e6)))
