"""Plug-in steering: the potential of the expected final output, differentiated through the network.

    x0_hat' = x0_hat + scale (sigma_t^2 / alpha_t) Sigma grad_{x_t} potential(x0_hat(x_t))     (Chung et al. 2023, arXiv:2209.14687)

Known to be biased, and kept exact: with a Gaussian prior N(0, v) and one observation of variance tau the sampled variance
is v exp(-v/tau), not v tau/(v + tau). With `depth` the expected output is replaced by where `depth` solver steps end.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.denoiser import Denoiser, Guide
from sciddm.lookahead.observation import Observation, root_mean_square
from sciddm.process import GaussianProcess, combine
from sciddm.solvers.base import DenoiserTerm
from sciddm.solvers.ddim import ddim_step


def steer(denoiser: Denoiser, potential, *, depth: int = 0, scale=1.0, through: str = "network") -> Denoiser:
    """`denoiser` drawn towards high potential.

    Args:
        potential: (x_0, t) -> (B,), log h in nats: a reward, minus a loss, a log-likelihood; or an Observation.
        depth: deterministic solver steps looked ahead, uniform in log-SNR, rematerialised; 0 is the expected output itself.
        through: "network" differentiates through the network; "x0" takes the gradient at x0_hat and stands the variance of a unit
            prior, sigma^2 / (alpha^2 + sigma^2) Sigma, in for Cov[x_0 | x_t]: no backward pass, cruder.
    Raises: ValueError on another `through`, a negative depth, or depth without "network".
    """
    if through not in ("network", "x0"):
        raise ValueError(f"through = {through!r}: expected 'network' or 'x0'")
    if depth < 0 or (depth and through != "network"):
        raise ValueError(f"depth = {depth}: expected 0 or more, and through = 'network' where it is not 0")
    return Steered(denoiser, potential, jnp.asarray(scale, jnp.float32), depth, through)


class Steered(Guide):
    """See `steer`."""

    potential: Any
    scale: jax.Array
    depth: int = eqx.field(static=True)
    through: str = eqx.field(static=True)

    def extra_calls(self):
        return self.denoiser.calls * self.depth

    def evaluate(self, x_t, t, cond=None):
        if self.through == "x0":
            x0_hat, report = self.denoiser.evaluate(x_t, t, cond)
            value, gradient = self._value_and_gradient(x0_hat, t)
            alpha, sigma = self.process.alpha(t), self.process.sigma(t)
            shift = sigma**2 / (alpha**2 + sigma**2)
            return self._shifted(x0_hat, x0_hat, gradient, shift, value, report)

        def look(x):
            x0_hat, report = self.denoiser.evaluate(x, t, cond)
            end = ahead(self.denoiser, x, x0_hat, t, cond, self.depth) if self.depth else x0_hat
            return end, (x0_hat, report)

        end, vjp, (x0_hat, report) = jax.vjp(look, x_t, has_aux=True)
        value, gradient = self._value_and_gradient(end, t)
        return self._shifted(x0_hat, end, vjp(gradient)[0], gain(self.process, t), value, report)

    def _value_and_gradient(self, x_0, t):
        potential = (
            (lambda x, _: self.potential.log_likelihood(x))
            if isinstance(self.potential, Observation)
            else self.potential
        )
        value, vjp = jax.vjp(lambda x: potential(x, t), x_0)
        return value, vjp(jnp.ones_like(value))[0]

    def _shifted(self, x0_hat, end, gradient, shift, value, report):
        steered = combine(1.0, x0_hat, self.scale * shift, self.process.noise.each("covariance", gradient))
        report = report | {"potential": value, "guidance_norm": guidance_norm(x0_hat, steered)}
        if isinstance(self.potential, Observation):
            report["residual"] = root_mean_square(self.potential.residual(end))
        return steered, report


def gain(process: GaussianProcess, t):
    """sigma^2 / alpha, the step from Sigma times a score to x0_hat; 0 where alpha = 0 and x_t holds nothing of x_0."""
    alpha = process.alpha(t)
    return jnp.where(alpha > 0, process.sigma(t) ** 2 / jnp.where(alpha > 0, alpha, 1.0), 0.0)


def guidance_norm(x0_hat, steered):
    """(B,) root mean square of the shift of x0_hat: alpha / sigma^2 times it is Sigma times the score correction."""
    return root_mean_square(combine(1.0, steered, -1.0, x0_hat))


def ahead(denoiser: Denoiser, x_t, x0_hat, t, cond, depth: int):
    """Where `depth` DDIM steps from x_t, and the expected output there, end. Memory holds `depth` states and one step's activations."""
    process = denoiser.process
    term = DenoiserTerm(denoiser, cond, None)
    # From t towards the data in equal steps of log-SNR; the last stretch is the expected output of the last point.
    low = jnp.maximum(process.log_snr(t), -10.0)
    high = jnp.maximum(jnp.where(jnp.isfinite(process.log_snr(0.0)), process.log_snr(0.0), 10.0), low + 1e-3)
    shares = (jnp.arange(1, depth + 1) / (depth + 1)).reshape(-1, *(1,) * jnp.ndim(t))
    times = process.time(low + (high - low) * shares)

    @jax.checkpoint
    def step(carry, s):
        x, estimate, now = carry
        x_s = ddim_step(estimate, x, term.level(now), term.level(s))
        return (x_s, denoiser(x_s, s, cond), s), None

    (_, end, _), _ = jax.lax.scan(step, (x_t, x0_hat, jnp.asarray(t, times.dtype)), times)
    return end
