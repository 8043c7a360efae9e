"""A trained run, ready to use: its denoiser, domain and units, and samples in the domain's own objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm import grids, instruments
from sciddm.arithmetic import as_structs, batch_size
from sciddm.batches import in_batches
from sciddm.caches import keep_compiled
from sciddm.config import restored, validate
from sciddm.denoiser import ConditionedOn, Denoiser
from sciddm.devices import chosen
from sciddm.domain import Domain, Normalizer, Problem, get_domain
from sciddm.errors import Refusal, UserError
from sciddm.export import open_source
from sciddm.given import things
from sciddm.keys import as_key, sample_keys
from sciddm.likelihood import log_prob
from sciddm.lookahead.observe.observation import Observation
from sciddm.memory import check_answers
from sciddm.named import near
from sciddm.networks import Network, split
from sciddm.overrides import as_changes, change, fixed_by_training
from sciddm.sample import fill_defaults, sample
from sciddm.tasks.base import Task
from sciddm.tasks.steered import METHOD, SAMPLING
from sciddm.train.fingerprint import located
from sciddm.train.state import around, make_module
from sciddm.train.verdict import Verdict, judge


@dataclass(frozen=True)
class Model:
    """As trained: what `sd.load(workdir)` returns."""

    denoiser: Denoiser
    domain: Domain
    config: Any
    step: int
    workdir: Path
    about: Mapping[str, Any] = field(default_factory=dict)  # the metadata of its checkpoint

    @property
    def verdict(self) -> Verdict:
        """Whether it was trained enough to be believed, as far as its checkpoint says."""
        return judge(self.about)

    @property
    def normalizer(self) -> Normalizer:
        """Physical units <-> what the denoiser sees."""
        return self.domain.normalizer

    def sample(
        self, key, n: int, task: str | None = None, *, given=None, observe=None, example=None, method: str | None = None,
        progress: bool = False, **options,
    ):  # fmt: skip
        """`n` samples as the domain's own objects, in physical units.

        Args:
            key: a jax key or an integer seed; task: a name of `domain.tasks`, whose problem is what is `given` (see `problem`), or made
            from `example`, one x in physical units (None: the first of the test split).
            observe: what `observe`, `potential` and `constrain` make, one or several; method: the guide that meets observations, None:
            that of the task, or mmps.
            options: of `sd.sample` (solver, steps, grid, ...).
        """
        if task is not None:
            problem = self.problem(task, example, key, given=given)
            x = self.solve(key, task, problem, n, observe=observe, method=method, progress=progress, **options)
            return self.task(task).to_native(x, problem)
        if given is not None:
            raise UserError(f"given: say for which task, one of {sorted(self.domain.tasks)}")
        cond = options.pop("cond", None)
        cond = self.domain.draw_cond(sample_keys(key, n)) if cond is None else cond  # the one that `draw` draws, too
        if observe is not None:
            options = SAMPLING | {"denoiser": instruments.asked(self.denoiser, observe, method or METHOD)} | options
        return self.domain.to_native(self.draw(key, n, cond=cond, progress=progress, **options), cond)

    def observe(self, instrument: Callable, value, noise_std) -> Observation:
        """What an instrument of yours measured: y = instrument(fields) + noise, for `sample(observe=...)`, `sd.particles.smc`, any guide.

        Args:
            instrument: a JAX function of fields by name in physical units with a batch axis in front, such as
            `lambda f: jnp.tanh(f["u"][:, ::4, ::4])`, -> (B, ...), or a pytree of such.
            value: what it said, without the batch axis, and noise_std, its standard deviation: in the instrument's units; or a law of
            `sd.lookahead` (Poisson, Quantised, Laplace, Clipped) in the place of noise_std.
        Raises: UserError where they don't fit the domain's fields, or each other.
        """
        return instruments.observe(self.domain, instrument, instruments.physical_value(value), noise_std)

    def potential(self, function: Callable) -> Callable:
        """A function of fields by name in physical units -> (B,) nats, for `sample(observe=...)` and wherever a potential is taken."""
        return instruments.potential(self.domain, function)

    def constrain(self, projection: Callable) -> Callable:
        """A projection of fields by name in physical units -> those that it moves, for `sample(observe=...)` and `lookahead.constrain`."""
        return instruments.constraint(self.domain, projection)

    def problem(self, task: str, example=None, key=0, *, element=None, given=None) -> Problem:
        """A problem of `task`: what you have measured, or made from one x in physical units, or from an element {"x": ..., "cond": ...} of
        the data; None: the first held-out one.

        given: paths, texts such as SMILES, "name=value" and native objects, one or a list; `sciddm info --workdir RUN --task T` says what
        the task takes.
        """
        if given is not None:
            found = self.task(task)
            return found.problem_given(jax.random.fold_in(as_key(key), 0), things(given, found.given_names))
        element = {"x": example} if example is not None else self.examples(task)[0] if element is None else element
        return self.task(task).problem_of(jax.random.fold_in(as_key(key), 0), element)

    def examples(self, task: str):
        """Held-out elements {"x": ...} that problems of `task` are made from."""
        own = self.task(task).examples()
        return self.domain.dataset("test") if own is None else own

    def solve(
        self, key, task: str, problem: Problem, members: int = 8, *, observe=None, method: str | None = None, rows=None, **options,
    ):  # fmt: skip
        """(members, ...) posterior samples of one problem, in physical units.

        observe: what else is known, see `sample`; method: in the place of the task's own; rows: (members,) which answers of this key,
        None: the first ones. Answer i depends on (key, i) alone, of tasks whose `by_member` says so.
        """
        found, model, key = self.task(task), self, jax.random.fold_in(as_key(key), 1)
        if rows is not None:
            key = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.asarray(rows))
        if observe is not None or method is not None:
            found, denoiser, problem = instruments.with_more(self.denoiser, found, problem, observe, method)
            model = replace(self, denoiser=denoiser)
        return found.solve(model, key, problem, members, **options)

    def draw(
        self, key, n: int, *, denoiser: Denoiser | None = None, cond=None, shape=None, sampler: Callable | None = None,
        progress: bool = False, **options,
    ):  # fmt: skip
        """(n, ...) samples of `denoiser` (None: the model's own) in physical units, made in batches of config.sampling.batch_size.

        Args:
            key: a jax key, an integer seed, or (n,) keys; cond: one for all, its leaves (1, ...), or one each, (n, ...); None: what
            the domain draws for each sample (`Domain.draw_cond`).
            shape: of one sample where it is not the domain's, a shape or a pytree of them; the normaliser must broadcast to it.
            sampler: (keys, denoiser, shape, *, cond, **options) -> (samples, info); None: `sd.sample`.
        """
        denoiser = denoiser or self.denoiser
        check_answers(self.domain.example, n, f"{n} samples")
        options = self.sampling_options(denoiser, **options)
        keys, one = sample_keys(key, n), as_structs(self.domain.example if shape is None else shape)

        def own(rows):
            return jax.tree.map(lambda leaf: leaf if len(leaf) == 1 else jnp.asarray(leaf)[rows], cond)

        def batch(rows):
            some = keys[rows]
            like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((len(rows), *leaf.shape), leaf.dtype), one)
            try:
                made, _ = (sampler or sample)(
                    some, denoiser, like, cond=self.domain.draw_cond(some) if cond is None else own(rows), **options
                )
            except Refusal as error:
                raise UserError(f"config.sampling, or the guide of the task: {error}") from error
            return self.normalizer.denormalize(made)

        samples = in_batches(batch, n, self.config.sampling.batch_size, "sample", progress)
        if not any(np.isfinite(leaf).any() for leaf in jax.tree.leaves(samples)):
            used = ", ".join(f"{name} {value}" for name, value in options.items())
            raise UserError(f"all {n} samples are NaN or infinite; take another solver, grid or guide, or more steps than {used}")
        return samples

    def denoiser_for(self, cond, denoiser: Denoiser | None = None) -> Denoiser:
        """`denoiser` (None: the model's own) conditioned on `cond`, under the noise law of it; cond: one for all samples, or None."""
        denoiser = (denoiser or self.denoiser).given(cond)
        return denoiser if cond is None else ConditionedOn(denoiser, cond)

    @property
    def grid(self) -> str:
        """config.sampling.grid; "optimised" for "own" where the run has searched none: an older one, or one that was stopped."""
        grid = self.config.sampling.grid
        return "optimised" if grid == grids.OWN and not self.has_own_grid else grid

    @property
    def has_own_grid(self) -> bool:
        """Whether times were searched for this model, which "own" is."""
        return isinstance(self.denoiser.sampling.grid, grids.Logistic)

    def sampling_options(self, denoiser: Denoiser, **options) -> dict:
        """Options of `sd.sample`: what the caller says, else what the config says, checked before the work begins.

        Raises: UserError where solver, steps, grid and the denoiser's guides don't go together.
        """
        settings = self.config.sampling
        options = {"solver": settings.solver, "steps": settings.steps, "grid": settings.grid} | options
        if options["grid"] == grids.OWN:  # the network's, whatever the guides around it would take
            options["grid"] = self.denoiser.sampling.grid if self.has_own_grid else "optimised"
        if isinstance(options["grid"], str) and options["grid"].endswith(".json"):
            grid = options["grid"] = grids.load(options["grid"])
            if grid.steps != options["steps"]:
                raise UserError(
                    f"config.sampling.steps = {options['steps']}: the grid {settings.grid} is made for {grid.steps} steps; "
                    f"use --steps {grid.steps}, or make another with scripts/optimise_grid.py"
                )
        try:
            fill_defaults(denoiser, options["solver"], options["steps"], options["grid"])
        except ValueError as error:
            raise UserError(f"config.sampling, or the guide of the task: {error}") from error
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
        denoiser, cond = denoiser or self.denoiser, self.domain.cond_of(x) if cond is None else cond
        n = batch_size(x)
        keys = sample_keys(key, n)

        def batch(rows):
            part, given = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], (x, cond))
            log_p = log_prob(keys[rows], denoiser, self.normalizer.normalize(part), cond=given, **options)
            return log_p - self.normalizer.log_abs_det(part, denoiser.process.noise.given(given))

        return in_batches(batch, n, self.config.sampling.batch_size, "log_prob", progress)

    def _physical(self, samples):
        """A batch of x from what may be the domain's own objects."""
        leaves, structure = jax.tree.flatten(samples)
        example, expected = jax.tree.flatten(self.domain.example)
        arrays = structure == expected and all(
            isinstance(leaf, (np.ndarray, jax.Array)) and leaf.shape[1:] == one.shape
            for leaf, one in zip(leaves, example, strict=True)
        )
        return samples if arrays else self.domain.from_native(samples)

    def task(self, name: str) -> Task:
        """A task of the domain by its name. Raises: UserError if there is none."""
        if name not in self.domain.tasks:
            raise UserError(
                f"task {name!r} is not one of {sorted(self.domain.tasks)}{near(name, self.domain.tasks)}; "
                f"one of your own is named by --config.tasks.{name}.kind=package.module:Name"
            )
        return self.domain.tasks[name]


def load(
    workdir, *, step: int | None = None, ema: bool = True, changes: Mapping[str, Any] | None = None, overrides: Sequence[str] = ()
) -> Model:  # fmt: skip
    """The run of a workdir, or of an export of one: its newest whole checkpoint, or that of `step`.

    Weights are the averaged ones unless `ema=False`. `changes` are config keys set otherwise than in training, such as
    {"tasks.inverse.steps": 20}; `overrides` the same as arguments of the command line, "--config.tasks.inverse.steps=20".

    Nothing is unpickled and no code comes from the checkpoint: it holds arrays, whose digests are checked, and JSON.
    Raises: UserError if there is no whole checkpoint, or a change does not fit the config.
    """
    keep_compiled()
    found = open_source(workdir).arrays("ema" if ema else "params", step)
    if found is None:
        raise UserError(f"{workdir}: holds no finished checkpoint yet; `sciddm train --config FILE --workdir {workdir}` writes one")
    arrays, meta = found
    config = located(restored(meta["config"]), meta)
    if changes or overrides:
        change(config, {**(changes or {}), **as_changes(overrides)})
        validate(config)
        if fixed := fixed_by_training(config, restored(meta["config"])):
            key, before, after = fixed
            raise UserError(f"config.{key} = {after!r}: the run was trained with {before!r}, which stays; leave it out")
    domain = get_domain(config, meta["normalizer"])
    network = with_arrays(split(nnx.eval_shape(lambda: make_module(config, domain))), arrays, workdir)
    return Model(around(network, config, domain, meta["sigma_data"], meta.get("grid")), domain, config, meta["step"], Path(workdir), meta)


def with_arrays(network: Network, arrays: Mapping[str, np.ndarray], where) -> Network:
    """A network with these parameters, by their paths, in the place of its own, which may be shapes alone.

    Raises: UserError if they are those of another network.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(network.params)
    wanted = {jax.tree_util.keystr(path): (leaf.shape, str(leaf.dtype)) for path, leaf in paths}
    there = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    if different := sorted(set(map(str, wanted.items())) ^ set(map(str, there.items()))):
        raise UserError(
            f"{where}: holds arrays of another network, such as {different[0]}; choose another --workdir, or the code that wrote it"
        )
    leaves = jax.device_put([arrays[name] for name in wanted], chosen()[0])
    return network.replace(jax.tree.unflatten(structure, leaves))
