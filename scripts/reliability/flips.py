"""Files with one byte flipped: no traceback, no hang, no crash; what is checked is noticed.

    python scripts/reliability/flips.py FOLDER [--flips 2000] [--only NAME] [--table FILE.md]

Each format's small file is read again and again in forked processes, a hundred flips each, and after what ends one of them with the next.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

SECONDS = 20.0  # of one read, after which it hangs
TEXTS = {".csv", ".tsv", ".txt", ".xyz", ".extxyz", ".sdf", ".mol", ".smi"}
CAPTION = """
Reads of one small file a format with one byte flipped.
refused: in one line. same: as the file that is whole. other: read as something else, where the format has no checksum to tell by.
Good: nothing in the columns traceback, crash and hang; nothing in "other" where the format is checked.
"""


@dataclass(frozen=True)
class Format:
    """name: as the table has it; write(path without a suffix) -> the file or folder; read(path) -> plain values by name; checked: whether
    its checksums tell every flip."""

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], dict]
    checked: bool = False


def environment() -> dict[str, str]:
    """Of a process that a format needs to be written."""
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}


def flipped(path: Path, rng: random.Random) -> None:
    """One byte of a file, or of one of a store's files, is another."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    sizes = [file.stat().st_size for file in files]
    file = rng.choices(files, sizes)[0]
    data = bytearray(file.read_bytes())
    at = rng.randrange(len(data))
    data[at] ^= rng.randrange(1, 256)
    file.write_bytes(data)


def worker(one: Format, whole: Path, folder: Path, seeds: range, log: Path) -> None:
    """In a forked process: a line of `log` before and after each read. Never returns."""
    code = 0
    try:
        expected = json.dumps(one.read(whole), sort_keys=True, default=str)
        for seed in seeds:
            rng = random.Random(seed)
            path = folder / whole.name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (shutil.copytree if whole.is_dir() else shutil.copy)(whole, path)
            if (manifest := whole.with_name(whole.name + ".manifest.json")).exists():
                shutil.copy(manifest, folder)
            flipped(path, rng)
            write(log, seed, "began")
            write(log, seed, outcome_of(one, path, expected))
    except BaseException as error:
        write(log, -1, f"broken: {type(error).__name__}: {error}")
        code = 1
    os._exit(code)


def outcome_of(one: Format, path: Path, expected: str) -> str:
    """refused, same, other, or traceback with its first words."""
    from sciddm.errors import UserError

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            found = json.dumps(one.read(path), sort_keys=True, default=str)
    except UserError as error:
        return "refused" if "\n" not in str(error) else f"traceback of several lines: {str(error)[:200]!r}"
    except Exception as error:
        return f"traceback {type(error).__name__}: {str(error)[:200]!r}"
    if "Traceback" in said.getvalue():
        return f"traceback beside: {said.getvalue()[-200:]!r}"
    return "same" if found == expected else "other"


def write(log, seed, what) -> None:
    with log.open("a") as file:
        file.write(json.dumps([seed, what]) + "\n")


def try_format(one: Format, folder: Path, flips: int) -> tuple[Counter, list[str]]:
    """(count by outcome, what went wrong in words)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    whole, log, first, wrong = one.write(folder / "whole"), folder / "log.jsonl", 0, []
    counts: Counter = Counter()
    while first < flips:
        log.unlink(missing_ok=True)
        process = os.fork()
        if process == 0:
            worker(one, whole, folder / "flipped", range(first, min(first + 100, flips)), log)
        status = until_over(process, log)
        rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        for _, what in rows:
            if what.startswith("broken"):
                raise RuntimeError(f"{one.name}: {what}")
            if what != "began":
                counts[what.split()[0]] += 1
            if what.startswith("traceback"):
                wrong.append(f"{one.name}: {what}")
        last = rows[-1] if rows else [first, "began"]
        if status != "over":
            counts[status] += 1
            wrong.append(f"{one.name}, seed {last[0]}: {status}")
            first = last[0] + 1
        else:
            first = min(first + 100, flips)
    return counts, wrong


def until_over(process, log) -> str:
    """ "over", "crash" or "hang", of a process that adds to `log` with each read."""
    size, since = -1, time.monotonic()
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return "over" if os.WIFEXITED(status) else "crash"
        now = log.stat().st_size if log.exists() else 0
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > SECONDS:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return "hang"
        time.sleep(0.01)


def arguments_and_formats(doc: str, option: str, default: int):
    """What the command line says, and the formats of all domains that it names; runs are made where they are not there."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument(option, type=int, default=default)
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=Path, help="where the trained runs are, or are made (default: FOLDER/runs)")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    import runs
    from inputs import DOMAINS, import_all

    runs.make_all(arguments.runs or arguments.folder / "runs")
    import_all()
    formats = [one for name in DOMAINS for one in getattr(importlib.import_module(f"{name}_cases"), "FORMATS", [])]
    return arguments, [one for one in formats if arguments.only in one.name]


def main() -> None:
    arguments, formats = arguments_and_formats(__doc__, "--flips", 2000)
    columns = ("refused", "same", "other", "traceback", "crash", "hang")
    rows, all_wrong = [f"| format | checked | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"], []
    for one in formats:
        counts, wrong = try_format(
            one, arguments.folder.resolve() / one.name.replace(" ", "-").replace("/", "-"), arguments.flips
        )
        all_wrong += wrong + [f"{one.name}: {counts['other']} flips not noticed"] * bool(
            one.checked and counts["other"]
        )
        rows.append(
            f"| {one.name} | {'yes' if one.checked else 'no'} | {' | '.join(str(counts[c]) for c in columns)} |"
        )
        print(rows[-1], *wrong[:5], sep="\n", flush=True)
    (arguments.table or arguments.folder / "flips.md").write_text("\n".join(rows) + "\n" + CAPTION)
    sys.exit(bool(all_wrong))


if __name__ == "__main__":
    main()
