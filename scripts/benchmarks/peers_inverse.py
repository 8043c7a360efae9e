"""Inverse problems whose posterior is known: our guides and particles beside azula's and deepinv's methods. See `peers.py`."""

import contextlib
import importlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from laws import LAWS
from machine import describe
from peers_samplers import number
from sampling_common import Table

import sciddm as sd
from sciddm.metrics import sliced_wasserstein

CALLS, OBSERVATIONS, SAMPLES, STD = (50, 200), 8, 500, 0.1
# Name -> law and the number of its values that are seen. The default of dps was found on other draws of the first two.
PROBLEMS = {"ring, x_1": ("ring", 1), "A, 4 of 16 values": ("A, full covariances", 4)}
FURTHER = {"isotropic, 4 of 16 values": ("isotropic, 16 dimensions", 4), "D, 8 of 64 points": ("D, spectra", 8)}
LIBRARIES = {"azula": "peers_azula_guidance", "deepinv": "peers_deepinv"}
DDPM = {"solver": "ddpm"}
GUIDES = {
    "mmps": (lambda d, o: sd.lookahead.mmps(d, o), DDPM),
    "mmps, the default solver": (lambda d, o: sd.lookahead.mmps(d, o), {}),
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
    found = {}
    for library, name in LIBRARIES.items():
        try:
            module, torch = importlib.import_module(name), importlib.import_module("torch")
        except ImportError as error:
            print(f"{library} is missing: {error}")
            continue
        for method in module.METHODS:
            mean = importlib.import_module("peers_torch").TorchMixture(problem.law)
            torch.manual_seed(1)
            batches = problem.each().reshape(OBSERVATIONS if method in module.ALONE else 1, -1, problem.seen)
            parts = [
                module.solve(method, mean, torch.from_numpy(y), STD, problem.dimension, calls).numpy() for y in batches
            ]
            assert mean.calls <= calls * len(batches), (method, mean.calls)
            found[f"{library} {method}"] = problem.distances(np.concatenate(parts))
    return found


def inverse(table: Table, sets: int) -> None:
    """Two tables, of `sets` sets of observations each."""
    began = time.perf_counter()
    table.line(
        "Sliced Wasserstein-1 distance to the exact posterior, exact denoiser, noise_std .1: mean (standard error) and worst of "
        f"{OBSERVATIONS * sets} observations, {SAMPLES} samples each, at equal calls of the denoiser. Less is better; the floor is that "
        "of two exact sets, and the best two of a column are **bold**. Of ours nothing is set but steps=calls (and \"ddpm\" of guides "
        "that name no solver); the peers' on their VP schedule. Ring: 24 narrow components on a circle; A: 10 Gaussians of full "
        "covariances."
    )
    compare(table, PROBLEMS, sets)
    table.line("\nOn laws that no setting was looked at on: 10 isotropic Gaussians, and periodic fields with spectra k^-2 to k^-3.5.")
    compare(table, FURTHER, sets)
    versions = []
    for name in ("peers_azula", "peers_deepinv"):
        with contextlib.suppress(ImportError):
            versions.append(importlib.import_module(name).versions())
    table.line(f"\n{', '.join(versions)}. {time.perf_counter() - began:.0f} s. {describe()}")


def compare(table: Table, problems: dict, sets: int) -> None:
    """One table: methods x problems and calls."""
    results, floors = {}, {}
    for name, (law, seen) in problems.items():
        for first in range(sets):
            problem = Problem(LAWS[law](), seen, first)
            floors.setdefault(name, []).append(problem.floor)
            for calls in CALLS:
                for label, distances in (ours(problem, calls) | theirs(problem, calls)).items():
                    results.setdefault(label, {}).setdefault((name, calls), []).append(distances)
            print(f"{name}, set {first}", flush=True)
    columns = [(name, calls) for name in problems for calls in CALLS]
    table.head("", *(f"{name}, {calls} calls" for name, calls in columns))
    values = {label: [np.concatenate(row[column]) for column in columns] for label, row in results.items()}
    best = [sorted(np.mean(row[i]) for row in values.values())[1] for i in range(len(columns))]
    table.row("floor", *(shown(np.concatenate(floors[name])) for name, _ in columns))
    for label, row in values.items():
        cells = [f"**{shown(v)}**" if v.mean() <= bound else shown(v) for v, bound in zip(row, best, strict=True)]
        table.row(label if label.split()[0] in LIBRARIES else f"sciddm {label}", *cells)


def shown(values) -> str:
    error = values.std(ddof=1) / np.sqrt(len(values))
    return f"{number(values.mean())} ({number(error)}), {number(values.max())}"
