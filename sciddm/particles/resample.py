"""Which particles live on: resampling schemes, whose mean number of children of particle i is count w_i.

    C_j = count sum_{i <= j} w_i,    child i descends from the first j with C_j > i + u_i

systematic (one u for all), stratified (a u each), multinomial (positions anywhere), residual (floor(count w_i) children for sure,
the rest multinomial)          (Douc & Cappe 2005, arXiv:cs/0507025), and ssp, which pairs off fractions (arXiv:1708.02230).

float32 can't hold i + u_i for many particles, so C_j is kept as an integer and a fraction of 2^32, which add up exactly.
"""

import jax
import jax.numpy as jnp


def systematic(key, log_weights, count: int | None = None):
    """(count,) int32 ancestors in ascending order; every particle has floor or ceil of count w_i children. log_weights: (K,)."""
    offset = jax.random.bits(key, dtype=jnp.uint32)
    return _descend(log_weights, count, lambda count: (jnp.arange(count), jnp.broadcast_to(offset, (count,))))


def stratified(key, log_weights, count: int | None = None):
    """(count,) int32 ancestors in ascending order, one from each of count strata of equal weight. log_weights: (K,)."""
    return _descend(log_weights, count, lambda count: (jnp.arange(count), jax.random.bits(key, (count,), jnp.uint32)))


def multinomial(key, log_weights, count: int | None = None):
    """(count,) int32 ancestors, independent draws with probabilities w_i. log_weights: (K,)."""

    def places(count):
        key_stratum, key_offset = jax.random.split(key)
        return jax.random.randint(key_stratum, (count,), 0, count), jax.random.bits(key_offset, (count,), jnp.uint32)

    return _descend(log_weights, count, places)


def residual(key, log_weights, count: int | None = None):
    """(count,) int32 ancestors: floor(count w_i) children each, and the rest by `multinomial` of what is left. log_weights: (K,)."""
    weights, count = _weights(log_weights), count or log_weights.shape[0]
    whole, part = _split(weights, count)
    sure = jnp.cumsum(whole)
    fractions = jnp.where(part > 0, jnp.log(part.astype(jnp.float32)), -jnp.inf)
    others = multinomial(key, fractions, count)
    places = jnp.arange(count)
    certain = jnp.searchsorted(sure, places, side="right")
    # Nothing is left where all is sure; rounding that leaves a place free then gives it to the heaviest.
    others = jnp.where(jnp.any(part > 0), others, jnp.argmax(weights))
    return _or_identity(weights, count, jnp.where(places < sure[-1], certain, others))


def ssp(key, log_weights, count: int | None = None):
    """(count,) int32 ancestors in ascending order by the Srinivasan sampling process; floor or ceil of count w_i children each.

    Two fractions a, b at a time: one takes as much of the other as it can, until it is 0 or 1, so that either keeps its mean:
    a + b < 1: a survives with a + b, probability a / (a + b), or b does; else a is 1, probability (1 - b) / (2 - a - b), or b is,
    and the other goes on with a + b - 1.            (Gerber, Chopin & Whiteley 2019, section 3.2, arXiv:1708.02230)
    Sequential in the particles. log_weights: (K,).
    """
    weights, count = _weights(log_weights), count or log_weights.shape[0]
    whole, part = _split(weights, count)
    uniforms = jax.random.uniform(key, part.shape)

    def meet(pending, now):
        place, a = pending
        other, b, uniform = now
        total = a + b  # wraps at one
        full = total < a
        x, y = _fraction(a), _fraction(b)
        keep = jnp.where(full, (1.0 - x) / jnp.maximum(2.0 - x - y, 1e-30), x / jnp.maximum(x + y, 1e-30))
        first = uniform < keep  # a goes on, with the sum or with what the other left of it
        on = jnp.where(first, place, other)
        done = jnp.where(full, jnp.where(first, other, place), -1)
        return (on, total), done

    rest = (jnp.arange(1, part.shape[0]), part[1:], uniforms[1:])
    (last, _), done = jax.lax.scan(meet, (jnp.int32(0), part[0]), rest)
    children = whole.at[jnp.where(done < 0, part.shape[0], done)].add(1, mode="drop")
    children = children.at[last].add(count - jnp.sum(children))  # what rounding left of one that fills up at last
    ancestors = jnp.searchsorted(jnp.cumsum(children), jnp.arange(count), side="right")
    return _or_identity(weights, count, ancestors)


RESAMPLERS = {
    "systematic": systematic,
    "stratified": stratified,
    "residual": residual,
    "multinomial": multinomial,
    "ssp": ssp,
}


def resolve(resampler):
    """A name of `RESAMPLERS`, or any function (key, log_weights) -> ancestors. Raises: ValueError on an unknown name."""
    if callable(resampler):
        return resampler
    if resampler not in RESAMPLERS:
        raise ValueError(f"resample {resampler!r} is none of {sorted(RESAMPLERS)}")
    return RESAMPLERS[resampler]


def effective_sample_size(log_weights):
    """1 / sum w_i^2 of the normalised weights, in [1, K]; 1 where none is left. log_weights: (K,)."""
    weights = _weights(log_weights)
    return jnp.maximum(jnp.sum(weights) ** 2 / jnp.maximum(jnp.sum(weights**2), 1.0), 1.0)


def log_mean_exp(log_weights):
    """log mean_i exp(log_weights_i), -inf where all of them are. log_weights: (K,)."""
    log_weights = _no_nan(log_weights)
    top = jnp.max(log_weights)
    finite = jnp.where(jnp.isfinite(top), top, 0.0)
    return jnp.log(jnp.mean(jnp.exp(log_weights - finite))) + finite


def _no_nan(log_weights):
    return jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)


def _weights(log_weights):
    # Relative to the largest, which is exactly 1; all 0 where there is none.
    log_weights = _no_nan(log_weights)
    top = jnp.max(log_weights)
    relative = jnp.where(log_weights == top, 1.0, jnp.exp(log_weights - top))
    return jnp.where(log_weights > -jnp.inf, relative, 0.0)


def _split(weights, count):
    # count w_i as an int32 and a uint32 in units of 2^-32. Equal weights give exactly (count / K) each.
    total = jnp.sum(weights)
    scaled = weights * (count / jnp.where(total > 0, total, 1.0))
    whole = jnp.floor(scaled)
    return whole.astype(jnp.int32), jnp.floor((scaled - whole) * 2.0**32).astype(jnp.uint32)


def _fraction(part):
    return part.astype(jnp.float32) * 2.0**-32


def _descend(log_weights, count, places):
    weights, count = _weights(log_weights), count or log_weights.shape[0]
    whole, part = _split(weights, count)
    sums = jnp.cumsum(part, dtype=jnp.uint32)
    sums_whole = jnp.cumsum(whole) + jnp.cumsum((sums < part).astype(jnp.int32))  # a sum that wrapped carries one
    stratum, offset = places(count)
    positive = jnp.where(weights > 0, jnp.arange(weights.shape[0]), 0)
    low, high = jnp.zeros_like(stratum), jnp.broadcast_to(jnp.max(positive), stratum.shape)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) // 2
        beyond = (sums_whole[middle] > stratum) | ((sums_whole[middle] == stratum) & (sums[middle] > offset))
        return jnp.where(beyond, low, jnp.minimum(middle + 1, high)), jnp.where(beyond, middle, high)

    # The last one with weight takes what rounding leaves below count.
    _, ancestors = jax.lax.fori_loop(0, weights.shape[0].bit_length(), halve, (low, high))
    return _or_identity(weights, count, ancestors)


def _or_identity(weights, count, ancestors):
    # Nobody has weight: nothing to choose by.
    return jnp.where(jnp.any(weights > 0), ancestors, jnp.arange(count) % weights.shape[0]).astype(jnp.int32)
