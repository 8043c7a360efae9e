"""Random keys: integers are seeds, one key is folded by sample index, and sample i never depends on the batch."""

import operator

import jax
import jax.numpy as jnp
import numpy as np


def as_key(seed):
    """A jax key from an integer seed; keys pass through.

    Raises: ValueError on anything else.
    """
    if isinstance(seed, jax.Array) and jnp.issubdtype(seed.dtype, jax.dtypes.prng_key):
        return seed
    if np.ndim(seed) == 0 and not isinstance(seed, (bool, np.bool_)):
        try:
            return jax.random.key(seed if isinstance(seed, jax.core.Tracer) else operator.index(seed))
        except TypeError:
            pass
    elif np.ndim(seed) and np.shape(seed)[-1] in (2, 4) and getattr(seed, "dtype", None) == np.uint32:
        return seed  # of the older kind, raw numbers
    raise ValueError(f"key = {seed!r}: expected a jax key (jax.random.key) or an integer seed")


def one_key(key):
    """A single key, from itself or an integer seed.

    Raises: ValueError on an array of keys.
    """
    key = as_key(key)
    if _is_batched(key):
        raise ValueError(f"key has {key.shape[0]} keys: expected one, which is folded by sample index, or an integer seed")
    return key


def sample_keys(key, count: int):
    """(count,) keys, the i-th being `fold_in(key, i)`, so that sample i never depends on the batch; (count,) keys pass through.

    Raises: ValueError on another number of keys.
    """
    key = checked_key(key, count)
    return key if _is_batched(key) else jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))


def checked_key(key, count: int):
    """What `sample_keys` of it will take: one key, or (count,) keys; nothing is computed but a seed's key.

    Raises: ValueError on another number of keys.
    """
    key = as_key(key)
    if _is_batched(key) and key.shape[0] != count:
        raise ValueError(f"key has {key.shape[0]} keys for {count} samples: expected one key, a seed, or a key a sample")
    return key


def fold(keys, data):
    """Each of (B,) keys folded with the same number."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, data)


def whole(value, name: str, least: int = 1, most: int | None = None) -> int:
    """`value` as a Python integer, numpy's too, so that counts are never traced.

    Raises: ValueError unless it is an integer of at least `least`, and of at most `most` where that is given.
    """
    try:
        number = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        raise ValueError(f"{name} = {value!r}: expected an integer, {f'at least {least}' if most is None else f'{least} to {most}'}")
    return number


def _is_batched(key) -> bool:
    return key.ndim == (1 if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else 2)


def seed_of(key) -> int:
    """A seed for libraries that draw by themselves, such as numpy, from a jax key; below 2^31."""
    return int(jax.random.randint(key, (), 0, 2**31 - 1))
