"""Are these the data that a run was trained on? By what is in their files, wherever the files lie, and by statistics of some samples."""

import glob
import hashlib
import sys
from pathlib import Path

import jax
import numpy as np

from sciddm.data.reading import kind_of
from sciddm.errors import UserError

WHOLE = 1e9  # bytes of all files up to which they are read from end to end, in about a second
BLOCK, BLOCKS = 2**20, 16  # of a larger file, spread over it
SAMPLES = 64  # training samples whose mean and spread are kept
CLOSE = 1e-3  # of their spread; other machines round otherwise where data are made


def fingerprint(config, domain, dataset) -> dict:
    """{"files": {name: [bytes, digest]}, "statistics": [[mean, spread], ...] of each array of x}, as JSON has it.

    Data that sciddm makes itself have no files. Raises: UserError if a file can't be read.
    """
    found = files_of(config.data.get("path") or "", domain.reads)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLES, len(dataset))).astype(int))
    leaves = zip(*(jax.tree.leaves(dataset[int(row)]["x"]) for row in rows), strict=True)
    values = [np.concatenate([np.ravel(one).astype(float) for one in leaf]) for leaf in leaves]
    return {"files": digests(found), "statistics": [[float(one.mean()), float(one.std())] for one in values]}


def files_of(path: str, reads=()) -> list[Path]:
    """The files and stores at a path, in a folder those of the kinds that are read, or that fit a pattern, by name; [] for none."""
    place = Path(path).expanduser()
    if not path:
        return []
    if place.is_dir() and kind_of(place) != ".zarr":
        there = (file for file in place.iterdir() if not file.name.startswith(".") and (file.is_file() or kind_of(file) == ".zarr"))
        return sorted(file for file in there if not reads or kind_of(file) in reads)
    return [place] if place.exists() else sorted(map(Path, glob.glob(str(place))))


def digests(files) -> dict[str, list]:
    """name -> [bytes, digest] of each, of a store all its files together."""
    total = sum(file.stat().st_size for each in files for file in _within(each))
    return {each.name: _digest(each, total <= WHOLE) for each in files}


def _within(path) -> list[Path]:
    if not path.is_dir():
        return [path]
    # Hidden files are the system's, but for those of zarr's version 2.
    return sorted(file for file in path.rglob("*") if file.is_file() and (file.name[0] != "." or file.name.startswith(".z")))


def _digest(path, whole):
    found, size = hashlib.sha256(), 0
    for file in _within(path):
        length = file.stat().st_size
        found.update(f"{file.relative_to(path)} {length}".encode() if path.is_dir() else b"")
        try:
            with file.open("rb") as opened:
                if whole or length <= BLOCK * BLOCKS:
                    while block := opened.read(BLOCK):
                        found.update(block)
                else:
                    for start in np.linspace(0, length - BLOCK, BLOCKS).astype(int):
                        opened.seek(int(start))
                        found.update(opened.read(BLOCK))
        except OSError as error:
            raise UserError(f"{file}: can't be read ({error.strerror}); check its permissions") from error
        size += length
    return [size, found.hexdigest()]


def check_same_data(stored: dict, now: dict, workdir) -> None:
    """Raises: UserError if the data are not those of the checkpoint whose metadata `stored` are; one that is older than that is told so."""
    before = stored.get("data")
    if before is None:
        print(f"{workdir}: its checkpoint is older than fingerprints of data, so that nothing tells whether these are the data it was "
              "trained on; from here on they are known", file=sys.stderr)  # fmt: skip
        return
    why = difference(before, now)
    if why:
        raise UserError(
            f"{workdir}: was trained on other data: {why}; go on with those it began with, or train on these in another --workdir, with "
            f"--init-from {workdir} to begin with its weights"
        )


def difference(before: dict, now: dict) -> str:
    """What is other, "" for nothing: names of files may change, and their place."""
    then, here = before["files"], now["files"]
    if then or here:
        if [digest for _, digest in then.values()] == [digest for _, digest in here.values()]:
            return ""
        known = {digest for _, digest in then.values()}
        if added := [name for name, (_, digest) in here.items() if digest not in known]:
            if known <= {digest for _, digest in here.values()}:
                return f"{_listed(added)} came to what there was"
        if then.keys() == here.keys():
            name = next(name for name in then if then[name] != here[name])
            more = here[name][0] - then[name][0]
            return f"{name} was changed" + (f", it has {abs(more):,} bytes {'more' if more > 0 else 'less'}" if more else "")
        if not here or not then:
            return f"it had {_listed(then) if then else 'no files'}, now it is {_listed(here) if here else 'data that sciddm makes'}"
        return f"it had {_listed(then)}, now it is {_listed(here)}"
    for (mean, spread), (mean_now, spread_now) in zip(before["statistics"], now["statistics"], strict=False):
        if abs(mean - mean_now) > CLOSE * spread + 1e-6 * abs(mean) or abs(spread - spread_now) > CLOSE * spread:
            return f"mean and spread of some samples were {mean:.4g} and {spread:.4g}, now {mean_now:.4g} and {spread_now:.4g}"
    return ""


def _listed(names) -> str:
    shown = ", ".join(list(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more files"


def absolute(path: str) -> str:
    """A path or pattern of data as it is found from any folder; "" stays, and what names nothing on the disk."""
    if not path:
        return path
    place = Path(path).expanduser().absolute()
    return str(place) if place.exists() or glob.glob(str(place)) else path


def located(config, stored: dict):
    """`config` of a run, with its data where they are: at the path that it was trained with, or, where nothing is there, at the same path
    from this folder if what is in the files agrees. Changes and returns it."""
    path, about = config.data.get("path") or "", stored.get("data") or {}
    typed = about.get("typed", "")
    if path and typed and typed != path and not files_of(path):
        from sciddm.domain import domain_type

        found = files_of(typed, domain_type(config).reads)
        if found and not difference({**about, "statistics": []}, {"files": digests(found), "statistics": []}):
            with config.unlocked():
                config.data.path = absolute(typed)
    return config
