"""Sounds like a reference: samples whose long-term level in bands of frequency, and the spread of it over time, are those of another sound."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from domains.audio import metrics
from domains.audio.brought import sort_out
from domains.audio.levels import REFERENCE, active_level
from domains.audio.mdct import imdct, mdct
from domains.audio.network import sines
from domains.audio.sound import Sound, resample
from domains.audio.written import write_sound
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.keys import seed_of
from sciddm.process import GaussianProcess
from sciddm.tasks import Problem, need
from sciddm.tasks.steered import Steered

BANDS = 16  # at most, each of as many bins
QUIETEST = 60.0  # dB below the loudest band and frame: what is quieter is as quiet
UNKNOWN = 1e3  # dB, standard deviation of what is not known of a band


class Levels(eqx.Module):
    """Long-term level of each band and its spread over frames, in dB: (B, frames, bins, 1) normalised -> (B, bands, 2).

        p_fk = (x_fk^2 + y_fk^2) / 2 + v,  x, y by cosines and by sines;  l_fb = 10 log10 mean_k p_fk of a band;
        level_b = 10 log10 mean_fk p_fk,  spread_b = standard deviation of l_fb over f

    of coefficients of physical units, v std^2 what is not known of the power of each yet. std: (bins,) of the coefficients.
    """

    std: Any = eqx.field(converter=jnp.asarray)
    bands: int = eqx.field(static=True, default=BANDS)

    def __call__(self, z, unknown=0.0):
        std = self.std[:, None]
        x = z * std
        power = 0.5 * (x**2 + sines(x) ** 2) + unknown * std**2
        batch, frames, bins, _ = power.shape
        power = power.reshape(batch, frames, self.bands, bins // self.bands).mean(-1)
        floor = 10 ** (-QUIETEST / 10) * REFERENCE**2
        level = 10 * jnp.log10(power.mean(1) + floor)
        frame = 10 * jnp.log10(power + floor)
        spread = jnp.sqrt(((frame - frame.mean(1, keepdims=True)) ** 2).mean(1) + 1e-4)
        return jnp.stack([level, spread], -1)


class Likeness(eqx.Module):
    """A potential: log density, but for a constant, of `wanted` (bands, 2) dB given the levels of x_0, standard deviations `error` like it.

    At times at which x_0 is expected, and not known, the power that it lacks is added: sigma^2 / (alpha^2 + sigma^2), of a unit prior; and
    spreads count for as much as is known.
    """

    levels: Levels
    wanted: Any
    error: Any
    process: GaussianProcess

    def __call__(self, z, t=0.0):
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        unknown = jnp.reshape(sigma**2 / (alpha**2 + sigma**2), (-1, 1, 1, 1))
        off = (self.levels(z, unknown) - self.wanted) / self.error
        return -0.5 * (off**2 * jnp.stack([jnp.ones_like(known := 1 - unknown[..., 0]), known], -1)[:, :, 0]).sum((1, 2))
