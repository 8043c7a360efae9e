"""A diffusion transformer on regular grids of one, two or three axes (Peebles & Xie 2023, arXiv:2212.09748)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm.networks.conditioned import Conditioned
from sciddm.networks.conv import each_axis
from sciddm.networks.layers import Linear, attend, depth_to_space, layer_norm, need_positive, space_to_depth


class DiT(Conditioned):
    """network(x, noise_level, cond) -> like x: patches as tokens, blocks with adaLN-zero, fixed sine-cosine positions.

    Args:
        channels_in: of x; ndim: spatial axes, 1 to 3; dim: width of a token; depth: blocks; patch: width of a patch.
        mlp_ratio: hidden width of the dense layers over `dim`; features: width of the embedding of noise level and conditions.
        concat_channels, embedding_features, token_features: as for `UNet`; every block attends to the tokens, where there are any.
    Raises: ValueError on a grid that `patch` does not divide, and on a cond key that the network was not made for.
    """

    def __init__(
        self, channels_in: int, *, ndim: int = 2, dim: int = 128, depth: int = 6, heads: int = 4, patch: int = 2, mlp_ratio: int = 4,
        features: int = 128, concat_channels: int = 0, embedding_features: int = 0, token_features: int = 0, rngs: nnx.Rngs,
    ):  # fmt: skip
        need_positive(depth=depth, dim=dim, heads=heads, patch=patch, mlp_ratio=mlp_ratio, features=features)
        if ndim not in (1, 2, 3) or dim % heads:
            raise ValueError(
                f"ndim = {ndim}, depth = {depth}, dim = {dim}, heads = {heads}: "
                "expected 1 to 3, at least one block, and heads that divide dim"
            )
        kinds = {"concat_channels": concat_channels, "embedding_features": embedding_features}
        super().__init__(features, token_features=token_features, **kinds, rngs=rngs)
        self.ndim, self.patch = ndim, patch
        self.stem = Linear(patch**ndim * (channels_in + concat_channels), dim, rngs=rngs)
        self.blocks = nnx.List([Block(dim, heads, mlp_ratio, features, token_features, rngs) for _ in range(depth)])
        self.modulation = Linear(features, 2 * dim, scale=0.0, rngs=rngs)
        self.head = Linear(dim, patch**ndim * channels_in, scale=0.0, rngs=rngs)

    @property
    def divisor(self) -> int:
        """Every spatial size must be a multiple of it."""
        return self.patch

    def __call__(self, x, noise_level, cond=None):
        if x.ndim != self.ndim + 2 or any(size % self.patch for size in x.shape[1:-1]):
            raise ValueError(
                f"x of shape {x.shape}: expected (B, {'size, ' * self.ndim}C), every size a multiple of {self.patch}"
            )
        embedding, h, tokens = self.conditions(x, noise_level, cond)
        h = self.stem(space_to_depth(h, self.patch))
        grid = h.shape[1:-1]
        h = h.reshape(h.shape[0], -1, h.shape[-1]) + positions(grid, h.shape[-1]).astype(h.dtype)
        embedding = jax.nn.silu(embedding)
        for block in self.blocks:
            h = block(h, embedding, tokens)
        scale, shift = _parts(self.modulation(embedding), 2, h)
        h = self.head(layer_norm(h) * (1 + scale) + shift)
        return depth_to_space(h.reshape(h.shape[0], *grid, -1), self.patch)


class Block(nnx.Module):
    """h + gate * attention(modulated norm h), then h + gate * mlp(modulated norm h); the gates start at zero (adaLN-zero)."""

    def __init__(self, dim, heads, mlp_ratio, features, token_features, rngs):
        self.heads = heads
        self.modulation = Linear(features, 6 * dim, scale=0.0, rngs=rngs)
        self.query_key_value, self.out = Linear(dim, 3 * dim, rngs=rngs), Linear(dim, dim, rngs=rngs)
        self.mlp_in, self.mlp_out = Linear(dim, mlp_ratio * dim, rngs=rngs), Linear(mlp_ratio * dim, dim, rngs=rngs)
        self.cross = Cross(dim, heads, token_features, rngs) if token_features else None

    def __call__(self, h, embedding, tokens=None):
        scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = _parts(self.modulation(embedding), 6, h)
        query, key, value = jnp.split(self.query_key_value(layer_norm(h) * (1 + scale) + shift), 3, axis=-1)
        h = h + gate * self.out(attend(query, key, value, self.heads))
        if self.cross is not None:
            h = h + self.cross(h, tokens)
        hidden = jax.nn.gelu(self.mlp_in(layer_norm(h) * (1 + scale_mlp) + shift_mlp))
        return h + gate_mlp * self.mlp_out(hidden)


class Cross(nnx.Module):
    """Attention of h (B, L, dim) on tokens (B, K, E), zero when fresh."""

    def __init__(self, dim, heads, token_features, rngs):
        self.heads, self.query = heads, Linear(dim, dim, rngs=rngs)
        self.key_value = Linear(token_features, 2 * dim, rngs=rngs)
        self.out = Linear(dim, dim, scale=0.0, rngs=rngs)

    def __call__(self, h, tokens):
        key, value = jnp.split(self.key_value(tokens.astype(h.dtype)), 2, axis=-1)
        return self.out(attend(self.query(layer_norm(h)), key, value, self.heads))


def positions(grid, dim: int, periodic: bool | tuple[bool, ...] = False):
    """(points, dim) fixed embedding of a grid's points: sines and cosines of each axis' index, periods from 2 pi to 2e4 pi.

    Each axis has an equal share of the `dim` entries; what is left of them is zero. Along a periodic axis of n points the periods
    are n / 1, n / 2 and so on, so that its ends are neighbours.
    """
    count = dim // (2 * len(grid))
    frequency = np.stack(
        [
            2 * np.pi / size * (1 + np.arange(count)) if wrap else 1e4 ** (-np.arange(count) / max(count, 1))
            for size, wrap in zip(grid, each_axis(periodic, len(grid)), strict=True)
        ]
    )
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in grid), indexing="ij"), -1).reshape(math.prod(grid), -1)
    angle = (indices[:, :, None] * frequency).reshape(len(indices), -1)
    table = np.zeros((len(indices), dim), np.float32)
    table[:, : angle.shape[1]], table[:, angle.shape[1] : 2 * angle.shape[1]] = np.sin(angle), np.cos(angle)
    return jnp.asarray(table)


def _parts(modulation, count: int, h):
    # (B, count * dim) -> count of (B, 1, dim), in h's dtype.
    return jnp.split(modulation.astype(h.dtype)[:, None], count, axis=-1)
