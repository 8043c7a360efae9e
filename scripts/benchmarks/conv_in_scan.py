"""Time of the gradient of a 3x3 convolution, outside and inside `lax.scan`: plain lax beside `sciddm.networks.conv`.

Usage: python scripts/benchmarks/conv_in_scan.py
"""

import jax
import jax.numpy as jnp
from machine import describe, median_seconds

from sciddm.networks import conv

SHAPE, LENGTH, REPEATS = (16, 32, 32, 32), 4, 5


def descend(canonical: bool, scanned: bool):
    """(x, kernel) -> the same after LENGTH steps along the gradient of mean(conv(x, kernel)^2); the steps depend on each other."""
    gradient = jax.grad(lambda pair: jnp.mean(conv(*pair, canonical=canonical) ** 2))

    def step(pair, _=None):
        return jax.tree.map(lambda value, slope: value - 1e-3 * slope, pair, gradient(pair)), None

    def unrolled(pair):
        for _ in range(LENGTH):
            pair, _ = step(pair)
        return pair

    return jax.jit((lambda pair: jax.lax.scan(step, pair, length=LENGTH)[0]) if scanned else unrolled)


def main() -> None:
    keys = jax.random.split(jax.random.key(0))
    pair = jax.random.normal(keys[0], SHAPE), 0.1 * jax.random.normal(keys[1], (3, 3, SHAPE[-1], SHAPE[-1]))
    runs = [descend(canonical, scanned) for scanned in (False, True) for canonical in (False, True)]
    seconds = median_seconds(*[lambda run=run: run(pair) for run in runs], repeats=REPEATS)
    milliseconds = [1e3 * value / LENGTH for value in seconds]
    print("| gradient, ms a step | plain lax | canonical | ratio |\n| --- | --- | --- | --- |")
    for place, (plain, ours) in zip(
        ("outside a scan", "inside a scan"), (milliseconds[:2], milliseconds[2:]), strict=True
    ):
        print(f"| {place} | {plain:.1f} | {ours:.1f} | {plain / ours:.1f} |")
    print(f"\n{'x'.join(map(str, SHAPE))}, float32, medians of {REPEATS} in turns. {describe()}")


if __name__ == "__main__":
    main()
