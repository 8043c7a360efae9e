"""Sampling beside the bare network: time per call, compile time, memory. Started by `sampling.py --only speed`."""

import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from machine import describe
from sampling_common import Table, distinct_solvers, steps_for
from scipy import stats

import sciddm as sd
from sciddm.networks import DiT, UNet, split

KEY, TURNS = jax.random.key(0), 15


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
    return split(made), (16, 32, 32, 2), 10, 1.01


def compiled(function, *arguments):
    """The compiled function, CPU seconds to trace and compile it, and MiB of temporaries."""
    start = time.process_time()
    program = eqx.filter_jit(function).lower(*arguments).compile()
    return program, time.process_time() - start, program.compiled.memory_analysis().temp_size_in_bytes / 2**20


def bare(network, x, calls):
    """The network alone; the sum keeps every call alive and dependent on the one before."""
    levels = jnp.linspace(1.0, -1.0, calls)
    return jax.lax.scan(lambda h, level: (x + 1e-3 * network(h, level), None), x, levels)[0]


def speed(table: Table, name: str, only) -> None:
    """One table. name: of `make_network`; only: of solvers, all if empty."""
    jax.config.update("jax_enable_compilation_cache", False)  # compile times are to be those of a first run
    network, shape, most, target = make_network(name)
    denoiser, x = sd.NetworkDenoiser(network, sd.GaussianProcess.edm(), "edm", 1.0), jax.random.normal(KEY, shape)
    table.line(f"{name}: {'x'.join(map(str, shape))}, ratio at most {target} wanted")
    table.head(
        "solver", "calls", "bare, ms a call", "sampler, ms a call", "CPU time over the bare network's (95 % interval)", "",
        "wall time's, median", "compile, CPU s (bare)", "temporaries, MiB (bare)",
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
        wall, cpu = turns([lambda base=base, calls=calls: base(network, x, calls), lambda run=run: run(KEY, denoiser)])
        ratios = cpu[:, 1] / cpu[:, 0]
        half = stats.t.ppf(0.975, TURNS - 1) * stats.sem(ratios)
        low, ratio, high = ratios.mean() - half, ratios.mean(), ratios.mean() + half
        verdict = "ok" if high <= target else "over" if low > target else "within the interval"
        table.row(
            label, calls, *(f"{1e3 * value / calls:.2f}" for value in np.median(wall, axis=0)),
            f"{ratio:.3f} ({low:.3f} to {high:.3f})", verdict, f"{np.median(wall[:, 1] / wall[:, 0]):.3f}",
            f"{compile_seconds:.1f} ({base_compile:.1f})", f"{memory:.2f} ({base_memory:.2f})",
        )  # fmt: skip
    table.line(
        f"\n{TURNS} paired turns a row, after one that warms up. Bare is the network alone, without preconditioning; the sampler's "
        "time has the preconditioning, the solver and its noise. CPU time is that of all threads, which a busy machine disturbs "
        f"least; 'over' if the whole interval is. No compile cache. {describe()}"
    )


def turns(pair):
    """(TURNS, 2) wall and CPU seconds of both calls, taken in turns."""
    times = []
    for _ in range(TURNS + 1):
        row = []
        for call in pair:
            start = time.perf_counter(), time.process_time()
            jax.block_until_ready(call())
            row.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        times.append(row)
    return np.moveaxis(np.asarray(times[1:]), -1, 0)  # the first one warms up
