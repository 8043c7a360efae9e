"""What is being done, with a clock: whoever waits sees that something goes on, and for how long it has."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

from tqdm import tqdm

TICK = 1.0  # seconds


@contextlib.contextmanager
def activity(what: str, show: bool = True, at_once: bool = True) -> Iterator[None]:
    """Says on stderr that `what` is being done, such as "reading storm.cdf", and its seconds every second until it is over.

    While a bar runs inside, or another activity, that one speaks. Of what takes less than a second one line stays, or without `at_once`
    none: for what may end in an error at once, which is then the only line.
    """
    if not show:
        yield
        return
    start, me = time.monotonic(), object()

    def say(end="\r"):  # what others print takes the line's place, and the next tick stands below it
        seconds = time.monotonic() - start
        print(f"{what} ..." + (f" {seconds:.0f} s" if seconds >= TICK else ""), end=end, file=sys.stderr, flush=True)

    if _SPEAKING and at_once:  # whose line stays as it is
        print(file=sys.stderr)
    _SPEAKING.append(me)
    if at_once:
        say()
    stop = _every_tick(lambda: _SPEAKING[-1] is me and not _bars() and say())
    try:
        yield
    finally:
        stop()
        _SPEAKING.remove(me)
        if at_once or time.monotonic() - start >= TICK:
            say("\n")


def duration(seconds: float) -> str:
    """Seconds in the unit that one says them in, such as "40 minutes"."""
    for unit, size, most in (("minutes", 60, 3600), ("hours", 3600, 2 * 86400)):
        if seconds <= most:
            return f"{seconds / size:.{1 if unit == 'hours' else 0}f} {unit}"
    return f"{seconds / 86400:,.0f} days"


class Bar(tqdm):
    """A bar of tqdm whose clock goes on every second: a part of what it counts may take a minute.

    While another one runs inside, that one has the line. In a `with` statement: an error within ends it, too, however long its traceback
    is kept.
    """

    def __init__(self, *arguments, **options):
        if not options.get("disable") and (outer := _BARS[-1:]):
            outer[0].clear()
            options = {"position": 0} | options
        super().__init__(*arguments, **options)
        if not self.disable:
            _BARS.append(self)
        self._stop = None if self.disable else _every_tick(self._tick)

    def display(self, msg=None, pos=None):
        """Writes its line, but not into that of a bar inside."""
        inner = _BARS[-1:]
        if inner and inner[0] is not self and any(bar is self for bar in _BARS):
            return False
        return super().display(msg, pos)

    def _tick(self):
        if self._time() - self.start_t >= self.delay:
            self.refresh()

    def close(self):
        """Ends it; tqdm calls this where a loop over the bar does."""
        if stop := getattr(self, "_stop", None):
            self._stop = None
            stop()
        super().close()
        if any(bar is self for bar in _BARS):  # bars of one place are equal
            _BARS[:] = [bar for bar in _BARS if bar is not self]
            if outer := _BARS[-1:]:
                outer[0].refresh()


_SPEAKING: list[object] = []  # activities under way, the innermost last
_BARS: list[Bar] = []  # bars that are shown, the innermost last


def _bars() -> bool:
    # bars under way write lines of their own
    return any(not bar.disable for bar in list(getattr(tqdm, "_instances", ())))


def _every_tick(tick):
    # a function that ends it, and waits until it has
    over = threading.Event()

    def run():
        while not over.wait(TICK):
            tick()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def stop():
        over.set()
        if thread is not threading.current_thread():
            thread.join()

    return stop
