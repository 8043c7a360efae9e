"""Rewards of fields, in a pair of measures of the same quality: how large the first variable is."""

from sciddm import rewards
from sciddm.domain import Reward


def make_rewards(domain) -> dict[str, Reward]:
    """`maximum of` and `mean of` the first variable, in its units, each the held-out one of the other. Masked points hold its mean."""
    name = domain.variables[0]
    units = domain.layout.units(name)
    maximum, mean = f"maximum of {name}", f"mean of {name}"
    return {
        maximum: Reward(lambda x: rewards.maximum(x[..., 0]), units, held_out=mean),
        mean: Reward(lambda x: rewards.mean(x[..., 0]), units, held_out=maximum),
    }
