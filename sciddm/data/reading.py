"""What readers of files share: which files a path means, one line for a broken one, variables by name, values and grids checked."""

import contextlib
import difflib
import glob
import gzip
import importlib
import io
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from sciddm.errors import UserError, install

TEXTS = {".csv", ".tsv", ".txt", ".dat", ".xyz", ".extxyz", ".sdf", ".sd", ".mol", ".smi", ".smiles", ".json"}  # read from .gz as they are
GZIP = b"\x1f\x8b"


def kind_of(file: Path) -> str:
    """ ".zarr" of a store, whatever its name, else the suffix in lower case; of a text in gzip that of the text."""
    if (file / "zarr.json").exists() or (file / ".zgroup").exists():
        return ".zarr"
    inner = Path(file.stem).suffix.lower()
    return inner if file.suffix.lower() == ".gz" and inner in TEXTS else file.suffix.lower()


def stem_of(file: Path) -> str:
    """The name of a file without its suffix, and without that of gzip behind it."""
    return Path(file.stem).stem if kind_of(file) != file.suffix.lower() and file.suffix.lower() == ".gz" else file.stem


def check_regular(file) -> None:
    """That a path is of a file or a folder: a pipe or a device would be waited for. Raises: UserError."""
    try:
        mode = Path(file).stat().st_mode
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check the path and its permissions") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        what = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}.get(stat.S_IFMT(mode), "a device")
        raise UserError(f"{file}: is {what}; expected a file, write what it gives to one first")


def files(path, readers: Mapping[str, object], what: str, *, mixed: bool = False, kind=kind_of) -> list[Path]:
    """The files that `path` means, in the order of their names: a file or store, those in a folder, or what fits "radar/*.nc".

    Args: readers: kind -> reader; what: named in messages, such as "frames"; mixed: for several readers at once;
        kind: tells the kind of a file.
    Raises: UserError if there is none, one of unknown kind, or, unless `mixed`, of kinds with different readers.
    """
    path, known = Path(path).expanduser(), ", ".join(readers)
    try:
        path.exists()
    except OSError as error:  # such as a name that is too long
        raise UserError(f"config.data.path = {str(path)[:200]}: can't be read ({error.strerror}); check the path") from error
    if glob.has_magic(str(path)) and not path.exists():
        found = sorted(map(Path, glob.glob(str(path))))
        if not found:
            raise UserError(f"config.data.path = {path}: no file fits the pattern; expected {what} as {known}")
    elif not path.exists():
        raise UserError(f"config.data.path = {path}: no such file or folder; expected {what} as {known}")
    elif path.is_dir() and kind(path) != ".zarr":
        there = (file for file in path.iterdir() if not file.name.startswith("."))
        found = sorted(file for file in there if kind(file) in readers and (file.is_file() or kind(file) == ".zarr"))
        if not found:
            raise UserError(f"{path}: a folder without {what}; expected files {known}")
    else:
        found = [path]
    for file in found:
        check_regular(file)
    kinds = {readers.get(kind(file)): file for file in found}
    if None in kinds:
        raise UserError(
            f"{kinds[None]}: format {kinds[None].suffix or '(none)'!r} is not known; expected one of {known}"
        )
    if len(kinds) > 1 and not mixed:
        names = sorted(file.name for file in kinds.values())
        raise UserError(
            f"{path}: files of {len(kinds)} formats, such as {names}; give a pattern that fits one, such as '*.nc'"
        )
    return found


@contextlib.contextmanager
def reading(file, problem: str = "", *, way_out: str = "copy it again, or write it again") -> Iterator[None]:
    """Turn whatever the library of a format has to say about a broken file into one line. UserErrors pass.

    Args: problem: such as "not a readable zarr store", in place of "can't be read as .nc".
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # each format's library has its own ways to fail on a broken file
        said = (str(error).splitlines() or [""])[0][:160]
        problem = problem or f"can't be read as {kind_of(Path(file))}"
        raise UserError(f"{file}: {problem} ({type(error).__name__}: {said}); {way_out}") from error


def read_text(file: Path) -> str:
    """The text of a file, of any encoding: only its ASCII part matters; one in gzip is unpacked, and lines end in "\\n". Raises: UserError
    if it can't be read."""
    found = read_bytes(file)
    encoding = "utf-16" if found[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return found.decode(encoding, errors="replace").replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(file: Path) -> bytes:
    """What is in a file, unpacked where it begins as gzip does. Raises: UserError if it can't be read."""
    check_regular(file)
    try:
        found = Path(file).read_bytes()
        return gzip.decompress(found) if found.startswith(GZIP) else found
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{file}: can't be unpacked ({str(error).splitlines()[0]}); copy it again") from error
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check its permissions") from error


def text(value) -> str:
    """A string as HDF5 keeps it, which may be bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def need(module: str, file, extra: str):
    """Import a library that not all installations have. Raises: UserError that names the extra of sciddm with it."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # some greet
            return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise UserError(f"{file}: reading it needs {package}: {install(extra)}") from error


def listed(found: Iterable[str]) -> str:
    """The names of `found` for a message, with the units of those that have attributes."""
    values = found if isinstance(found, Mapping) else {}
    attrs = {name: getattr(values.get(name), "attrs", None) for name in sorted(found)}
    return ", ".join(f"{k}" if a is None else f"{k} [{a.get('units', 'no units')}]" for k, a in attrs.items()) or "none"


def pick(file, found: Iterable[str], names: Iterable[str], *, what: str, key: str) -> str:
    """The first of `names` that is in `found`.

    Args: what: in messages, such as "variable for 'u'"; key: of the configuration, by which the user names another.
    Raises: UserError that lists what there is, with what is spelled alike.
    """
    names = tuple(names)
    for name in names:
        if name in found:
            return name
    near = difflib.get_close_matches(names[0], found, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    raise UserError(f"{file}: no {what}, found {listed(found)}{hint} set {key}")


def index_of(bad: np.ndarray, start: int = 0) -> tuple[int, ...]:
    """The first index where `bad` is true, its first axis counted from `start`."""
    first, *rest = (int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
    return first + start, *rest


def check_finite(file, name: str, values: np.ndarray, *, start: int = 0, missing: bool = False, places=None) -> None:
    """That all values are finite, or NaN where `missing` allows it; UserError with the index, the first axis counted from `start`.

    Args: places: for each axis the indices in the file, of values picked out of it.
    """
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if bad.any():
        index = index_of(bad, start)
        index = index if places is None else tuple(int(p[i]) for p, i in zip(places, index, strict=True))
        raise UserError(
            f"{file}: variable {name!r} is {values[bad][0]} at index {index} ({bad.sum()} such values here); "
            f"expected finite numbers{', NaN where missing' if missing else ''}"
        )


def even_step(file, what: str, values: np.ndarray) -> float:
    """The mean step of a coordinate (n,) whose steps are alike to 1e-3, and to the rounding of its type.

    Args: what: in messages, such as "coordinate 'x'".
    Raises: UserError with the index of the worst step, or on fewer than 2 points.
    """
    if len(values) < 2:
        raise UserError(f"{file}: {what} has {len(values)} point; expected a grid")
    steps = np.diff(values.astype(float))
    mean, worst = steps.mean(), int(np.abs(steps - steps.mean()).argmax())
    rounding = 4 * np.finfo(values.dtype).eps * np.abs(values).max() if values.dtype.kind == "f" else 0
    if not (mean and abs(steps[worst] - mean) <= 1e-3 * abs(mean) + rounding):
        raise UserError(
            f"{file}: {what} is not evenly spaced at index {worst} (step {steps[worst]:.6g}, mean {mean:.6g}); "
            "interpolate to a regular grid"
        )
    return float(mean)
