"""A U-Net on regular grids of one, two or three axes (Ronneberger et al. 2015; Dhariwal & Nichol 2021, arXiv:2105.05233).

It works on patches from the stem on: full-resolution convolutions cost twice the time for little. Resolutions change
by space-to-depth and dense layers, so that every convolution has stride 1.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from sciddm.networks.conditioned import Conditioned
from sciddm.networks.layers import (
    Attention,
    GroupNorm,
    Linear,
    ResidualBlock,
    depth_to_space,
    need_positive,
    space_to_depth,
)


class UNet(Conditioned):
    """network(x, noise_level, cond) -> like x.

    Args:
        channels_in: of x; ndim: spatial axes, 1 to 3; channels: width of each level, coarser by 2 from one to the next.
        blocks: residual blocks a level, on each side; patch: width of the stem's patches.
        attention_levels: levels (0 is the finest) with self-attention; tokens, where there are any, are attended to at the coarsest.
        concat_channels, embedding_features, token_features: of cond["concat"] (B, *spatial, C), cond["embedding"] (B, E) and
            cond["tokens"] (B, L, E); 0 for none. cond["keep"] (B,) of 0 and 1 makes samples unconditional where it is 0.
        periodic: whether the grid wraps around, one bool or one for each spatial axis; a call may say otherwise.
    Raises: ValueError on a grid that `patch` and the levels do not divide, and on a cond key that the network was not made for.
    """

    def __init__(
        self, channels_in: int, *, ndim: int = 2, channels: tuple[int, ...] = (48, 96), blocks: int = 2, patch: int = 2,
        attention_levels: tuple[int, ...] = (), heads: int = 4, features: int = 128, concat_channels: int = 0,
        embedding_features: int = 0, token_features: int = 0, periodic: bool | tuple[bool, ...] = False, rngs: nnx.Rngs,
    ):  # fmt: skip
        if ndim not in (1, 2, 3) or not channels or not set(attention_levels) <= set(range(len(channels))):
            raise ValueError(
                f"ndim = {ndim}, channels = {tuple(channels)}, attention_levels = {tuple(attention_levels)}: "
                "expected 1 to 3, at least one level, and levels counted from 0"
            )
        need_positive(channels=channels, blocks=blocks, patch=patch, heads=heads, features=features)
        kinds = {"concat_channels": concat_channels, "embedding_features": embedding_features}
        super().__init__(features, token_features=token_features, **kinds, rngs=rngs)
        self.ndim, self.patch, self.levels = ndim, patch, len(channels)
        common = {"ndim": ndim, "periodic": periodic, "rngs": rngs}
        self.stem = Linear(patch**ndim * (channels_in + concat_channels), channels[0], rngs=rngs)
        down, up, shrink, grow, widths = [], [], [], [], []
        width = channels[0]
        for level, target in enumerate(channels):
            stage = []
            for _ in range(blocks):
                stage.append(Stage(width, target, features, heads, level in attention_levels, common))
                width = target
                widths.append(width)
            down.append(nnx.List(stage))
            last = level == len(channels) - 1
            shrink.append(None if last else Linear(2**ndim * width, width, rngs=rngs))
        self.middle = nnx.List([Stage(width, width, features, heads, False, common) for _ in range(2)])
        self.cross = Attention(width, heads, token_features=token_features, rngs=rngs) if token_features else None
        for level, target in reversed(list(enumerate(channels))):
            stage = []
            for _ in range(blocks):
                stage.append(Stage(width + widths.pop(), target, features, heads, level in attention_levels, common))
                width = target
            up.append(nnx.List(stage))
            grow.append(None if level == 0 else Linear(width, 2**ndim * width, rngs=rngs))
        self.down, self.up, self.shrink, self.grow = (nnx.List(part) for part in (down, up, shrink, grow))
        self.norm = GroupNorm(width)
        self.head = Linear(width, patch**ndim * channels_in, scale=0.0, rngs=rngs)

    @property
    def divisor(self) -> int:
        """Every spatial size must be a multiple of it."""
        return self.patch * 2 ** (self.levels - 1)

    def __call__(self, x, noise_level, cond=None, periodic=None):
        if x.ndim != self.ndim + 2 or any(size % self.divisor for size in x.shape[1:-1]):
            raise ValueError(
                f"x of shape {x.shape}: expected (B, {'size, ' * self.ndim}C), every size a multiple of {self.divisor}"
            )
        embedding, h, tokens = self.conditions(x, noise_level, cond)
        h = self.stem(space_to_depth(h, self.patch))
        skips = []
        for stage, shrink in zip(self.down, self.shrink, strict=True):
            for block in stage:
                h = block(h, embedding, periodic)
                skips.append(h)
            if shrink is not None:
                h = shrink(space_to_depth(h, 2))
        h = self.middle[0](h, embedding, periodic)
        if self.cross is not None:
            h = self.cross(h, tokens)
        h = self.middle[1](h, embedding, periodic)
        for stage, grow in zip(self.up, self.grow, strict=True):
            for block in stage:
                h = block(jnp.concatenate([h, skips.pop()], -1), embedding, periodic)
            if grow is not None:
                h = depth_to_space(grow(h), 2)
        return depth_to_space(self.head(jax.nn.silu(self.norm(h))), self.patch)


class Stage(nnx.Module):
    """A residual block, and self-attention behind it where asked for."""

    def __init__(self, channels_in, channels_out, features, heads, attend: bool, common):
        self.block = ResidualBlock(channels_in, channels_out, features, **common)
        self.attention = Attention(channels_out, heads, rngs=common["rngs"]) if attend else None

    def __call__(self, x, embedding, periodic=None):
        x = self.block(x, embedding, periodic)
        return x if self.attention is None else self.attention(x)
