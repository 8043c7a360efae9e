"""What does not fit into this machine's memory is refused before anything is read or made."""

import contextlib
import os
from pathlib import Path

from sciddm.errors import UserError

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # of a container


def machine_memory() -> int:
    """Bytes that this process can have at most: the machine's, or its container's where that has less."""
    known = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            known.append(int(file.read_text()))
    return min(known)


def check_memory(what: str, needed: float, way_out: str) -> None:
    """Raises: UserError if `needed` bytes are more than there are. Args: what: takes them, such as "f.nc: variable 'u', 9 x 9 values,"."""
    there = machine_memory()
    if needed > there:
        raise UserError(f"{what} would take {in_words(needed)} of memory, of which this machine has {in_words(there)}; {way_out}")


def in_words(size: float) -> str:
    """Bytes as "3.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB" if size < 1e4 else f"{size:.1e} TB"
