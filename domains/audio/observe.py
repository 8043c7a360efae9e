"""What is heard of a sound: linear functions of normalised coefficients, and what is known of it for certain as a projection."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import scipy

from domains.audio.mdct import imdct, mdct
from domains.audio.put_back import continued

TURNS = 10  # of conjugate gradients; a network takes fewer


class Wave(eqx.Module):
    """The waveform of normalised coefficients: (B, frames, bins, C) -> (B, samples, C) at the model's rate.

    std: (bins,) of coefficients; mixing: (C, C), each column one component as heard in the channels, None where they are the channels.
    """

    std: Any = eqx.field(converter=jnp.asarray)
    mixing: Any = None
    unmixing: Any = None  # its inverse

    def __call__(self, z):
        waves = imdct(jnp.moveaxis(z * self.std[:, None], 3, 1))  # (B, C, samples)
        waves = jnp.moveaxis(waves, 1, 2)
        return waves if self.mixing is None else waves @ self.mixing.T

    def inverse(self, waves):
        """(B, samples, C) -> the normalised coefficients of it."""
        waves = waves if self.mixing is None else waves @ self.unmixing.T
        return jnp.moveaxis(mdct(jnp.moveaxis(waves, 2, 1), self.std.shape[0]), 1, 3) / self.std[:, None]


class Filtered(eqx.Module):
    """(B, samples, C) convolved with `taps` (n,) along time, 0 outside; by Fourier transform.

    before: how many of the taps look ahead, None: those before the middle one of an odd number; 0 for a causal filter.
    """

    taps: Any
    before: int | None = eqx.field(static=True, default=None)

    def __call__(self, waves):
        count, taps = waves.shape[1], self.taps.shape[0]
        first = taps // 2 if self.before is None else self.before
        size = scipy.fft.next_fast_len(count + taps - 1, real=True)
        spectrum = jnp.fft.rfft(self.taps.astype(waves.dtype), size)
        found = jnp.fft.irfft(jnp.fft.rfft(waves, size, 1) * spectrum[:, None], size, 1)
        return found[:, first : first + count]


class Known(eqx.Module):
    """What is certain of a sound, as a projection of normalised coefficients: samples that are heard, the side of those that are clipped,
    and first of all the band that is heard of one that went through a filter.

    heard: (samples, C); known: like it, True where a sample is heard as it was; side: of -1, 0 and 1, beyond which side of `heard` it lies;
    taps: of the filter, None where there was none.
    """

    wave: Wave
    heard: Any
    known: Any
    side: Any
    taps: Any = None

    def __call__(self, z):
        waves = self.wave(z)
        if self.taps is not None:
            low = Filtered(self.taps)
            return self.wave.inverse(waves + jnp.where(self.known, low(self.heard[None] - low(waves)), 0.0))
        known = jnp.broadcast_to(self.known.astype(waves.dtype), waves.shape)
        waves = waves + continued(self.heard - waves, known, self.wave, self.wave.inverse, TURNS)
        beyond = self.side * jnp.maximum(self.side * (waves - self.heard), 0.0) + self.heard
        return self.wave.inverse(jnp.where(self.side != 0, beyond, waves))
