"""Larger than the model: windows that agree at every step of the way."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sciddm import lookahead
from sciddm.errors import UserError
from sciddm.lookahead.by_name import guide
from sciddm.sample import sample
from sciddm.tasks.base import Problem, Task, need
from sciddm.tasks.steered import Steered


class Wide(Task):
    """One sample many times the size of the model's, by overlapping windows of the model's size (`sd.lookahead.synchronize`).

    The domain says along which axes of x a sample may be larger (`space_axes`, counted from the front). What is NaN in an example is not
    known: it is masked out of the condition. A problem with an observation is steered by `method`, around the windows.

    overlap: share of a window that the next one has, too; periodic: whether the last of the axes touches its own beginning; strategy,
    chunk: of `synchronize`; solver, steps, grid: of all windows.
    """

    observable = False

    def __init__(
        self, domain, *, overlap: float = 0.25, periodic: bool = False, strategy: str = "x0", chunk: int = 4,
        method: str = "mmps(iterations=3)", solver: str | None = None, steps: int | None = None, grid: str | None = None,
    ):  # fmt: skip
        super().__init__(domain, solver=solver, steps=steps, grid=grid)
        self.overlap, self.periodic, self.strategy, self.chunk, self.method = overlap, periodic, strategy, chunk, method
        self.axes: Sequence[int] = domain.space_axes
        self.window = tuple(jax.tree.leaves(domain.example)[0].shape[axis] for axis in self.axes)

    @classmethod
    def check(cls, config, options):
        need(options, "overlap", 0 <= options["overlap"] < 1, "a share, at least 0 and below 1")
        need(options, "strategy", options["strategy"] in lookahead.STRATEGIES, f"one of {lookahead.STRATEGIES}")
        need(options, "chunk", options["chunk"] >= 1, "at least 1")
        Steered.check(config, options)

    def problem(self, key, example):
        sizes = tuple(np.shape(example)[axis] for axis in self.axes)
        if any(size < least for size, least in zip(sizes, self.window, strict=True)):
            raise UserError(f"the example has sizes {sizes}; expected at least those of the model, {self.window}")
        return Problem(truth=example, cond=self.condition(example))

    def condition(self, example):
        """cond of the whole for all members, (1, ...): None for a model that is not conditioned on a part of x."""
        return None

    def views(self, shape) -> lookahead.Views:
        """Windows of the model's size that cover one x of this shape."""
        strides = [max(int(size * (1 - self.overlap)), 1) for size in self.window]
        periodic = [False] * (len(self.axes) - 1) + [self.periodic]
        sizes, axes = [shape[axis] for axis in self.axes], [axis + 1 for axis in self.axes]
        return lookahead.patches(sizes, self.window, strides, axes, periodic)

    def guide(self, denoiser, problem):
        views = self.views(np.shape(problem.truth))
        whole = lookahead.synchronize(denoiser, views, strategy=self.strategy, chunk=self.chunk)
        return whole if problem.observation is None else guide(whole, problem.observation, self.method)

    def solve(self, model, key, problem, members, progress=False, **options):
        like, views = np.shape(problem.truth), self.views(np.shape(problem.truth))

        def of_views(leaf):
            # what lies on the grid of x is cut as x is; what is one a sample is the same for all windows of the sample
            wide = len(leaf.shape) > max(self.axes) + 1 and all(
                leaf.shape[axis + 1] == like[axis] for axis in self.axes
            )
            return views.project(leaf) if wide else leaf

        def whole(keys, denoiser, shape, *, cond, **options):
            cond = jax.tree.map(lambda leaf: of_views(jnp.repeat(jnp.asarray(leaf), len(keys), 0)), cond)
            return sample(keys, denoiser, shape, cond=cond, **options)

        return model.draw(
            key, members, denoiser=self.guided(model.denoiser, problem), cond=problem.cond,
            shape=jax.ShapeDtypeStruct(like, np.float32), sampler=whole, progress=progress, **self.sampling | options,
        )  # fmt: skip
