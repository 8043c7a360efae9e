"""The nowcasting network: a U-Net that is told, besides the past, where the rain would be if it were only carried along."""

import jax
import jax.numpy as jnp
from flax import nnx

from domains.weather import motion
from sciddm.networks import UNet
from sciddm.networks.layers import Linear, NoiseEmbedding


class Nowcaster(nnx.Module):
    """network(x, noise_level, cond) -> like x: (B, H, W, frames).

    cond["concat"] is the past and its mask; of these the motion is estimated and the last frame extrapolated to every later one, without
    anything learned, and the U-Net learns what grows, decays and is born. Beside it each frame of x goes straight to the output
    with a gain that depends on the noise level: what is left of white noise has more dimensions than the U-Net has channels.

    Args: frames: of x; past: how many of them; others: of `UNet`.
    """

    def __init__(self, frames: int, *, past: int, features: int = 128, rngs: nnx.Rngs, **options):
        self.past, self.future = past, frames - past
        concat = 2 * past + 2 * self.future
        self.unet = UNet(frames, concat_channels=concat, features=features, rngs=rngs, **options)
        self.noise = NoiseEmbedding(features, rngs=rngs)
        self.gain = Linear(features, frames, scale=0.0, rngs=rngs)

    @property
    def divisor(self) -> int:
        """Every spatial size must be a multiple of it."""
        return self.unet.divisor

    def __call__(self, x, noise_level, cond=None):
        cond = dict(cond or {})
        if "concat" in cond:
            cond["concat"] = jnp.concatenate([cond["concat"], self.carried(cond["concat"])], -1)
        gain = self.gain(jax.nn.silu(self.noise(noise_level))).astype(x.dtype)
        return self.unet(x, noise_level, cond) + gain[:, None, None] * x

    def carried(self, concat):
        """(B, H, W, 2 future): the last frame extrapolated, 0 where nothing is known of it, and the mask of that."""
        frames, there = concat[..., : self.past], concat[..., self.past :]
        flow = motion.estimate(frames, there)
        fields = motion.extrapolate(jnp.stack([frames[..., -1], there[..., -1]], -1), flow, self.future)
        return jax.lax.stop_gradient(jnp.concatenate([fields[..., 0], fields[..., 1]], -1))
