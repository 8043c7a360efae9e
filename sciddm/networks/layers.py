"""The bricks networks are made of (flax nnx), channels last, for one to three spatial axes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm.networks.conv import conv, each_axis


def need_positive(**sizes) -> None:
    """Raises: ValueError that names the first size, or tuple of sizes, that is no whole number or below 1."""
    for name, size in sizes.items():
        if not all(isinstance(one, int) for one in (size if isinstance(size, (tuple, list)) else (size,))):
            raise ValueError(f"{name} = {size!r}: expected whole numbers")
        if any(one < 1 for one in (size if isinstance(size, (tuple, list)) else (size,))):
            raise ValueError(f"{name} = {size}: expected at least 1")


def _kernel(rngs: nnx.Rngs, shape, scale: float = 1.0):
    # Drawn by numpy from a seed of the stream: eager jax draws would compile once for every shape of a network.
    key = jax.random.key_data(rngs.params())
    if isinstance(key, jax.core.Tracer):  # for its shape alone
        return nnx.Param(jnp.zeros(shape))
    seed = np.asarray(key).tolist()
    std = math.sqrt(scale / math.prod(shape[:-1]))
    values = np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(std)
    return nnx.Param(jnp.asarray(values))


def constant(shape, value: float = 0.0):
    return nnx.Param(jnp.asarray(np.full(shape, value, np.float32)))


class Linear(nnx.Module):
    """y = x W + b over the last axis. scale: variance of the output of unit inputs; 0 starts at zero."""

    def __init__(self, channels_in: int, channels_out: int, *, scale: float = 1.0, rngs: nnx.Rngs):
        self.kernel, self.bias = _kernel(rngs, (channels_in, channels_out), scale), constant((channels_out,))

    def __call__(self, x):
        # As one matrix: XLA on CPU has no fast gradient of a kernel that is summed over several axes (measured: 2.3 times slower).
        rows = times(x.reshape(-1, x.shape[-1]), self.kernel[...].astype(x.dtype)) + self.bias[...].astype(x.dtype)
        return rows.reshape(*x.shape[:-1], -1)


def times(rows, kernel):
    """rows @ kernel, with a gradient of the kernel that is fast on CPU."""
    if kernel.shape[0] <= kernel.shape[1] or jax.default_backend() != "cpu":
        return rows @ kernel
    # The gradient rows^T dy runs at half speed where rows are wide, of 2 KiB and more: it is taken as dy^T rows, and XLA is kept from
    # turning it around.
    turned = jax.lax.optimization_barrier(kernel.T)
    return jax.lax.dot_general(rows, turned, (((1,), (1,)), ((), ())))


class Conv(nnx.Module):
    """`conv` with a bias, three wide. scale as for `Linear`; periodic: of the grid, another one for a call where that says so."""

    def __init__(self, channels_in, channels_out, *, ndim: int, periodic=False, scale: float = 1.0, rngs: nnx.Rngs):
        self.kernel = _kernel(rngs, (3,) * ndim + (channels_in, channels_out), scale)
        self.bias, self.periodic = constant((channels_out,)), each_axis(periodic, ndim)

    def __call__(self, x, periodic=None):
        periodic = self.periodic if periodic is None else periodic
        return conv(x, self.kernel[...].astype(x.dtype), periodic=periodic) + self.bias[...].astype(x.dtype)


class GroupNorm(nnx.Module):
    """Group normalisation in one pass: mean and mean of squares together, in float32.

    Groups have `group_size` channels or more. Good for |mean| up to a thousand standard deviations, where float32 cancels.
    """

    def __init__(self, channels: int, *, group_size: int = 16, epsilon: float = 1e-5):
        self.groups = next(n for n in range(max(channels // group_size, 1), 0, -1) if channels % n == 0)
        self.scale, self.bias, self.epsilon = constant((channels,), 1.0), constant((channels,)), epsilon

    def __call__(self, x):
        rows = x.astype(jnp.float32).reshape(x.shape[0], -1, self.groups, x.shape[-1] // self.groups)
        mean, square = rows.mean((1, 3)), jnp.square(rows).mean((1, 3))
        inverse = jax.lax.rsqrt(jnp.maximum(square - mean**2, 0.0) + self.epsilon)
        # Folded into one multiply and one add a channel.
        per_group = (x.shape[0], self.groups, x.shape[-1] // self.groups)
        gain = inverse[:, :, None] * self.scale[...].reshape(per_group[1:])
        shift = self.bias[...].reshape(per_group[1:]) - mean[:, :, None] * gain
        shape = (x.shape[0],) + (1,) * (x.ndim - 2) + (x.shape[-1],)
        return x * gain.reshape(shape).astype(x.dtype) + shift.reshape(shape).astype(x.dtype)


class NoiseEmbedding(nnx.Module):
    """(B,) or () noise level -> (B, features) or (1, features): sines and cosines of it, then two dense layers."""

    def __init__(self, features: int, *, rngs: nnx.Rngs):
        if features < 2:
            raise ValueError(f"features = {features}: expected at least 2")
        self.half = features // 2
        self.dense_in, self.dense_out = (
            Linear(2 * self.half, features, rngs=rngs),
            Linear(features, features, rngs=rngs),
        )

    def __call__(self, noise_level):
        # The level spans about (-2.5, 2.5): periods from 16 down to 16 / 256.
        frequency = 2 * jnp.pi / 16 * jnp.exp(jnp.linspace(0.0, math.log(256.0), self.half))
        angle = jnp.atleast_1d(noise_level)[:, None] * frequency
        return self.dense_out(jax.nn.silu(self.dense_in(jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], -1))))


class ResidualBlock(nnx.Module):
    """norm, silu, conv, norm with scale and shift from the embedding (FiLM), silu, zero-initialised conv, plus the input."""

    def __init__(self, channels_in, channels_out, embedding: int, *, ndim, periodic=False, rngs: nnx.Rngs):
        self.norm_in, self.norm_out = GroupNorm(channels_in), GroupNorm(channels_out)
        self.conv_in = Conv(channels_in, channels_out, ndim=ndim, periodic=periodic, rngs=rngs)
        self.film = Linear(embedding, 2 * channels_out, scale=0.0, rngs=rngs)
        self.conv_out = Conv(channels_out, channels_out, ndim=ndim, periodic=periodic, scale=0.0, rngs=rngs)
        self.skip = None if channels_in == channels_out else Linear(channels_in, channels_out, rngs=rngs)

    def __call__(self, x, embedding, periodic=None):
        h = self.norm_out(self.conv_in(jax.nn.silu(self.norm_in(x)), periodic))
        film = self.film(jax.nn.silu(embedding)).astype(x.dtype)
        scale, shift = jnp.split(film.reshape((film.shape[0],) + (1,) * (x.ndim - 2) + (-1,)), 2, axis=-1)
        h = self.conv_out(jax.nn.silu(h * (1 + scale) + shift), periodic)
        return (x if self.skip is None else self.skip(x)) + h


class Attention(nnx.Module):
    """Residual multi-head attention of grid points on each other, or on tokens (B, L, E) where `token_features` is given."""

    def __init__(self, channels: int, heads: int, *, token_features: int = 0, rngs: nnx.Rngs):
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} heads")
        self.heads, self.norm = heads, GroupNorm(channels)
        self.query = Linear(channels, channels, rngs=rngs)
        self.key_value = Linear(token_features or channels, 2 * channels, rngs=rngs)
        self.out = Linear(channels, channels, scale=0.0, rngs=rngs)

    def __call__(self, x, tokens=None):
        batch, channels = x.shape[0], x.shape[-1]
        rows = self.norm(x).reshape(batch, -1, channels)
        key, value = jnp.split(self.key_value(rows if tokens is None else tokens.astype(x.dtype)), 2, axis=-1)
        return x + self.out(attend(self.query(rows), key, value, self.heads)).reshape(x.shape)


def attend(query, key, value, heads: int):
    """Multi-head attention: softmax(q k^T / sqrt(C / heads)) v in each head. query: (B, L, C); key, value: (B, K, C)."""
    query, key, value = (y.reshape(*y.shape[:2], heads, -1) for y in (query, key, value))
    logits = jnp.einsum("blhc,bkhc->bhlk", query * query.shape[-1] ** -0.5, key, preferred_element_type=jnp.float32)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(-1, keepdims=True)))
    # Divided by the weights' sum last: (B, L, C) numbers and not (B, heads, L, K), forwards and backwards.
    total = weights.sum(-1).swapaxes(1, 2)[..., None]
    answer = jnp.einsum("bhlk,bkhc->blhc", weights.astype(value.dtype), value) * (1 / total).astype(value.dtype)
    return answer.reshape(*query.shape[:2], -1)


def layer_norm(x, epsilon: float = 1e-6):
    """x normalised over its last axis in one pass, in float32, without gain and shift."""
    rows = x.astype(jnp.float32)
    mean, square = rows.mean(-1, keepdims=True), jnp.square(rows).mean(-1, keepdims=True)
    inverse = jax.lax.rsqrt(jnp.maximum(square - mean**2, 0.0) + epsilon)
    return (rows * inverse - mean * inverse).astype(x.dtype)


def space_to_depth(x, factor: int):
    """(B, *spatial, C) -> (B, *spatial / factor, factor^n C): blocks of points become channels."""
    batch, *spatial, channels = x.shape
    n = len(spatial)
    x = x.reshape(batch, *(size for s in spatial for size in (s // factor, factor)), channels)
    x = x.transpose(0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1)
    return x.reshape(batch, *(s // factor for s in spatial), factor**n * channels)


def depth_to_space(x, factor: int):
    """The inverse of `space_to_depth`."""
    batch, *spatial, channels = x.shape
    n = len(spatial)
    x = x.reshape(batch, *spatial, *(factor,) * n, channels // factor**n)
    order = [axis for i in range(n) for axis in (1 + i, 1 + n + i)]
    return x.transpose(0, *order, 2 * n + 1).reshape(batch, *(s * factor for s in spatial), channels // factor**n)
