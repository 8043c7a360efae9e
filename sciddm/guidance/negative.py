"""Negative conditions: away from what is not wanted.

    D' = D_c + (w - 1) sum_i a_i (D_c - D_i)

One negative condition is classifier-free guidance with it in the unconditional place (Liu et al. 2022, arXiv:2206.01714).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser, Guide


def negative(denoiser: Denoiser, conditions: Mapping[str, Any], scale) -> Denoiser:
    """`denoiser` pushed away from named conditions; scale 1 is plain conditional.

    Args: conditions: name -> condition, or name -> (condition, weight); weights default to 1 / number of conditions.
    Raises: ValueError without conditions.
    """
    if not conditions:
        raise ValueError("negative guidance needs at least one named condition")
    pairs = [value if isinstance(value, tuple) else (value, 1.0 / len(conditions)) for value in conditions.values()]
    weights = tuple(jnp.asarray(weight, jnp.float32) for _, weight in pairs)
    return Negative(denoiser, tuple(condition for condition, _ in pairs), weights, jnp.asarray(scale, jnp.float32))


class Negative(Guide):
    """See `negative`."""

    conditions: tuple
    weights: tuple
    scale: jax.Array

    def extra_calls(self):
        return self.denoiser.calls * len(self.conditions)

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        wanted = result = answer.x0_hat
        kicked = answer
        for condition, weight in zip(self.conditions, self.weights, strict=True):
            other, extra = self.denoiser.evaluate(x_t, t, condition), (self.scale - 1.0) * weight
            result = combine(1.0, result, extra, combine(1.0, wanted, -1.0, other.x0_hat))
            kicked = kicked.kicked(answer.kick, share=extra).kicked(other.kick, share=-extra)
        return kicked.to(result)
