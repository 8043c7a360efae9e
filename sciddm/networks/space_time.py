"""A transformer on sequences of fields with attention over space and over time in turn (Ho et al. 2022, arXiv:2204.03458)."""

import jax
import jax.numpy as jnp
from flax import nnx

from sciddm.networks.conditioned import Conditioned
from sciddm.networks.conv import each_axis
from sciddm.networks.dit import positions
from sciddm.networks.layers import Linear, attend, depth_to_space, layer_norm, need_positive, space_to_depth


class SpaceTime(Conditioned):
    """network(x, noise_level, cond) -> like x: (B, *space, frames * variables), frame after frame, a token a patch of a frame.

    noise_level: () or (B,), or one a frame: (B, 1, .., frames), as a time that broadcasts to x of one variable gives it.

    Args:
        frames: of x; variables: values of a frame at a point; ndim: spatial axes, 1 to 3; dim: width of a token.
        depth: blocks, each of attention over the patches of a frame, over the frames of a patch, and a dense layer; patch: width of a
            patch; mlp_ratio: hidden width of the dense layer over `dim`.
        features, concat_channels, embedding_features: as for `UNet`; every frame sees the concatenated channels at its place.
        periodic: whether the grid wraps around, one bool or one for each axis: its ends are then neighbours in the embedding of places.
    Raises: ValueError on a grid that `patch` does not divide, and on a cond key that the network was not made for.
    """

    def __init__(
        self, frames: int, *, variables: int = 1, ndim: int = 2, dim: int = 128, depth: int = 6, heads: int = 4, patch: int = 4,
        mlp_ratio: int = 4, features: int = 128, concat_channels: int = 0, embedding_features: int = 0,
        periodic: bool | tuple[bool, ...] = False, rngs: nnx.Rngs,
    ):  # fmt: skip
        need_positive(frames=frames, variables=variables, depth=depth, dim=dim, heads=heads, patch=patch)
        need_positive(mlp_ratio=mlp_ratio, features=features)
        if ndim not in (1, 2, 3) or dim % heads:
            raise ValueError(
                f"ndim = {ndim}, dim = {dim}, depth = {depth}, heads = {heads}: expected 1 to 3, and heads that divide dim"
            )
        super().__init__(features, concat_channels=concat_channels, embedding_features=embedding_features, rngs=rngs)
        self.frames, self.variables, self.ndim, self.patch = frames, variables, ndim, patch
        self.periodic = each_axis(periodic, ndim)
        self.stem = Linear(patch**ndim * variables, dim, rngs=rngs)
        self.stem_concat = Linear(patch**ndim * concat_channels, dim, rngs=rngs) if concat_channels else None
        self.blocks = nnx.List([Block(dim, heads, mlp_ratio, features, rngs) for _ in range(depth)])
        self.modulation = Linear(features, 2 * dim, scale=0.0, rngs=rngs)
        self.head = Linear(dim, patch**ndim * variables, scale=0.0, rngs=rngs)

    @property
    def divisor(self) -> int:
        """Every spatial size must be a multiple of it."""
        return self.patch

    def __call__(self, x, noise_level, cond=None, periodic=None):
        batch, *space, channels = x.shape
        if len(space) != self.ndim or channels != self.frames * self.variables or any(size % self.patch for size in space):
            raise ValueError(
                f"x of shape {x.shape}: expected (B, {'size, ' * self.ndim}{self.frames * self.variables}), "
                f"sizes multiples of {self.patch}"
            )
        # One level a sample and frame, (B or 1, frames or 1); the embedding sees them as a list.
        level = jnp.asarray(noise_level)
        level = level.reshape(level.shape[0], -1) if level.ndim == x.ndim else jnp.reshape(level, (-1, 1))
        embedding, both, _ = self.conditions(x, level, cond)
        embedding = jax.nn.silu(embedding).reshape(-1, level.shape[1], 1, embedding.shape[-1])  # (B, frames, 1, features)
        h = jnp.moveaxis(x.reshape(batch, *space, self.frames, self.variables), -2, 1)
        h = self.stem(space_to_depth(h.reshape(-1, *space, self.variables), self.patch))
        grid = h.shape[1:-1]
        h = h.reshape(batch, self.frames, -1, h.shape[-1])
        if self.stem_concat is not None:
            shared = self.stem_concat(space_to_depth(both[..., channels:], self.patch))
            h = h + shared.reshape(batch, 1, -1, h.shape[-1])
        periodic = self.periodic if periodic is None else periodic
        h = h + positions(grid, h.shape[-1], periodic).astype(h.dtype)
        h = h + positions((self.frames,), h.shape[-1]).astype(h.dtype)[:, None]
        for block in self.blocks:
            h = block(h, embedding)
        scale, shift = jnp.split(self.modulation(embedding).astype(h.dtype), 2, axis=-1)
        h = self.head(layer_norm(h) * (1 + scale) + shift)
        h = depth_to_space(h.reshape(-1, *grid, h.shape[-1]), self.patch)
        return jnp.moveaxis(h.reshape(batch, self.frames, *space, self.variables), 1, -2).reshape(x.shape)


class Block(nnx.Module):
    """h + gate * attention over space, over time, and a dense layer, each of the modulated norm of h (adaLN-zero)."""

    def __init__(self, dim, heads, mlp_ratio, features, rngs):
        self.heads = heads
        self.modulation = Linear(features, 9 * dim, scale=0.0, rngs=rngs)
        self.space, self.space_out = Linear(dim, 3 * dim, rngs=rngs), Linear(dim, dim, rngs=rngs)
        self.time, self.time_out = Linear(dim, 3 * dim, rngs=rngs), Linear(dim, dim, rngs=rngs)
        self.mlp_in, self.mlp_out = Linear(dim, mlp_ratio * dim, rngs=rngs), Linear(mlp_ratio * dim, dim, rngs=rngs)

    def __call__(self, h, embedding):
        parts = jnp.split(self.modulation(embedding).astype(h.dtype), 9, axis=-1)
        modulated = lambda i: layer_norm(h) * (1 + parts[i]) + parts[i + 1]  # noqa: E731
        h = h + parts[2] * self.space_out(self._attend(self.space(modulated(0))))
        over_time = self._attend(self.time(modulated(3)).swapaxes(1, 2)).swapaxes(1, 2)
        h = h + parts[5] * self.time_out(over_time)
        return h + parts[8] * self.mlp_out(jax.nn.gelu(self.mlp_in(modulated(6))))

    def _attend(self, rows):
        # (B, N, L, 3 dim) -> (B, N, L, dim), attention within each of the N rows
        query, key, value = jnp.split(rows.reshape(-1, *rows.shape[2:]), 3, axis=-1)
        return attend(query, key, value, self.heads).reshape(*rows.shape[:3], -1)
