"""Time of the gradient of a 3x3 convolution, outside and inside `lax.scan`: plain lax against `sciddm.networks.conv`.

    python scripts/benchmarks/conv_in_scan.py [--batch 16] [--size 32] [--channels 32] [--length 4] [--repeats 9]

Prints a markdown table of medians, in milliseconds a gradient (of input and kernel), and the machine it ran on.
"""

import argparse
import os
import pathlib
import platform
import statistics
import time

import jax
import jax.numpy as jnp

from sciddm.networks import conv


def machine() -> str:
    """CPU model, usable cores, jax version and backend."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, jax {jax.__version__}, {jax.default_backend()}"


def descend(canonical: bool, length: int, scanned: bool):
    """(x, kernel) -> (x, kernel) after `length` steps along the gradient of mean(conv(x, kernel)^2); the steps depend on each other."""
    gradient = jax.grad(lambda pair: jnp.mean(conv(*pair, canonical=canonical) ** 2))

    def step(pair, _=None):
        return jax.tree.map(lambda value, slope: value - 1e-3 * slope, pair, gradient(pair)), None

    def unrolled(pair):
        for _ in range(length):
            pair, _ = step(pair)
        return pair

    return jax.jit((lambda pair: jax.lax.scan(step, pair, length=length)[0]) if scanned else unrolled)


def milliseconds(runs: dict, pair, repeats: int, length: int) -> dict:
    """Median over `repeats` rounds that take turns, so that a busy machine slows all of them alike."""
    times = {name: [] for name in runs}
    for run in runs.values():
        jax.block_until_ready(run(pair))
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run(pair))
            times[name].append(1e3 * (time.perf_counter() - start) / length)
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in {"batch": 16, "size": 32, "channels": 32, "length": 4, "repeats": 9}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (given.batch, given.size, given.size, given.channels))
    kernel = jax.random.normal(keys[1], (3, 3, given.channels, given.channels))

    places = {"outside": False, "inside scan": True}
    runs = {
        (place, own): descend(own, given.length, scanned) for place, scanned in places.items() for own in (False, True)
    }
    median = milliseconds(runs, (x, kernel), given.repeats, given.length)
    print(
        f"Gradient of a 3x3 convolution, {'x'.join(map(str, x.shape))} float32, ms, median of {given.repeats}. {machine()}.\n"
    )
    print("| gradient | plain lax | ours | ratio |\n|---|---:|---:|---:|")
    for place in places:
        plain, ours = median[place, False], median[place, True]
        print(f"| {place} | {plain:.1f} | {ours:.1f} | {plain / ours:.1f} |")


if __name__ == "__main__":
    main()
