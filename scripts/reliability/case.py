"""An odd or broken input, what is done with it, and what is right; each is tried in a process of its own that is forked from this one.

A case's `run` is called in an empty folder. It writes what it needs and returns the arguments of `sciddm`, which the command line's own
`main` then takes; or, for what a reader makes of a file, it returns None after it has compared values itself (an AssertionError is wrong).
"""

import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ADVICE = re.compile(r"--config\.(?!key=value)([\w.]+)=('[^']*'|\"[^\"]*\"|[^\s,;)]+)")


@dataclass(frozen=True)
class Case:
    """kind: as the table counts them; name: said of it; run: see above; refused: whether an exit code of 2 and one line are right, else
    an exit code of 0; words: patterns, each of which the line holds (refused) or all that was said holds; check: of the folder
    afterwards and of what was said; seconds: after which it hangs."""

    kind: str
    name: str
    run: Callable[[Path], list[str] | None]
    refused: bool = True
    words: tuple[str, ...] = ()
    check: Callable[[Path, str], None] | None = None
    seconds: float = 60.0


@dataclass(frozen=True)
class Outcome:
    """wrong: "" where all was right; said: stdout and stderr together."""

    case: Case
    wrong: str
    said: str
    seconds: float
    advice: tuple[str, ...] = field(default=())


def refused(kind, name, run, *words, **options) -> Case:
    """One that the command line refuses in one line that holds `words`."""
    return Case(kind, name, run, True, words, **options)


def done(kind, name, run, *words, **options) -> Case:
    """One that goes well, and of which all that is said holds `words`."""
    return Case(kind, name, run, False, words, **options)


def attempt(case: Case, folder: Path) -> Outcome:
    """The case in a process of its own, in `folder`, which is made."""
    folder.mkdir(parents=True)
    log, start = folder.with_suffix(".log"), time.monotonic()
    reading, writing = os.pipe()  # and no file, which a limit on files would meet too
    process = os.fork()
    if process == 0:
        _child(case, folder, writing)
    os.close(writing)
    os.set_blocking(reading, False)
    status, ended = None, start + case.seconds
    with log.open("wb") as kept:
        while status is None and time.monotonic() < ended:
            found, status = os.waitpid(process, os.WNOHANG)
            status = status if found else None
            _copy(reading, kept)
            time.sleep(0.0 if found else 0.02)
    os.close(reading)
    seconds = time.monotonic() - start
    if status is None:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
    said = log.read_text(errors="replace") if log.exists() else ""
    wrong = f"still at it after {seconds:.0f} s" if status is None else judge(case, status, said)
    if not wrong and case.check:
        try:
            case.check(folder, said)
        except Exception as error:  # whatever a comparison meets
            wrong = f"{type(error).__name__}: {error}"
    return Outcome(case, wrong, said, seconds, tuple(match[0] for match in ADVICE.finditer(last_line(said))))


def judge(case: Case, status: int, said: str) -> str:
    """What is wrong with how a command ended, "" for nothing."""
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    code = os.WEXITSTATUS(status)
    if "Traceback (most recent call last)" in said:
        return f"traceback (exit code {code})"
    if code == 99:
        return f"another value: {last_line(said)}"
    if code != (2 if case.refused else 0):
        return f"exit code {code}, expected {2 if case.refused else 0}: {last_line(said)[:160]}"
    where = last_line(said) if case.refused else said
    if case.refused and not re.match(r"(sciddm: |usage: |sciddm [\w-]+: error: )", where):
        return f"the last line is not the error: {where[:160]}"
    lacking = [word for word in case.words if not re.search(word, where)]
    return f"does not say {lacking[0]!r}: {where[-200:]}" if lacking else ""


def last_line(said: str) -> str:
    lines = [line.strip() for line in re.split(r"[\r\n]+", said) if line.strip()]
    return lines[-1] if lines else ""


def _copy(reading, kept):
    # all that is there now
    try:
        while some := os.read(reading, 2**16):
            kept.write(some)
    except BlockingIOError:
        return


def _child(case, folder, said):
    # never returns
    code = 1
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.dup2(said, 1)
        os.dup2(said, 2)
        code = _told(case, folder)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except AssertionError as error:
        print(f"{error}" or traceback.format_exc().splitlines()[-2].strip())
        code = 99
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _told(case, folder):
    from sciddm.cli import main
    from sciddm.errors import UserError

    try:
        argv = case.run(folder)
    except UserError as error:  # of a reader that is asked without the command line, in its words
        print(f"sciddm: {error}", file=sys.stderr)
        return 2
    return 0 if argv is None else main([str(one) for one in argv])
