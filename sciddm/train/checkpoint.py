"""Checkpoints that are whole or not there: orbax for the arrays, a digest per array for what neither it nor the disk notices.

What a run says of itself is read without jax and orbax, which take seconds to import, and arrays of it without orbax.
"""

import contextlib
import hashlib
import json
import math
import re
import shlex
import shutil
import sys
from pathlib import Path

from sciddm.data.made import replace_text
from sciddm.errors import UserError

CONFIG_VERSION = 1
MARGIN = 8e6  # bytes left free for metadata, metrics and pictures
ASIDE = re.compile(r"\d+\.damaged.*")  # what was set aside
CHECKED_WHOLE = 3e8  # bytes: read in about half a second


class Checkpoints:
    """The checkpoints of a workdir. With `read_only` nothing is ever made, moved or deleted; else what is not whole is set aside, never
    deleted, and where nothing else is left UserError is raised unless it is to begin `anew`."""

    def __init__(self, workdir, keep: int = 3, read_only: bool = False, anew: bool = False, say=None):
        self.directory = _resolved(workdir) / "checkpoints"
        self.say = say or (lambda message: print(message, file=sys.stderr))
        self.read_only = read_only
        if read_only:
            self._manager = None
            if not self.directory.is_dir():
                raise UserError(f"{workdir}: holds no checkpoints; expected the workdir of `sciddm train`")
            if not self.steps() and (lost := self._not_whole()):
                raise UserError(self._nothing_whole(lost))
            if not self.steps() and (others := self._misnamed()):
                raise UserError(self._under_another_name(others[0]))
        else:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._clear_unfinished()
            if lost := self._not_whole():
                if not self.steps() and not anew:
                    raise UserError(self._nothing_whole(lost) + "; or begin again at step 0 with --anew, which keeps them")
                for name in lost:
                    if _is_step(name):
                        self._move_aside(int(name), "it lacks files, as a copy that was cut short does")
            for other in self._misnamed():
                if not self.steps() and not anew:
                    raise UserError(self._under_another_name(other) + "; or begin again at step 0 with --anew, which keeps it")
                self.say(f"checkpoints/{other} is not used: a checkpoint is named by its step and nothing else; it is left as it is")
            import orbax.checkpoint as ocp

            policy = ocp.checkpoint_managers.LatestN(keep)
            options = ocp.CheckpointManagerOptions(
                create=False, preservation_policy=policy, enable_async_checkpointing=True
            )
            self._manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """Steps with a finished checkpoint, newest first."""
        found = [path for path in self.directory.iterdir() if _is_step(path.name) and _finished(path)]
        return sorted((int(path.name) for path in found), reverse=True)

    def save(self, state, meta: dict) -> None:
        """Start writing `state`; the disk's verdict on it comes with the next `save` or `wait`.

        Raises: UserError if the disk is full or can't be written; older checkpoints are intact.
        """
        import jax
        import orbax.checkpoint as ocp

        step = int(state.step)
        if step in self.steps():
            return
        self.wait()
        # Found out beforehand, a full disk is one clear line; found out by the writing threads, it is that line among theirs.
        need = 1.2 * sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + MARGIN
        free = shutil.disk_usage(self.directory).free
        if free < need:
            raise UserError(self._full(f"{free / 1e6:.1f} MB are free, {need / 1e6:.1f} MB needed for step {step}"))
        meta = meta | {
            "config_version": CONFIG_VERSION,
            "step": step,
            "digests": digests(state),
            "shapes": shapes(state),
        }
        # A copy: the save goes on in the background while the loop goes on with its own lists.
        meta = json.loads(json.dumps(meta | {"digest": meta_digest(meta)}))
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(meta)),
                force=True,
            )
        except Exception as error:  # orbax and tensorstore wrap the operating system's word in types of their own
            self._clear_unfinished()
            raise UserError(self._full(first_line(error))) from error

    def wait(self) -> None:
        """Until everything started is on the disk. Raises: UserError if it is not."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            self._clear_unfinished()
            raise UserError(self._full(first_line(error))) from error

    def meta(self, step: int | None = None) -> dict | None:
        """The newest readable metadata, or that of a step; None if there is no checkpoint.

        Raises: UserError if the step asked for is not there.
        """
        steps = self.steps()
        if step is not None and step not in steps:
            raise UserError(f"{self.directory}: no checkpoint of step {step}; there are {steps or 'none'}")
        for candidate in steps if step is None else [step]:
            try:
                return self._read_meta(candidate)
            except Exception as error:
                self._set_aside(candidate, f"its metadata can't be read ({first_line(error)})")
        if steps:
            raise UserError(
                f"{self.directory}: none of the checkpoints {steps} can be read; choose another --workdir, or copy the run again"
            )
        return None

    def amend(self, step: int, changes: dict) -> None:
        """Put `changes` into the metadata of a finished checkpoint, whole or not at all; its arrays stay as they are."""
        meta = self._read_meta(step) | changes
        meta = json.loads(json.dumps(meta | {"digest": meta_digest(meta)}))
        replace_text(self.directory / str(step) / "meta" / "metadata", json.dumps(meta))

    def restore(self, abstract_state, step: int | None = None):
        """(state, meta) of the newest whole checkpoint, placed as `abstract_state` says; None if there is none.

        A damaged one is set aside, said aloud, and the one before it is taken.
        Raises: UserError if there were checkpoints but none is whole, or if they hold arrays of another network.
        """
        import orbax.checkpoint as ocp

        def read(candidate, meta):
            if different := sorted(set(map(str, meta["shapes"].items())) ^ set(map(str, shapes(abstract_state).items()))):
                raise UserError(self._of_another(different[0]))
            with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
                folder = self.directory / str(candidate) / "state"
                state = reader.restore(folder, args=ocp.args.StandardRestore(abstract_state))
            return state, digests(state)

        return self._newest_whole(read, step)

    def arrays(self, part: str, step: int | None = None):
        """({name: array}, meta) of a part of the state, "params" or "ema", in the newest whole checkpoint; None if there is none.

        Names are those of `shapes` without the part, such as "['out']['kernel']". Of a large state nothing else is read, and a checkpoint
        that is damaged elsewhere is whole; of one below `CHECKED_WHOLE` all is, so that training and sampling agree on which is the newest.
        Raises: UserError if there were checkpoints but none is whole.
        """

        def read(candidate, meta):
            size = 4.0 * sum(math.prod(shape) for shape, _ in meta["shapes"].values())
            names = [name for name in meta["shapes"] if size < CHECKED_WHOLE or name.startswith(f".{part}[")]
            found = dict(zip(names, _read_arrays(self.directory / str(candidate) / "state", names), strict=True))
            wanted = {name[len(part) + 1 :]: one for name, one in found.items() if name.startswith(f".{part}[")}
            return wanted, {name: _digest(one) for name, one in found.items()}

        return self._newest_whole(read, step)

    def _newest_whole(self, read, step: int | None):
        # (what is read, meta) of the newest checkpoint whose digests are right; read: (step, meta) -> (what is read, its digests)
        steps = self.steps() if step is None else [step]
        for candidate in steps:
            try:
                meta = self._read_meta(candidate)
                found, seen = read(candidate, meta)
            except UserError:
                raise
            except Exception as error:
                self._set_aside(candidate, f"it can't be read ({first_line(error)})")
                continue
            wrong = [name for name, digest in seen.items() if meta["digests"].get(name) != digest]
            if not wrong:
                return found, meta
            self._set_aside(candidate, f"array {wrong[0]} is damaged (its checksum differs)")
        if step is not None:
            raise UserError(
                f"{self.directory}: the checkpoint of step {step} is not whole; the others are {self.steps()}"
            )
        if steps:
            raise UserError(
                f"{self.directory}: none of the checkpoints {steps} is whole; choose another --workdir, or copy the run again"
            )
        return None

    def close(self) -> None:
        if self._manager is not None:
            self.wait()
            self._manager.close()

    def _clear_unfinished(self) -> None:
        # A save that a kill or a full disk interrupted, or a step whose deletion was: either would stand in a later save's way.
        for path in self.directory.iterdir():
            if "orbax-checkpoint-tmp" in path.name:
                shutil.rmtree(path, ignore_errors=True)

    def _not_whole(self) -> list[str]:
        # names of folders of checkpoints that can't be read, or could not be
        there = self.directory.iterdir()
        return sorted(path.name for path in there if ASIDE.fullmatch(path.name) or _is_step(path.name) and not _finished(path))

    def _misnamed(self) -> list[str]:
        # names of folders that hold a checkpoint and are called by no step, such as "04" or "4 (copy)"
        there = (path for path in self.directory.iterdir() if not (_is_step(path.name) or ASIDE.fullmatch(path.name)))
        return sorted(path.name for path in there if (path / "meta").is_dir() and (path / "state").is_dir())

    def _under_another_name(self, name) -> str:
        path = self.directory / name
        try:
            to = str(int(json.loads((path / "meta" / "metadata").read_text())["step"]))
        except (OSError, ValueError, KeyError, TypeError):
            to = "STEP"
        typed = f"mv {shlex.quote(str(path))} {shlex.quote(str(self.directory / to))}"
        return f"{path}: is a checkpoint that is not named by its step alone; name it so, by {typed}"

    def _nothing_whole(self, names) -> str:
        return f"{self.directory}: no checkpoint is whole, there is {', '.join(names)}; copy it again, or choose another --workdir"

    def _read_meta(self, step) -> dict:
        meta = json.loads((self.directory / str(step) / "meta" / "metadata").read_text())
        if meta["digest"] != meta_digest(meta):
            raise ValueError("its checksum differs")
        if meta["step"] != step:  # later steps would be older than it, and never be looked at
            raise ValueError(f"it is of step {meta['step']}, under another name")
        return meta

    def _set_aside(self, step: int, why: str) -> None:
        before = [s for s in self.steps() if s < step]
        self.say(
            f"checkpoint {step} is not used: {why}; {f'taking step {before[0]} before it' if before else 'there is none before it'}"
        )
        if self._manager is not None:
            self._rename(step)
            self._manager.reload()

    def _move_aside(self, step: int, why: str) -> None:
        if before := self.steps():
            self.say(f"checkpoint {step} is not used: {why}; it is kept as {self._rename(step)}, there is step {before[0]}")
        else:
            self.say(f"checkpoint {step} is not used: {why}; it is kept as {self._rename(step)}")

    def _rename(self, step: int) -> str:
        # to a name that no second damage takes
        path = self.directory / str(step)
        names = (f"{step}.damaged{end}" for end in ("", *(f"-{i}" for i in range(2, 10**6))))
        free = next(path.with_name(name) for name in names if not path.with_name(name).exists())
        with contextlib.suppress(FileNotFoundError):  # another process of the same run was first
            path.rename(free)
        return free.name

    def _of_another(self, different: str) -> str:
        return (
            f"{self.directory}: holds arrays of another network or optimiser, such as {different}; "
            "choose another --workdir, or the code that wrote it"
        )

    def _full(self, why: str) -> str:
        last = self.steps()
        rest = f"the checkpoint of step {last[0]} is intact" if last else "there is no earlier checkpoint"
        return f"{self.directory}: the checkpoint can't be written ({why}); {rest}, free some space and start the same command again"


def digests(state) -> dict[str, str]:
    """sha256 of every array, by its path in the state."""
    return {name: _digest(to_host(leaf)) for name, leaf in _named(state)}


def shapes(state) -> dict[str, list]:
    """Shape and type of every array, by its path in the state."""
    return {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in _named(state)}


def _named(state) -> list:
    # every array with its path
    import jax

    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]]


def _digest(array) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _read_arrays(folder: Path, names) -> list:
    # as orbax lays them out, all at once: zarr arrays in one key-value store, named by their path with dots
    import tensorstore as ts

    def spec(name):
        path = ".".join(re.findall(r"[^.\[\]']+", name))
        return {"driver": "zarr", "kvstore": {"driver": "ocdbt", "base": {"driver": "file", "path": f"{folder}/"}, "path": f"{path}/"}}

    context = ts.Context()  # one for all: the store's index is read once
    opened = [ts.open(spec(name), context=context, open=True, read=True) for name in names]
    reading = [one.result().read() for one in opened]
    return [one.result() for one in reading]


def meta_digest(meta: dict) -> str:
    """sha256 of the metadata, without its own digest."""
    plain = {key: value for key, value in meta.items() if key != "digest"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _resolved(workdir) -> Path:
    # Raises: UserError of a path that can't be, such as a link to itself.
    try:
        return Path(workdir).resolve()
    except (OSError, RuntimeError) as error:
        raise UserError(f"{workdir}: is no folder that can be reached ({error}); choose another --workdir") from error


def _is_step(name: str) -> bool:
    return name.isascii() and name.isdecimal() and name == str(int(name))


def _finished(path: Path) -> bool:
    return (path / "_CHECKPOINT_METADATA").exists()


def to_host(leaf):
    """The whole array as numpy's, gathered where other processes hold parts of it."""
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))
    return np.ascontiguousarray(leaf)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    if "No space left on device" in str(error):  # at the end of a long line of tensorstore's
        return "no space left on the disk"
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"
