"""An ensemble weighed by how well it fits, no more sharply than it can bear.

    w_k ~ exp(b potential(x_k)),      b in (0, 1] the largest with ESS >= least K

What a guide draws from a sharp likelihood with a trained network is off by many nats, each member by other ones: importance weights,
exact in the limit of many particles, then leave one of 32. Weights to a power keep them apart (tempering by the effective sample size:
Jasra et al. 2011; Beskos et al. 2014, arXiv:1103.3965, who go on from there). It is no posterior: the likelihood that steered members
weighs them once more.
"""

import jax
import jax.numpy as jnp

from sciddm.lookahead.observe.observation import need_density
from sciddm.particles.resample import effective_sample_size
from sciddm.particles.result import Result

HALVINGS = 60


def reweighed(samples, potential, least: float = 0.5) -> Result:
    """A `Result` of samples made by any guide, whose better members count for more.

    Args: samples: normalised x_0, a pytree of (K, ...); potential: an Observation or any (x_0, t) -> (K,) in nats; least: share of K below
        which the effective sample size does not fall; 1 keeps weights equal.
    Returns: `Result` without evidence (NaN); info: `power`, the b above, and `potential`, (K,).
    Raises: ValueError unless 0 < least <= 1, or of exact observations (noise_std 0).
    """
    if not 0 < least <= 1:
        raise ValueError(f"least = {least}: expected a share of the members, above 0 and at most 1")
    need_density(potential, "reweighed")
    values = potential(samples, jnp.zeros(()))
    power = power_for(values, least)
    log_weights = jnp.where(power > 0, power * values, 0.0)
    return Result(samples, log_weights, jnp.full((), jnp.nan), {"power": power, "potential": values})


def power_for(log_weights, least: float):
    """The largest b in [0, 1] whose weights exp(b log_weights) have an ESS of at least `least` K, by halving. log_weights: (K,)."""
    count = log_weights.shape[0]

    def enough(power):
        return effective_sample_size(power * log_weights) >= least * count

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        kept = enough(middle)
        return jnp.where(kept, middle, low), jnp.where(kept, high, middle)

    one = jnp.ones((), log_weights.dtype)
    low, _ = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.zeros_like(one), one))
    return jnp.where(enough(one), one, low)
