"""Errors that the user can mend."""

import shlex
import traceback
from pathlib import Path

CLONE = Path(__file__).parent.parent


class UserError(Exception):
    """One line: the key, file or index at fault, what was expected, and the way out. The command line exits with 2."""


class Refusal(ValueError):
    """Methods that do not go together: a guide, a solver, a particle method. One line that says why, and what does."""


def in_words(error: Exception) -> str:
    """One line of what went wrong in a file of the user's own: kind, last line of the message, file and line."""
    last = (str(error).strip().splitlines() or [""])[-1]
    frames = traceback.extract_tb(error.__traceback__)
    where = getattr(error, "filename", None) or (frames[-1].filename if frames else "")
    line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else 0)
    return f"{type(error).__name__}: {last} ({Path(where).name}, line {line})"


def install(extra: str) -> str:
    """How the libraries of an extra come in, as it is typed. sciddm is installed from a clone; a copy of it does not know where that is."""
    if (CLONE / "pyproject.toml").is_file():
        return f"install sciddm[{extra}] by: pip install -e {shlex.quote(f'{CLONE}[{extra}]')}"
    return f"install sciddm[{extra}] by: pip install '.[{extra}]' in the folder that sciddm was installed from"
