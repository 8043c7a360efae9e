"""Samples out of nothing, beside what the data themselves score."""

import jax
import numpy as np

from sciddm.tasks.base import Problem, Task

MOST = 512  # held-out samples: scores are known to a few per cent from as many


class Generate(Task):
    """Samples of the model, scored by `Domain.metrics` against one half of the held-out data; the other half scores what is attainable."""

    def problem(self, key, example):
        return Problem(truth=example)

    def baseline(self, problem):
        """`held-out data`: the half of them that answers are not compared with."""
        return {"held-out data": self.held_out(1)}

    def held_out(self, half: int):
        """Every other one of the test split, at most `MOST`: a batch in physical units."""
        data = self.domain.unconditional("test")
        stride = 2 * max(-(-len(data) // (2 * MOST)), 1)
        rows = [data[i]["x"] for i in range(min(half, len(data) - 1), len(data), stride)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)

    def metrics(self, samples, problem):
        return self.domain.metrics(samples, self.held_out(0))

    def plot(self, samples, problem, answers):
        return self.domain.plot(self.domain.to_native(jax.tree.map(lambda leaf: leaf[:8], samples)))
