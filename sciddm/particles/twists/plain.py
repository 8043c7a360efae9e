"""The potential of the expected output: h_t = exp(lambda_t potential(x0_hat)), steered by its gradient through the network.

As published in TDS (Wu et al. 2023, arXiv:2306.17775), lambda_t = 1. A sharp likelihood makes it diverge: h knows nothing of the
spread of x_0 around x0_hat. Tempering (DAS, Kim et al. 2025, arXiv:2501.05803) lets it in slowly: lambda_t = min((1 + gamma)^n - 1, 1)
after n steps.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import linearize
from sciddm.lookahead.gradients import gain, guidance_norm, potential_report, value_and_gradient
from sciddm.particles.twists.base import Look, Twist


class Plain(Twist):
    """potential: (x_0, t) -> (K,); gamma: None does not temper; gradient: False proposes the model's own step, with no backward pass."""

    potential: Any
    gamma: float | None = None
    gradient: bool = eqx.field(static=True, default=True)

    def look(self, denoiser, x_t, t, cond, index, memory):
        share = 1.0 if self.gamma is None else jnp.minimum(jnp.expm1(index * jnp.log1p(self.gamma)), 1.0)
        if not self.gradient:
            answer = denoiser.evaluate(x_t, t, cond)
            x0_hat = answer.x0_hat
            value = self.potential(x0_hat, t)
            return Look(x0_hat, x0_hat, share * value, answer.report | potential_report(self.potential, x0_hat, value)), memory
        answer, vjp = linearize(denoiser, x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(self.potential, x0_hat, t)
        score = denoiser.process.noise.each("covariance", vjp(gradient))
        steered = combine(1.0, x0_hat, share * gain(denoiser.process, t), score)
        report = answer.report | potential_report(self.potential, x0_hat, value)
        report["guidance_norm"] = guidance_norm(denoiser.process, x_t, t, x0_hat, steered)
        return Look(x0_hat, steered, share * value, report), memory
