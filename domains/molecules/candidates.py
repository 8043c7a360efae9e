"""Answers that are as they were asked for: where one is not, others are drawn in its place, a few at most."""

from collections.abc import Callable

import jax
import numpy as np

ROUNDS = 4  # candidates for an answer, at most
LONG = 10  # of what is harder to get right, a molecule around a part that is kept


def best_of(draw: Callable, keys, judge: Callable, rounds: int = ROUNDS) -> dict:
    """Answers (B, ...) of `draw(keys)`; where one is not all right, others are drawn from its own key, and the best of at most `rounds` is
    taken. So answer i depends on keys[i] alone.

    judge: x -> (x, (B,) how much of each is right, 1 for all of it), which may turn x, such as into its mirror image.
    """
    x, right = judge(jax.tree.map(np.array, draw(keys)))
    for number in range(1, rounds):
        wrong = np.flatnonzero(right < 1)
        if not len(wrong):
            break
        # as many as a power of two, so that few programs are compiled
        filled = np.resize(wrong, min(1 << int(len(wrong) - 1).bit_length(), len(keys)))
        again = jax.vmap(lambda key, n=number: jax.random.fold_in(key, 2**30 + n))(keys[filled])
        others, score = judge(jax.tree.map(np.array, draw(again)))
        better = np.flatnonzero(score[: len(wrong)] > right[wrong])
        right[wrong[better]] = score[better]
        for name, leaf in others.items():
            x[name][wrong[better]] = leaf[better]
    return x
