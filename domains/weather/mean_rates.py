"""Rain as an instrument sums it up: dBZ of mean rates over blocks, or over the frames of a gauge's interval; fields by name in mm/h."""

import equinox as eqx
import jax
import jax.numpy as jnp

from domains.weather.transform import HIGHEST, NO_ECHO, encode, rain_rate, reflectivity

LEAST = 1e-3  # mm/h, so that the logarithm of a dry mean has a gradient


def soft_rate(x):
    """mm/h of x without the jump at no echo, so that there is a gradient everywhere: 0.036 mm/h at 0 dBZ, and less below.

    A sample on its way may be far above the scale's end, where a power of ten would be all there is of a mean.
    """
    return rain_rate(jnp.minimum(jnp.where(x > 0.1, x, 0.1), HIGHEST)) * jnp.exp(jnp.minimum(x, 0.1) - 0.1)


def fields_of(x) -> dict:
    """reflectivity [dBZ] and rain [mm/h], (B, frame, y, x), of a batch x (B, y, x, frame); no echo is 0 in both.

    Values are exact; gradients go on where a pixel is dry or at the scale's end, where they would be 0: of dBZ that of x itself, of rain
    that of `soft_rate`.
    """
    x = jnp.moveaxis(jnp.asarray(x), -1, 1)
    dbz = jnp.clip(x, 0.0, HIGHEST)
    soft = soft_rate(x)
    stop = jax.lax.stop_gradient
    return {"reflectivity": x + stop(dbz - x), "rain": soft + stop(rain_rate(dbz) - soft)}


def with_fields(x, fields):
    """x with its reflectivity, or else its rain, replaced; the inverse of `fields_of`."""
    if "reflectivity" in fields:
        dbz = fields["reflectivity"]
    elif "rain" in fields:
        dbz = reflectivity(jnp.asarray(fields["rain"]))
    else:
        return x
    return jnp.moveaxis(encode(jnp.asarray(dbz)), 1, -1)


class MeanRate(eqx.Module):
    """dBZ of the mean rain rate over groups of entries of a batch of normalised x_0 (B, ...), normalised. Returns (B, m).

        y_j = 10 log10(a max(mean_k R(x_jk), least)^b),  b = 1.6: a gauge's interval, a coarse pixel; not below `NO_ECHO`

    groups: (m, k) places in the flattened x_0, -1 for none.
    """

    groups: jax.Array
    mean: float = eqx.field(static=True)  # of the normaliser
    std: float = eqx.field(static=True)

    def __call__(self, x_0):
        x = (x_0 * self.std + self.mean).reshape(x_0.shape[0], -1)
        there = self.groups >= 0
        rates = jnp.where(there, soft_rate(x[:, jnp.where(there, self.groups, 0)]), 0.0)
        mean = rates.sum(-1) / there.sum(-1)
        dbz = 10.0 * jnp.log10(200.0 * jnp.maximum(mean, LEAST) ** 1.6)
        return (jnp.maximum(dbz, NO_ECHO) - self.mean) / self.std
