"""Commands killed at random instants, again and again, until they are done: what is there in the end is that of commands nobody killed.

    python scripts/reliability/kill_loop.py FOLDER [--kills 100] [--table FILE.md]

One round trains, samples to a file, evaluates and steers, each as its own process that is killed (SIGKILL) after a random time and started
again by the same command. After each round the parameters, averages and metrics, the members and the tables are compared with those of a
round that was let alone, to the bit, and every file of both is read.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
import sys
sys.path.insert(0, {tests!r})
from toy_domain import toy_config

def get_config(variant=""):
    config = toy_config(held_out=32, steps=400)
    config.checkpoint.every = 20
    config.training.log_every = 10
    config.sampling.batch_size = 8
    return config
"""
STEER = ["evaluate", "--workdir", "run", "--steer", "svdd", "--members", "4", "--budget", "64"]
CAPTION = """
Kills at random instants of each command, and what was other than in a round without kills (good: none). Files: read after each kill by what
reads them, so that one which a kill cut short would have ended the next start.
"""


def commands() -> dict[str, list[str]]:
    """What a round does, by name."""
    return {
        "train and save": ["train", "--config", "toy.py", "--workdir", "run", "--quiet"],
        "sample to a file": ["sample", "--workdir", "run", "--count", "64", "--out", "members.npy", "--config.sampling.steps=200"],
        "evaluate": ["evaluate", "--workdir", "run", "--problems", "4", "--members", "8"],
        "steer": STEER,
    }


def start(arguments, folder) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled")}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen([sys.executable, "-m", "sciddm.cli", *arguments], cwd=folder, env=environment, stdout=log, stderr=log)


def whole_round(folder: Path) -> dict[str, float]:
    """One that is let alone; returns seconds by command."""
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(CONFIG.format(tests=str(ROOT / "tests")))
    seconds = {}
    for name, arguments in commands().items():
        began = time.monotonic()
        if start(arguments, folder).wait():
            raise SystemExit(f"{folder / 'log.txt'}: {name} did not end well")
        seconds[name] = time.monotonic() - began
    return seconds


def killed_round(folder: Path, seconds: dict[str, float], rng: random.Random, most: int) -> tuple[Counter, list[str]]:
    """(kills by command, what went wrong)."""
    folder.mkdir(parents=True)
    (folder / "toy.py").write_text(CONFIG.format(tests=str(ROOT / "tests")))
    kills: Counter = Counter()
    for name, arguments in commands().items():
        for attempt in range(1000):
            process = start(arguments, folder)
            # Not within the first imports alone: the later half of a command is where it writes.
            limit = rng.uniform(0.2, 1.05) * seconds[name] if attempt < 7 and sum(kills.values()) < most else None
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills[name] += 1
                continue
            if code == 0:
                break
            if "is there already" in (folder / "log.txt").read_text()[-400:]:  # killed after the file was whole, before it said so
                break
            return kills, [f"{name}: exit code {code}: {(folder / 'log.txt').read_text()[-300:]}"]
    return kills, []


def differences(whole: Path, killed: Path) -> list[str]:
    """What is other in `killed`, and what can't be read."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import xarray as xr

    from sciddm.train.checkpoint import Checkpoints

    wrong = []
    ends = [Checkpoints(folder / "run", read_only=True) for folder in (whole, killed)]
    for part in ("params", "ema"):
        (one, meta), (other, meta_killed) = (end.arrays(part) for end in ends)
        wrong += [f"{part} {name}" for name in one if not np.array_equal(one[name], other[name])]
    if meta["step"] != meta_killed["step"]:
        wrong.append(f"step {meta_killed['step']}")
    rows = [(folder / "run" / "metrics.jsonl").read_text().splitlines() for folder in (whole, killed)]
    if [_plain(json.loads(row)) for row in rows[0]] != [_plain(json.loads(row)) for row in rows[1]]:
        wrong.append("metrics.jsonl")
    if not np.array_equal(*(np.load(folder / "members.npy") for folder in (whole, killed))):
        wrong.append("members.npy")
    summaries = [xr.load_dataset(folder / "members-summary.nc") for folder in (whole, killed)]
    if not summaries[0].equals(summaries[1]):
        wrong.append("members-summary.nc")
    for name, key in (("evaluation.json", "scores"), ("steering.json", "rows")):
        found = [_timeless(json.loads((folder / "run" / name).read_text())[key]) for folder in (whole, killed)]
        if found[0] != found[1]:
            wrong.append(name)
    left = [str(path.relative_to(killed)) for path in killed.rglob("*") if path.name.endswith((".partial", ".part", ".tmp"))]
    return wrong + [f"left behind: {name}" for name in left if "checkpoints" not in name]


def _plain(row):
    return {name: value for name, value in row.items() if "second" not in name and "rate" not in name}


def _timeless(found):
    rows = found if isinstance(found, list) else [found]
    return [{key: value for key, value in row.items() if "second" not in key and "minutes" not in key} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    folder, rng, kills, wrong = arguments.folder.resolve(), random.Random(arguments.seed), Counter(), Counter()
    whole_round(folder / "compiling")  # programs are found again afterwards, so that seconds below are those of the work
    shutil.rmtree(folder / "compiling")
    seconds, rounds = whole_round(folder / "whole"), 0
    while sum(kills.values()) < arguments.kills:
        place = folder / f"round-{rounds:02d}"
        found, errors = killed_round(place, seconds, rng, arguments.kills - sum(kills.values()))
        errors = errors or differences(folder / "whole", place)
        kills += found
        wrong[place.name] = len(errors)
        print(f"{place.name}: {sum(found.values())} kills, {', '.join(errors) or 'as the round without kills'}", flush=True)
        rounds += 1
    rows = ["| command | kills |", "| --- | --- |", *[f"| {name} | {kills[name]} |" for name in commands()]]
    rows.append(f"| all, in {rounds} rounds | {sum(kills.values())}, {sum(wrong.values())} differences |")
    (arguments.table or folder / "kills.md").write_text("\n".join(rows) + "\n" + CAPTION)
    print("\n".join(rows))
    sys.exit(bool(sum(wrong.values())))


if __name__ == "__main__":
    main()
