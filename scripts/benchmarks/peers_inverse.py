"""Inverse problems whose posterior is known: our guides and particles beside azula's and deepinv's methods. See `peers.py`."""

import importlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from laws import full_covariances, ring
from machine import describe
from peers_samplers import number
from sampling_common import Table

import sciddm as sd
from sciddm.metrics import sliced_wasserstein

CALLS, OBSERVATIONS, SAMPLES, STD = (50, 200), 8, 500, 0.1
PROBLEMS = {"ring, x_1 seen": (ring, 1), "A, 4 of 16 values seen": (full_covariances, 4)}
LIBRARIES = {"azula": "peers_azula_guidance", "deepinv": "peers_deepinv"}
DDPM = {"solver": "ddpm"}
GUIDES = {
    "mmps": (lambda d, o: sd.lookahead.mmps(d, o), DDPM),
    "mmps, the default unipc2": (lambda d, o: sd.lookahead.mmps(d, o), {}),
    "pigdm": (lambda d, o: sd.lookahead.pigdm(d, o), DDPM),
    "dps": (lambda d, o: sd.lookahead.dps(d, o), {}),
    "dps, scale 1 (published)": (lambda d, o: sd.lookahead.dps(d, o, scale=1.0), {}),
    "dps, scale 0.1": (lambda d, o: sd.lookahead.dps(d, o, scale=0.1), {}),
}


class Problem:
    """`OBSERVATIONS` measurements of the first `seen` values of draws of a law, and the exact posteriors."""

    def __init__(self, law: sd.oracle.GaussianMixture, seen: int, first: int = 0):
        self.law, self.dimension, self.seen = law, law.means.shape[1], seen
        self.A = np.eye(self.dimension, dtype=np.float32)[:seen]
        truths = np.asarray(law.sample(jax.random.key(70 + first), OBSERVATIONS))
        noise = np.random.default_rng([71, first]).normal(size=(OBSERVATIONS, seen))
        self.y = (truths[:, :seen] + STD * noise).astype(np.float32)
        posteriors = [law.posterior(self.A, y, STD) for y in self.y]
        self.exact, others = (
            [np.asarray(p.sample(seed, SAMPLES)) for p in posteriors] for seed in (72 + first, 73 + first)
        )
        self.floor = self.distances(others)
        self.posteriors = posteriors

    def distances(self, samples):
        """(OBSERVATIONS,) sliced distances to the exact posteriors; what is not finite counts as far away."""
        parts = np.asarray(samples).reshape(OBSERVATIONS, SAMPLES, self.dimension)
        parts = np.nan_to_num(parts, nan=1e3, posinf=1e3, neginf=-1e3).clip(-1e3, 1e3)
        return np.array([sliced_wasserstein(a, b) for a, b in zip(parts, self.exact, strict=True)])

    def each(self):
        """y of every sample, (OBSERVATIONS * SAMPLES, seen)."""
        return np.repeat(self.y, SAMPLES, axis=0)


def ours(problem: Problem, calls: int) -> dict:
    """Label -> distances, at most `calls` network calls a sample or particle."""
    denoiser, shape = problem.law.denoiser(sd.GaussianProcess.vp()), (OBSERVATIONS * SAMPLES, problem.dimension)
    observation, found = sd.lookahead.Observation(problem.A, jnp.asarray(problem.each()), STD), {}
    for label, (guide, options) in GUIDES.items():
        samples, info = sd.sample(1, guide(denoiser, observation), shape, steps=calls, **options)
        assert int(info["network_calls"]) <= calls
        found[label] = problem.distances(samples)
    populations = []
    for i, y in enumerate(problem.y):
        one = sd.lookahead.Observation(problem.A, jnp.asarray(y), STD)
        result = sd.particles.smc(10 + i, denoiser, one, (problem.dimension,), num_particles=SAMPLES, steps=calls)
        assert int(result.info["network_calls"]) <= calls * SAMPLES
        populations.append(np.asarray(result.resampled(jax.random.key(i), SAMPLES)))
    found["smc, 500 particles"] = problem.distances(populations)
    return found


def theirs(problem: Problem, calls: int) -> dict:
    import torch
    from peers_torch import TorchMixture

    found = {}
    for library, name in LIBRARIES.items():
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            print(f"{library} is missing: {error}")
            continue
        for method in module.METHODS:
            mean = TorchMixture(problem.law)
            torch.manual_seed(1)
            batches = problem.each().reshape(OBSERVATIONS if method in module.ALONE else 1, -1, problem.seen)
            parts = [
                module.solve(method, mean, torch.from_numpy(y), STD, problem.dimension, calls).numpy() for y in batches
            ]
            assert mean.calls <= calls * len(batches), (method, mean.calls)
            found[f"{library} {method}"] = problem.distances(np.concatenate(parts))
    return found


def inverse(table: Table, seeds: int) -> None:
    """One table for all. seeds: sets of observations."""
    began, results, floors = time.perf_counter(), {}, {}
    for name, (law, seen) in PROBLEMS.items():
        for first in range(seeds):
            problem = Problem(law(), seen, first)
            floors.setdefault(name, []).append(problem.floor)
            for calls in CALLS:
                for label, distances in (ours(problem, calls) | theirs(problem, calls)).items():
                    results.setdefault(label, {}).setdefault((name, calls), []).append(distances)
            print(f"{name}, set {first}: {time.perf_counter() - began:.0f} s", flush=True)
    table.line(
        "Sliced Wasserstein-1 distance to the exact posterior, exact denoiser, noise_std .1: mean (standard error) and worst of "
        f"{OBSERVATIONS * seeds} observations, {SAMPLES} samples each, at equal calls of the denoiser. Less is better; the floor is that "
        "of two exact sets. Ring: 24 narrow components on a circle; A: 10 Gaussians of full covariances in 16 dimensions. "
        "`steps=calls` is all that is set of ours, and the schedule of the peers' own (VP); the best two of a column are **bold**."
    )
    columns = [(name, calls) for name in PROBLEMS for calls in CALLS]
    table.head("", *(f"{name}, {calls} calls" for name, calls in columns))
    values = {label: [np.concatenate(row[column]) for column in columns] for label, row in results.items()}
    best = [sorted(np.mean(row[i]) for row in values.values())[1] for i in range(len(columns))]
    table.row("floor", *(shown(np.concatenate(floors[name])) for name, _ in columns))
    for label, row in values.items():
        cells = [f"**{shown(v)}**" if v.mean() <= bound else shown(v) for v, bound in zip(row, best, strict=True)]
        table.row(label if label.split()[0] in LIBRARIES else f"sciddm {label}", *cells)
    from peers_azula import versions as azula
    from peers_deepinv import versions as deepinv

    table.line(f"\n{azula()}, {deepinv()}. {time.perf_counter() - began:.0f} s. {describe()}")


def shown(values) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{number(values.mean())} ({number(error)}), {number(values.max())}"
