"""What a user brings to a task: files, texts such as SMILES, name=value, objects of the field's own."""

import glob
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciddm.errors import UserError
from sciddm.named import near


@dataclass(frozen=True)
class Thing:
    """One of them. value: a Path of what is there, or a pattern of files; a text; or an object. name: of name=value, else ""."""

    value: Any
    name: str = ""

    @property
    def path(self) -> Path | None:
        """The file, folder, store or pattern; None for what is none."""
        return self.value if isinstance(self.value, Path) else None

    @property
    def text(self) -> str | None:
        """A text that names no file; None for what is none."""
        return self.value if isinstance(self.value, str) else None

    def __str__(self):
        shown = str(self.value) if isinstance(self.value, (str, Path, int, float)) else f"a {type(self.value).__name__}"
        return f"{self.name}={shown}" if self.name else shown


def things(given, names: Sequence[str] = ()) -> tuple[Thing, ...]:
    """What `--given` or `given=` brought, one by one.

    given: one or a list of paths, texts, name=value (or a dict of them) and objects; names: those of name=value which the task takes, any
    other text with a "=" in it, such as a SMILES with a double bond, is a text. Raises: UserError of a file that is given twice.
    """
    if given is None:
        return ()
    found = []
    for one in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(one, Thing):
            found.append(one)
        elif type(one) is dict:
            found += [Thing(_read(value), name) for name, value in one.items()]
        elif isinstance(one, str) and (name := one.partition("=")[0].strip()) in names and "=" in one:
            found.append(Thing(_read(one.partition("=")[2].strip()), name))
        else:
            found.append(Thing(_read(one)))
    paths = [one.path.resolve() for one in found if one.path is not None and not one.name]
    if twice := next((path for i, path in enumerate(paths) if path in paths[:i]), None):
        raise UserError(f"--given {twice}: is given twice, and would count as two measurements; give it once")
    return tuple(found)


def say(line: str) -> None:
    """One line for the user on stderr: what was left out, assumed, or lies far outside of what a model knows."""
    print(line, file=sys.stderr)


def refuse(thing: Thing, takes: str, names: Sequence[str] = ()):
    """Raises: UserError of a thing that a task can't take: there is no such file, no such name, or it is of another kind."""
    text, hint = thing.text, ""
    if text is not None and not thing.name:
        name = text.partition("=")[0].strip()
        hint, rest = (near(name, names), text.partition("=")[2].strip()) if "=" in text else ("", "")
        there = bool(rest) and Path(rest).expanduser().exists()  # a name that is not known, of a file that is
        if not there and (Path(text).suffix or "/" in text):
            raise UserError(f"--given {thing}: no such file{hint}; expected {takes}")
    raise UserError(f"--given {thing}: can't be meant here{hint}; expected {takes}")


def _read(value):
    # A text that names something on the disk is its path.
    if isinstance(value, Path):
        found = value.expanduser()
        if not found.exists() and not glob.glob(str(found)):
            raise UserError(f"--given {value}: no such file")
        return found
    if isinstance(value, str) and value and len(value) < 4096 and "\0" not in value and "\n" not in value:
        path = Path(value).expanduser()
        try:
            if path.exists() or (any(sign in value for sign in "*?") and glob.glob(str(path))):
                return path
        except OSError:  # too long for a name
            return value
    return value
