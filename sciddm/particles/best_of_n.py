"""Best of N: as many samples as the budget pays for, and the one of the largest potential.

    KL(best of N || model) = log N - (N - 1) / N, where no two potentials are equal                 (Beirami et al. 2024, arXiv:2401.01879)

The search that all others must beat at equal network calls.
"""

import jax.numpy as jnp

from sciddm.denoiser import Denoiser
from sciddm.keys import sample_keys
from sciddm.lookahead.observe.observation import need_density
from sciddm.particles.budget import particles_for
from sciddm.particles.engine import by_chunks, checked_chunk, population
from sciddm.particles.resample import log_mean_exp
from sciddm.particles.result import Result
from sciddm.sample import fill_defaults, planned_calls, sample


def best_of_n(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None, solver=None,
    steps: int | None = None, grid=None, chunk=None,
) -> Result:  # fmt: skip
    """N samples, the best with all the weight, and the plain Monte-Carlo estimate of the evidence; arguments as in `smc` and `sd.sample`.

    Any solver serves: solver, steps and grid are those of `sd.sample` where they are None.
    """
    need_density(potential, "best_of_n")
    calls = int(planned_calls(denoiser, *fill_defaults(denoiser, solver, steps, grid), denoiser.sampling.corrections).sum())
    count = particles_for(num_particles, budget, calls)
    chunk = checked_chunk(chunk, count)
    like = population(shape, chunk or count)

    def draw(keys):
        return sample(keys, denoiser, like, cond=cond, solver=solver, steps=steps, grid=grid)[0]

    samples = by_chunks(draw, sample_keys(key, count), chunk)
    values = potential(samples, jnp.zeros(()))
    log_weights = jnp.where(jnp.arange(count) == jnp.argmax(values), 0.0, -jnp.inf)
    return Result(samples, log_weights, log_mean_exp(values), {"network_calls": count * calls, "potential": values})
