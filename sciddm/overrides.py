"""`--config FILE[:VARIANT]` and `--config.key=value`: one way to read them, for all commands."""

import ast
import importlib.util
import shlex
import sys
from pathlib import Path

from sciddm.config import change, complete, known_keys, moved, new_task
from sciddm.errors import UserError
from sciddm.named import near

WORDS = {"true": True, "false": False}


def load_config(name: str, overrides):
    """A config by path and variant, FILE[:VARIANT], complete, with --config.key=value on top. Executes the file.

    Packages beside the file can be imported, such as that of config.domain.
    Raises: UserError that names the file or key at fault, with the near match.
    """
    path, _, variant = name.partition(":")
    path = Path(path)
    if not path.exists():
        raise UserError(
            f"--config {name}: no such file {str(path)!r}; expected FILE[:VARIANT] such as configs/pde.py:smoke"
        )
    check_overrides(overrides)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # behind all others: a file beside the config can't take the place of a library
    try:
        spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        config = module.get_config(variant) if variant else module.get_config()
    except UserError:
        raise
    except Exception as error:  # whatever the user's own Python file raises
        last = (str(error).strip().splitlines() or [""])[-1]
        raise UserError(f"--config {name}: {type(error).__name__}: {last}") from error
    override(config.lock(), overrides, str(path))
    return config


def override(config, items, where: str = "the run's config") -> None:
    """Set keys by arguments --config.key=value, each value read as its key is meant; see `parse_value`. The config is complete then.

    Raises: UserError that names the key, with its new name or the near match.
    """
    check_overrides(items)
    pairs = [item[len("--config.") :].split("=", 1) for item in items]
    # These decide which other keys there are.
    for key, text in sorted(pairs, key=lambda pair: _rank(pair[0])):
        if key.startswith("tasks."):
            complete(config)
        if new_task(key):
            change(config, {key: text})
            continue
        known = known_keys(config)
        if key not in known:
            raise UserError(
                f"--config.{key}: no such key in {where}{moved(config, key) or near(key, known, 'config.')}"
            )
        change(config, {key: parse_value(text, known[key], key)})
    if config.get("domain") and "tasks" in config:
        complete(config)
        for key, _ in pairs:
            if key.startswith("tasks.") and key.split(".")[1] not in config.tasks:
                raise UserError(f"--config.{key}: this config has no such task; it has {sorted(config.tasks)}")


def _rank(key: str) -> int:
    return 0 if key in ("domain", "process.name", "network.kind") else 1 if new_task(key) else 2


def parse_value(text: str, before, key: str = ""):
    """A value from text, of the kind that the key has: words stay words, (16, 32), [16, 32] and 16,32 are a tuple, null is None.

    Raises: UserError where the text can't be of that kind.
    """
    word = text.strip()
    if word.lower() in ("null", "none"):
        return None
    if isinstance(before, str):
        return text
    try:
        value = WORDS[word.lower()] if word.lower() in WORDS else ast.literal_eval(word)
    except (ValueError, SyntaxError):
        value = word
    if isinstance(before, (tuple, list)):
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return tuple(value) if isinstance(value, (tuple, list)) else (value,)
    number = isinstance(before, (int, float)) and not isinstance(before, bool)
    if number and isinstance(value, str) and word.lower() in ("nan", "inf", "-inf"):
        return float(word)
    wanted = type(before)
    fits = isinstance(value, (int, float) if wanted is float else wanted) and isinstance(value, bool) == (wanted is bool)
    if before is not None and not fits:
        raise UserError(
            f"--config.{key}={text}: expected {wanted.__name__}, got {type(value).__name__}; config.{key} is now {before!r}"
        )
    return value


def check_overrides(overrides) -> None:
    """Raises: UserError if one has not the form --config.key=value."""
    for item in overrides:
        if not item.startswith("--config.") or "=" not in item:
            raise UserError(f"argument {item!r} is not known; expected --config.key=value, with the equals sign")


def describe(config) -> str:
    """All keys with their values, a line each, as they would be typed."""
    typed = {key: "null" if value is None else str(value) for key, value in sorted(known_keys(config).items())}
    return "\n".join(shlex.quote(f"--config.{key}={text}") for key, text in typed.items())
