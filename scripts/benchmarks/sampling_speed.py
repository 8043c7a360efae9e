"""Sampling beside the bare network: time per call, compile time, memory. Started by `sampling.py --only speed`."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from machine import describe
from sampling_common import Table, distinct_solvers, steps_for

import sciddm as sd
from sciddm.networks import DiT, UNet, split

KEY, MOST = jax.random.key(0), 31


class MLP(eqx.Module):
    """A network of points: four dense layers of `hidden`, the noise level beside the coordinates."""

    kernels: list

    def __init__(self, key, dimension: int = 2, hidden: int = 128):
        widths = [dimension + 1, hidden, hidden, hidden, dimension]
        keys = jax.random.split(key, len(widths))
        self.kernels = [
            jax.random.normal(k, (a, b)) / a**0.5 for k, a, b in zip(keys, widths[:-1], widths[1:], strict=False)
        ]

    def __call__(self, x, noise_level, cond=None):
        h = jnp.concatenate([x, jnp.broadcast_to(noise_level, (*x.shape[:-1], 1))], axis=-1)
        for kernel in self.kernels[:-1]:
            h = jax.nn.silu(h @ kernel)
        return h @ self.kernels[-1]


def make_network(name: str):
    """Network, shape of a batch, calls a run, and the most that sampling may cost over the bare network."""
    if name == "points":
        return MLP(KEY), (4096, 2), 20, 1.3
    if name == "unet":
        made = UNet(2, channels=(48, 96), blocks=1, patch=2, attention_levels=(1,), rngs=nnx.Rngs(0))
    else:
        made = DiT(2, dim=128, depth=6, patch=4, rngs=nnx.Rngs(0))
    return split(made), (16, 32, 32, 2), 10, 1.02


def compiled(function, *arguments):
    """The compiled function, CPU seconds to trace and compile it, and MiB of temporaries."""
    start = time.process_time()
    program = eqx.filter_jit(function).lower(*arguments).compile()
    return program, time.process_time() - start, program.compiled.memory_analysis().temp_size_in_bytes / 2**20


def bare(network, x, calls):
    """The network alone; the sum keeps every call alive and dependent on the one before."""
    levels = jnp.linspace(1.0, -1.0, calls)
    return jax.lax.scan(lambda h, level: (x + 1e-3 * network(h, level), None), x, levels)[0]


def speed(table: Table, name: str, only, budget: float) -> None:
    """One table. name: of `make_network`; only: of solvers, all if empty; budget: seconds timed a ratio."""
    jax.config.update("jax_enable_compilation_cache", False)  # compile times are to be those of a first run
    network, shape, most, target = make_network(name)
    denoiser, x = sd.NetworkDenoiser(network, sd.GaussianProcess.edm(), "edm", 1.0), jax.random.normal(KEY, shape)
    table.line(f"{name}: {'x'.join(map(str, shape))}, ratio at most {target} wanted")
    table.head(
        "solver", "calls", "bare, ms a call", "sampler, ms a call", "ratio, median (quartiles)", "", "CPU time ratio",
        "compile, CPU s (bare)", "temporaries, MiB (bare)",
    )  # fmt: skip
    compiled(bare, network, x, 2)  # what only the first compilation pays
    programs = {}
    for label, solver in distinct_solvers(only).items():
        steps = steps_for(solver, most)
        if not steps:
            table.row(label, "not fixed", *["-"] * 7)
            continue
        calls = solver.network_calls(steps)
        if calls not in programs:
            programs[calls] = compiled(bare, network, x, calls)
        base, base_compile, base_memory = programs[calls]

        def sample(key, denoiser, solver=solver, steps=steps):
            return sd.sample(key, denoiser, shape, solver=solver, steps=steps)[0]

        program, compile_seconds, memory = compiled(sample, KEY, denoiser)
        # Points are timed through `sd.sample` itself, whose dispatch could show; networks spare the second compilation.
        run = sample if name == "points" else program
        wall, cpu = turns(
            [lambda base=base, calls=calls: base(network, x, calls), lambda run=run: run(KEY, denoiser)], budget
        )
        low, ratio, high = np.quantile(wall[:, 1] / wall[:, 0], [0.25, 0.5, 0.75])
        verdict = "ok" if ratio <= target else "over" if low > target else "unclear"
        table.row(
            label, calls, *(f"{1e3 * value / calls:.2f}" for value in np.median(wall, axis=0)),
            f"{ratio:.3f} ({low:.3f} to {high:.3f})", verdict, f"{np.median(cpu[:, 1] / cpu[:, 0]):.3f}",
            f"{compile_seconds:.1f} ({base_compile:.1f})", f"{memory:.2f} ({base_memory:.2f})",
        )  # fmt: skip
    table.line(
        f"\nPaired turns, {MOST} at most and {budget:g} s a row; 'over' if the lower quartile is, 'unclear' if only the median is. The CPU "
        f"time of all threads is what a busy machine disturbs least. No compile cache. {describe()}"
    )


def turns(pair, budget: float):
    """(turns, 2) wall and CPU seconds of both calls, taken in turns for `budget` seconds, 5 turns to MOST."""
    times = []
    for turn in range(MOST + 1):
        row = []
        for call in pair:
            start = time.perf_counter(), time.process_time()
            jax.block_until_ready(call())
            row.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        if turn:  # the first one warms up
            times.append(row)
        if turn >= 5 and np.sum(times, axis=(0, 1))[0] > budget:
            break
    return np.moveaxis(np.asarray(times), -1, 0)
