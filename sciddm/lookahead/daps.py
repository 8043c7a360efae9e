"""Decoupled annealing: a draw of x_0 around where the probability flow ends, weighed by the likelihood, then fresh noise.

    x_0 ~ N(x_ode(x_t), r_t^2 I) exp r(x_0),   x_s = alpha_s x_0 + sigma_s z,   r_t = sigma_t/alpha_t
                                                                              (Zhang et al. 2024, algorithm 1, arXiv:2407.01521)
A point of the flow stands for a draw of p(x_0 | x_t) and r_t for its spread, so the law is not exactly the posterior's, on a
Gaussian prior either. Of a linear Gaussian observation the draw is made exactly, by perturbing and solving; of any other potential by
Langevin steps as published.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, combine, expand, root_mean_square
from sciddm.denoiser import Denoiser, Draws, Guide, SamplingDefaults
from sciddm.keys import fold, whole
from sciddm.lookahead.gradients import guidance_norm, value_and_gradient
from sciddm.lookahead.nearest import noise_to_signal, pull
from sciddm.lookahead.observe.observation import Observation, need_density
from sciddm.lookahead.renoise import Renoise
from sciddm.lookahead.steer import ahead
from sciddm.noise import White


def daps(
    denoiser: Denoiser, potential, *, ode_steps: int = 5, langevin_steps: int | None = None, stiffness=1e4, prior_variance=jnp.inf,
    iterations: int = 20,
) -> Denoiser:  # fmt: skip
    """`denoiser` whose answer is a draw of x_0 given x_t and what was measured.

    Args:
        potential: an Observation, or (x_0, t) -> (B,) in nats.
        ode_steps: of the flow to x_0, a network call each.
        langevin_steps: None draws exactly, of a linear Gaussian Observation (`iterations` of conjugate gradients at most); else Langevin
            steps of length 1 / (1/r_t^2 + stiffness), 100 as published, for any potential; stiffness: a bound of -grad^2 r, 1e4 as
            published (noise of 0.01).
        prior_variance: v of r_t^2 = v sigma_t^2 / (v alpha_t^2 + sigma_t^2), infinite as published.
    As published it is sampled by `Renoise()` over 200 levels, here uniform in log-SNR, unless `sd.sample` is given others.
    Raises: ValueError without langevin_steps where the potential is no Observation.
    """
    whole(iterations, "iterations")
    whole(ode_steps, "ode_steps")
    if langevin_steps is None and not isinstance(potential, Observation):
        raise ValueError("daps draws exactly only of an Observation: give langevin_steps (100 as published)")
    if langevin_steps is not None:
        need_density(potential, "daps with Langevin steps")
    values = (jnp.asarray(value, jnp.float32) for value in (stiffness, prior_variance))
    return DAPS(denoiser, potential, *values, ode_steps, langevin_steps, iterations)


class DAPS(Guide):
    """See `daps`."""

    potential: Any
    stiffness: jax.Array
    prior_variance: jax.Array
    ode_steps: int = eqx.field(static=True)
    langevin_steps: int | None = eqx.field(static=True)
    iterations: int = eqx.field(static=True)
    draws: Draws = Draws()

    def defaults(self):
        return SamplingDefaults(solver=Renoise(), steps=200, grid="logsnr")

    def extra_calls(self):
        return self.denoiser.calls * (self.ode_steps - 1)

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        end = ahead(self.denoiser, x_t, x0_hat, t, cond, self.ode_steps - 1) if self.ode_steps > 1 else x0_hat
        variance = 1.0 / (1.0 / noise_to_signal(self.process, t) + 1.0 / self.prior_variance)
        keys = self.draws(batch_size(x_t))
        x_0 = (
            self._exact(end, variance, keys) if self.langevin_steps is None else self._langevin(end, variance, t, keys)
        )
        report = {"guidance_norm": guidance_norm(self.process, x_t, t, x0_hat, x_0)}
        if isinstance(self.potential, Observation):
            report["residual"] = root_mean_square(self.potential.residual(end))
        return answer.to(x_0, report)

    def _exact(self, end, variance, keys):
        # Perturb, then solve: u ~ N(end, variance), u + gain (y + noise - A u) has the law of x_0 given y.
        u = combine(1.0, end, jnp.sqrt(variance), self.process.noise.sample_batch(fold(keys, 0), end))
        prediction = self.potential.operator(u)
        residual, spread = self.potential.residual_from(prediction), self.potential.variance(prediction)
        z = White().sample_batch(fold(keys, 1), residual)
        noisy = jax.tree.map(lambda r, v, draw: r + jnp.sqrt(v) * draw, residual, spread, z)
        return pull(self.potential, u, variance, self.iterations, noisy)

    def _langevin(self, end, variance, t, keys):
        rate = 1.0 / (1.0 / variance + self.stiffness)

        def move(x, index):
            _, gradient = value_and_gradient(self.potential, x, t)
            z = self.process.noise.sample_batch(fold(keys, index), x)
            drift = jax.tree.map(lambda g, e, now: g + (e - now) / expand(variance, now), gradient, end, x)
            return combine(1.0, combine(1.0, x, rate, drift), jnp.sqrt(2.0 * rate), z), None

        return jax.lax.scan(move, end, jnp.arange(self.langevin_steps))[0]
