"""Which network of sounds learns most in a second of CPU time: the time-frequency plane or the waveform? Held-out losses at equal cost.

Usage: python scripts/benchmarks/audio_networks.py OUT [--minutes 12]
Each trains in turn on one device until it has taken so many CPU minutes; the runs stay in OUT, from which a second call goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from machine import describe

NETWORKS = {
    "spectral, patches of 4 x 4": {"kind": "spectral"},
    "spectral, patches of 2 x 2": {"kind": "spectral", "patch": 2, "channels": "(48,96,96)"},
    "waveform, patches of 32": {"kind": "waveform"},
    "waveform, patches of 16": {"kind": "waveform", "patch": 16, "channels": "(96,192,256)"},
}


def train(place: Path, network: dict, minutes: float) -> dict:
    """The last line of metrics of a run that has taken `minutes` of CPU time, with that time and its steps."""
    done = place.with_suffix(".json")
    if done.exists():
        return json.loads(done.read_text())
    keys = [f"--config.network.{name}={value}" for name, value in network.items()]
    command = [
        sys.executable, "-m", "sciddm.cli", "train", "--config", "configs/audio.py:base", "--workdir", str(place), "--quiet", *keys,
        "--config.training.steps=1000000", f"--config.training.wall_minutes={minutes}", "--config.training.held_out=128",
        "--config.sampling.grid=optimised",
    ]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment())
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    held_out = next(line for line in reversed(lines) if "held_out/loss" in line)
    found = {"steps": lines[-1]["step"], "minutes": (time.perf_counter() - start) / 60, "held_out": held_out}
    done.write_text(json.dumps(found))
    return found


def environment() -> dict:
    """One device and one thread: wall time is CPU time."""
    return os.environ | {"JAX_NUM_CPU_DEVICES": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"{describe()}; {arguments.minutes:g} minutes on one core each\n")
    print("| network | steps | held-out loss | by noise level |\n| --- | --- | --- | --- |")
    for name, network in NETWORKS.items():
        found = train(arguments.out / name.replace(", ", "-").replace(" ", "-"), network, arguments.minutes)
        losses = {key: value for key, value in found["held_out"].items() if key.startswith("held_out/noise")}
        by_level = ", ".join(f"{key.split()[-1]}: {value:.3f}" for key, value in losses.items())
        print(f"| {name} | {found['steps']} | {found['held_out']['held_out/loss']:.4f} | {by_level} |", flush=True)


if __name__ == "__main__":
    main()
