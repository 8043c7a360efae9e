"""What is finer than what was measured: a sample from block means of it."""

import jax
import jax.numpy as jnp
import numpy as np

from sciddm import lookahead
from sciddm.tasks.base import Problem, need
from sciddm.tasks.steered import Steered

UNSEEN = 1e4  # standard deviation, normalised, of a block that nothing is known of


class BlockMeans(Steered):
    """All of a gridded x from its means over blocks of `factor` points a side. Blocks with NaN in them are not seen.

    factor: of every spatial axis; others: of `Steered`. A subclass sets `noise_std`, of a block mean, normalised.
    """

    noise_std: float

    def __init__(self, domain, *, factor: int = 4, **steered):
        super().__init__(domain, **steered)
        self.factor = factor

    @classmethod
    def check(cls, config, options):
        from sciddm.domain import domain_type  # which knows tasks

        super().check(config, options)
        kind, factor = domain_type(config), options["factor"]
        sizes = [jax.tree.leaves(kind.outline(config).example)[0].shape[axis] for axis in kind.space_axes]
        need(options, "factor", factor >= 2 and not any(n % factor for n in sizes), f"2 or more, a divisor of the grid's {sizes}")

    def problem(self, key, example):
        operator, missing = lookahead.operators.Downsample(self.factor), np.isnan(example)
        coarse = operator(jnp.asarray(self.domain.normalizer.normalize(np.where(missing, 0.0, example)))[None])[0]
        std = self.noise_std
        if missing.any():
            whole = np.asarray(operator(jnp.asarray(missing, jnp.float32)[None]))[0] == 0
            std = np.where(whole, std, UNSEEN).astype(np.float32)
        return Problem(lookahead.Observation(operator, coarse, std), example)
