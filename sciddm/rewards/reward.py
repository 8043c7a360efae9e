"""A domain's rewards, and the potential that a reward is at a strength."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.errors import UserError
from sciddm.named import near
from sciddm.normalizer import Normalizer


@dataclass(frozen=True)
class Reward:
    """A quantity that is to be large, with a second measure of the same quality beside it, which the search never sees.

    function: (B, ...) x in physical units -> (B,) (`sciddm.rewards` has many); units: of its values, "1" where it has none;
    held_out: name of the domain's reward that should rise along: where it doesn't, the search has found a fault of the reward or of
    the network; scale: temperature in these units, so that the potential is function / scale, None: the standard deviation over the
    training data; differentiable: whether its gradient says anything.
    """

    function: Callable
    units: str
    held_out: str
    scale: float | None = None
    differentiable: bool = True


class RewardPotential(eqx.Module):
    """potential(x_0, t) = strength function(x) / scale, in nats: x is the normalised x_0 in physical units. See `reward_potential`."""

    function: Callable = eqx.field(static=True)
    differentiable: bool = eqx.field(static=True)
    mean: Any
    std: Any
    per_nat: jax.Array  # scale / strength

    def __call__(self, x_0, t=None):
        if not self.differentiable:
            # Its loops have no backward pass: a method that asks for the gradient gets 0.
            x_0 = jax.lax.stop_gradient(x_0)
        return self.function(Normalizer(self.mean, self.std, None).denormalize(x_0)) / self.per_nat


def reward_potential(domain, name: str, strength: float = 1.0) -> RewardPotential:
    """The reward as a potential of normalised x_0, (B, ...) -> (B,) nats: one nat is `scale / strength` of its units.

    Build it once a run: where the reward's scale is None its standard deviation over the training data (at most 2048 of them) is measured.

    Args: strength: how many nats one scale of the reward is worth; below 0 it is to be small.
    Raises: UserError if the domain has no reward of this name, the strength is 0 or not finite, or the data have no spread.
    """
    reward = get_reward(domain, name)
    if not np.isfinite(strength) or strength == 0:
        raise UserError(f"strength = {strength}: expected a finite number other than 0, such as 1")
    scale = reward.scale
    if scale is None:
        values = reward_of_data(domain, [name], "train")[name]
        scale = float(np.std(values))
        if not scale > 0:
            raise UserError(
                f"reward {name!r} is {values[0]:g} for all training data, or not finite: give it a scale, in {reward.units}"
            )
    mean, std = jax.tree.map(jnp.asarray, (domain.normalizer.mean, domain.normalizer.std))
    return RewardPotential(reward.function, reward.differentiable, mean, std, jnp.asarray(scale / strength))


def reward_of_data(domain, names, split: str, most: int = 2048) -> dict[str, np.ndarray]:
    """Rewards of data of a split: name -> (N,) in its units. On every k-th element where there are more than `most`."""
    data, functions = domain.unconditional(split), {name: get_reward(domain, name).function for name in names}
    indices = range(0, len(data), -(-len(data) // most))
    compute = jax.jit(lambda x: {name: function(x) for name, function in functions.items()})
    parts = []
    for first in range(0, len(indices), 128):
        rows = [data[i]["x"] for i in indices[first : first + 128]]
        parts.append(compute(jax.tree.map(lambda *leaves: np.stack(leaves), *rows)))
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in functions}


def get_reward(domain, name: str) -> Reward:
    """A reward of the domain by its name.

    Raises: UserError if the domain has none of this name, with the near match.
    """
    if not domain.rewards:
        raise UserError(f"domain {domain.name!r} has no rewards: name some in its `rewards`, see sciddm/domain.py")
    if name not in domain.rewards:
        raise UserError(f"reward {name!r} is not one of {sorted(domain.rewards)}{near(name, domain.rewards)}")
    return domain.rewards[name]
