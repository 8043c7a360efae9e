"""Psi-Sampler: particles that begin where the reward already is, by Markov chains in the noise, and go on as SMC.

    x_1 ~ N(0, sigma^2 Sigma) h_1(x_1),   h_1 = exp(scale r(x0_hat(x_1))),   by pCNL               (Yoon et al. 2025, arXiv:2506.01320)

Weights of the path are those of `smc` from there on, so the law is the same. The constant of h_1 is not known, nor is the evidence. The
released code returns the best particle (`result.best()`) and loses weights where it does not resample; here they are carried.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.denoiser import Denoiser
from sciddm.keys import one_key, whole
from sciddm.particles.budget import particles_for, scaled
from sciddm.particles.engine import Resampling, look_at, population, run
from sciddm.particles.pcnl import pcnl
from sciddm.particles.result import Result
from sciddm.particles.smc import make_twist
from sciddm.particles.twists import Plain
from sciddm.sample import fill_defaults, grid_times


def psi(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None, scale=1.0,
    chains: int = 5, burn_in: int = 25, moves: int = 25, step: float = 0.5, langevin: bool = True, twist="plain", solver="ddpm",
    steps: int = 25, grid="logsnr", resample="ssp", ess_threshold: float = 0.5, chunk=None,
) -> Result:  # fmt: skip
    """Weighted particles of p(x_0) exp(scale potential); arguments as in `smc`, and

    Args:
        chains, burn_in, moves, step: of `pcnl`, (1 + burn_in + moves) calls a chain; particles start from states after the burn-in, evenly
            spaced, and more than once if there are more of them.
        langevin: False for a potential without a gradient; scale: 1/alpha, 10 and 50 as published for image rewards.
    """
    key, potential = one_key(key), scaled(potential, scale)
    guess = Plain(potential, gradient=langevin) if twist == "plain" else make_twist(twist, potential)
    chains, burn_in, moves = whole(chains, "chains"), whole(burn_in, "burn_in", 0), whole(moves, "moves")
    once = chains * (1 + burn_in + moves) * denoiser.calls
    _, settled_steps, settled_grid = fill_defaults(denoiser, solver, steps, grid)
    count = particles_for(num_particles, budget, settled_steps * denoiser.calls, once)
    time = grid_times(settled_grid, denoiser.process, settled_steps)[0]
    key_chains, key_path = jax.random.split(key)
    start, acceptance = _seeds(
        key_chains, denoiser, guess, cond, population(shape, chains), time, count, burn_in, moves, jnp.asarray(step), langevin
    )  # fmt: skip
    result = run(
        key_path, denoiser, guess, potential, shape, count, cond=cond, solver=solver, steps=steps, grid=grid, start=start,
        tilted_start=True, own_step=not langevin, resampling=Resampling(resample, ess_threshold), chunk=chunk,
    )  # fmt: skip
    info = result.info | {"network_calls": once + result.info["network_calls"], "acceptance": acceptance}
    return Result(result.particles, result.log_weights, result.log_evidence, info)


@eqx.filter_jit
def _seeds(key, denoiser, guess, cond, like, time, count, burn_in, moves, step, langevin):
    denoiser = denoiser.given(cond)
    process = denoiser.process
    chains = jax.tree.leaves(like)[0].shape[0]

    def noisy(z):
        return jax.tree.map(lambda leaf: process.sigma(time).astype(leaf.dtype) * leaf, z)

    def log_h(z):
        return look_at(guess, denoiser, noisy(z), time, cond, jnp.asarray(0), guess.memory(chains))[0].log_h

    key_start, key_moves = jax.random.split(key)
    start = process.noise.sample_batch(jax.random.split(key_start, chains), like)
    states, info = pcnl(
        key_moves, log_h, start, process.noise, step=step, moves=moves, burn_in=burn_in, langevin=langevin
    )
    states = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), states)
    chosen = jnp.arange(count) * (moves * chains) // count
    return noisy(jax.tree.map(lambda leaf: leaf[chosen], states)), info["acceptance"]
