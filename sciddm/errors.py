"""Errors that the user can mend."""

import errno
import os
import shlex
import traceback
from pathlib import Path

CLONE = Path(__file__).parent.parent


class UserError(Exception):
    """One line: the key, file or index at fault, what was expected, and the way out. The command line exits with 2."""

    def __str__(self):
        return " ".join(super().__str__().splitlines())  # names of files and columns may have ends of lines in them


class Refusal(ValueError):
    """Methods that do not go together: a guide, a solver, a particle method. One line that says why, and what does."""


def in_words(error: Exception) -> str:
    """One line of what went wrong in a file of the user's own: kind, last line of the message, file and line."""
    last = (str(error).strip().splitlines() or [""])[-1]
    frames = traceback.extract_tb(error.__traceback__)
    where = getattr(error, "filename", None) or (frames[-1].filename if frames else "")
    line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else 0)
    return f"{type(error).__name__}: {last} ({Path(where).name}, line {line})"


WAYS_OUT = {
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG): "free some space or choose another place",
    (errno.EEXIST, errno.ENOTDIR, errno.ENOTEMPTY): "what is there is no folder, or in the way; choose another place",
    (errno.EISDIR,): "it is a folder; name a file",
    (errno.EACCES, errno.EPERM, errno.EROFS): "choose another place, or ask for the right to write there",
    (errno.ENAMETOOLONG,): "choose a shorter name",
    (errno.ELOOP,): "it is a link to itself; name what is meant",
    (errno.ENOENT,): "check the path, or choose another place",
    (errno.EMFILE, errno.ENFILE): "close other files or programs, or raise the limit with `ulimit -n`",
}


def of_system(error: OSError, where="") -> str:
    """What the operating system says of a file in one line with a way out."""
    code = error.errno or 0
    way_out = next((words for codes, words in WAYS_OUT.items() if code in codes), "choose another place")
    said = os.strerror(code) if code else (str(error).splitlines() or [type(error).__name__])[0][:160]
    place = where or os.fsdecode(error.filename or "a file")
    return f"{place if len(place) < 200 else place[:197] + '...'}: {said}; {way_out}"


def install(extra: str) -> str:
    """How the libraries of an extra come in, as it is typed. sciddm is installed from a clone; a copy of it does not know where that is."""
    if (CLONE / "pyproject.toml").is_file():
        return f"install sciddm[{extra}] by: pip install -e {shlex.quote(f'{CLONE}[{extra}]')}"
    return f"install sciddm[{extra}] by: pip install '.[{extra}]' in the folder that sciddm was installed from"
