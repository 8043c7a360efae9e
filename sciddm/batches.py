"""Many samples, some at a time."""

from collections.abc import Callable

import jax
import numpy as np

from sciddm.activity import Bar


def in_batches(function: Callable, count: int, size: int, label: str, progress: bool = False):
    """function(rows) of all `count` rows, `size` at a time, together again: numpy arrays (count, ...).

    The last batch is filled up with its last row, so that one compiled program serves all. rows: (size,) indices; function gives a
    pytree of (size, ...).
    """
    size, parts = min(size, count), []
    with Bar(range(0, count, size), desc=label, unit="batch", disable=not progress) as bar:
        for first in bar:
            rows = np.minimum(np.arange(first, first + size), count - 1)
            parts.append(jax.tree.map(np.asarray, function(rows)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
