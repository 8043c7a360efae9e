"""Feynman-Kac steering: the model's own steps, weighed by the reward of the expected output; no gradient of anything.

    difference: G_t = exp(r_t - r_u)     max: G_t = exp(max of r so far)     sum: G_t = exp(sum of r so far),     r_t = scale r(x0_hat)

u the time before; at the end G_0 = exp(scale r(x_0)) over the product of all before, so that all three have the same law
p(x_0) exp(scale r(x_0))                                        (Singhal et al. 2025, section 3.2, arXiv:2501.06848)
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from sciddm.denoiser import Denoiser
from sciddm.keys import whole
from sciddm.particles.budget import particles_for, scaled
from sciddm.particles.engine import Resampling, run
from sciddm.particles.result import Result
from sciddm.particles.twists import Look, Twist
from sciddm.sample import fill_defaults

KINDS = ("difference", "max", "sum")


def fk_steering(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None, scale=1.0,
    kind: str = "difference", every: int | None = None, ess_threshold: float = 1.0, solver="ddpm", steps: int = 100, grid="logsnr",
    resample="multinomial", chunk=None,
) -> Result:  # fmt: skip
    """Weighted particles of p(x_0) exp(scale potential); arguments as in `smc`, and

    Args:
        scale: lambda, 10 as published with 4 particles; kind: of G_t; every: steps between resamplings, None: a fifth of
        the steps, 20 of 100 as published; ess_threshold: 1 resamples at each of them.
    Raises: ValueError on another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r}: expected one of {KINDS}")
    count = particles_for(num_particles, budget, fill_defaults(denoiser, solver, steps, grid)[1] * denoiser.calls)
    every = max(1, steps // 5) if every is None else whole(every, "every")
    potential = scaled(potential, scale)
    return run(
        key, denoiser, History(potential, kind), potential, shape, count, cond=cond, solver=solver, steps=steps, grid=grid,
        resampling=Resampling(resample, ess_threshold, every), chunk=chunk,
    )  # fmt: skip


class History(Twist):
    """log h_t = log of the product of all G so far."""

    potential: Any
    kind: str = eqx.field(static=True)

    def memory(self, count):
        # the largest or the sum of r so far, and log h
        first = -jnp.inf if self.kind == "max" else 0.0
        return jnp.full(count, first), jnp.zeros(count)

    def look(self, denoiser, x_t, t, cond, index, memory):
        answer = denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        value = self.potential(x0_hat, t)
        so_far, log_h = memory
        if self.kind == "difference":
            log_h = value
        else:
            so_far = jnp.maximum(so_far, value) if self.kind == "max" else so_far + value
            log_h = log_h + so_far
        return Look(x0_hat, x0_hat, log_h, answer.report | {"potential": value}), (so_far, log_h)
