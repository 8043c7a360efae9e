"""The nowcasting network: a U-Net that is given where the rain would be if it were only carried along, and a path for what is fine."""

import jax
import jax.numpy as jnp
from flax import nnx

from domains.weather import motion
from sciddm.networks import UNet
from sciddm.networks.bands import FineBands


class Nowcaster(FineBands):
    """network(x, noise_level, cond) -> like x: (B, H, W, frames).

    cond["concat"] is the past and its mask; of these the motion is estimated and the last frame extrapolated to every later one, without
    anything learned, and the U-Net learns what grows, decays and is born.

    Its patches have fewer channels than x has entries, so that white noise does not pass through it: bands of the finest scales of
    every frame go past it.

    Args: frames: of x; past: how many of them are given; width: of `FineBands`; others: of `UNet`.
    """

    def __init__(
        self, frames: int, *, past: int, channels: tuple[int, ...] = (48, 96), blocks: int = 2, patch: int = 2,
        attention_levels: tuple[int, ...] = (), heads: int = 4, features: int = 128, width: int = 32, rngs: nnx.Rngs,
    ):  # fmt: skip
        self.past, self.future = past, frames - past
        self.unet = UNet(
            frames, concat_channels=2 * past + 2 * self.future, channels=channels, blocks=blocks, patch=patch,
            attention_levels=attention_levels, heads=heads, features=features, rngs=rngs,
        )  # fmt: skip
        super().__init__(frames, ndim=2, features=features, width=width, rngs=rngs)

    @property
    def divisor(self) -> int:
        """Every spatial size must be a multiple of it."""
        return self.unet.divisor

    def __call__(self, x, noise_level, cond=None):
        cond = dict(cond or {})
        if "concat" in cond:
            cond["concat"] = jnp.concatenate([cond["concat"], self.carried(cond["concat"])], -1)
        return self.add_fine(x, self.unet(x, noise_level, cond), noise_level)

    def carried(self, concat):
        """(B, H, W, 2 future): the last frame extrapolated, 0 where nothing is known of it, and the mask of that."""
        frames, there = concat[..., : self.past], concat[..., self.past :]
        flow = motion.estimate(frames, there)
        fields = motion.extrapolate(jnp.stack([frames[..., -1], there[..., -1]], -1), flow, self.future)
        return jax.lax.stop_gradient(jnp.concatenate([fields[..., 0], fields[..., 1]], -1)).astype(concat.dtype)
