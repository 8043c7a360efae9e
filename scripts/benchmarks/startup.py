"""What passes between enter and an answer, each in a new process: help, a usage error, import, info, load, first sample, `sciddm sample`.

    python scripts/benchmarks/startup.py [--workdir runs/demo] [--repeats 5]

Writes results/startup.md. Without --workdir it trains a few steps of pde:smoke first. What is compiled is in the cache by then: every
command runs once before it is timed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import describe

from sciddm.caches import folder

RESULTS = Path(__file__).parent / "results" / "startup.md"
CACHED = {"JAX_COMPILATION_CACHE_DIR": str(folder("compiled").expanduser()), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
LIBRARIES = "import jax, equinox, flax.nnx, diffrax, xarray"
LOADED = "from time import perf_counter as now; {before}; import sciddm as sd; a = now(); model = sd.load({run!r}); b = now(); {after}"


def cases(run: str, out: Path) -> dict[str, list[str]]:
    """What is timed, by its name in the table, as arguments of Python; the whole process is, unless it prints seconds of its own."""
    command = ["-m", "sciddm.cli"]

    def python(after: str, before: str = "pass") -> list[str]:
        return ["-c", LOADED.format(run=run, before=before, after=after)]

    return {
        "`sciddm --help`": [*command, "--help"],
        "`sciddm trian`, a usage error": [*command, "trian"],
        "`sciddm info --config pdee`, a config that is not there": [*command, "info", "--config", "pdee"],
        "`python -c 'import sciddm'`": ["-c", "import sciddm"],
        f"`python -c '{LIBRARIES}'`, for comparison": ["-c", LIBRARIES],
        "`sciddm info --workdir RUN`": [*command, "info", "--workdir", run],
        "`sd.load(RUN)`, the whole process": python("pass"),
        "`sd.load(RUN)` where those libraries are imported already": python("print(b - a)", before=LIBRARIES),
        "first `model.sample(0, 16)` after that": python("model.sample(0, 16); print(now() - b)"),
        "`sciddm sample --workdir RUN`, from enter to file": [*command, "sample", "--workdir", run, "--out", str(out)],
    }


def seconds(arguments: list[str], out: Path) -> float:
    """Of one new process, or those that it prints."""
    for path in out.parent.glob(f"{out.stem}*"):
        path.unlink()
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=os.environ | CACHED)
    passed = time.perf_counter() - start
    if done.returncode not in (0, 2):
        raise SystemExit(done.stderr)
    return float(done.stdout) if "print(" in arguments[-1] else passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", help="a trained run (default: one is made)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        run, out = arguments.workdir or f"{place}/run", Path(place) / "samples.nc"
        if arguments.workdir is None:
            train = ["train", "--config", "pde:smoke", "--workdir", run, "--quiet", "--config.training.steps=20"]
            subprocess.run([sys.executable, "-m", "sciddm.cli", *train], check=True, env=os.environ | CACHED)
        rows = []
        for name, command in cases(run, out).items():
            seconds(command, out)
            times = [seconds(command, out) for _ in range(arguments.repeats)]
            rows.append(f"| {name} | {statistics.median(times):.2f} | {min(times):.2f} to {max(times):.2f} |")
            print(rows[-1])
    what = "a trained run" if arguments.workdir else "a run of pde:smoke"
    about = f"RUN is {what}; each in a new process, programs compiled before. Median and range of {arguments.repeats}, smaller is better."
    table = "\n".join(["| | seconds | range |", "| --- | --- | --- |", *rows])
    arguments.out.write_text(f"# From enter to an answer\n\n{about} {describe()}\n\n{table}\n")


if __name__ == "__main__":
    main()
