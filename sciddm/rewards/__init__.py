"""Rewards that need no trained network: plain functions of a batch in physical units, (B, ...) -> (B,), a kind of sample a file.

A domain names those that mean something for its samples in `Domain.rewards`.
"""

from sciddm.rewards.fields import cells_above, maximum, mean, mean_square, share_above
from sciddm.rewards.points import contacts, count, kinetic_energy, neighbours, radius_of_gyration, rings
from sciddm.rewards.waveforms import onsets

__all__ = [
    "cells_above", "contacts", "count", "kinetic_energy", "maximum", "mean", "mean_square", "neighbours", "onsets",
    "radius_of_gyration", "rings", "share_above",
]  # fmt: skip
