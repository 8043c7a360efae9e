"""What guides by a loss share: the gradient of a potential, and the loss that published methods put in an observation's place."""

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, divide, expand, inner, norm, root_mean_square
from sciddm.lookahead.observe.observation import Observation
from sciddm.process import GaussianProcess


def value_and_gradient(potential, x_0, t):
    """potential(x_0, t), (B,), and its gradient in x_0, like x_0."""
    value, vjp = jax.vjp(lambda x: potential(x, t), x_0)
    return value, vjp(jnp.ones_like(value))[0]


def misfit(potential):
    """The loss that step lengths of published methods are made for, as a potential: -|y - A(x_0)|^2 / (2 |A|^2) of an Observation,
    whatever its noise, so that steps below 2 are stable; and any other potential itself."""
    if not isinstance(potential, Observation):
        return potential

    def loss(x_0, t):
        residual = potential.residual(x_0)
        return -0.5 * divide(inner(residual, residual), jax.lax.stop_gradient(squared_operator_norm(potential, x_0)))

    return loss


def squared_operator_norm(observation: Observation, x_0, iterations: int = 10):
    """(B,) |A|^2 = the largest eigenvalue of A A^T at x_0, by power iterations: from below, within some per cent."""
    prediction, adjoint = observation.linearize(x_0)
    forward = observation.forward(x_0)

    def wave(leaf):  # no operator of ours is blind to it, and all samples share it
        return jnp.cos(1.0 + jnp.arange(leaf[0].size, dtype=leaf.dtype)).reshape(leaf.shape[1:])

    start = jax.tree.map(lambda leaf: jnp.broadcast_to(wave(leaf), leaf.shape), prediction)

    def step(u, _):
        length = norm(u)
        unit = jax.tree.map(lambda leaf: leaf * expand(divide(1.0, length), leaf), u)
        return forward(adjoint(unit)), None

    return norm(jax.lax.scan(step, start, length=iterations)[0])


def descend(potential, x_0, t, steps: int, rate):
    """x_0 after `steps` steps of length `rate` along the gradient of the potential. rate: scalar or (B,)."""

    def step(x, _):
        _, gradient = value_and_gradient(potential, x, t)
        return jax.tree.map(lambda a, g: a + expand(rate, g) * g, x, gradient), None

    return jax.lax.scan(step, x_0, length=steps)[0]


def gain(process: GaussianProcess, t):
    """sigma^2 / alpha, the step from Sigma times a score to x0_hat; 0 where alpha = 0 and x_t holds nothing of x_0."""
    return divide(process.sigma(t) ** 2, process.alpha(t))


def guidance_norm(process: GaussianProcess, x_t, t, x0_hat, steered):
    """(B,) root mean square of the guide's share of the score over that of the denoiser's own, |Sigma g| / |Sigma score|.

    A shift of x0_hat is (sigma^2/alpha) Sigma g, and x_t - alpha x0_hat is -sigma^2 Sigma score: alpha |shift| / |x_t - alpha x0_hat|;
    0 where the score is.
    """
    alpha = process.alpha(t)
    shift = root_mean_square(combine(alpha, steered, -alpha, x0_hat))
    score = root_mean_square(combine(1.0, x_t, -alpha, x0_hat))
    return divide(shift, score)


def potential_report(potential, x_0, value):
    """What guides report of a potential at the output they look at: `potential`, and the `residual` of an Observation; (B,) each."""
    report = {"potential": value}
    if isinstance(potential, Observation):
        report["residual"] = root_mean_square(potential.residual(x_0))
    return report
