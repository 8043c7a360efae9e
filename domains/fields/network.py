"""Networks for gridded files: any size, one to three spatial axes, several variables, with or without frames.

What the core's networks ask for is arranged here: frames become channels, the grid is padded to what they divide and cropped again.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx

from sciddm.networks import SpaceTime, UNet
from sciddm.networks.bands import Bands
from sciddm.networks.conv import each_axis
from sciddm.networks.layers import need_positive
from sciddm.networks.padding import Padding


class FieldUNet(nnx.Module):
    """network(x, noise_level, cond) -> like x: (B, *space, variables), or (B, frames, *space, variables) where there are frames.

    cond["concat"]: (B, *space, concat_channels); cond["embedding"]: (B, embedding_features); noise_level: () or (B,).
    A size that the U-Net does not divide is padded inside, see `Padding`.

    Args:
        variables: values at a point; space: spatial axes, 1 to 3; frames: of a sample, 0 for x without that axis.
        width: channels of the path for the finest scales beside the U-Net, see `FineBands`; bands: whether there is one.
        periodic: whether the grid wraps around, a bool for each axis, () for no axis; others: of `UNet`.
    Raises: ValueError on shapes and cond keys that the network was not made for.
    """

    def __init__(
        self, variables: int, *, space: int, frames: int = 0, channels: tuple[int, ...] = (48, 96), blocks: int = 1, patch: int = 2,
        attention_levels: tuple[int, ...] = (), heads: int = 4, features: int = 128, width: int = 32, bands: bool = True,
        concat_channels: int = 0, embedding_features: int = 0, periodic: bool | tuple[bool, ...] = (), rngs: nnx.Rngs,
    ):  # fmt: skip
        self.grid = Grid.of(variables, space, frames, concat_channels, embedding_features, periodic)
        self.unet = UNet(
            variables * max(frames, 1), ndim=space, channels=channels, blocks=blocks, patch=patch, attention_levels=attention_levels,
            heads=heads, features=features, concat_channels=concat_channels, embedding_features=embedding_features,
            periodic=self.grid.periodic, rngs=rngs,
        )  # fmt: skip
        fine = {"ndim": space, "features": features, "width": width, "periodic": self.grid.periodic}
        self.bands = Bands(variables * max(frames, 1), **fine, rngs=rngs) if bands else None

    @property
    def divisor(self) -> int:
        """1: any size will do."""
        return 1

    def __call__(self, x, noise_level, cond=None):
        level, cond = self.grid.checked(x, noise_level, cond)
        if level.ndim == 2 and level.shape[1] > 1:
            raise ValueError(
                f"noise_level of shape {jnp.shape(noise_level)}: expected one for all or one a sample, as its frames are channels"
            )
        h = self.grid.fold(x)
        answer = self.grid.padded(self.unet, h, level.reshape(-1), cond)
        return self.grid.unfold(answer if self.bands is None else self.bands(h, answer, level.reshape(-1)))


class FieldSpaceTime(nnx.Module):
    """network(x, noise_level, cond) -> like x: (B, frames, *space, variables), attention over space and over time in turn.

    cond as for `FieldUNet`; noise_level: () or (B,), or one a frame: (B, frames, 1, ..), as a time that broadcasts to x gives it.

    Args: width, bands: as for `FieldUNet`, a path that sees each frame alone; dim, depth, heads, patch, mlp_ratio, features: of
        `SpaceTime`; others: as for `FieldUNet`.
    Raises: ValueError on shapes and cond keys that the network was not made for.
    """

    def __init__(
        self, variables: int, *, space: int, frames: int, dim: int = 128, depth: int = 6, heads: int = 4, patch: int = 4,
        mlp_ratio: int = 4, features: int = 128, width: int = 32, bands: bool = True, concat_channels: int = 0,
        embedding_features: int = 0, periodic: bool | tuple[bool, ...] = (), rngs: nnx.Rngs,
    ):  # fmt: skip
        if frames == 0:
            raise ValueError("frames = 0: attention over time needs frames; take a U-Net for fields without them")
        self.grid = Grid.of(variables, space, frames, concat_channels, embedding_features, periodic)
        self.space_time = SpaceTime(
            frames, variables=variables, ndim=space, dim=dim, depth=depth, heads=heads, patch=patch, mlp_ratio=mlp_ratio,
            features=features, concat_channels=concat_channels, embedding_features=embedding_features,
            periodic=self.grid.periodic, rngs=rngs,
        )  # fmt: skip
        fine = {"ndim": space, "features": features, "width": width, "periodic": self.grid.periodic}
        self.bands = Bands(variables, **fine, rngs=rngs) if bands else None

    @property
    def divisor(self) -> int:
        """1: any size will do."""
        return 1

    def __call__(self, x, noise_level, cond=None):
        level, cond = self.grid.checked(x, noise_level, cond)
        per_frame = level.reshape(level.shape[0], *(1,) * self.grid.space, -1) if level.ndim == 2 else level
        answer = self.grid.unfold(self.grid.padded(self.space_time, self.grid.fold(x), per_frame, cond))
        if self.bands is None:
            return answer
        # Frames as a batch, so that each may have a level of its own.
        alone = lambda fields: fields.reshape(-1, *fields.shape[2:])  # noqa: E731
        level = jnp.broadcast_to(level if level.ndim == 2 else level.reshape(-1, 1), x.shape[:2]).reshape(-1)
        return self.bands(alone(x), alone(answer), level).reshape(x.shape)


@dataclass(frozen=True)
class Grid:
    """What both networks do with shapes: look at them, fold frames into channels and back, pad and crop."""

    variables: int
    space: int
    frames: int
    concat_channels: int
    embedding_features: int
    periodic: tuple[bool, ...]

    @classmethod
    def of(cls, variables, space, frames, concat_channels, embedding_features, periodic) -> "Grid":
        need_positive(variables=variables, space=space, **({"frames": frames} if frames else {}))
        if space > 3:
            raise ValueError(f"space = {space}: expected 1 to 3 axes")
        none = not isinstance(periodic, bool) and len(periodic) == 0
        return cls(variables, space, frames, concat_channels, embedding_features, each_axis(not none and periodic, space))

    def checked(self, x, noise_level, cond):
        """noise_level as (), (B or 1,) or (B or 1, frames), and cond as a dict.

        Raises: ValueError on shapes of them and of x that do not fit.
        """
        sizes = f"{f'{self.frames}, ' if self.frames else ''}{', '.join('size' for _ in range(self.space))}"
        ndim = self.space + 2 + bool(self.frames)
        if x.ndim != ndim or x.shape[-1] != self.variables or (self.frames and x.shape[1] != self.frames):
            raise ValueError(f"x of shape {x.shape}: expected (B, {sizes}, {self.variables})")
        batch, space, cond = x.shape[0], x.shape[-1 - self.space : -1], dict(cond or {})
        wanted = {"concat": (*space, self.concat_channels), "embedding": (self.embedding_features,)}
        for name, shape in wanted.items():
            found = jnp.shape(cond.get(name, 0))
            if name in cond and shape[-1] and (found[1:] != shape or found[0] not in (1, batch)):
                raise ValueError(f'cond["{name}"] of shape {found}: expected ({batch}, {", ".join(map(str, shape))})')
        level = jnp.asarray(noise_level)
        if level.ndim == ndim and self.frames and level.size == level.shape[0] * level.shape[1]:
            level = level.reshape(level.shape[:2])
        elif level.ndim == ndim and level.size == level.shape[0]:
            level = level.reshape(-1)
        one_each = level.ndim < 2 or (level.ndim == 2 and self.frames and level.shape[1] in (1, self.frames))
        if not one_each or (level.ndim and level.shape[0] not in (1, batch)):
            each = f", or one a frame, ({batch}, {self.frames}, 1, ..)" if self.frames else ""
            raise ValueError(f"noise_level of shape {jnp.shape(noise_level)}: expected () or ({batch},){each}")
        return level, cond

    def fold(self, x):
        """(B, frames, *space, variables) -> (B, *space, frames * variables); without frames as it is."""
        if not self.frames:
            return x
        return jnp.moveaxis(x, 1, -2).reshape(x.shape[0], *x.shape[2:-1], self.frames * self.variables)

    def unfold(self, x):
        """The inverse of `fold`."""
        if not self.frames:
            return x
        return jnp.moveaxis(x.reshape(*x.shape[:-1], self.frames, self.variables), -2, 1)

    def padded(self, network, x, level, cond):
        """network's answer to x (B, *space, C), on a grid that it divides."""
        padding = Padding(x.shape[1:-1], network.divisor, self.periodic)
        if self.concat_channels and "concat" in cond:
            cond = cond | {"concat": padding.pad(cond["concat"])}
        return padding.crop(network(padding.pad(x), level, cond, padding.periodic))
