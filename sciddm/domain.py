"""What a domain provides to the core: data, a network, units, and named tasks with a measurable success."""

import abc
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

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

    @abc.abstractmethod
    def baseline(self, problem: Problem) -> Mapping[str, Any]:
        """Answers of the classical methods a practitioner would use, each one x in physical units, by name."""

    @abc.abstractmethod
    def metrics(self, samples, problem: Problem) -> dict[str, float]:
        """Scores of samples (members, ...) in physical units against the truth."""

    @abc.abstractmethod
    def plot(self, samples, problem: Problem):
        """A matplotlib figure that a person can judge."""


class Domain(abc.ABC):
    """A kind of sample: its data, units, network and tasks. Instances hold these attributes:

    name: str; example: pytree of jax.ShapeDtypeStruct, one x without its batch axis; cond_example: the same for cond, or
    None; normalizer: Normalizer; noise: the noise law; tasks: name -> Task.
    """

    name: str
    example: Any
    cond_example: Any = None
    normalizer: Normalizer
    noise: Noise
    tasks: Mapping[str, Task]

    @abc.abstractmethod
    def dataset(self, split: str) -> grain.MapDataset:
        """Unshuffled elements {"x": one x in physical units, float32} and "cond" where the domain is conditional."""

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
