"""Preconditioned Crank-Nicolson Langevin: Markov chains of a tilted Gaussian, whose moves stay good in any dimension.

    pi(dz) = exp(log_h(z)) N(dz; 0, Sigma) / Z
    z' = rho z + sqrt(1 - rho^2) (xi + c Sigma g(z)),    xi ~ N(0, Sigma), g = grad log_h, c = sqrt(eps)/2, rho = (1 - eps/4)/(1 + eps/4)

The proposal leaves N(0, Sigma) alone but for its drift, so the density of (z, z') under pi and proposal, over N(dz) N(dz'; rho z, .), is

    l(z, z') = log_h(z) + (c / sqrt(1 - rho^2)) <g(z), z' - rho z> - (c^2 / 2) <g(z), Sigma g(z)>

and z' is accepted with probability min(1, exp(l(z', z) - l(z, z')))     (Cotter et al. 2013, section 4.3, arXiv:1202.0709, whose
delta is eps / 2; used for the noise of one-step models in Psi-Sampler, arXiv:2506.01320). No drift, g = 0, is pCN.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, combine, expand, inner
from sciddm.keys import fold, sample_keys, whole
from sciddm.lookahead.gradients import value_and_gradient
from sciddm.noise import Noise


class State(NamedTuple):
    """Chains at z, with log_h there and Sigma times its gradient."""

    z: Any
    value: jax.Array
    gradient: Any
    drift: Any


def pcnl(
    key, log_h, start, noise_law: Noise, *, step=0.5, moves: int, burn_in: int = 0, keep_every: int = 1, langevin=True
):
    """States of chains that leave N(0, Sigma) exp(log_h) as it is, all chains at once; chain i depends on (key, i) alone.

    Costs chains (1 + burn_in + moves) evaluations of log_h, each with its gradient.

    Args:
        log_h: z, like start -> (chains,); the log of the tilt up to a constant.
        start: pytree of (chains, ...) in the support of the law.
        step: eps > 0; 4 forgets z at once. Of a drift-free move, 1 - rho^2 is the share of fresh noise.
        moves: after the first `burn_in`; every `keep_every`-th of them is kept.
        langevin: whether moves follow the gradient; False for a log_h that has none.
    Returns: states, pytree of (moves / keep_every, chains, ...); info: `acceptance`, (chains,) share of accepted moves after burn-in.
    Raises: ValueError if keep_every does not divide moves.
    """
    moves, burn_in = whole(moves, "moves"), whole(burn_in, "burn_in", 0)
    if moves % whole(keep_every, "keep_every"):
        raise ValueError(f"moves = {moves} is no multiple of keep_every = {keep_every}")
    keys = sample_keys(key, batch_size(start))

    def move(state, index):
        return _move(fold(keys, index), log_h, state, noise_law, step, langevin)

    def several(state, indices):
        state, accepted = jax.lax.scan(move, state, indices)
        return state, (state.z, jnp.mean(accepted, axis=0))

    state = _look(log_h, start, noise_law, langevin)
    if burn_in:
        state, _ = jax.lax.scan(move, state, jnp.arange(burn_in))
    indices = burn_in + jnp.arange(moves).reshape(-1, keep_every)
    _, (states, acceptance) = jax.lax.scan(several, state, indices)
    return states, {"acceptance": jnp.mean(acceptance, axis=0)}


def propose(keys, state: State, noise_law: Noise, step):
    """z' from the chains' state, like state.z. keys: (chains,)."""
    rho, fresh, share = _coefficients(step)
    driven = combine(1.0, noise_law.sample_batch(keys, state.z), share, state.drift)
    return combine(rho, state.z, fresh, driven)


def log_acceptance(state: State, proposed: State, step):
    """l(z', z) - l(z, z'), (chains,): antisymmetric in its two states, and 0 where log_h is constant."""
    rho, fresh, share = _coefficients(step)

    def joint(here, there):
        pull = inner(here.gradient, combine(1.0, there.z, -rho, here.z))
        return here.value + share / fresh * pull - 0.5 * share**2 * inner(here.gradient, here.drift)

    return joint(proposed, state) - joint(state, proposed)


def _coefficients(step):
    rho = (1.0 - step / 4.0) / (1.0 + step / 4.0)
    return rho, jnp.sqrt(step) / (1.0 + step / 4.0), 0.5 * jnp.sqrt(step)  # sqrt(1 - rho^2), without cancelling


def _look(log_h, z, noise_law, langevin):
    if not langevin:
        nothing = jax.tree.map(jnp.zeros_like, z)
        return State(z, log_h(z), nothing, nothing)
    value, gradient = value_and_gradient(lambda z, t: log_h(z), z, None)
    # Any function of z is a fair drift, so a gradient that overflows is left out rather than ending the chain.
    gradient = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), gradient)
    return State(z, value, gradient, noise_law.each("covariance", gradient))


def _move(keys, log_h, state, noise_law, step, langevin):
    proposed = _look(log_h, propose(fold(keys, 0), state, noise_law, step), noise_law, langevin)
    log_ratio = log_acceptance(state, proposed, step)
    accepted = jnp.log(jax.vmap(jax.random.uniform)(fold(keys, 1))) < log_ratio
    state = jax.tree.map(lambda new, old: jnp.where(expand(accepted, new), new, old), proposed, state)
    return state, accepted
