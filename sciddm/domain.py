"""What a domain provides to the core: data, a network, units, and named tasks with a measurable success."""

import abc
import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from sciddm.config import naming_keys
from sciddm.errors import UserError, in_words
from sciddm.noise import Noise
from sciddm.normalizer import Normalizer
from sciddm.rewards.reward import Reward, get_reward, reward_of_data, reward_potential
from sciddm.tasks.base import Problem, Task, check_tasks, make_tasks

if TYPE_CHECKING:
    import grain  # brings orbax with it, and takes half a second that a run which is read does without

__all__ = [
    "Domain", "Normalizer", "Outline", "Problem", "Reward", "Task", "domain_type", "get_domain", "get_reward", "reward_of_data",
    "reward_potential",
]  # fmt: skip


@dataclass(frozen=True)
class Outline:
    """What is known of a domain's samples from the config alone, before there are data: enough to try the network's arguments on.

    example, cond_example: as of `Domain`, or of the same structure and fewer entries; network_inputs: as of `Domain`.
    """

    example: Any
    cond_example: Any = None
    network_inputs: Mapping[str, Any] = field(default_factory=dict)


RENAMED = {"told": "draw_cond", "told_of": "cond_of"}  # methods of a domain under their names of version 0.1


class Domain(abc.ABC):
    """A kind of sample: its data, units, network and tasks.

    Made by Kind(config, stored); stored: `normalizer.to_json()` of a checkpoint, for which the data are left untouched, None: statistics
    are measured on the training split. A class names: `networks`, kind -> class, the first being the default, whose arguments are
    config.network beside `network_inputs`; `task_types`, name -> `Task` class, whose options are config.tasks.<name>; `renamed_keys`,
    config keys of the version before -> new ones; `reads`, the suffixes of files in a folder config.data.path that are data, () for all.

    Instances hold: name: str; example: pytree of jax.ShapeDtypeStruct, one x without its batch axis; cond_example: the same for cond, or
    None; normalizer: Normalizer; noise: the noise law, a `sd.noise.ByCondition` where cond holds a mask of each sample; network_inputs:
    arguments that the domain gives its network; rewards: name -> Reward, for `sciddm evaluate --steer`; suffix: of the files that `save`
    writes where the caller names none; suffixes: all that it writes, () for any. `get_domain` adds tasks: name -> Task.

    Where x is a sequence: frame_axis, along which frames follow each other, counted from the end; past: how many of them may be given
    (`tasks.Rollout`). Where x may be larger than the model: space_axes, counted from the front (`tasks.Wide`).
    """

    name: str
    suffix: str = ".nc"
    suffixes: tuple[str, ...] = ()
    networks: Mapping[str, Callable] = {}
    task_types: Mapping[str, type[Task]] = {}
    renamed_keys: Mapping[str, tuple[str, ...]] = {}
    reads: tuple[str, ...] = ()

    example: Any
    cond_example: Any = None
    normalizer: Normalizer
    noise: Noise
    network_inputs: Mapping[str, Any] = {}
    tasks: Mapping[str, Task] = {}
    rewards: Mapping[str, Reward] = {}
    frame_axis: int = -1
    past: int = 0
    space_axes: tuple[int, ...] = ()

    @classmethod
    def check(cls, config) -> None:
        """Values of config.data that don't go together, before data are made. Raises: UserError that names the key."""
        return None

    @classmethod
    def outline(cls, config) -> Outline | None:
        """What is known of the samples from the config alone; None: nothing."""
        return None

    @classmethod
    def migrate(cls, stored: dict, version: int) -> dict:
        """The plain config of a checkpoint of an older version, brought to the present one."""
        return stored

    @abc.abstractmethod
    def dataset(self, split: str) -> "grain.MapDataset":
        """Unshuffled elements {"x": one x in physical units, float32} of "train" or "test", and "cond" where the domain is conditional.

        "loss_weight", like x, says how much each entry counts in the loss, such as 0 where it is missing; x is a finite number there too.
        """

    def unconditional(self, split: str) -> "grain.MapDataset":
        """Elements {"x": ...} for what is asked of x alone; where cond is costly to make, a domain leaves it out here."""
        return self.dataset(split)

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
                warnings.warn(
                    f"{cls.__name__}.{old} is now {new}; the old name goes with the next version", DeprecationWarning, 2
                )
                setattr(cls, new, vars(cls)[old])
        if "network" in vars(cls):
            warnings.warn(f"{cls.__name__}.network is now `networks`, kind -> class, and `network_inputs`", DeprecationWarning, 2)

    def condition_on(self, frames, observed):
        """cond of samples whose first `past` frames are given, for a domain whose network is conditioned on frames.

        frames: (B, ...) in physical units, whatever where `observed`, like it, is 0. Of numpy, or traced.
        Raises: UserError for a domain whose network is not.
        """
        raise UserError(
            f"{type(self).__name__} is not conditioned on frames: write its `past` and `condition_on`, or take tasks.rollout.SteeredRollout"
        )

    def by_name(self, x) -> dict[str, Any]:
        """The fields of a batch x in physical units by name, for instruments, potentials and constraints; see `Model.observe`. Traced."""
        return dict(x) if isinstance(x, Mapping) else {"x": x}

    def with_fields(self, x, fields: Mapping[str, Any]):
        """x with some of its fields replaced, the inverse of `by_name`. Traced."""
        return x | fields if isinstance(x, Mapping) else fields.get("x", x)

    def quantities(self, native) -> xr.Dataset:
        """What native answers are summarised by and events are asked of, along "member": the fields by name, or numbers such as a logP."""
        if isinstance(native, xr.Dataset):
            return native.rename({dim: "member" for dim in ("sample",) if dim in native.dims})
        fields = self.by_name(self.from_native(native))
        return xr.Dataset(
            {
                name: (("member", *(f"{name}_{axis}" for axis in range(1, np.ndim(field)))), np.asarray(field))
                for name, field in fields.items()
            }
        )

    def signed(self, native, about: Mapping[str, Any]):
        """Native answers with the settings that made them inside, for the file: about, name -> plain value."""
        return native.assign_attrs(about) if isinstance(native, xr.Dataset) else native

    @abc.abstractmethod
    def to_native(self, x, cond=None):
        """A batch of x in physical units as the field's own object (xarray.Dataset, molecules, ...).

        cond: what the samples were conditioned on, its leaves (1, ...) or (B, ...); None: nothing, or it is not known.
        """

    @abc.abstractmethod
    def from_native(self, native):
        """The inverse of `to_native`: a batch of x in physical units."""

    @abc.abstractmethod
    def save(self, samples, path) -> None:
        """Write native samples in the field's own file format."""

    @abc.abstractmethod
    def plot(self, samples):
        """A matplotlib figure of native samples."""

    def page(self, native, about: Mapping[str, Any]) -> str:
        """One HTML page of native samples, see `Task.page`."""
        raise UserError(f"{type(self).__name__} has no page")

    @abc.abstractmethod
    def metrics(self, samples, reference) -> dict[str, float]:
        """Scores of generated samples against reference data, both batches of x in physical units."""


def domain_type(config) -> type[Domain]:
    """The class that config.domain names: package.module:Name, or a package that says so in its `DOMAIN`, e.g. "domains.pde".

    Raises: UserError if there is none.
    """
    name = config["domain"]
    if not name:
        raise UserError("config.domain is empty; expected an import path such as 'domains.pde'")
    path, _, attribute = name.partition(":")
    module = _imported(path, name)
    if not attribute and hasattr(module, "DOMAIN"):
        path, _, attribute = module.DOMAIN.partition(":")
        module = _imported(path, name)
    if not attribute and hasattr(module, "get_domain"):
        return type("Older", (_Older,), {"make": staticmethod(module.get_domain)})
    found = getattr(module, attribute or "DOMAIN", None)
    if not (isinstance(found, type) and issubclass(found, Domain)):
        raise UserError(
            f"config.domain = {name!r}: {path} has no sciddm.Domain {attribute!r}; expected package.module:Name of one, or a package "
            "with DOMAIN = 'package.module:Name'"
        )
    if lacking := sorted(found.__abstractmethods__):
        raise UserError(f"config.domain = {name!r}: {found.__name__} lacks {', '.join(lacking)}; see sciddm/domain.py")
    return found


def get_domain(config, normalizer: Mapping | None = None) -> Domain:
    """The domain that `config.domain` names, with the tasks of config.tasks; see `domain_type`.

    Args: normalizer: stored statistics (`Normalizer.to_json`) of a checkpoint; None measures them on the training split.
    Raises: UserError if there is none, or on its data.
    """
    kind = domain_type(config)
    if issubclass(kind, _Older):
        warnings.warn(
            f"{config.domain}: get_domain(config, normalizer) is now DOMAIN = 'package.module:Name'",
            DeprecationWarning,
            2,
        )
        return kind.make(config, normalizer)
    with naming_keys():
        kind.check(config)
        check_tasks(kind, config)
        domain = kind(config, normalizer)
    if not isinstance(getattr(domain, "noise", None), Noise):
        raise UserError(f"{kind.__name__}.noise is missing, or no noise law, such as sd.White()")
    if not isinstance(getattr(domain, "normalizer", None), Normalizer):
        raise UserError(f"{kind.__name__}.normalizer is missing, or no sciddm.Normalizer")
    domain.tasks = make_tasks(domain, config)
    return domain


class _Older(Domain):
    """A package of version 0.1, which makes its domain by a function and says nothing of it before."""


def _imported(path: str, name: str):
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        raise UserError(
            f"config.domain = {name!r}: {error}; expected an importable package such as 'domains.pde'. One of your own is found beside "
            f"the file of --config, or by PYTHONPATH=FOLDER in front of the command"
        ) from error
    except (Exception, SystemExit) as error:  # whatever is wrong with the user's own file
        raise UserError(f"config.domain = {name!r}: {in_words(error)}") from error
