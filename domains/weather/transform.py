"""Rain and no rain: reflectivity in dBZ as the network sees it and back, and rain rates in mm/h.

A radar that sees nothing reports no number of dBZ. Kept as 0 that half of the pixels would be an atom at the lower edge of the rest,
and a sample near it would be neither: so no echo has a value of its own, apart from the least echo, and half-way between is the
threshold. Missing pixels are no echo's opposite and are masks everywhere, never a number.
"""

import jax
import jax.numpy as jnp
import numpy as np

NO_ECHO = -2.0  # what stands for "no echo" in x
HIGHEST = 75.0  # dBZ; hail, and the end of every radar's scale


def encode(dbz):
    """dBZ, 0 or less where there is no echo -> x: dBZ, `NO_ECHO` where there is none. NaN stays NaN."""
    np_like = _numpy(dbz)
    return np_like.where(dbz <= 0, np_like.asarray(NO_ECHO, dbz.dtype), dbz)


def decode(x):
    """x -> dBZ in [0, `HIGHEST`], exactly 0 where x is nearer to `NO_ECHO` than to 0. decode(encode(dbz)) = dbz on that range."""
    np_like = _numpy(x)
    return np_like.where(x < 0.5 * NO_ECHO, np_like.zeros((), x.dtype), np_like.clip(x, 0.0, HIGHEST))


def rain_rate(dbz, a: float = 200.0, b: float = 1.6):
    """mm/h of reflectivity: R = (10^(dBZ / 10) / a)^(1 / b), 0 where there is no echo.      (Marshall & Palmer 1948)"""
    np_like = _numpy(dbz)
    return np_like.where(dbz <= 0, np_like.zeros((), dbz.dtype), (10.0 ** (0.1 * dbz) / a) ** (1.0 / b))


def reflectivity(rate, a: float = 200.0, b: float = 1.6):
    """dBZ of mm/h: 10 log10(a R^b); what would be below 0 dBZ (0.036 mm/h) is no echo, 0. NaN stays NaN."""
    np_like = _numpy(rate)
    least = a ** (-1.0 / b)
    return np_like.where(
        rate <= least, np_like.zeros((), rate.dtype), 10.0 * np_like.log10(a * np_like.maximum(rate, least) ** b)
    )


def _numpy(array):
    return jnp if isinstance(array, jax.Array) else np
