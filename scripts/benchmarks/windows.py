"""What do synchronised windows cost, in accuracy and in memory? The law of a long AR(1) chain from exact denoisers of its windows,
and memory and time of a long sample from a small network.

Usage: python scripts/benchmarks/windows.py
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from machine import describe, median_seconds

import sciddm as sd
from sciddm.networks import UNet, split
from sciddm.solvers.ddim import ddim_step

LENGTH, RHO, STEPS = 64, 0.9, 200
PROCESS = sd.GaussianProcess.edm()
STRATEGIES = [("x0", 1.0), ("xt", 1.0), ("loss", 0.1), ("loss", 1.0), ("bethe", 1.0), ("centre", 1.0)]


def covariance(size: int) -> np.ndarray:
    """Of a stationary AR(1) chain of variance 1."""
    return RHO ** np.abs(np.subtract.outer(np.arange(size), np.arange(size)))


AXES = {size: np.linalg.eigh(covariance(size)) for size in (8, 15, 16, 31, 32, LENGTH)}


def expected(x_t, t, cond):
    """E[x_0 | x_t] of a stretch of the chain, of any of the lengths above."""
    values, vectors = AXES[x_t.shape[1]]
    return ((x_t @ vectors) * (values / (values + PROCESS.sigma(t) ** 2))) @ vectors.T


def law(denoiser) -> tuple[float, float, float, float]:
    """Mean and least variance, relative error of the covariance, correlation 20 points on; exact, for all of it is linear."""
    with jax.enable_x64(True):
        like, start = jax.ShapeDtypeStruct((LENGTH, LENGTH), jnp.float64), 80.0 * jnp.eye(LENGTH)
        x, _ = sd.sample(jax.random.key(0), denoiser, like, solver="ddim", steps=STEPS, grid="logsnr", start=start)
        found = np.asarray(x.T @ x)
    variance, truth = np.diag(found), covariance(LENGTH)
    correlation = np.diag(found, 20) / np.sqrt(variance[20:] * variance[:-20])
    return variance.mean(), variance.min(), np.linalg.norm(found - truth) / np.linalg.norm(truth), correlation.mean()


def step(denoiser, length: int):
    """One compiled DDIM step of a whole of this length, and the bytes that it needs besides its input and output."""

    arrays, static = eqx.partition(denoiser, eqx.is_array)

    def one(arrays, x):
        t, s = jnp.asarray(0.5), jnp.asarray(0.4)
        return ddim_step(eqx.combine(arrays, static)(x, t), x, PROCESS.level(t), PROCESS.level(s))

    x = jnp.ones((1, length, 1))
    compiled = jax.jit(one).lower(arrays, x).compile()
    return (lambda: compiled(arrays, x)), compiled.memory_analysis().temp_size_in_bytes


def main() -> None:
    chain = sd.FunctionDenoiser(expected, PROCESS)
    print("# Synchronised windows\n\n`python scripts/benchmarks/windows.py`\n")
    print(
        f"AR(1) chain of {LENGTH} points, rho = {RHO}, exact denoisers, {STEPS} DDIM steps; truth 1, 1, 0 and {RHO**20:.3f}.\n"
    )
    print(
        "| window, stride | strategy | variance | least variance | relative error of the covariance | correlation at lag 20 |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    print(f"| {LENGTH} | joint | " + " | ".join(f"{value:.3f}" for value in law(chain)) + " |")
    for window, stride in ((16, 8), (32, 16), (16, 1), (32, 1)):
        views = sd.lookahead.windows(LENGTH, window, stride)
        for strategy, scale in STRATEGIES if stride > 1 else [("x0", 1.0), ("bethe", 1.0), ("centre", 1.0)]:
            found = law(sd.lookahead.synchronize(chain, views, strategy=strategy, scale=scale))
            name = f"{strategy}, scale {scale:g}" if strategy == "loss" else strategy
            print(
                f"| {window}, {stride} | {name} | " + " | ".join(f"{value:.3f}" for value in found) + " |", flush=True
            )

    network = split(UNet(1, ndim=1, channels=(32, 64), blocks=1, features=64, rngs=nnx.Rngs(0)))
    model = sd.NetworkDenoiser(network, PROCESS)
    print("\nA DDIM step of a 1-D U-Net of windows of 64, stride 32; memory is what the step needs besides x.\n")
    print(
        "| length | windows | chunk 8: MB | chunk 8: ms | all at once: MB | all at once: ms |\n| --- | --- | --- | --- | --- | --- |"
    )
    for length in (64, 256, 1024, 4096):
        views = sd.lookahead.windows(length, 64, 32)
        calls, sizes = zip(
            *(step(sd.lookahead.synchronize(model, views, chunk=chunk), length) for chunk in (8, None)), strict=True
        )
        shown = zip(sizes, median_seconds(*calls, repeats=25), strict=True)
        cells = " | ".join(f"{size / 1e6:.2f} | {1e3 * seconds:.1f}" for size, seconds in shown)
        print(f"| {length} | {views.count} | {cells} |", flush=True)
    print(f"\n{describe()}")


if __name__ == "__main__":
    main()
