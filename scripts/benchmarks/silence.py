"""How long is a command silent on a busy machine? The longest wait between two signs of life, a row a command.

    python scripts/benchmarks/silence.py FOLDER [--busy 2] [--only "train pde"]

Trains smoke configs for half a minute each with empty caches; about 15 minutes. Writes results/silence.md where nothing is left out.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from machine import describe

RESULTS = Path(__file__).parent / "results" / "silence.md"
SUFFIX = {"pde": ".nc", "weather": ".nc", "molecules": ".sdf"}
BUDGET = "--config.training.wall_minutes=0.5"


def longest_silence(command, environment) -> tuple[float, float, str, str]:
    """(seconds of the longest wait for a byte of the command, what it had said last, seconds in all, the end of what it said)."""
    began = last = time.monotonic()
    worst, before, said = 0.0, "the start", ""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    while True:
        part = os.read(process.stdout.fileno(), 65536).decode(errors="replace")
        now = time.monotonic()
        if now - last > worst:
            worst, before = now - last, " ".join(said.split()[-6:]) or "the start"
        last, said = now, (said + part)[-4000:]
        if not part:
            break
    if process.wait():
        sys.exit(f"{' '.join(command)}: {said}")
    return worst, before, now - began, said


def commands(folder: Path):
    """(what, arguments of sciddm) of a first afternoon, each from its first start on."""
    for name, suffix in SUFFIX.items():
        run = folder / name
        yield f"train {name}", ["train", "--config", f"configs/{name}.py:smoke", "--workdir", run, BUDGET]
        yield f"info of {name}", ["info", "--workdir", run]
        yield f"sample of {name}", ["sample", "--workdir", run, "--count", "4", "--out", folder / f"samples-of-{name}{suffix}"]
    task = ["--task", "inverse", "--count", "4", "--out", folder / "inverse.nc"]
    yield "sample of pde, inverse", ["sample", "--workdir", folder / "pde", *task]
    yield "evaluate pde", ["evaluate", "--workdir", folder / "pde", "--problems", "1", "--members", "4"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of runs and caches; new, for everything to be made and compiled as the first time")
    parser.add_argument("--busy", type=int, default=2, help="other processes, which never rest (default 2)")
    parser.add_argument("--only", help="commands whose name holds this")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"XDG_CACHE_HOME": str(arguments.folder.resolve() / "cache"), "PYTHONUNBUFFERED": "1"}
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.busy)]
    rows = []
    try:
        for what, command in commands(arguments.folder):
            if arguments.only and arguments.only not in what:
                continue
            worst, before, whole, said = longest_silence(["sciddm", *map(str, command)], environment)
            words = next((line for line in said.splitlines() if line.startswith("undertrained:")), "")
            rows.append(f"| {what} | {worst:.1f} | {whole:.0f} | {words.partition('. ')[0]} |")
            print(f"{rows[-1]}   silent after: {before}", flush=True)
    finally:
        for process in busy:
            process.kill()
    if arguments.only:
        return
    head = ["| command | longest silence, s | in all, s | what it says of the run |", "| --- | --- | --- | --- |"]
    about = f"*{arguments.busy} other processes never rest; caches are empty at first. No silence of more than 3 s is wanted. {describe()}*"
    RESULTS.write_text("\n".join(["# Silence on a busy machine", "", *head, *rows, "", about, ""]))


if __name__ == "__main__":
    main()
