"""`sciddm train --sweep KEY=A,B --sweep ...`: a run for each combination of values, one after the other, or one of them by its number."""

import ast
import itertools
import math
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from sciddm.errors import UserError

ARRAY = "SLURM_ARRAY_TASK_ID"  # which SLURM sets for each task of an array


def combinations(sweeps: Sequence[str]) -> dict[str, dict[str, str]]:
    """{folder name: {key: value as typed}} of ["seed=0,1", "training.learning_rate=1e-3,2e-3"], the last key changing fastest.

    Values are parted at commas outside of brackets: network.channels=(16,32),(32,64) are two. Raises: UserError that names the argument.
    """
    keys = {}
    for text in sweeps:
        key, equals, values = text.partition("=")
        key, parts = key.strip().removeprefix("config."), _parted(values)
        if not (key and equals and parts and all(parts)):
            raise UserError(f"--sweep {text}: expected KEY=A,B,... such as training.learning_rate=1e-3,2e-3")
        if key in keys:
            raise UserError(f"--sweep {text}: {key} is there twice; give all its values at once")
        keys[key] = parts
    found = {}
    for values in itertools.product(*keys.values()):
        one = dict(zip(keys, values, strict=True))
        name = ",".join(f"{key}={_safe(value)}" for key, value in one.items())
        if name in found:
            raise UserError(f"--sweep: two of its runs would be {name!r}; give each value once, and such that differ in letters or digits")
        found[name] = one
    return found


def index(given: int | None, count: int) -> int | None:
    """Which combination alone: `given`, or that of a SLURM array, from 0; None for all. Raises: UserError if there is no such one."""
    name = "--sweep-index" if given is not None else ARRAY
    text = str(given) if given is not None else os.environ.get(ARRAY) or None
    if text is None:
        return None
    if not text.isdecimal() or int(text) >= count:
        raise UserError(f"{name} = {text}: the sweep has {count} combinations, expected 0 to {count - 1}")
    return int(text)


def train_all(configs: Mapping[Path, object], **options) -> None:
    """Train each config in its workdir, going on where one was stopped and passing over what is done.

    One that fails is said and the others go on. Raises: UserError at the end if any failed, or where the sweep was asked to stop.
    """
    from sciddm.compare import side_by_side
    from sciddm.runs import finished, read
    from sciddm.train import fit

    failed = []
    for place, (workdir, config) in enumerate(configs.items()):
        say = f"sweep {place + 1} of {len(configs)}: {workdir}"
        if _done(workdir, config, options):
            print(f"{say}: done already", file=sys.stderr)
            continue
        print(say, file=sys.stderr)
        try:
            fit(config, workdir, **options)
        except Exception as error:  # a combination that takes too much memory, too: the others may take less
            failed.append(workdir)
            if not isinstance(error, UserError):
                traceback.print_exc()
            print(f"{say}: failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}", file=sys.stderr)
            continue
        if not finished(read(workdir)):
            raise UserError(f"the sweep was stopped in {workdir}; the same command goes on from there")
    runs = [read(workdir) for workdir in configs if workdir not in failed]
    if len(runs) > 1:
        print(side_by_side(runs))
    if failed:
        raise UserError(f"{len(failed)} of {len(configs)} runs failed, {', '.join(map(str, failed))}: each said why when it did")


def for_all(configs: Sequence):
    """A config whose batch is divided by as many devices as divide those of all: what `use_cores` is asked with."""
    config = configs[0].copy_and_resolve_references()
    config.training.batch_size = math.gcd(*(one.training.batch_size // one.training.accumulate for one in configs))
    config.training.accumulate = 1
    return config


def _done(workdir: Path, config, options: Mapping) -> bool:
    # by the budget that is asked for now, which may be larger than that of the run
    from sciddm.config import resolved
    from sciddm.runs import finished, read
    from sciddm.train.origin import check_same_origin

    if not (workdir / "checkpoints").is_dir():
        return False
    try:
        run = read(workdir)
        check_same_origin(options.get("init_from"), options.get("statistics", "kept"), run.meta, workdir)
    except UserError:  # `fit` says what is wrong, or begins
        return False
    return run.meta["config"] == resolved(config) and finished(run)


def _parted(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _safe(value: str) -> str:
    # for the name of a folder: numbers in one way of writing them, whatever else a shell or a file system minds as a dash
    try:
        read = ast.literal_eval(value)
        text = "-".join(map(str, read)) if isinstance(read, (tuple, list)) else str(read)
    except (ValueError, SyntaxError):
        text = value.strip("/~. ")
    return re.sub(r"[^\w.+-]+", "-", text) or "empty"
