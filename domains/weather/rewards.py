"""Rewards of rain, in pairs of measures of the same quality."""

import jax.numpy as jnp

from domains.weather.mean_rates import soft_rate
from domains.weather.transform import NO_ECHO, decode
from sciddm import rewards
from sciddm.domain import Reward

HEAVY = 35.0  # dBZ, about 6 mm/h


def make_rewards(domain) -> dict[str, Reward]:
    """Rewards of the future frames by name; missing pixels, which data have and samples don't, count as dry.

    `rain` (mean rate) beside `heavy share` (of pixels above 35 dBZ), `last rain` (mean rate of the last frame) beside `last cells`
    (connected regions above 35 dBZ in it, without a gradient).
    """

    def future(x):
        return jnp.where(jnp.isnan(x), NO_ECHO, x)[..., domain.past :]

    def rain(x):
        return rewards.mean(soft_rate(future(x)))

    def heavy_share(x):
        return rewards.share_above(future(x), HEAVY, softness=2.0)

    def last_rain(x):
        return rewards.mean(soft_rate(future(x)[..., -1]))

    def last_cells(x):
        return rewards.cells_above(decode(future(x)[..., -1]), HEAVY)

    return {
        "rain": Reward(rain, "mm/h", held_out="heavy share"),
        "heavy share": Reward(heavy_share, "1", held_out="rain"),
        "last rain": Reward(last_rain, "mm/h", held_out="last cells"),
        "last cells": Reward(last_cells, "1", held_out="last rain", differentiable=False),
    }
