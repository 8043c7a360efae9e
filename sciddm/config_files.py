"""Config files by name: one of the user's own by its path, or one of those that come with sciddm, from any folder."""

from pathlib import Path

from sciddm.errors import UserError

SHIPPED = Path(__file__).parent.parent / "configs"  # beside the package, in a clone as where a wheel is installed


def shipped() -> dict[str, Path]:
    """The configs that come with sciddm, by name: "pde" and so on."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.py")) if path.stem != "__init__"}


def find(name: str) -> tuple[Path, str]:
    """(file, variant) of FILE[:VARIANT], or of NAME[:VARIANT] of `shipped`, which configs/NAME.py means as well; a file goes first.

    Raises: UserError if there is none, with the near match.
    """
    from sciddm.named import near

    text, _, variant = name.rpartition(":") if ":" in name and not Path(name).is_file() else (name, "", "")
    path, known = Path(text).expanduser(), shipped()
    if path.is_file():
        return path, variant
    if text in known or path.as_posix() == f"configs/{path.stem}.py" and path.stem in known:
        return known[path.stem], variant
    words = "no such file" if path.suffix == ".py" or path.name != text else "no such file or name"
    raise UserError(
        f"--config {name}: {words} {text!r}; expected FILE[:VARIANT], or one that comes with sciddm, {', '.join(known)}, such as "
        f"pde:smoke{near(path.stem, known)}"
    )
