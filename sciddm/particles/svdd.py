"""Value-based search: at each step several children of one path, and the one of the best expected output goes on.

    x_s ~ children of p(x_s | x_t), chosen with probability softmax(r(x0_hat(x_s)) / temperature)    (SVDD, Li et al. 2024,
                                                                                                      arXiv:2408.08252)
temperature 0 takes the best. Choosing every few steps is CoDe (Singh et al. 2025, arXiv:2502.00968; every = 2). A search: no sample of
the tilted law, however many children.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.denoiser import Denoiser
from sciddm.keys import one_key, whole
from sciddm.particles.budget import particles_for
from sciddm.particles.engine import Resampling, run
from sciddm.particles.result import Result
from sciddm.particles.twists import Plain
from sciddm.sample import fill_defaults


def svdd(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None,
    temperature: float = 0.0, every: int = 1, solver="ddpm", steps: int = 100, grid="logsnr", chunk=None,
) -> Result:  # fmt: skip
    """One path's last children, the chosen one with all the weight; arguments as in `smc`, and

    Args: num_particles: children, 10 as published; the first are so many draws of noise; temperature: alpha; every: steps between choices.
    A steered `denoiser` makes children that are better to choose from.
    """
    key, every = one_key(key), whole(every, "every")
    count = particles_for(num_particles, budget, fill_defaults(denoiser, solver, steps, grid)[1] * denoiser.calls)
    result = run(
        key, denoiser, Plain(potential, gradient=False), potential, shape, count, cond=cond, solver=solver, steps=steps, grid=grid,
        resampling=Resampling(One(temperature), jnp.inf, every), chunk=chunk,
    )  # fmt: skip
    chosen = One(temperature)(jax.random.fold_in(key, 2**31 - 1), result.log_weights)[0]
    log_weights = jnp.where(jnp.arange(count) == chosen, 0.0, -jnp.inf)
    return Result(result.particles, log_weights, jnp.full((), jnp.nan), result.info)


class One(eqx.Module):
    """A resampler that takes one particle, as many times as there are."""

    temperature: float

    def __call__(self, key, log_weights, count: int | None = None):
        """(count,) times the same ancestor. log_weights: (K,)."""
        best = jnp.argmax(log_weights)
        warm = jnp.asarray(self.temperature) > 0
        drawn = jax.random.categorical(key, log_weights / jnp.where(warm, self.temperature, 1.0))
        chosen = jnp.where(warm, drawn, best)
        return jnp.full(count or log_weights.shape[0], chosen, jnp.int32)
