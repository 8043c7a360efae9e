"""Where things are kept that would be made again if they were gone: made data, statistics, compiled programs."""

import os
from pathlib import Path

NAMES = ("compiled", "data")


def folder(name: str) -> Path:
    """The folder of this user for `name`, one of `NAMES`: $XDG_CACHE_HOME/sciddm/NAME, or ~/.cache/sciddm/NAME where that is not set.

    "~" is left as it is: a path that stands in the config of a run means the home folder of whoever reads the run. Relative paths in
    XDG_CACHE_HOME are passed over, as that specification wants.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path("~/.cache")) / "sciddm" / name


def keep_compiled() -> None:
    """Let programs that take time to compile be found again by later processes, in `folder("compiled")`, where nobody has said otherwise.

    The command line and `sd.load` do so; what stands in JAX_COMPILATION_CACHE_DIR or jax's own settings goes first.
    """
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder("compiled").expanduser()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def sizes() -> dict[Path, int]:
    """Bytes in each cache that there is, by its folder, those made before XDG_CACHE_HOME was set too."""
    places = {place.expanduser() for name in NAMES for place in (folder(name), Path("~/.cache/sciddm") / name)}
    return {place: _bytes(place) for place in sorted(places) if place.is_dir()}


def _bytes(place: Path) -> int:
    total, folders = 0, [place]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:  # another process has cleaned up meanwhile, or it is not ours to read
            continue
    return total
