"""Gradient of a 3x3 convolution outside and inside a scan, plain lax beside ours. Usage: python scripts/benchmarks/conv_in_scan.py"""

import jax
import jax.numpy as jnp
from machine import describe, median_seconds

from sciddm.networks import conv

STEPS = 3


def main() -> None:
    x = jax.random.normal(jax.random.key(0), (16, 32, 32, 32))
    kernel = 0.1 * jax.random.normal(jax.random.key(1), (3, 3, 32, 32))

    def gradients(canonical):
        loss = lambda k, a: jnp.mean(conv(a, k, canonical=canonical) ** 2)  # noqa: E731
        both = jax.grad(lambda pair: loss(*pair))

        def scan(pair):
            return jax.lax.scan(lambda p, _: (jax.tree.map(lambda a, g: a - g, p, both(p)), None), pair, length=STEPS)[
                0
            ]

        return jax.jit(both), jax.jit(scan)

    start, rows = (kernel, x), []
    for name, canonical in (("lax", False), ("canonical", True)):
        outside, inside = gradients(canonical)
        one, many = median_seconds(lambda f=outside: f(start), lambda f=inside: f(start), repeats=5)
        rows.append((name, 1e3 * one, 1e3 * many / STEPS))
    print("| gradient | outside a scan, ms | inside a scan, ms a step |\n| --- | --- | --- |")
    for name, one, many in rows:
        print(f"| {name} | {one:.0f} | {many:.0f} |")
    print(f"\n16x32x32x32, 3x3, medians of 5. {describe()}")


if __name__ == "__main__":
    main()
