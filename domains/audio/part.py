"""What is damaged, as the engine is asked about it: components at the model's rate, each at the reference level."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from domains.audio.damage import Damage
from domains.audio.observe import Filtered, Known, Wave
from domains.audio.spectral import low_pass_taps
from sciddm import lookahead

NEVER = 1e3  # full scale: a limit that no sound reaches


@dataclass(frozen=True)
class Part:
    """damages: one a component, (samples,) each; heard: (samples, C) in the channels, gap: like it, True where nothing is known; side:
    like it, -1, 0 or 1, beyond which side of what is heard a clipped sample lies; cutoff, noise: as of `Damage`, in the channels; mixing:
    (C, C), each column a component as heard in the channels, None where a component is a channel."""

    damages: tuple[Damage, ...]
    heard: np.ndarray
    gap: np.ndarray
    side: np.ndarray
    cutoff: float | None = None
    noise: float | None = None
    mixing: np.ndarray | None = None

    @classmethod
    def of_damage(cls, damage: Damage) -> "Part":
        """One channel, which is its own component."""
        heard = damage.heard[:, None]
        gap = np.zeros(heard.shape, bool) if damage.gap is None else damage.gap[:, None]
        side = np.zeros(heard.shape) if damage.clipped is None else damage.clipped[:, None]
        return cls((damage,), heard, gap, side, damage.cutoff, damage.noise)

    def wave(self, domain) -> Wave:
        """Normalised coefficients -> channels."""
        std = jnp.asarray(domain.std, jnp.float32)
        if self.mixing is None:
            return Wave(std)
        return Wave(std, jnp.asarray(self.mixing, jnp.float32), jnp.asarray(np.linalg.inv(self.mixing), jnp.float32))

    def observation(self, domain, soft: float) -> lookahead.Observation:
        """What is heard, as every guide takes it. soft: full scale, the standard deviation of what is heard without noise."""
        there = (~self.gap).astype(np.float32)
        parts = [self.wave(domain), *([] if self.cutoff is None else [Filtered(self.taps(domain))]), lookahead.operators.Mask(there)]
        heard, std = np.asarray(self.heard * there, np.float32), self.noise or soft
        law = lookahead.Gaussian(std)
        if np.any(self.side):
            low = np.where(self.side < 0, heard, -NEVER).astype(np.float32)
            law = lookahead.Clipped(std, low, np.where(self.side > 0, heard, NEVER).astype(np.float32))
        return lookahead.Observation(lookahead.operators.Compose(*parts), jnp.asarray(heard), law)

    def certain(self, domain) -> Known | None:
        """What is known for certain, None where there is noise in all of it."""
        if self.noise is not None:
            return None
        known = ~self.gap & (self.side == 0)
        taps = None if self.cutoff is None else self.taps(domain)
        return Known(self.wave(domain), *(jnp.asarray(one) for one in (np.float32(self.heard), known, np.float32(self.side))), taps)

    def taps(self, domain):
        """Of the filter that took the band away."""
        return jnp.asarray(low_pass_taps(domain.rate, self.cutoff), jnp.float32)
