"""Many members made some at a time, each part on the disk as soon as it is there: what was stopped goes on."""

import glob
import json
import os
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import filelock
import jax
import numpy as np
import psutil

from sciddm.activity import Bar, duration
from sciddm.errors import UserError

ABOUT = "about.json"
LONG = 600.0  # seconds, beyond which it is said how long it takes


def in_parts(
    make: Callable, count: int, size: int, folder: Path, about: Mapping[str, object], structure, *, label: str = "sample",
    progress: bool = False,
):  # fmt: skip
    """make(rows) of all `count` rows, `size` at a time, together again: numpy arrays (count, ...). Parts that `folder` holds are read.

    The last part is filled up with its last row, so that one compiled program serves all; a part that is damaged is made anew. `folder`
    stays: remove it (`drop`) once the whole is saved.

    Args: about: name -> plain value, all that the rows depend on; structure: of the pytree that `make` gives, (size, ...) leaves.
    Raises: UserError if the folder holds parts of something else, or another process is at work on them.
    """
    size, folder = min(size, count), Path(folder)
    about = json.loads(json.dumps({**about, "members a part": size}, default=str))
    with _alone(folder):
        try:
            _check(folder, about)
            parts, made = [], 0
            with Bar(total=count, desc=label, unit="member", disable=not progress) as bar:
                for first in range(0, count, size):
                    path = folder / f"members-{first:06d}.npz"
                    found = read_arrays(path, structure)
                    if found is None:
                        rows = np.minimum(np.arange(first, first + size), count - 1)
                        start, made = time.monotonic(), made + 1
                        found = jax.tree.map(np.asarray, make(rows))
                        left = (time.monotonic() - start) * (count - first - size) / size
                        if made == 2 and left > LONG and progress:  # the first one's time is that of compiling, too
                            bar.write(_how_long(label, left, folder), file=sys.stderr)
                        if first + size <= count:  # else its last rows are there for the program's sake alone: a larger count wants others
                            write_arrays(path, found)
                    parts.append(found)
                    bar.update(min(size, count - first))
        except BaseException:
            if not made_of(folder):
                drop(folder)  # nothing to go on with
            raise
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def _how_long(label, seconds, folder):
    return (
        f"{label}: takes about {duration(seconds)} more; Ctrl-C stops it, what is made stays in {folder}, and the same command goes on, "
        "also with a smaller --count"
    )


def drop(folder) -> None:
    """Remove the parts: the whole is saved."""
    shutil.rmtree(folder, ignore_errors=True)


def made_of(folder) -> int:
    """How many parts there are."""
    return len(list(Path(folder).glob("members-*.npz")))


def _alone(folder):
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(f"{folder}: another process is making these members; wait for it, or give another --out") from None


def _check(folder, about):
    path = folder / ABOUT
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError):
        before = None
    if not made_of(folder):
        path.write_text(json.dumps(about, indent=2) + "\n")
    elif before is None:
        raise UserError(f"{folder}: holds members of an answer that is not known; remove it, or give another --out")
    elif before != about:
        key = next(key for key in {**about, **before} if about.get(key) != before.get(key))
        raise UserError(
            f"{folder}: holds members of another answer, whose {key} was {_short(before.get(key))} and is now {_short(about.get(key))}; "
            "remove it, or give another --out"
        )


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def write_arrays(path: Path, tree) -> None:
    """A pytree of arrays as .npz, whole or not at all."""
    for left in path.parent.glob(f"{glob.escape(path.stem)}.*.part"):  # by a process that was killed
        if not psutil.pid_exists(int(left.name.split(".")[-2])):
            left.unlink(missing_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **{f"leaf{i:03d}": leaf for i, leaf in enumerate(jax.tree.leaves(tree))})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read_arrays(path: Path, structure):
    """What `write_arrays` wrote, for a pytree of this structure; None where it is not there, damaged, or another."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return jax.tree.unflatten(structure, [stored[name] for name in sorted(stored.files)])
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, KeyError):
        return None
