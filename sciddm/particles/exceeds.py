"""How probable is an extreme? The event that a statistic of x_0 exceeds a threshold, as a potential and as a twist.

    potential = 0 where f(x_0) > c, else -inf, so that exp(log_evidence) is P(f(x_0) > c)
    h_t = Phi((f(x0_hat) - c) / s),  x0_hat' = x0_hat + C g phi/Phi / s,   s^2 = g^T C g,  g = grad f(x0_hat),  C = Cov[x_0 | x_t]

Exact for a Gaussian x_0 | x_t and a linear f.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, inner
from sciddm.denoiser import linearize
from sciddm.lookahead.gradients import guidance_norm, value_and_gradient
from sciddm.particles.twists.base import Look, Twist
from sciddm.particles.twists.tilted import spread


class Exceeds(eqx.Module):
    """The event f(x_0) > threshold. statistic: a batch of normalised x_0 -> (B,), differentiable for the twist."""

    statistic: Callable
    threshold: Any

    def __call__(self, x_0, t=None):
        """0 where it happens, else -inf; (B,)."""
        return jnp.where(self.statistic(x_0) > self.threshold, 0.0, -jnp.inf)


class Tail(Twist):
    """See above. The variance of f is never taken below a share of that under a unit prior, which is 1 where x_t is noise: there a
    network's Jacobian is mostly its own error."""

    event: Exceeds

    def look(self, denoiser, x_t, t, cond, index, memory):
        process = denoiser.process
        answer, vjp = linearize(denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(lambda x, t: self.event.statistic(x), x0_hat, t)
        direction = spread(process, vjp, gradient, t)
        unit = process.sigma(t) ** 2 / (process.alpha(t) ** 2 + process.sigma(t) ** 2)
        least = unit**2 * inner(gradient, process.noise.each("covariance", gradient))
        own = inner(gradient, direction)
        variance = jnp.maximum(own, least)
        std = jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
        z = jnp.where(variance > 0, (value - self.event.threshold) / std, 0.0)
        log_h = jax.scipy.stats.norm.logcdf(z)
        hazard = jnp.exp(jax.scipy.stats.norm.logpdf(z) - log_h)
        # a variance below 0 is no covariance: such a particle takes the model's own step
        steered = combine(1.0, x0_hat, jnp.where(own > 0, hazard / std, 0.0), direction)
        norm = guidance_norm(process, x_t, t, x0_hat, steered)
        return Look(x0_hat, steered, log_h, answer.report | {"statistic": value, "guidance_norm": norm}), memory
