"""A path beside a network for what is finer than it passes on.

A network on patches with fewer channels than a patch has values cannot pass white noise on: what it answers lies in as many
dimensions a patch as it has channels. Bands of the finest scales go past it,

    answer + sum_b gain_b(level) band_b + convolutions(bands, answer),    band_b = amplify (blur_b x - blur_(b+1) x),

amplified until their noise has unit variance; a gain that depends on the noise level alone is a Wiener filter of its band.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm.networks.conv import conv, each_axis
from sciddm.networks.layers import Conv, GroupNorm, Linear, NoiseEmbedding, need_positive

BLURS = (0.8, 2.0)  # grid points: each band is what one of them takes away and the one before left
MOST = 100.0  # bands are amplified no further than this
LONG = 1024  # points along an axis from where on a blur is a convolution: a matrix grows with the square


class FineBands(nnx.Module):
    """Abstract base of networks on (B, *space, channels): its parts, in the network's own tree, and `add_fine` to call with its answer.

    Args: channels: of x; ndim: spatial axes, 1 to 3; features: width of the embedding of the noise level; width: channels of the two
        convolutions, which see the grid at full resolution; periodic: whether it wraps around, one bool or one for each axis.
    """

    def __init__(
        self, channels: int, *, ndim: int, features: int = 128, width: int = 32, periodic: bool | tuple[bool, ...] = False, rngs: nnx.Rngs
    ):  # fmt: skip
        need_positive(width=width)
        self.axes = each_axis(periodic, ndim)
        bands = len(BLURS) * channels
        self.noise, self.gain = NoiseEmbedding(features, rngs=rngs), Linear(features, bands, scale=0.0, rngs=rngs)
        self.fine_in = Conv(bands + channels, width, ndim=ndim, periodic=periodic, rngs=rngs)
        self.norm, self.film = GroupNorm(width), Linear(features, 2 * width, scale=0.0, rngs=rngs)
        self.fine_out = Conv(width, channels, ndim=ndim, periodic=periodic, scale=0.0, rngs=rngs)

    def add_fine(self, x, answer, noise_level):
        """answer and what is finer, (B, *space, channels) as x and answer are, at noise_level, () or (B,)."""
        # noise_level is ln(sigma / alpha) / 4, and x has unit variance: with it its noise has sigma / sqrt(1 + sigma^2).
        ones = (1,) * len(self.axes)
        level = jnp.reshape(jnp.asarray(noise_level, jnp.float32), (-1, *ones, 1))
        amplify = jnp.minimum(jnp.sqrt(1.0 + jnp.exp(-8.0 * level)), MOST).astype(x.dtype)
        scales = [x, *(blur(x, sigma, self.axes) for sigma in BLURS)]
        bands = amplify * jnp.concatenate(
            [fine - coarse for fine, coarse in zip(scales[:-1], scales[1:], strict=True)], -1
        )
        embedding = jax.nn.silu(self.noise(noise_level)).astype(x.dtype)
        everywhere = lambda each: each.reshape(each.shape[0], *ones, -1)  # noqa: E731
        gained = everywhere(self.gain(embedding)) * bands
        scale, shift = jnp.split(everywhere(self.film(embedding)), 2, axis=-1)
        hidden = self.norm(self.fine_in(jnp.concatenate([bands, answer], -1)))
        fine = self.fine_out(jax.nn.silu(hidden * (1 + scale) + shift))
        return answer + fine + sum(jnp.split(gained, len(BLURS), axis=-1))


class Bands(FineBands):
    """bands(x, answer, noise_level) -> answer and what is finer: the path on its own, for a network that need not have its parts."""

    def __call__(self, x, answer, noise_level):
        return self.add_fine(x, answer, noise_level)


def blur(x, sigma: float, periodic: bool | tuple[bool, ...] = False):
    """Gaussian of `sigma` grid points over the spatial axes of (B, *space, C), its weights summing to 1 at the edges too.

    periodic: whether the grid wraps around, one bool or one for each axis.
    """
    axes = each_axis(periodic, x.ndim - 2)
    # A small matrix an axis, normalised at the edges: faster than a convolution of any width on every device.
    short = [axis for axis, size in enumerate(x.shape[1:-1]) if size <= LONG]
    old, new = "hwd"[: len(axes)], list("hwd"[: len(axes)])
    matrices, names = [], []
    for axis in short:
        new[axis] = "ijk"[axis]
        matrices.append(jnp.asarray(_matrix(x.shape[1 + axis], sigma, axes[axis]), x.dtype))
        names.append(new[axis] + old[axis])
    if short:
        x = jnp.einsum(f"{','.join(names)},b{old}c->b{''.join(new)}c", *matrices, x)
    for axis in set(range(len(axes))) - set(short):
        x = _blur_along(x, 1 + axis, sigma, axes[axis])
    return x


def _matrix(size, sigma, periodic):
    distance = (np.arange(size)[:, None] - np.arange(size)).astype(np.float64)
    turns = range(-int(np.ceil(9 * sigma / size)), int(np.ceil(9 * sigma / size)) + 1) if periodic else (0,)
    weights = sum(np.exp(-0.5 * ((distance + turn * size) / sigma) ** 2) for turn in turns)
    return weights / weights.sum(1, keepdims=True)


def _blur_along(x, axis, sigma, periodic):
    # Weights below e^-18 of the largest are left out.
    reach = min(int(np.ceil(6 * sigma)), x.shape[axis] - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    rows = jnp.moveaxis(x, axis, -1)
    found = conv(rows.reshape(-1, x.shape[axis], 1), jnp.asarray(weights[:, None, None], x.dtype), periodic=periodic)
    total = weights.sum() if periodic else np.convolve(np.ones(x.shape[axis]), weights, "same")
    return jnp.moveaxis(found.reshape(rows.shape) / jnp.asarray(total, x.dtype), -1, axis)
