"""Configs: the keys every domain shares, what may stand in them, their plain form in a checkpoint, and older ones brought up to date."""

import contextlib
import math
import sys
import traceback
from collections.abc import Mapping

import ml_collections

from sciddm.caches import folder
from sciddm.errors import UserError
from sciddm.named import near

VERSION = 2  # of the layout of configs; older ones are migrated, see `Domain.migrate`


def base_config() -> ml_collections.ConfigDict:
    """The keys that every domain shares, with defaults; a domain's `get_config(variant)` starts from it."""
    return ml_collections.ConfigDict(
        {
            "version": VERSION,
            "domain": "",  # import path: "domains.pde", or package.module:Name of your own
            "seed": 0,
            "data": {"path": "", "cache": str(folder("data"))},  # path: your own data; empty is the embedded default
            "process": {"name": "edm"},
            "denoiser": {
                "prediction": "edm",
                "sigma_data": ml_collections.config_dict.placeholder(float),
            },  # None: measured
            "objective": {
                "weighting": "edm",
                "times": "log-normal",
                "levels": "sample",
            },  # levels: "frame" for one an entry of the last axis
            "network": {},  # kind, one of the domain's or package.module:Name, and its arguments
            "tasks": {},  # name -> options of a task; see `complete`
            "training": {
                "steps": 4000,
                "wall_minutes": ml_collections.config_dict.placeholder(float),  # a second budget, whichever ends first
                "batch_size": 16,
                "learning_rate": 1e-3,
                "warmup": 100,
                "ema": 0.999,
                "weight_decay": 0.0,
                "grad_clip": 1.0,
                "cond_dropout": 0.1,
                "log_every": 50,
                "accumulate": 1,  # parts of a batch, one after the other: less memory, the same gradient
                "precision": "float32",  # of the network's inside in training, or "bfloat16"
                "held_out": 32,  # held-out samples whose loss is followed; 0 for none
                "reference_steps": ml_collections.config_dict.placeholder(int),  # of the run whose figures are published with this config
            },
            "checkpoint": {"every": 500, "keep": 3},
            "sampling": {"solver": "unipc2-signal", "steps": 20, "grid": "own", "batch_size": 32},
            "evaluation": {"tasks": (), "problems": 4, "members": 8},  # tasks: () is all of the domain's
            "mesh": {"data": -1, "fsdp": 1},
        }
    )


# Bounds of numbers: key -> (test, what was expected).
_POSITIVE = (lambda v: v > 0, "a positive number")
_AT_LEAST_ZERO = (lambda v: v >= 0, "0 or more")
BOUNDS = {
    "data.cache": (lambda v: bool(v.strip()) and "\0" not in v, "a folder, as sciddm.config.base_config() has it"),
    "data.path": (lambda v: "\0" not in v, "a file, a folder or a pattern"),
    "training.steps": (lambda v: v >= 1, "at least 1"),
    "training.wall_minutes": _POSITIVE,
    "training.batch_size": (lambda v: v >= 1, "at least 1"),
    "training.learning_rate": (lambda v: 0 < v <= 1e3, "above 0, at most 1000"),
    "training.warmup": _AT_LEAST_ZERO,
    "training.ema": (lambda v: 0 <= v < 1, "a decay in [0, 1)"),
    "training.weight_decay": _AT_LEAST_ZERO,
    "training.grad_clip": _POSITIVE,
    "training.cond_dropout": (lambda v: 0 <= v <= 1, "a probability"),
    "training.log_every": (lambda v: v >= 1, "at least 1"),
    "training.accumulate": (lambda v: v >= 1, "at least 1"),
    "training.precision": (lambda v: v in ("float32", "bfloat16"), "'float32' or 'bfloat16'"),
    "training.held_out": _AT_LEAST_ZERO,
    "training.reference_steps": (lambda v: v >= 1, "at least 1, or null"),
    "checkpoint.every": (lambda v: v >= 1, "at least 1"),
    "checkpoint.keep": (lambda v: v >= 1, "at least 1"),
    "sampling.steps": (lambda v: 1 <= v <= 10**6, "1 to a million"),
    "sampling.batch_size": (lambda v: v >= 1, "at least 1"),
    "evaluation.problems": (lambda v: v >= 1, "at least 1"),
    "evaluation.members": (lambda v: v >= 2, "at least 2, a spread needs them"),
    "denoiser.sigma_data": (lambda v: 1e-6 <= v <= 1e6, "1e-6 to 1e6, the spread of normalised data"),
    "seed": (lambda v: 0 <= v < 2**32, "0 to 4294967295"),
    "version": (lambda v: v == VERSION, f"{VERSION}, that of this sciddm"),
}


def validate(config) -> None:
    """Check all keys before anything is made: there, of the right type, finite, within bounds, known to what takes them.

    Raises: UserError that names the key, with the near match where it is unknown.
    """
    from sciddm.checks import check_parts  # solvers, networks and tasks, which keys alone do without

    check_shared(config)
    check_parts(config)


def check_shared(config) -> None:
    """The keys that every domain shares. Raises: UserError as `validate`."""
    check_groups(config)
    flat, shared = flatten(resolved(config)), flatten(base_config().to_dict())
    for key, default in shared.items():
        if key not in flat:
            raise UserError(
                f"config.{key} is missing; expected it as in sciddm.config.base_config(){near(key, flat, 'config.')}"
            )
        value = flat[key]
        if value is None and default is None:
            continue
        wanted = float if default is None else type(default)
        allowed = {float: (int, float), tuple: (list,)}.get(wanted, (wanted,))
        if isinstance(value, bool) != (wanted is bool) or not isinstance(value, allowed):
            raise UserError(f"config.{key} = {value!r}: expected {wanted.__name__}, got {type(value).__name__}")
    for key, value in flat.items():
        if not _is_plain(value):
            raise UserError(f"config.{key} is a {type(value).__name__}; expected a number, a word, True, False, None, or a tuple of them")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config.{key} = {value}: expected a finite number")
        if key in BOUNDS and value is not None and not BOUNDS[key][0](value):
            raise UserError(f"config.{key} = {value if value != '' else repr(value)}: expected {BOUNDS[key][1]}")
    if config.training.batch_size % config.training.accumulate:
        raise UserError(
            f"config.training.accumulate = {config.training.accumulate}: expected a divisor of "
            f"config.training.batch_size = {config.training.batch_size}"
        )
    for group in ("training", "checkpoint", "sampling", "evaluation", "mesh", "objective", "denoiser"):
        for key in config[group]:
            if f"{group}.{key}" not in shared:
                raise UserError(f"config.{group}.{key} is not known{near(f'{group}.{key}', shared, 'config.')}")


def check_groups(config) -> None:
    """That the groups of keys are there, and no others. Raises: UserError that names the group."""
    if not config.get("domain"):
        raise UserError("config.domain is empty; expected an import path such as 'domains.pde'")
    shared = base_config()
    for key, default in shared.items():
        if isinstance(default, ml_collections.ConfigDict) and not isinstance(config.get(key), ml_collections.ConfigDict):
            raise UserError(f"config.{key} = {config.get(key)!r}: expected a group of keys, as in sciddm.config.base_config()")
    for key in config:
        if key not in shared:
            raise UserError(f"config.{key} is not known{near(key, shared, 'config.')}")


def _is_plain(value) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


@contextlib.contextmanager
def naming_keys():
    """A key that a domain asks for and the config lacks, in one line. Raises: UserError that names the key."""
    try:
        yield
    except (AttributeError, KeyError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        if "ml_collections" not in frames[-1].filename:
            raise
        said = str(error).strip("\"").splitlines()[0].split(" Did you mean")[0]
        raise UserError(f"config: {said}; config.domain wants it: take a config of this domain") from error


def complete(config):
    """`config` with every option of every task that it has, those that it lacks with their defaults, and without tasks of its domain that
    it does not have, such as those of another equation. Changes and returns it."""
    from sciddm.domain import domain_type
    from sciddm.tasks.base import task_options, task_types

    kind = domain_type(config)
    with naming_keys():
        types = task_types(kind, config)
    with config.unlocked():
        for name in set(config.tasks) & set(kind.task_types) - set(types):
            del config.tasks[name]
        for name, task in types.items():
            if isinstance(task, type):
                config.tasks[name] = task_options(task) | config.tasks.get(name, ml_collections.ConfigDict()).to_dict()
    return config


def resolved(config) -> dict:
    """The config as plain JSON values: tuples become lists."""

    def plain(value):
        if isinstance(value, (Mapping, ml_collections.ConfigDict)):
            return {key: plain(value[key]) for key in value}
        return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value

    return plain(config)


def restored(stored: Mapping) -> ml_collections.ConfigDict:
    """The config of a checkpoint's plain form, complete; one of an older version is migrated, with a word on stderr.

    Keys that every domain shares and that the config is older than have their defaults.
    """
    from sciddm.domain import domain_type

    stored, version = dict(stored), stored.get("version", 1)
    for key in ("domain", "data"):
        if key not in stored:
            raise UserError(f"the stored config lacks {key!r}; is it one of sciddm?")
    if version > VERSION:
        raise UserError(f"the config is of version {version}, this sciddm knows {VERSION}; install a newer sciddm")
    if not isinstance(version, int):
        raise UserError(f"config.version = {version!r}: expected a whole number")
    if version < VERSION:
        stored = domain_type(stored).migrate(stored, version) | {"version": VERSION}
        print(f"config of version {version}: brought to version {VERSION}", file=sys.stderr)
    groups = {key: value for key, value in resolved(base_config()).items() if isinstance(value, dict)}
    merged = {
        key: groups.get(key, {}) | value if isinstance(value, Mapping) else value for key, value in stored.items()
    }
    return complete(ml_collections.ConfigDict(_tuples(groups | merged)))


def _tuples(value):
    # JSON has lists where configs have tuples
    if isinstance(value, Mapping):
        return {key: _tuples(one) for key, one in value.items()}
    return tuple(_tuples(one) for one in value) if isinstance(value, (list, tuple)) else value


def as_variant(config, variant: str, **variants):
    """`config` changed by the function of that name, and complete; for `get_config(variant)`. Raises: UserError on another name."""
    if variant not in variants:
        raise UserError(f"variant {variant!r} is none of {sorted(variants)}{near(variant, variants)}")
    variants[variant](config)
    return complete(config)


def flatten(tree: Mapping, prefix: str = "") -> dict:
    """{"training.steps": 4000, ...}."""
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
