"""Keys of a config set otherwise, in one way for all commands: `--config FILE[:VARIANT]`, `--config.key=value`, `sd.load(changes=...)`.

Domains, networks and tasks are imported inside the functions, so that a file that is not there is said at once.
"""

import ast
import json
import shlex
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from sciddm.config import check_groups, complete, flatten, naming_keys, restored
from sciddm.config_files import find
from sciddm.errors import UserError, in_words
from sciddm.named import defaults_of, near, options_of

MAY_BE_NONE = ("training.wall_minutes", "training.reference_steps", "denoiser.sigma_data")  # and options of tasks, which say so themselves
BESIDE: set[str] = set()  # folders of configs, of which only the command that reads the config knows
WORDS = {"true": True, "false": False, "null": None, "none": None}


def load_config(name: str, arguments):
    """A config by path or name and variant, as `config_files.find` takes it, complete, with --config.key=value on top. Executes the file,
    unless it is the config.json of a run, which holds values alone.

    Packages beside the file can be imported, such as that of config.domain.
    Raises: UserError that names the file or key at fault, with the near match.
    """
    path, variant = find(name)
    changes, folder = as_changes(arguments), str(path.resolve().parent)
    if path.suffix.lower() == ".json":
        if variant:
            raise UserError(f"--config {name}: config.json of a run has no variants; leave :{variant} out")
        return _changed(_of_run(name, path), changes, str(path))
    if folder not in sys.path:
        sys.path.append(folder)  # behind all others: a file beside the config can't take the place of a library
        BESIDE.add(folder)
    try:
        module = types.ModuleType(f"config_{path.stem}")
        module.__file__ = str(path)
        source = path.read_bytes()
        if b"\0" in source:
            raise UserError(f"--config {name}: is no text; expected a Python file with get_config()")
        exec(compile(source, str(path), "exec"), vars(module))
        if not hasattr(module, "get_config"):
            raise UserError(f"--config {name}: has no get_config(); expected a Python file with one, that returns the config")
        config = module.get_config(variant) if variant else module.get_config()
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's own Python file raises
        raise UserError(f"--config {name}: {in_words(error)}") from error
    if not isinstance(config, ml_collections.ConfigDict) or "tasks" not in config:
        raise UserError(
            f"--config {name}: get_config gives a {type(config).__name__}; expected that of sciddm.config.base_config(), changed"
        )
    return _changed(config, changes, str(path))


def _changed(config, changes, where):
    check_groups(config)
    change(config.lock(), changes, where)
    return config


def _of_run(name, path):
    # the config of a run, of a version of sciddm that may be older
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise UserError(f"--config {name}: can't be read as JSON ({said}); expected config.json of a run") from error
    if not isinstance(stored, dict):
        raise UserError(f"--config {name}: holds a {type(stored).__name__}; expected config.json of a run")
    return restored(stored)


def found_beside(config) -> str:
    """ "PYTHONPATH=FOLDER ", which later commands need in front where the domain was found beside the config, else nothing."""
    file = getattr(sys.modules.get(config.domain.partition(":")[0]), "__file__", None) or ""
    folder = str(Path(file).resolve().parent)
    return f"PYTHONPATH={shlex.quote(folder)} " if folder in BESIDE else ""


def as_changes(arguments) -> dict[str, "Text"]:
    """{"tasks.inverse.steps": "20"} of ["--config.tasks.inverse.steps=20"]. Raises: UserError if one has another form."""
    for item in arguments:
        if not item.startswith("--config.") or "=" not in item:
            raise UserError(f"argument {item!r} is not known; expected --config.key=value, with the equals sign")
    return {key: Text(text) for key, text in (item[len("--config.") :].split("=", 1) for item in arguments)}


class Text(str):
    """A value as it was typed; `parse_value` reads it as its key is meant."""


def change(config: ml_collections.ConfigDict, changes: Mapping[str, Any], where: str = "the run's config") -> None:
    """Set keys by their dotted names, {"tasks.inverse.steps": 20}, and complete the config.

    Another process.name or network.kind takes the options of the former one away; tasks.<name>.kind adds a task of one's own.
    Raises: UserError that names the key where it is unknown, with its new name or the near match, or a value of another type.
    """
    for key, value in sorted(changes.items(), key=lambda item: _rank(item[0])):
        if not isinstance(key, str):
            raise UserError(f"key {key!r}: expected words with dots between, such as tasks.inverse.steps")
        if key == "version" and str(value) != str(config.version):
            raise UserError("config.version is the layout of the config; it can't be set")
        if _rank(key) == TASKS_OWN:
            with config.unlocked():
                name = key.split(".")[1]
                config.tasks[name] = dict(config.tasks.get(name, {})) | {"kind": str(value)}
        if key.startswith("tasks."):
            _begin(config, key.split(".")[1], changes)
        complete(config)  # which tasks there are hangs on the other keys
        known = known_keys(config)
        if key not in known and _is_open(config, key):
            known[key] = ""
        if key not in known:
            raise UserError(f"config.{key}: no such key in {where}{_belongs(config, key) or near(key, known, 'config.')}")
        before = known[key]
        value = parse_value(value, before, key) if isinstance(value, Text) else _fitting(value, before, key)
        with config.ignore_type(), config.unlocked():
            if key in ("process.name", "network.kind") and value != before:
                config[key.split(".")[0]] = ml_collections.ConfigDict()
            config.update_from_flattened_dict({key: value})
    complete(config)
    for key in changes:
        if key.startswith("tasks.") and key.split(".")[1] not in config.tasks:
            raise UserError(f"config.{key}: this config has no such task; it has {sorted(config.tasks)}")


def _begin(config, name: str, changes) -> None:
    # A task of the domain that the config lacks, with what is changed of it: it may be one that is there by that alone, such as by the
    # second run that it needs.
    from sciddm.domain import domain_type
    from sciddm.tasks.base import task_options

    task = domain_type(config).task_types.get(name)
    if name in config.tasks or not isinstance(task, type):
        return
    options, said = task_options(task), {key.removeprefix(f"tasks.{name}."): value for key, value in changes.items()}
    with config.unlocked():
        config.tasks[name] = {
            option: parse_value(value, options[option], option) if isinstance(value, Text) else value
            for option, value in said.items()
            if option in options
        }


def _is_open(config, key: str) -> bool:
    # Whether the key is an entry of a group without keys of its own, {} in a config, such as data.names.u; its values are words.
    group, _, name = key.rpartition(".")
    base, parts = config, group.split(".")
    for part in parts:
        if not isinstance(base, ml_collections.ConfigDict) or part not in base:
            return False
        base = base[part]
    fixed = ("process", "network", "tasks", "training", "denoiser", "objective", "sampling", "checkpoint", "evaluation", "mesh")
    words = isinstance(base, ml_collections.ConfigDict) and all(isinstance(value, str) for value in base.values())
    return bool(name) and parts[0] not in fixed and len(parts) > 1 and words  # the first level is never open


def known_keys(config) -> dict:
    """All keys that may be set, with their values: those that the config has, and options of its process and network at their defaults."""
    from sciddm.domain import domain_type
    from sciddm.networks.kinds import network_kind
    from sciddm.tasks.base import GIVEN, task_types
    from sciddm.train.state import process_constructor

    keys = flatten(config.to_dict())
    try:
        kind, constructor = domain_type(config), process_constructor(config)
        options = {f"process.{key}": value for key, value in defaults_of(constructor, ("noise",)).items()}
        if kind.networks:
            with naming_keys():
                outline = kind.outline(config)
            given = (*(outline.network_inputs if outline else ()), "rngs")
            name, network, _ = network_kind(config.network, kind.networks)
            options["network.kind"] = name
            options |= {f"network.{key}": value for key, value in defaults_of(network, given).items()}
        for name, task in task_types(kind, config).items():  # those without a default, too
            if isinstance(task, type):
                options |= {f"tasks.{name}.{key}": None for key in options_of(task, GIVEN)}
    except (UserError, KeyError):  # a key that these hang on is wrong: said in its place
        return keys
    return options | keys


FIXED = ("domain", "process", "denoiser", "network", "seed", "data")  # what a network is trained on and under


def fixed_by_training(config, trained, groups=FIXED) -> tuple[str, Any, Any] | None:
    """(key, value in training, value now) of the first key that training has fixed and that is another now; None where there is none.

    Where data lie (data.path, data.cache) may change; so may what only one of the two configs has.
    """
    now, then = (known_keys(one) for one in (config, trained))
    for key in sorted(now, key=lambda key: (key != "domain", key)):
        if key.split(".")[0] in groups and key not in ("data.path", "data.cache") and key in then:
            if plain(now[key]) != plain(then[key]):
                return key, then[key], now[key]
    return None


def plain(value):
    """Tuples as lists, as JSON has them."""
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def parse_value(text: str, before, key: str = ""):
    """A value from text, of the kind that the key has: words stay words, (16, 32), [16, 32] and 16,32 are a tuple, null is None.

    Raises: UserError where the text can't be of that kind.
    """
    word = text.strip()
    if isinstance(before, str) and word.lower() not in ("null", "none"):
        return str(text)
    try:
        value = WORDS[word.lower()] if word.lower() in WORDS else ast.literal_eval(word)
    except (ValueError, SyntaxError):
        value = float(word) if isinstance(before, float) and word.lower() in ("nan", "inf", "-inf") else word
    if isinstance(before, (tuple, list)) and value is not None:
        if isinstance(value, str):
            value = tuple(part.strip() for part in value.split(",") if part.strip())
        value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return _fitting(value, before, key)


def _fitting(value, before, key: str):
    # the value, of the type of the one before, where either is not None
    wanted = type(before)
    if value is None and (before is None or key in MAY_BE_NONE or key.startswith("tasks.")):
        return value
    if before is None:
        if isinstance(value, bool) and key in MAY_BE_NONE:
            raise UserError(f"config.{key} = {value!r}: expected a number, or null")
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if wanted in (tuple, list) and isinstance(value, (tuple, list)):
        return tuple(value)
    if not isinstance(value, wanted) or isinstance(value, bool) != (wanted is bool):
        raise UserError(f"config.{key} = {value!r}: expected {wanted.__name__}, got {type(value).__name__}; it is now {before!r}")
    return value


FIRST, TASKS_OWN, OTHERS = range(3)


def _rank(key: str) -> int:
    # the order in which keys are set: some decide which others there are
    parts = key.split(".")
    if key in ("domain", "process.name", "network.kind"):
        return FIRST
    return TASKS_OWN if len(parts) == 3 and parts[0] == "tasks" and parts[2] == "kind" else OTHERS


def _belongs(config, key: str) -> str:
    # "; it is now config..." where an older version had the key, "; it is an option of ..." where another process or network has it
    from sciddm.domain import domain_type
    from sciddm.process import PROCESSES, GaussianProcess

    try:
        kind = domain_type(config)
    except UserError:
        return ""
    for old, new in kind.renamed_keys.items():
        if key == old or key.startswith(old + "."):
            return "; it is now " + " and ".join(f"config.{one}{key[len(old) :]}" for one in new)
    group, _, option = key.partition(".")
    processes = {name: getattr(GaussianProcess, name) for name in PROCESSES}
    others = {"process": processes, "network": kind.networks}.get(group, {})
    has = [name for name, other in others.items() if option in options_of(other)]
    own = config[group].get("name" if group == "process" else "kind", next(iter(others))) if has else None
    if own in has:
        return "; it is given by the domain"
    return f"; it is an option of {group} {' and '.join(map(repr, has))}, this one is {own!r}" if has else ""


def describe(config) -> str:
    """All keys with their values, a line each, as they would be typed."""
    typed = {key: "null" if value is None else str(value) for key, value in sorted(known_keys(config).items())}
    return "\n".join(shlex.quote(f"--config.{key}={text}") for key, text in typed.items())
