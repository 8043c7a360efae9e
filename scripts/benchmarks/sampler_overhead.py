"""Time of a sampling run over that of the bare network, per network call, for the demo's U-Net.

Both run the same network the same number of times in one compiled scan; what differs is the solver's own arithmetic.
Usage: python scripts/benchmarks/sampler_overhead.py [--batch 16] [--steps 20]
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from machine import describe, seconds

import sciddm as sd
from sciddm.networks import UNet, split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    network = split(UNet(2, channels=(48, 96), blocks=1, patch=2, attention_levels=(1,), rngs=nnx.Rngs(0)))
    denoiser = sd.NetworkDenoiser(network, sd.GaussianProcess.edm(), "edm", 1.0)
    shape, key = (arguments.batch, 32, 32, 2), jax.random.key(0)
    x = jax.random.normal(key, shape)

    def bare(calls):
        @jax.jit
        def run(network, x):
            # The sum keeps every call alive and dependent on the one before.
            return jax.lax.scan(
                lambda h, level: (x + 1e-3 * network(h, level), None), x, jnp.linspace(1.0, -1.0, calls)
            )[0]

        return lambda: run(network, x)

    print(
        "| solver | network calls | bare network, ms a call | sampler, ms a call | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for name in sd.solvers.SOLVERS:
        calls = sd.solvers.resolve(name).network_calls(arguments.steps)
        sampled = lambda name=name: sd.sample(key, denoiser, shape, solver=name, steps=arguments.steps)[0]  # noqa: E731
        times = seconds(bare(calls), sampled, repeats=15)
        (base, ours), ratio = np.median(times, axis=0), np.median(times[:, 1] / times[:, 0])
        print(
            f"| {name} | {calls} | {1e3 * base / calls:.2f} | {1e3 * ours / calls:.2f} | {ratio:.3f} |",
            flush=True,
        )
    print(
        f"\nBatch {arguments.batch}, {arguments.steps} steps, medians of 15 turns, the ratio that of each turn's pair. {describe()}"
    )


if __name__ == "__main__":
    main()
