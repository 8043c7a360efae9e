"""Data made once: finished at once or not at all, by one process however many ask, found again by name."""

import contextlib
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sciddm.errors import UserError

PARTIAL = ".partial"
# tensorstore and HDF5 tell in their own words what the operating system said.
CODE = re.compile(r"os_error_code='(\d+)'|errno = (\d+)")


def made_once(path, make: Callable[[Path], object]) -> Path:
    """`path` with "~" expanded, where `make(partial)` has written under another name, now or in an earlier run.

    Other processes that ask for it wait until it is there. What a run that was killed has left is removed; what `make` puts beside
    `partial`, such as a manifest, goes with it.
    Raises: UserError if the place can't be written or is full; whatever `make` raises. Nothing that looks finished is left then.
    """
    path, way_out = Path(path).expanduser(), "choose another place by --config.data.cache=FOLDER"
    with _one_line(path, way_out):
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if not path.exists():
                for broken in path.parent.glob(f".{glob.escape(path.name)}.*{PARTIAL}"):
                    shutil.rmtree(broken, ignore_errors=True)
                with at_once(path, way_out=way_out) as partial:
                    make(partial)
    return path


@contextlib.contextmanager
def at_once(path, *, way_out: str = "give another place") -> Iterator[Path]:
    """A path to write to in place of `path`, whose folder then moves there with all that lies beside it; the last of all is `path`.

    Within the block of another one the path itself, for the outer one finishes it.
    Raises: UserError if there is something at `path`, or the place can't be written or is full; nothing is left behind then.
    """
    path = Path(path)
    if path.parent.name.startswith(".") and path.parent.name.endswith(PARTIAL):
        yield path
        return
    with _one_line(path, way_out):
        if path.exists():
            raise UserError(f"{path}: is there already; delete it or give another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent, ignore_cleanup_errors=True
        ) as folder:
            partial = Path(folder) / path.name
            yield partial
            moved = []
            try:
                for each in sorted(Path(folder).iterdir(), key=lambda each: each == partial):
                    os.replace(each, path.parent / each.name)
                    moved.append(path.parent / each.name)
            except OSError:
                for each in moved:
                    each.unlink(missing_ok=True)
                raise


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a kill or a full disk leaves the one that was there."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(path):
    # By a lock beside `path`, which goes with success: what is there already needs none, and a lock that others wait for must stay.
    from filelock import FileLock, Timeout

    file = path.with_name(f".{path.name}.lock")
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{path}: another process is making it; waiting until it is there", file=sys.stderr)
        lock.acquire()
    try:
        yield
        with contextlib.suppress(OSError):  # some systems keep a file that is open
            file.unlink()
    finally:
        lock.release()


@contextlib.contextmanager
def _one_line(path, way_out):
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        code = CODE.search(str(error))
        if not code and (not isinstance(error, OSError) or _elsewhere(error, path)):
            raise
        reason = os.strerror(int(code[1] or code[2])) if code else error.strerror or error
        raise UserError(f"{path}: the data set can't be written ({reason}); free some space or {way_out}") from error


def _elsewhere(error, path):
    # Whether the file at fault is neither near `path` nor a folder above it, such as one that a data set is made of.
    if not isinstance(error.filename, (str, bytes)):
        return False
    file, folder = Path(os.fsdecode(error.filename)).absolute(), path.parent.absolute()
    return not (file.is_relative_to(folder) or folder.is_relative_to(file))
