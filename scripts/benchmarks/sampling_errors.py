"""Errors against network calls on a mixture whose answers are known, ours beside diffusers'. Started by `sampling.py --only errors`."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from mixtures import unit_mixture
from sampling_common import Table, distinct_solvers, steps_for

import sciddm as sd
from sciddm.errors import install
from sciddm.metrics import sliced_wasserstein

KEY, CALLS = jax.random.key(0), (5, 10, 20, 50)
SAMPLES, PAIRED, COMPONENTS, DIMENSION, STD = 8000, 2000, 10, 16, 0.2
HEADER = [*(f"W, {n} calls" for n in CALLS), *(f"paired, {n} calls" for n in CALLS)]


class Truth:
    """Exact samples, the exact denoiser at any r = sigma/alpha, and exact ends of the probability flow."""

    def __init__(self):
        self.law = unit_mixture(1, DIMENSION, COMPONENTS, STD)
        self.samples = np.asarray(self.law.sample(jax.random.key(9), SAMPLES))
        self.noise = np.random.default_rng(3).standard_normal((SAMPLES, DIMENSION)).astype(np.float32)
        self.process, self.known = sd.GaussianProcess.ve(1e-3, 1e3), {}
        denoiser = self.law.denoiser(self.process)
        self.call = jax.jit(lambda y, r: denoiser(y, self.process.time(-2.0 * jnp.log(r))))

    def x0_hat(self, y, r):
        return np.asarray(self.call(y, np.float32(r)))

    def distance(self, samples) -> float:
        return sliced_wasserstein(samples, self.samples)

    def floor(self):
        """Mean and standard deviation of the distance of two independent exact sets, five pairs."""
        draw = lambda seed: self.law.sample(jax.random.key(seed), SAMPLES)  # noqa: E731
        pairs = [sliced_wasserstein(draw(100 + i), draw(200 + i)) for i in range(5)]
        return np.mean(pairs), np.std(pairs)

    def ends(self, y, r, steps: int = 300):
        """Where the probability flow from x_0 + r eps = y ends; Heun on a fine grid of its own."""
        key = (round(r, 4), len(y), float(y[0, 0]), steps)
        if key not in self.known:
            levels = jnp.linspace(-2.0 * np.log(r), self.process.log_snr(0.0), steps + 1)
            grid = np.asarray(self.process.time(levels)).clip(0.0, 1.0)
            options = {"solver": "heun", "grid": grid, "start": jnp.asarray(y)}
            self.known[key] = sd.sample(KEY, self.law.denoiser(self.process), y.shape, **options)[0]
        return self.known[key]

    def paired(self, samples, y, r) -> str:
        """RMS and median over samples of the distance to the exact ends, a coordinate. One sample of PAIRED on the wrong side of a
        ridge moves the RMS by 0.02, and leaves the median alone."""
        squares = np.mean((np.asarray(samples[:PAIRED]) - self.ends(y[:PAIRED], r)) ** 2, axis=1)
        return f"{np.sqrt(squares.mean()):.4f} / {np.sqrt(np.median(squares)):.4f}"


def fill(table: Table, truth: Truth, label: str, results, deterministic: bool) -> None:
    """One row. results: for each of CALLS, samples (None: a step asks more), calls, and the start y, r."""
    made = [calls for _, calls, *_ in results]
    label += "" if made == list(CALLS) else f" ({'/'.join(map(str, made))} calls)"
    distances = ["-" if samples is None else f"{truth.distance(samples):.3f}" for samples, *_ in results]
    paired = ["-" if s is None or not deterministic else truth.paired(s, *start) for s, _, *start in results]
    table.row(label, *distances, *paired)


def ours(table: Table, truth: Truth, grid: str, only) -> None:
    process = sd.GaussianProcess.vp()
    denoiser, like = truth.law.denoiser(process), (SAMPLES, DIMENSION)
    start = truth.noise * float(process.sigma(1.0))
    y, r = start / float(process.alpha(1.0)), float(jnp.exp(-0.5 * process.log_snr(1.0)))
    mean, std = truth.floor()
    itself = truth.paired(truth.ends(y[:PAIRED], r, 600), y, r)
    table.line(
        f"Mixture: {COMPONENTS} Gaussians in {DIMENSION} dimensions, weights Dirichlet(10), std {STD}, every coordinate of mean 0 and "
        f"variance 1; VP. {SAMPLES} samples. W: sliced Wasserstein-1 to exact samples (floor {mean:.3f} +- {std:.3f}, five pairs; the "
        f"exact flow from these starts {truth.distance(truth.ends(y, r)):.3f}). Paired: distance to the exact flow's end from the same "
        f"start, a coordinate, RMS / median over {PAIRED} samples, deterministic solvers ({itself} is the reference's own)."
    )
    table.head("ours", *HEADER)

    def draw(solver, steps, grid, key=KEY):
        samples, info = sd.sample(key, denoiser, like, solver=solver, steps=steps, grid=grid, start=jnp.asarray(start))
        return samples, int(info["network_calls"]), y, r

    def run(label, solver, grid):
        steps = [steps_for(solver, calls) for calls in CALLS]
        if None in steps:
            samples, calls, *_ = draw(solver, 20, grid)
            cells = [f"{truth.distance(samples):.3f}", *["-"] * 7]
            cells[4] = truth.paired(samples, y, r)
            return table.row(f"{label} ({calls} calls throughout)", *cells)
        results = [draw(solver, n, grid) if n else (None, 0, y, r) for n in steps]
        again = draw(solver, steps[-1], grid, jax.random.key(1))[0]
        fill(table, truth, label, results, np.allclose(results[-1][0], again, atol=1e-3))

    for label, solver in distinct_solvers(only).items():
        run(f"{label}; {grid}", solver, grid)
    default = inspect.signature(sd.sample).parameters["solver"].default
    for other in sd.grids.GRIDS:
        if other != grid:
            run(f"{default} (default); {other}", sd.solvers.resolve(default), other)


def errors(table: Table, grid: str, only) -> None:
    """Ours on `grid`, the default solver on all grids, then diffusers' where it is installed. only: names of ours, all if empty."""
    truth = Truth()
    ours(table, truth, grid, only)
    try:
        import diffusers_schedulers as theirs
    except ImportError as error:
        table.line(f"\ndiffusers' rows are missing ({error}): {install('benchmarks')} adds them.")
    else:
        table.head("diffusers", *HEADER)
        for label in theirs.SCHEDULERS:
            results = [theirs.solve(label, calls, truth.noise, truth.x0_hat) for calls in CALLS]
            fill(table, truth, label, results, theirs.deterministic(label))
        table.line(f"\n{theirs.versions()}.")
    table.line(f"\n{describe()}")
