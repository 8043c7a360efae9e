"""A reward on a one-step model: Markov chains of its noise under the reward of what the model makes of it.

    x_0 = G(z),    z ~ N(0, Sigma) exp(potential(G(z))) / Z

so that x_0 has the law of the model, tilted. Chains move by `pcnl`; as exact as they are long, and no denoising path is needed:
for distilled models, or for the start of one (Psi-Sampler, arXiv:2506.01320, which moves under the reward of x0_hat at t = 1).
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import as_structs
from sciddm.denoiser import Denoiser
from sciddm.keys import fold, sample_keys, whole
from sciddm.lookahead.observe.observation import need_density
from sciddm.particles.pcnl import pcnl
from sciddm.particles.result import Result

# A place of its own for the start's draws, beyond the moves.
_START = 2**31


def reward_langevin(
    key, denoiser: Denoiser, potential, shape, *, num_particles: int, moves: int, burn_in: int, step=0.5, chains=None, cond=None,
    generator=None, langevin=True,
) -> Result:  # fmt: skip
    """Samples of a one-step model under exp(potential).

    Args:
        potential: (x_0, t) -> (B,), nats; called with t = 0.
        shape: of one particle, without batch axis: a shape, or a pytree of them or of jax.ShapeDtypeStruct.
        moves, burn_in: of each chain; num_particles / chains states of each are kept, evenly spaced over `moves`.
        step: eps of `pcnl`.
        chains: in parallel, from independent noise; None: num_particles, of which the last states are kept.
        cond: like a batch of chains.
        generator: z, pytree of (B, ...) -> x_0; None: denoiser(sigma(1) z, t = 1, cond), its one-step prediction.
        langevin: False for a potential without a gradient.
    Returns: particles of equal weight, chain after chain in the order they were kept; log_evidence is NaN: chains don't know it;
        info: `network_calls`, `acceptance` (chains,), `noise` like the particles, `potential` (num_particles,).
    Raises: ValueError if chains does not divide num_particles, or their quotient does not divide moves.
    """
    need_density(potential, "reward_langevin")
    if generator is None:
        denoiser.sampling.refuse("a one-step model has no steps for", "take a plain guide, or a generator")
    num_particles, moves, burn_in = whole(num_particles, "num_particles"), whole(moves, "moves"), whole(burn_in, "burn_in", 0)
    chains = num_particles if chains is None else whole(chains, "chains")
    if num_particles % chains or moves % (num_particles // chains):
        raise ValueError(
            f"{num_particles} particles from {chains} chains of {moves} moves: chains must divide num_particles, and "
            "num_particles / chains must divide moves"
        )
    keep = num_particles // chains
    z, x_0, value, acceptance = _run(
        key, denoiser, potential, as_structs(shape), chains, keep, moves, burn_in, jnp.asarray(step, float), cond, generator, langevin
    )  # fmt: skip
    calls = chains * (1 + burn_in + moves) + num_particles
    info = {"network_calls": calls * (1 if generator else denoiser.calls)}
    info |= {"acceptance": acceptance, "noise": z, "potential": value}
    return Result(x_0, jnp.zeros_like(value), jnp.full((), jnp.nan, value.dtype), info)


@eqx.filter_jit
def _run(key, denoiser, potential, like, chains, keep, moves, burn_in, step, cond, generator, langevin):
    denoiser = denoiser.given(cond)
    process = denoiser.process

    def one_step(z):
        sigma = process.sigma(1.0)
        return denoiser(jax.tree.map(lambda leaf: sigma.astype(leaf.dtype) * leaf, z), jnp.asarray(1.0), cond)

    generate = one_step if generator is None else generator
    keys = sample_keys(key, chains)
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((chains, *leaf.shape), leaf.dtype), like)
    states, info = pcnl(
        keys, lambda z: potential(generate(z), jnp.asarray(0.0)), process.noise.sample_batch(fold(keys, jnp.uint32(_START)), batch),
        process.noise, step=step, moves=moves, burn_in=burn_in, keep_every=moves // keep, langevin=langevin,
    )  # fmt: skip
    # One batch of chains at a time, which is what cond goes with.
    x_0, value = jax.lax.map(lambda z: (lambda x: (x, potential(x, jnp.asarray(0.0))))(generate(z)), states)
    together = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1).reshape(-1, *leaf.shape[2:]), (states, x_0, value))
    return *together, info["acceptance"]
