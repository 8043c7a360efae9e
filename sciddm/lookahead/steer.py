"""Plug-in steering: the potential of the expected final output, differentiated through the network.

    x0_hat' = x0_hat + scale (sigma_t^2 / alpha_t) Sigma grad_{x_t} potential(x0_hat(x_t))     (Chung et al. 2023, arXiv:2209.14687)

Known to be biased, and kept exact: with a Gaussian prior N(0, v) and one observation of variance tau the sampled variance
is v exp(-v/tau), not v tau/(v + tau). With `depth` the expected output is replaced by where `depth` solver steps end.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser, Guide
from sciddm.keys import whole
from sciddm.lookahead.gradients import gain, guidance_norm, potential_report, value_and_gradient
from sciddm.lookahead.observe.observation import need_density
from sciddm.solvers.base import DenoiserTerm
from sciddm.solvers.ddim import ddim_step


def steer(
    denoiser: Denoiser, potential, *, depth: int = 0, scale=1.0, through: str = "network", truncate: int | None = None
) -> Denoiser:
    """`denoiser` drawn towards high potential.

    Args:
        potential: (x_0, t) -> (B,), log h in nats: a reward, minus a loss, a log-likelihood; or an Observation, which is one.
        depth: deterministic solver steps looked ahead, uniform in log-SNR, rematerialised; 0 is the expected output itself.
        through: "network" differentiates through the network; "x0" takes the gradient at x0_hat and stands the variance of a unit
            prior, sigma^2 / (alpha^2 + sigma^2) Sigma, in for Cov[x_0 | x_t]: no backward pass, cruder.
        truncate: differentiates only the networks of the last `truncate` of the depth + 1 evaluations (1 to depth + 1), and of the
            steps before only what is linear in x_t: cheaper, biased. None differentiates all.
    Raises: ValueError on another `through`, a negative depth, depth without "network", or a `truncate` out of range.
    """
    need_density(potential, "steer")
    if through not in ("network", "x0"):
        raise ValueError(f"through = {through!r}: expected 'network' or 'x0'")
    if whole(depth, "depth", 0) and through != "network":
        raise ValueError(f"depth = {depth}: expected 0, or through = 'network'")
    truncate = depth + 1 if truncate is None else truncate
    whole(truncate, "truncate", 1, depth + 1)  # of the evaluations
    return Steered(denoiser, potential, jnp.asarray(scale, jnp.float32), depth, through, truncate)


class Steered(Guide):
    """See `steer`."""

    potential: Any
    scale: jax.Array
    depth: int = eqx.field(static=True)
    through: str = eqx.field(static=True)
    truncate: int = eqx.field(static=True)

    def extra_calls(self):
        return self.denoiser.calls * self.depth

    def evaluate(self, x_t, t, cond=None):
        if self.through == "x0":
            answer = self.denoiser.evaluate(x_t, t, cond)
            value, gradient = value_and_gradient(self.potential, answer.x0_hat, t)
            alpha, sigma = self.process.alpha(t), self.process.sigma(t)
            return self._shifted(x_t, t, answer, answer.x0_hat, gradient, sigma**2 / (alpha**2 + sigma**2), value)

        def look(x):
            answer = self.denoiser.evaluate(x, t, cond)
            if not self.depth:
                return answer.x0_hat, answer
            return ahead(self.denoiser, x, answer.x0_hat, t, cond, self.depth, self.truncate), answer

        end, vjp, answer = jax.vjp(look, x_t, has_aux=True)
        value, gradient = value_and_gradient(self.potential, end, t)
        return self._shifted(x_t, t, answer, end, vjp(gradient)[0], gain(self.process, t), value)

    def _shifted(self, x_t, t, answer, end, gradient, shift, value):
        x0_hat = answer.x0_hat
        steered = combine(1.0, x0_hat, self.scale * shift, self.process.noise.each("covariance", gradient))
        report = potential_report(self.potential, end, value)
        return answer.to(steered, report | {"guidance_norm": guidance_norm(self.process, x_t, t, x0_hat, steered)})


def ahead(denoiser: Denoiser, x_t, x0_hat, t, cond, depth: int, truncate: int | None = None):
    """Where `depth` DDIM steps from x_t, and the expected output there, end.

    Rematerialised: a gradient holds `depth` states and the activations of two evaluations, this one's and the first's.

    truncate: as in `steer`; x0_hat, the first evaluation, and those up to the last `truncate` are constants to a gradient.
    """
    process = denoiser.process
    term = DenoiserTerm(denoiser, cond, None)
    # From t towards the data in equal steps of log-SNR; the last stretch is the expected output of the last point.
    low = jnp.maximum(process.log_snr(t), -10.0)
    high = jnp.maximum(jnp.where(jnp.isfinite(process.log_snr(0.0)), process.log_snr(0.0), 10.0), low + 1e-3)
    shares = (jnp.arange(1, depth + 1) / (depth + 1)).reshape(-1, *(1,) * jnp.ndim(t))
    times = process.time(low + (high - low) * shares)

    def step(carry, s):
        x, estimate, now = carry
        x_s = ddim_step(estimate, x, term.level(now), term.level(s))
        return (x_s, denoiser(x_s, s, cond), s), None

    def linear_step(carry, s):
        # nothing of the network is differentiated, so nothing of it is kept
        x, estimate, now = carry
        x_s = ddim_step(estimate, x, term.level(now), term.level(s))
        return (x_s, jax.lax.stop_gradient(denoiser(jax.lax.stop_gradient(x_s), s, cond)), s), None

    constant = 0 if truncate is None else depth + 1 - truncate  # evaluations, x0_hat being the first
    carry = (x_t, jax.lax.stop_gradient(x0_hat) if constant else x0_hat, jnp.asarray(t, times.dtype))
    early = max(constant - 1, 0)
    if early:
        carry, _ = jax.lax.scan(linear_step, carry, times[:early])
    (_, end, _), _ = jax.lax.scan(jax.checkpoint(step), carry, times[early:])
    return end
