"""Longer than the model: window after window along an axis, each one given the end of the window before."""

import jax
import jax.numpy as jnp
import numpy as np

from sciddm import lookahead
from sciddm.lookahead.by_name import guide
from sciddm.rollout import rollout
from sciddm.tasks.base import Problem, Task, need
from sciddm.tasks.steered import Steered


class Rollout(Task):
    """`windows` windows, each conditioned on the last `domain.past` frames of the one before, by `domain.condition_on`.

    The domain says along which axis of x frames follow each other (`frame_axis`, counted from the end) and how many of them are given
    (`past`). What is NaN is not known: in an example it is masked out of the condition, and where the truth ends it is not scored.

    windows: how many; solver, steps, grid: of each.
    """

    observable = False

    def __init__(self, domain, *, windows: int = 3, solver: str | None = None, steps: int | None = None, grid: str | None = None):
        super().__init__(domain, solver=solver, steps=steps, grid=grid)
        self.windows, self.axis, self.past = windows, domain.frame_axis, self.given_frames()
        self.window = jax.tree.leaves(domain.example)[0].shape[self.axis]

    @classmethod
    def check(cls, config, options):
        need(options, "windows", options["windows"] >= 1, "at least 1")

    def given_frames(self) -> int:
        """Frames that a window shares with the one before."""
        return self.domain.past

    @property
    def length(self) -> int:
        """Frames of an answer."""
        return self.past + self.windows * (self.window - self.past)

    def problem(self, key, example):
        return Problem(truth=self.padded(example), cond=self.condition(example))

    def condition(self, example):
        """cond of all members, (1, ...), from the first frames of an example; NaN is not known."""
        start = jax.tree.map(lambda leaf: leaf[None], self.first(example, self.past))
        return self.domain.condition_on(start, jax.tree.map(lambda leaf: ~np.isnan(leaf), start))

    def padded(self, example):
        """`example` cut or filled up with NaN to the length of an answer."""

        def leaf(x):
            known = np.asarray(self.first(x, self.length), np.float32)
            lacking = [(0, 0)] * known.ndim
            lacking[self.axis] = (0, self.length - known.shape[self.axis])
            return np.pad(known, lacking, constant_values=np.nan)

        return jax.tree.map(leaf, example)

    def as_data(self, x):
        """A generated window (B, ...) in physical units as data would be, before the next one is conditioned on it."""
        return x

    def next_cond(self, z):
        """cond of the windows after z, (B, ...) normalised."""
        end = self.as_data(self.domain.normalizer.denormalize(self.last(z, self.past)))
        return self.domain.condition_on(end, jax.tree.map(jnp.ones_like, end))

    def next_denoiser(self, denoiser, z):
        """The denoiser of the windows after z, (B, ...) normalised."""
        return denoiser

    def solve(self, model, key, problem, members, progress=False, **options):
        def windows(keys, denoiser, shape, *, cond, **options):
            cond = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), len(keys), 0), cond)
            z, info = rollout(
                keys, denoiser, shape, cond=cond, advance=self.next_cond, windows=self.windows,
                guide=lambda z: self.next_denoiser(model.denoiser, z), **options,
            )  # fmt: skip
            parts = [jax.tree.map(lambda leaf, i=i: leaf[:, i], z) for i in range(self.windows)]
            new = [self.first(parts[0], self.past), *(self.last(part, self.window - self.past) for part in parts)]
            return jax.tree.map(lambda *leaves: jnp.concatenate(leaves, self.axis), *new), info

        return model.draw(
            key, members, denoiser=self.guided(model.denoiser, problem), cond=problem.cond, sampler=windows, progress=progress,
            **self.sampling | options,
        )  # fmt: skip

    def first(self, x, count: int):
        """The first frames, of one x or of a batch."""
        return jax.tree.map(lambda leaf: leaf[_frames(leaf, self.axis, slice(0, count))], x)

    def last(self, x, count: int):
        """The last frames, of one x or of a batch."""
        return jax.tree.map(lambda leaf: leaf[_frames(leaf, self.axis, slice(leaf.shape[self.axis] - count, None))], x)


class SteeredRollout(Rollout):
    """The same of a model that is not conditioned on frames: each window is steered to begin as the one before ended.

    overlap: frames that two windows share; noise_std: how well the next window keeps them, normalised; method: as of `Steered`.
    """

    def __init__(
        self, domain, *, overlap: int, noise_std: float = 0.01, windows: int = 3, method: str = "mmps(iterations=3)",
        solver: str | None = "ddpm",
        steps: int | None = 40, grid: str | None = "logsnr",
    ):  # fmt: skip
        self.overlap, self.noise_std, self.method = overlap, noise_std, method
        super().__init__(domain, windows=windows)
        self.sampling = {"solver": solver, "steps": steps, "grid": grid}

    @classmethod
    def check(cls, config, options):
        super().check(config, options)
        Steered.check(config, options)
        need(options, "overlap", options["overlap"] >= 1, "at least 1")
        need(options, "noise_std", options["noise_std"] > 0, "a number above 0")

    def given_frames(self):
        return self.overlap

    def condition(self, example):
        return None

    def problem(self, key, example):
        window = self.domain.normalizer.normalize(self.first(example, self.window))
        return Problem(self.beginning(window), self.padded(example))

    def beginning(self, z) -> lookahead.Observation:
        """That a normalised window begins as z, one for all samples or (B, ...), of which NaN is not known."""
        order = jnp.arange(self.window).reshape((-1,) + (1,) * (-self.axis - 1))
        mask = jax.tree.map(
            lambda leaf: jnp.broadcast_to(order < self.past, leaf.shape).astype(leaf.dtype), self.domain.example
        )
        value = jax.tree.map(lambda leaf, m: jnp.where(m > 0, leaf, 0.0), z, mask)
        return lookahead.Observation(lookahead.operators.Mask(mask), value, self.noise_std)

    def guide(self, denoiser, problem):
        return guide(denoiser, problem.observation, self.method)

    def next_cond(self, z):
        return None

    def next_denoiser(self, denoiser, z):
        rolled = jax.tree.map(lambda leaf: jnp.roll(leaf, self.past - self.window, self.axis), z)
        return guide(denoiser, self.beginning(rolled), self.method)


def _frames(leaf, axis, frames):
    index = [slice(None)] * leaf.ndim
    index[axis] = frames
    return tuple(index)
