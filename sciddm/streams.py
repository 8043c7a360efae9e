"""Standard streams as a shell leaves them: closed, a pipe whose reader has gone, a disk that is full. None of them ends in a traceback."""

import contextlib
import os
import sys
from collections.abc import Iterator

from sciddm.errors import UserError, of_system


def open_closed() -> None:
    """What is closed (`>&-`) leads nowhere from here on; else the next file that is opened takes its place, and what is printed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue  # taken by a file since, which is not to be closed
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))


@contextlib.contextmanager
def written() -> Iterator[None]:
    """What is printed within is written at the end of it, and not when Python ends, where its errors can't be caught.

    Raises: BrokenPipeError where the reader has gone, as of `| head -1`; UserError where the place is full.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop()
        raise
    except OSError as error:
        _drop()
        raise UserError(of_system(error, "standard output")) from error


def _drop():
    # what is still to be written goes nowhere
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
