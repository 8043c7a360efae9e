"""Configs: the keys every domain shares, what may stand in them, and their plain form in a checkpoint."""

import difflib
import math
from collections.abc import Mapping
from typing import Any

import ml_collections

from sciddm.errors import UserError


def base_config() -> ml_collections.ConfigDict:
    """The keys that every domain shares, with defaults; a domain's `get_config(variant)` starts from it."""
    return ml_collections.ConfigDict(
        {
            "domain": "",  # import path: "domains.pde", or a package of your own
            "seed": 0,
            "data": {"path": "", "cache": "~/.cache/sciddm/data"},  # path: your own data; empty is the embedded default
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
            "network": {},
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
            },
            "checkpoint": {"every": 500, "keep": 3},
            "sampling": {"solver": "unipc2", "steps": 20, "grid": "optimised", "batch_size": 32},
            "evaluation": {"tasks": (), "problems": 4, "members": 8},  # tasks: () is all of the domain's
            "mesh": {"data": -1, "fsdp": 1},
        }
    )


# Bounds of numbers: key -> (test, what was expected).
_POSITIVE = (lambda v: v > 0, "a positive number")
_AT_LEAST_ZERO = (lambda v: v >= 0, "0 or more")
BOUNDS = {
    "training.steps": (lambda v: v >= 1, "at least 1"),
    "training.wall_minutes": _POSITIVE,
    "training.batch_size": (lambda v: v >= 1, "at least 1"),
    "training.learning_rate": _POSITIVE,
    "training.warmup": _AT_LEAST_ZERO,
    "training.ema": (lambda v: 0 <= v < 1, "a decay in [0, 1)"),
    "training.weight_decay": _AT_LEAST_ZERO,
    "training.grad_clip": _POSITIVE,
    "training.cond_dropout": (lambda v: 0 <= v <= 1, "a probability"),
    "training.log_every": (lambda v: v >= 1, "at least 1"),
    "checkpoint.every": (lambda v: v >= 1, "at least 1"),
    "checkpoint.keep": (lambda v: v >= 1, "at least 1"),
    "sampling.steps": (lambda v: v >= 1, "at least 1"),
    "sampling.batch_size": (lambda v: v >= 1, "at least 1"),
    "evaluation.problems": (lambda v: v >= 1, "at least 1"),
    "evaluation.members": (lambda v: v >= 2, "at least 2, a spread needs them"),
    "denoiser.sigma_data": _POSITIVE,
}


def validate(config) -> None:
    """Check the shared keys: there, of the right type, finite and within bounds.

    Raises: UserError that names the key, with the near match where it is unknown.
    """
    if not config.get("domain"):
        raise UserError("config.domain is empty; expected an import path such as 'domains.pde'")
    flat, shared = flatten(resolved(config)), flatten(base_config().to_dict())
    for key, default in shared.items():
        if key not in flat:
            raise UserError(f"config.{key} is missing; expected it as in sciddm.config.base_config(){near(key, flat)}")
        value = flat[key]
        if value is None and default is None:
            continue
        wanted = float if default is None else type(default)
        allowed = {float: (int, float), tuple: (list,)}.get(wanted, (wanted,))
        if isinstance(value, bool) != (wanted is bool) or not isinstance(value, allowed):
            raise UserError(f"config.{key} = {value!r}: expected {wanted.__name__}, got {type(value).__name__}")
    for key, value in flat.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config.{key} = {value}: expected a finite number")
        if key in BOUNDS and value is not None and not BOUNDS[key][0](value):
            raise UserError(f"config.{key} = {value}: expected {BOUNDS[key][1]}")
    for group in ("training", "checkpoint", "sampling", "evaluation", "mesh", "objective", "denoiser"):
        for key in config[group]:
            if f"{group}.{key}" not in shared:
                raise UserError(f"config.{group}.{key} is not known{near(f'{group}.{key}', shared)}")


def near(key: str, known) -> str:
    """ "; did you mean ...?", or nothing."""
    match = difflib.get_close_matches(key, list(known), n=1)
    return f"; did you mean config.{match[0]}?" if match else ""


def resolved(config) -> dict:
    """The config as plain JSON values: tuples become lists."""

    def plain(value):
        if isinstance(value, (Mapping, ml_collections.ConfigDict)):
            return {key: plain(value[key]) for key in value}
        return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value

    return plain(config)


def restored(stored: Mapping) -> ml_collections.ConfigDict:
    """The config of a checkpoint's plain form; keys that every domain shares and that it is older than have their defaults."""
    groups = {key: value for key, value in resolved(base_config()).items() if isinstance(value, dict)}
    return ml_collections.ConfigDict(
        {key: groups[key] | value if key in groups else value for key, value in dict(stored).items()}
    )


def change(config: ml_collections.ConfigDict, changes: Mapping[str, Any]) -> None:
    """Set keys of a config by their dotted names: {"data.guidance.steps": 20}.

    Raises: UserError that names the key where it is unknown, with the near match, or the value of another type.
    """
    known = flatten(config.to_dict())
    for key, value in changes.items():
        if key not in known:
            raise UserError(f"config.{key} is not known{near(key, known)}")
        try:
            config.update_from_flattened_dict({key: value})
        except TypeError as error:
            raise UserError(
                f"config.{key} = {value!r}: expected {type(known[key]).__name__}, got {type(value).__name__}"
            ) from error


def flatten(tree: Mapping, prefix: str = "") -> dict:
    """{"training.steps": 4000, ...}."""
    flat = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
