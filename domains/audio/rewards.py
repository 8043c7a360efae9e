"""Rewards of sounds, in pairs of measures of the same quality."""

import jax.numpy as jnp
import numpy as np

from domains.audio.mdct import imdct, sines_of
from sciddm import rewards
from sciddm.domain import Reward

QUIET = 1e-12  # full scale squared, so that silence has a level


def make_rewards(domain) -> dict[str, Reward]:
    """`brightness` (mean frequency of the power) beside `treble` (level above a quarter of the band less the level below), and `level`
    beside `onsets` (of energy: syllables, notes; without a gradient)."""
    hertz = jnp.asarray((np.arange(domain.bins) + 0.5) * domain.rate / (2 * domain.bins), jnp.float32)
    edge = domain.bins // 4

    def power(x):
        # (B, bins), of cosines and sines, so that phases don't count
        return (x[..., 0] ** 2 + sines_of(x[..., 0]) ** 2).mean(1) + QUIET

    def brightness(x):
        found = power(x)
        return (found * hertz).sum(1) / found.sum(1)

    def treble(x):
        found = power(x)
        return 10.0 * jnp.log10(found[:, edge:].sum(1) / found[:, :edge].sum(1))

    def level(x):
        return 10.0 * jnp.log10((x**2).mean((1, 2, 3)) + QUIET)

    def onsets(x):
        return rewards.onsets(imdct(x[..., 0]), domain.rate)

    return {
        "brightness": Reward(brightness, "Hz", held_out="treble"),
        "treble": Reward(treble, "dB", held_out="brightness"),
        "level": Reward(level, "dB", held_out="onsets"),
        "onsets": Reward(onsets, "1", held_out="level", differentiable=False),
    }
