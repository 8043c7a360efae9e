"""Many problems of many particles each, as many at once as memory allows."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size
from sciddm.keys import one_key, whole


def for_each(key, solve: Callable, problems=None, *, count: int | None = None, chunk: int = 1):
    """solve(key_i, problem_i) for all problems, stacked: of `Result`s, one whose leaves have a problem axis in front.

    Problem i depends on (key, i) alone. Args: problems: pytree of (B, ...), None: the same one `count` times, solve(key_i); chunk:
    problems at once, the rest one chunk after the other.
    Raises: ValueError unless exactly one of problems and count is given.
    """
    if (problems is None) == (count is None):
        raise ValueError("expected either problems, with an axis in front, or count")
    key = one_key(key)
    count = whole(count, "count") if problems is None else batch_size(problems)
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    together = chunk if whole(chunk, "chunk") > 1 else None  # one by one compiles in half the time of a batch of one
    if problems is None:
        return jax.lax.map(solve, keys, batch_size=together)
    return jax.lax.map(lambda both: solve(*both), (keys, problems), batch_size=together)
