"""Several measurements of the same x as one: p(y_1, y_2 | x) = p(y_1 | x) p(y_2 | x)."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.lookahead.observe.observation import Observation, is_law


class Several(eqx.Module):
    """A tuple of what each of several operators sees; there: like the value, True where something is observed, None where all is."""

    operators: tuple
    there: tuple | None

    def __call__(self, x_0):
        return tuple(operator(x_0) for operator in self.operators)


def join(observations: Sequence[Observation]) -> Observation:
    """One observation of all of them, whose noises are independent: a guide then meets all at once. One alone is itself.

    Raises: ValueError on none.
    """
    if not observations:
        raise ValueError("join: no observation; expected one at least")
    if len(observations) == 1:
        return observations[0]
    laws = tuple(
        jax.tree.map(lambda _, law=one.noise: law, one.value) if is_law(one.noise) else one.noise for one in observations
    )
    operators, values = tuple(one.operator for one in observations), tuple(one.value for one in observations)
    there = tuple(getattr(operator, "there", None) for operator in operators)
    if all(one is None for one in there):
        return Observation(Several(operators, None), values, laws)
    seen = tuple(
        jax.tree.map(lambda leaf: jnp.ones(jnp.shape(leaf), bool), value) if one is None else one
        for one, value in zip(there, values, strict=True)
    )
    return Observation(Several(operators, seen), values, laws)
