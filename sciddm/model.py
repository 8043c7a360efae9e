"""A trained run, ready to use: its denoiser, domain and units, and samples in the domain's own objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from sciddm import grids
from sciddm.config import change, near, restored, validate
from sciddm.denoiser import Denoiser, Told, with_noise
from sciddm.domain import Domain, Normalizer, Problem, get_domain
from sciddm.errors import UserError
from sciddm.likelihood import log_prob
from sciddm.process import batch_size, sample_keys
from sciddm.sample import sample, settle
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.state import initial_state, make_denoiser, with_params


@dataclass(frozen=True)
class Model:
    """As trained: what `sd.load(workdir)` returns."""

    denoiser: Denoiser
    domain: Domain
    config: Any
    step: int
    workdir: Path

    @property
    def normalizer(self) -> Normalizer:
        """Physical units <-> what the denoiser sees."""
        return self.domain.normalizer

    def sample(self, key, n: int, task: str | None = None, *, example=None, progress: bool = False, **options):
        """`n` samples as the domain's own objects, in physical units.

        Args:
            key: a jax key or an integer seed; task: a name of `domain.tasks`, whose problem is made from `example`, one x in
            physical units (None: the first of the test split); options: of `sd.sample` (solver, steps, grid, ...).
        """
        if task is None:
            return self.domain.to_native(self.draw(key, n, progress=progress, **options))
        problem = self.problem(task, example, key)
        return self.domain.to_native(self.solve(key, task, problem, n, progress=progress, **options))

    def problem(self, task: str, example=None, key=0) -> Problem:
        """A problem of `task` made from one x in physical units (None: the first held-out one)."""
        example = self.examples(task)[0]["x"] if example is None else example
        return self._task(task).problem(jax.random.fold_in(_key(key), 0), example)

    def examples(self, task: str):
        """Held-out elements {"x": ...} that problems of `task` are made from."""
        own = self._task(task).examples()
        return self.domain.dataset("test") if own is None else own

    def solve(self, key, task: str, problem: Problem, members: int = 8, **options):
        """(members, ...) posterior samples of one problem, in physical units."""
        return self._task(task).solve(self, jax.random.fold_in(_key(key), 1), problem, members, **options)

    def draw(self, key, n: int, *, denoiser: Denoiser | None = None, cond=None, progress: bool = False, **options):
        """(n, ...) samples of `denoiser` (None: the model's own) in physical units, made in batches of config.sampling.batch_size.

        cond: one for all, its leaves (1, ...), or None: what the domain tells each sample (`Domain.told`).
        """
        denoiser = denoiser or self.denoiser
        options = self.sampling_options(denoiser, **options)
        size = min(self.config.sampling.batch_size, n)
        # The last batch is filled up, so that one compiled program serves all; sample i keeps its own key.
        count = -(-n // size) * size
        keys = sample_keys(_key(key), count)
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), self.domain.example)
        batches = []
        for first in tqdm(range(0, count, size), desc="sample", unit="batch", disable=not progress):
            some = keys[first : first + size]
            told = self.domain.told(some) if cond is None else cond
            part, _ = sample(some, with_noise(denoiser, self.domain.noise_for(told)), shapes, cond=told, **options)
            batches.append(jax.tree.map(np.asarray, self.normalizer.denormalize(part)))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:n], *batches)

    def denoiser_for(self, cond, denoiser: Denoiser | None = None) -> Denoiser:
        """`denoiser` (None: the model's own) that is always told `cond`, under its noise law; cond: one for all samples, or None."""
        denoiser = with_noise(denoiser or self.denoiser, self.domain.noise_for(cond))
        return denoiser if cond is None else Told(denoiser, cond)

    def sampling_options(self, denoiser: Denoiser, **options) -> dict:
        """Options of `sd.sample`: what the caller says, else what the config says, checked before the work begins.

        Raises: UserError where solver, steps, grid and the denoiser's guides don't go together.
        """
        settings = self.config.sampling
        options = {"solver": settings.solver, "steps": settings.steps, "grid": settings.grid} | options
        if isinstance(options["grid"], str) and options["grid"].endswith(".json"):
            grid = options["grid"] = grids.load(options["grid"])
            if grid.steps != options["steps"]:
                raise UserError(
                    f"config.sampling.steps = {options['steps']}: the grid {settings.grid} is made for {grid.steps} steps; "
                    f"use --steps {grid.steps}, or make another with scripts/optimise_grid.py"
                )
        try:
            settle(denoiser, options["solver"], options["steps"], options["grid"])
        except ValueError as error:
            raise UserError(f"config.sampling, or the guidance of the task: {error}") from error
        return options

    def log_prob(
        self, samples, *, key=0, denoiser: Denoiser | None = None, cond=None, progress: bool = False, **options
    ):
        """(B,) log densities of samples in physical units: nats per unit volume of x, as the domain's units measure it.

        log p(x) = log p(z) - log |dx/dz|, z = (x - mean) / std, on the support of the noise law (see `Normalizer.log_abs_det`).

        Args:
            samples: the domain's own objects, or a batch of x in physical units; cond: as for `draw`, with an entry a sample.
            key: for estimated traces; options: of `sd.log_prob` (trace, probes, rtol, atol).
        """
        x = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), self._physical(samples))
        denoiser, cond = denoiser or self.denoiser, self.domain.told_of(x) if cond is None else cond
        n = batch_size(x)
        size = min(self.config.sampling.batch_size, n)
        keys, batches = sample_keys(_key(key), n), []
        for first in tqdm(range(0, n, size), desc="log_prob", unit="batch", disable=not progress):
            rows = np.minimum(
                np.arange(first, first + size), n - 1
            )  # the last batch is filled up: one program serves all
            part, given = jax.tree.map(lambda leaf, rows=rows: jnp.asarray(leaf)[rows], (x, cond))
            noised = with_noise(denoiser, self.domain.noise_for(given))
            log_p = log_prob(keys[rows], noised, self.normalizer.normalize(part), cond=given, **options)
            batches.append(np.asarray(log_p - self.normalizer.log_abs_det(part, noised.process.noise)))
        return np.concatenate(batches)[:n]

    def _physical(self, samples):
        """A batch of x from what may be the domain's own objects."""
        leaves, structure = jax.tree.flatten(samples)
        example, expected = jax.tree.flatten(self.domain.example)
        arrays = structure == expected and all(
            isinstance(leaf, (np.ndarray, jax.Array)) and leaf.shape[1:] == one.shape
            for leaf, one in zip(leaves, example, strict=True)
        )
        return samples if arrays else self.domain.from_native(samples)

    def _task(self, name: str):
        if name not in self.domain.tasks:
            raise UserError(
                f"task {name!r} is not one of {sorted(self.domain.tasks)}{near(name, self.domain.tasks).replace('config.', '')}"
            )
        return self.domain.tasks[name]


def load(workdir, *, step: int | None = None, ema: bool = True, changes: Mapping[str, Any] | None = None) -> Model:
    """The run of a workdir: its newest whole checkpoint, or that of `step`, with averaged weights unless `ema=False`.

    `changes` are config keys set otherwise than in training, such as {"data.guidance.steps": 20}.

    Nothing is unpickled and no code comes from the checkpoint: it holds arrays, whose digests are checked, and JSON.
    Raises: UserError if there is no whole checkpoint, or a change does not fit the config.
    """
    checkpoints = Checkpoints(workdir, read_only=True)
    meta = checkpoints.meta(step)
    if meta is None:
        raise UserError(f"{workdir}: holds no finished checkpoint yet; `sciddm train --workdir {workdir}` writes them")
    config = restored(meta["config"])
    if changes:
        change(config, changes)
        validate(config)
    domain = get_domain(config, meta["normalizer"])
    denoiser = make_denoiser(config, domain, meta["sigma_data"])
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), initial_state(config, denoiser)
    )
    state, meta = checkpoints.restore(abstract, step)
    params = state.ema if ema else state.params
    return Model(with_params(denoiser, jax.tree.map(jnp.asarray, params)), domain, config, meta["step"], Path(workdir))


def _key(key):
    return jax.random.key(key) if isinstance(key, (int, np.integer)) else key
