"""The nowcasting network: a U-Net that is given where the rain would be if it were only carried along, and a path for what is fine."""

import jax
import jax.numpy as jnp
from flax import nnx

from domains.weather import motion
from sciddm.networks import UNet
from sciddm.networks.layers import Conv, GroupNorm, Linear, NoiseEmbedding, need_positive

BLURS = (0.8, 2.0)  # pixels: the bands below them are what the fine path sees
MOST = 100.0  # the bands are amplified no further than this


class Nowcaster(nnx.Module):
    """network(x, noise_level, cond) -> like x: (B, H, W, frames).

    cond["concat"] is the past and its mask; of these the motion is estimated and the last frame extrapolated to every later one, without
    anything learned, and the U-Net learns what grows, decays and is born.

    Its patches have fewer channels than x has entries, so that white noise does not pass through it. Beside it bands of the finest
    scales of every frame, amplified until their noise is 1, go to the output with a gain each that depends on the noise level, which
    is a Wiener filter, and through two convolutions at full resolution that see the U-Net's answer.

    Args: frames: of x; past: how many of them are given; width: channels of the fine path; others: of `UNet`.
    """

    def __init__(
        self, frames: int, *, past: int, channels: tuple[int, ...] = (48, 96), blocks: int = 2, patch: int = 2,
        attention_levels: tuple[int, ...] = (), heads: int = 4, features: int = 128, width: int = 32, rngs: nnx.Rngs,
    ):  # fmt: skip
        need_positive(width=width)
        self.past, self.future = past, frames - past
        self.unet = UNet(
            frames, concat_channels=2 * past + 2 * self.future, channels=channels, blocks=blocks, patch=patch,
            attention_levels=attention_levels, heads=heads, features=features, rngs=rngs,
        )  # fmt: skip
        bands = len(BLURS) * frames
        self.noise, self.gain = NoiseEmbedding(features, rngs=rngs), Linear(features, bands, scale=0.0, rngs=rngs)
        self.fine_in = Conv(bands + frames, width, ndim=2, rngs=rngs)
        self.norm, self.film = GroupNorm(width), Linear(features, 2 * width, scale=0.0, rngs=rngs)
        self.fine_out = Conv(width, frames, ndim=2, scale=0.0, rngs=rngs)

    @property
    def divisor(self) -> int:
        """Every spatial size must be a multiple of it."""
        return self.unet.divisor

    def __call__(self, x, noise_level, cond=None):
        cond = dict(cond or {})
        if "concat" in cond:
            cond["concat"] = jnp.concatenate([cond["concat"], self.carried(cond["concat"])], -1)
        answer = self.unet(x, noise_level, cond)

        # noise_level is ln(sigma / alpha) / 4, and x has unit variance: with it its noise has sigma / sqrt(1 + sigma^2).
        level = jnp.reshape(jnp.asarray(noise_level, jnp.float32), (-1, 1, 1, 1))
        amplify = jnp.minimum(jnp.sqrt(1.0 + jnp.exp(-8.0 * level)), MOST).astype(x.dtype)
        scales = [x, *(motion.blur(x, sigma) for sigma in BLURS)]
        bands = amplify * jnp.concatenate(
            [fine - coarse for fine, coarse in zip(scales[:-1], scales[1:], strict=True)], -1
        )
        embedding = jax.nn.silu(self.noise(noise_level)).astype(x.dtype)
        gained = self.gain(embedding)[:, None, None] * bands
        scale, shift = jnp.split(self.film(embedding)[:, None, None], 2, axis=-1)
        hidden = self.norm(self.fine_in(jnp.concatenate([bands, answer], -1)))
        fine = self.fine_out(jax.nn.silu(hidden * (1 + scale) + shift))
        return answer + fine + sum(jnp.split(gained, len(BLURS), axis=-1))

    def carried(self, concat):
        """(B, H, W, 2 future): the last frame extrapolated, 0 where nothing is known of it, and the mask of that."""
        frames, there = concat[..., : self.past], concat[..., self.past :]
        flow = motion.estimate(frames, there)
        fields = motion.extrapolate(jnp.stack([frames[..., -1], there[..., -1]], -1), flow, self.future)
        return jax.lax.stop_gradient(jnp.concatenate([fields[..., 0], fields[..., 1]], -1))
