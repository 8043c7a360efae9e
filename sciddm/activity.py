"""What is being done, with a clock: whoever waits sees that something goes on, and for how long it has."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

TICK = 1.0  # seconds


@contextlib.contextmanager
def activity(what: str, show: bool = True) -> Iterator[None]:
    """Says on stderr that `what` is being done, such as "reading storm.cdf", and its seconds every second until it is over.

    While a bar of tqdm runs inside, or another activity, that one speaks. Of what takes less than a second one line stays.
    """
    if not show:
        yield
        return
    start = time.monotonic()

    def say(end=""):
        seconds = time.monotonic() - start
        print(f"\r{what} ..." + (f" {seconds:.0f} s" if seconds >= TICK else ""), end=end, file=sys.stderr, flush=True)

    me = object()
    if _SPEAKING:  # whose line stays as it is
        print(file=sys.stderr)
    _SPEAKING.append(me)
    say()
    try:
        with _every_tick(lambda: _SPEAKING[-1] is me and not _bars() and say()):
            yield
    finally:
        _SPEAKING.remove(me)
        say("\n")


@contextlib.contextmanager
def ticking(bar) -> Iterator[None]:
    """Keeps the clock of a bar of tqdm going between its updates: a part of what it counts may take a minute."""
    with _every_tick(bar.refresh):
        yield


_SPEAKING: list[object] = []  # activities under way, the innermost last


def _bars() -> bool:
    # bars under way write lines of their own; tqdm is not imported for the question
    found = sys.modules.get("tqdm")
    return any(not bar.disable for bar in list(getattr(found.tqdm, "_instances", ()))) if found else False


@contextlib.contextmanager
def _every_tick(tick):
    over = threading.Event()

    def run():
        while not over.wait(TICK):
            tick()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
