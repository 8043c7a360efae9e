"""What a domain provides to the core: data, a network, units, and named tasks with a measurable success."""

import abc
import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm.config import near
from sciddm.denoiser import Denoiser
from sciddm.errors import UserError
from sciddm.noise import Noise
from sciddm.traces import TRACES


@dataclass(frozen=True)
class Normalizer:
    """Physical units <-> zero mean and unit variance, leaf by leaf: z = (x - mean) / std.

    mean, std: pytrees like one x, each leaf broadcastable to x without its batch axis; units: the same pytree of strings.
    """

    mean: Any
    std: Any
    units: Any

    def normalize(self, x):
        """(B, ...) in physical units -> (B, ...) normalised."""
        return jax.tree.map(lambda leaf, m, s: (leaf - m) / s, x, self.mean, self.std)

    def denormalize(self, z):
        """(B, ...) normalised -> (B, ...) in physical units."""
        return jax.tree.map(lambda leaf, m, s: leaf * s + m, z, self.mean, self.std)

    def log_abs_det(self, x, noise: Noise):
        """log |d x / d z| on the noise law's support: what a log density of x is smaller by than that of z = normalize(x).

        tr(P log(std) P), P the projection: the sum of log std over the entries that are free, for masks and centred points too,
        whose std must not lead out of the support. x: (B, ...). Returns (B,), nats.
        """
        logs = jax.tree.map(
            lambda leaf, s: jnp.broadcast_to(jnp.log(jnp.asarray(s, leaf.dtype)), leaf.shape), x, self.std
        )
        size = sum(leaf[0].size for leaf in jax.tree.leaves(x))

        def every_entry():
            return sum(jnp.sum(leaf, axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(logs))

        def support():
            scale = lambda v: jax.tree.map(jnp.multiply, logs, v)  # noqa: E731
            return TRACES["exact"].estimate(scale, lambda v: noise.each("project", v), None, x, None)

        return jax.lax.cond(jnp.all(noise.each("dimension", x) == size), every_entry, support)

    def to_json(self) -> dict:
        """Lists of numbers by leaf path, for the checkpoint."""
        leaves = jax.tree_util.tree_flatten_with_path(self.mean)[0]
        stds, units = jax.tree.leaves(self.std), jax.tree.leaves(self.units)
        return {
            jax.tree_util.keystr(path): {"mean": np.asarray(m).tolist(), "std": np.asarray(s).tolist(), "units": u}
            for (path, m), s, u in zip(leaves, stds, units, strict=True)
        }

    @classmethod
    def from_json(cls, stored: Mapping, example) -> "Normalizer":
        """The inverse of `to_json`; `example` is one x, whose tree structure names the leaves.

        Raises: UserError if a leaf of the example has no stored statistics.
        """
        paths, structure = jax.tree_util.tree_flatten_with_path(example)
        names = [jax.tree_util.keystr(path) for path, _ in paths]
        missing = [name for name in names if name not in stored]
        if missing:
            raise UserError(
                f"normalizer: no statistics for leaf {missing[0]!r}, found {sorted(stored)}; is this checkpoint of another domain?"
            )
        rows = [stored[name] for name in names]
        return cls(
            structure.unflatten([np.asarray(row["mean"], np.float32) for row in rows]),
            structure.unflatten([np.asarray(row["std"], np.float32) for row in rows]),
            structure.unflatten([row["units"] for row in rows]),
        )


@dataclass(frozen=True)
class Problem:
    """One instance of a task: what is observed, and the truth it was made from where there is one.

    observation: what the guide reads, in the model's normalised space; truth: one x in physical units;
    cond: handed to the denoiser; extras: whatever the task's own baseline, metrics and plots need.
    """

    observation: Any
    truth: Any = None
    cond: Any = None
    extras: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Reward:
    """What one may wish more of, with another measure of the same wish beside it that the search never sees.

    function: (B, ...) x in physical units -> (B,) (`sciddm.rewards` has many); units: of its values, "1" where it has none;
    held_out: name of the domain's reward that should rise along: where it doesn't, the search has found a fault of the reward or of
    the network; scale: temperature in these units, so that the potential is function / scale, None: the standard deviation over the
    training data; differentiable: whether its gradient says anything.
    """

    function: Callable
    units: str
    held_out: str
    scale: float | None = None
    differentiable: bool = True


class Task(abc.ABC):
    """A named use with a measurable success: "inverse", "nowcast", "scaffold", ...

    sampling: the options of `sd.sample` that serve it best; what the caller says goes before them.
    """

    sampling: Mapping[str, Any] = {}

    @abc.abstractmethod
    def problem(self, key, example) -> Problem:
        """Draw what is observed of `example`, one x in physical units."""

    @abc.abstractmethod
    def guide(self, denoiser: Denoiser, problem: Problem) -> Denoiser:
        """The denoiser steered towards the problem's observation."""

    def depends(self, model) -> str:
        """What its samples depend on besides config and checkpoint, such as the digest of a file; when it changes they are made anew."""
        return ""

    @abc.abstractmethod
    def baseline(self, problem: Problem) -> Mapping[str, Any]:
        """Answers of the classical methods a practitioner would use, by name: one x in physical units, or an ensemble (members, ...)."""

    def examples(self):
        """Held-out elements {"x": ...} of its own, a sequence, for a task whose x is of another size; None: those of the test split."""
        return None

    def solve(self, model, key, problem: Problem, members: int, **options):
        """(members, ...) answers in physical units: samples of the guided denoiser, for a task that has no way of its own.

        Args: model: `sciddm.model.Model`; options: of `sd.sample`, before those of the task, and whether to show `progress`.
        """
        guided = self.guide(model.denoiser, problem)
        return model.draw(key, members, denoiser=guided, cond=problem.cond, **dict(self.sampling) | options)

    def controls(self, model, key, problem: Problem, members: int) -> Mapping[str, Any]:
        """Answers (members, ...) of the same model without what this task adds, by name: what that is worth. Args as of `solve`."""
        return {}

    @abc.abstractmethod
    def metrics(self, samples, problem: Problem) -> dict[str, float]:
        """Scores of samples (members, ...) in physical units against the truth."""

    @abc.abstractmethod
    def plot(self, samples, problem: Problem):
        """A matplotlib figure that a person can judge."""


RENAMED = {"told": "draw_cond", "told_of": "cond_of"}  # methods of a domain under their names of version 0.1


class Domain(abc.ABC):
    """A kind of sample: its data, units, network and tasks. Instances hold these attributes:

    name: str; example: pytree of jax.ShapeDtypeStruct, one x without its batch axis; cond_example: the same for cond, or None;
    normalizer: Normalizer; noise: the noise law, a `sd.noise.ByCondition` where cond holds a mask of each sample; tasks: name -> Task;
    rewards: name -> Reward, for `sciddm evaluate --steer`; suffix: of the files that `save` writes where the caller names none.
    """

    name: str
    suffix: str = ".nc"
    example: Any
    cond_example: Any = None
    normalizer: Normalizer
    noise: Noise
    tasks: Mapping[str, Task]
    rewards: Mapping[str, Reward] = {}

    @abc.abstractmethod
    def dataset(self, split: str) -> grain.MapDataset:
        """Unshuffled elements {"x": one x in physical units, float32} and "cond" where the domain is conditional.

        "loss_weight", like x, says how much each entry counts in the loss, such as 0 where it is missing; x is a finite number there too.
        """

    def buckets(self):
        """(N,) what each training element may be cut to, such as a number of atoms, the same for all of a batch; None: nothing is cut."""
        return None

    def cut(self, element, width):
        """A training element without the padding beyond `width`, a value of `buckets`."""
        return element

    def draw_cond(self, keys):
        """cond of samples for which the caller gives none, (B, ...) with an entry a key, such as how many atoms each has; or None."""
        return None

    def cond_of(self, x):
        """cond under which the density of a batch x in physical units is asked for where the caller gives none; or None."""
        return None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for old, new in RENAMED.items():
            if old in vars(cls):
                warnings.warn(f"{cls.__name__}.{old} is now {new}; the old name goes with the next version", DeprecationWarning, 2)
                setattr(cls, new, vars(cls)[old])

    @abc.abstractmethod
    def network(self, config, rngs: nnx.Rngs) -> nnx.Module:
        """A fresh network from `config.network`: called as network(x, noise_level, cond)."""

    @abc.abstractmethod
    def to_native(self, x, cond=None):
        """A batch of x in physical units as the field's own object (xarray.Dataset, molecules, ...)."""

    @abc.abstractmethod
    def from_native(self, native):
        """The inverse of `to_native`: a batch of x in physical units."""

    @abc.abstractmethod
    def save(self, samples, path) -> None:
        """Write native samples in the field's own file format."""

    @abc.abstractmethod
    def plot(self, samples):
        """A matplotlib figure of native samples."""

    @abc.abstractmethod
    def metrics(self, samples, reference) -> dict[str, float]:
        """Scores of generated samples against reference data, both batches of x in physical units."""


class RewardPotential(eqx.Module):
    """potential(x_0, t) = strength function(x) / scale, in nats: x is the normalised x_0 in physical units. See `reward_potential`."""

    function: Callable = eqx.field(static=True)
    differentiable: bool = eqx.field(static=True)
    mean: Any
    std: Any
    per_nat: jax.Array  # scale / strength

    def __call__(self, x_0, t=None):
        if not self.differentiable:
            # Its loops have no backward pass: a method that asks for the gradient gets 0.
            x_0 = jax.lax.stop_gradient(x_0)
        return self.function(Normalizer(self.mean, self.std, None).denormalize(x_0)) / self.per_nat


def reward_potential(domain: Domain, name: str, strength: float = 1.0) -> RewardPotential:
    """The reward as a potential of normalised x_0, (B, ...) -> (B,) nats: one nat is `scale / strength` of its units.

    Build it once a run: where the reward's scale is None its standard deviation over the training data (at most 2048 of them) is measured.

    Args: strength: how many nats one scale of the reward is worth; below 0 it is to be small.
    Raises: UserError if the domain has no reward of this name, the strength is 0 or not finite, or the data have no spread.
    """
    reward = get_reward(domain, name)
    if not np.isfinite(strength) or strength == 0:
        raise UserError(f"strength = {strength}: expected a finite number other than 0, such as 1")
    scale = reward.scale
    if scale is None:
        values = reward_of_data(domain, [name], "train")[name]
        scale = float(np.std(values))
        if not scale > 0:
            raise UserError(
                f"reward {name!r} is {values[0]:g} for all training data, or not finite: give it a scale, in {reward.units}"
            )
    mean, std = jax.tree.map(jnp.asarray, (domain.normalizer.mean, domain.normalizer.std))
    return RewardPotential(reward.function, reward.differentiable, mean, std, jnp.asarray(scale / strength))


def reward_of_data(domain: Domain, names, split: str, most: int = 2048) -> dict[str, np.ndarray]:
    """Rewards of data of a split: name -> (N,) in its units. On every k-th element where there are more than `most`."""
    data, functions = domain.dataset(split), {name: get_reward(domain, name).function for name in names}
    indices = range(0, len(data), -(-len(data) // most))
    compute = jax.jit(lambda x: {name: function(x) for name, function in functions.items()})
    parts = []
    for first in range(0, len(indices), 128):
        rows = [data[i]["x"] for i in indices[first : first + 128]]
        parts.append(compute(jax.tree.map(lambda *leaves: np.stack(leaves), *rows)))
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in functions}


def get_reward(domain: Domain, name: str) -> Reward:
    """A reward of the domain by its name.

    Raises: UserError if the domain has none of this name, with the near match.
    """
    if not domain.rewards:
        raise UserError(f"domain {domain.name!r} has no rewards: name some in its `rewards`, see sciddm/domain.py")
    if name not in domain.rewards:
        hint = near(name, domain.rewards).replace("config.", "")
        raise UserError(f"reward {name!r} is not one of {sorted(domain.rewards)}{hint}")
    return domain.rewards[name]


def get_domain(config, normalizer: Mapping | None = None) -> Domain:
    """The domain that `config.domain` names by import path, e.g. "domains.pde" or a package of your own.

    Args: normalizer: stored statistics (`Normalizer.to_json`) of a checkpoint; None measures them on the training split.
    Raises: UserError if the path can't be imported or has no `get_domain(config, normalizer)`.
    """
    try:
        module = importlib.import_module(config.domain)
    except ImportError as error:
        raise UserError(
            f"config.domain = {config.domain!r}: {error}; expected an importable package such as 'domains.pde'"
        ) from error
    if not hasattr(module, "get_domain"):
        raise UserError(
            f"config.domain = {config.domain!r}: has no get_domain(config, normalizer); see sciddm/domain.py"
        )
    return module.get_domain(config, normalizer)
