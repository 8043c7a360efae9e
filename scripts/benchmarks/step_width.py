"""Ancestral steps as wide as the denoiser's covariance says, beside the plug-in ones: samples, posteriors, rewards and extremes.

Usage: python scripts/benchmarks/step_width.py [--parts samples posteriors cost rewards extremes] [--steps 20 50 100] [--seeds 2]
       [--only A D] [--out FILE]
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from laws import LAWS
from machine import describe
from mixtures import isotropic_denoiser, isotropic_posterior, twenty_five, unit_mixture
from sampling_common import Table
from scipy.optimize import brentq
from scipy.stats import norm

import sciddm as sd
from sciddm import lookahead, particles
from sciddm.metrics import sliced_wasserstein

DDPM = sd.solvers.DDPM
STEPS = {
    "plug-in": DDPM(),
    "prior_variance=1": DDPM(prior_variance=1.0),
    "diagonal, 4 probes": DDPM(covariance="diagonal", probes=4),
    "low rank, 2": DDPM(covariance="low_rank", probes=2),
    "low rank, 8": DDPM(covariance="low_rank"),
    "exact": DDPM(covariance="exact"),
}
WIDE = sd.GaussianProcess.vp(beta_max=30.0)  # of the 25 components, whose standard deviation is 11


def backward(solver, dimension):
    """Backward passes a step besides those of the method."""
    few = {"exact": dimension, "diagonal": solver.probes or dimension, "low_rank": 2 * (solver.probes or 8) + 2}
    return 0 if solver.covariance is None else min(few[solver.covariance], dimension)


def chosen(dimension):
    """Of `STEPS` the low rank that is small beside this dimension, and the exact one where its backward passes are few."""
    left_out = {"low rank, 8" if dimension <= 8 else "low rank, 2", "exact" if dimension > 16 else ""}
    return {name: solver for name, solver in STEPS.items() if name not in left_out}


def wanted(label, arguments):
    return not arguments.only or any(label.startswith(start) for start in arguments.only)


def shares(law, x):
    """(K,) mean responsibilities: of exact samples the components' weights, in expectation."""
    return np.asarray(jnp.mean(jax.nn.softmax(law._log_joint(jnp.asarray(x, jnp.float32), 1.0, 0.0), -1), 0))


def apart(law, x):
    """Total variation of the components' shares."""
    return 0.5 * float(np.abs(shares(law, x) - np.asarray(law.weights)).sum())


def quantiles(law, level):
    """(d,) above which each coordinate lies with probability `level`."""
    means, std = np.asarray(law.means, float), np.sqrt(np.asarray(jax.vmap(jnp.diagonal)(law.covariances), float))
    weights = np.asarray(law.weights, float)
    return np.array(
        [brentq(lambda c, m=m, s=s: weights @ norm.sf((c - m) / s) - level, -200.0, 200.0) for m, s in zip(means.T, std.T, strict=True)]
    )


@eqx.filter_jit
def sample(key, denoiser, like, solver, steps):
    return sd.sample(key, denoiser, like, solver=solver, steps=steps, grid="logsnr")[0]


def samples(table, arguments, count=1500):
    """Plain sampling from t = 1."""
    laws = {name: LAWS[name]() for name in ("A, full covariances", "C, Student t", "D, spectra", "isotropic, 16 dimensions")}
    laws["25 components, 8 dimensions"] = twenty_five(0, 8, 1)[0]
    laws = {label: law for label, law in laws.items() if wanted(label, arguments)}
    columns = [f"{what}: {n} steps" for what in ("distance", "modes", "tails") for n in arguments.steps]
    table.head("law", "step", "backward passes", *columns)
    for label, law in laws.items():
        dimension, level = law.means.shape[1], quantiles(law, 0.001)
        denoiser = law.denoiser(WIDE if "25" in label else sd.GaussianProcess.vp())
        draws = [np.asarray(law.sample(jax.random.key(100 + i), count)) for i in range(2 * arguments.seeds)]

        def rates(sets, law=law, level=level, draws=draws):
            distance = np.mean([sliced_wasserstein(x, truth) for x, truth in zip(sets, draws, strict=False)])
            every = np.concatenate(sets)
            return distance, apart(law, every), np.mean(every > level) / 0.001

        floor = rates(draws[arguments.seeds :])
        size = len(arguments.steps)
        table.row(label, "exact draws", "", *(cell for value in floor for cell in [f"{value:.3f}"] + ["-"] * (size - 1)))
        for name, solver in chosen(dimension).items():
            found = [
                rates([np.asarray(sample(jax.random.key(i), denoiser, (count, dimension), solver, steps)) for i in range(arguments.seeds)])
                for steps in arguments.steps
            ]
            table.row(label, name, backward(solver, dimension), *(f"{row[i]:.3f}" for i in range(3) for row in found))
    table.line()
    table.line(
        f"Less is better but for tails, where 1 is: the share of all coordinates beyond the value that .1 % exceed, over that. Distance: "
        f"sliced 1-Wasserstein of {count} samples to as many exact ones, mean of {arguments.seeds} seeds; modes: total variation of the "
        "components' shares. Exact denoisers, from pure noise, steps uniform in log-SNR."
    )


@eqx.filter_jit
def population(key, denoiser, observation, solver, steps, count):
    options = {"num_particles": count, "steps": steps, "solver": solver, "grid": "logsnr"}
    result = particles.smc(key, denoiser, observation, denoiser_shape(denoiser), **options)
    return result.resampled(jax.random.fold_in(key, 1)), result.log_evidence, jnp.mean(result.info["ess"]) / count


def denoiser_shape(denoiser):
    return (denoiser.basis.shape[0],) if hasattr(denoiser, "inside") else denoiser.mixture.means.shape[1:]


def problems(seeds):
    """(name, law of the posterior or draws of it, exact log evidence, denoiser, observation) of each problem."""
    for seed in range(seeds):
        prior, A, y, std, _ = twenty_five(seed, 8, 1)
        _, _, evidence = isotropic_posterior(prior, A, y, std)
        yield "25 components, 1 of 8 seen", prior.posterior(A, y, std), evidence, isotropic_denoiser(prior, WIDE), (A, y, std)
    for name, label, seen, std in (  # fewer of these, which cost more
        ("A, full covariances", "A, 4 of 16 values seen", 4, 0.1), ("D, spectra", "D, 8 of 64 points seen", 8, 0.1)
    ):  # fmt: skip
        law = LAWS[name]()
        rows = np.eye(law.means.shape[1])[:: law.means.shape[1] // seen]
        for seed in range(seeds // 2):
            x = np.asarray(law.sample(jax.random.key(50 + seed), 1))[0]
            y = rows @ x + std * np.random.default_rng(seed).normal(size=seen)
            posterior, evidence = law.posterior(rows, y, std), float(law.log_evidence(rows, y, std))
            yield label, posterior, evidence, law.denoiser(sd.GaussianProcess.vp()), (rows, y, std)


def posteriors(table, arguments, count=1000, keys=2):
    """smc by its default twist."""
    every = [problem for problem in problems(2 * arguments.seeds) if wanted(problem[0], arguments)]
    head = [f"{n} steps: {what}" for n in arguments.steps for what in ("distance", "evidence", "modes", "ESS", "seconds")]
    table.head("problem", "step", "floor", *head)
    for label in dict.fromkeys(problem[0] for problem in every):
        mine = [problem for problem in every if problem[0] == label]
        dimension = mine[0][1].means.shape[1]
        truths = [[np.asarray(p[1].sample(jax.random.key(10 * i + j), count)) for j in range(2)] for i, p in enumerate(mine)]
        floor = np.mean([sliced_wasserstein(*pair) for pair in truths])
        for name, solver in chosen(dimension).items():
            cells = []
            for steps in arguments.steps:
                rows = []
                for i, (_, law, evidence, denoiser, (A, y, std)) in enumerate(mine):
                    observation = lookahead.Observation(jnp.asarray(A, jnp.float32), jnp.asarray(y, jnp.float32), jnp.float32(std))
                    for key in range(keys):
                        start = time.perf_counter()
                        x, found, ess = jax.block_until_ready(
                            population(jax.random.key(1000 * key + i), denoiser, observation, solver, steps, count)
                        )
                        seconds, x = time.perf_counter() - start, np.asarray(x)
                        rows.append([sliced_wasserstein(x, truths[i][0]), abs(float(found) - evidence), apart(law, x), ess, seconds])
                mean = np.mean(np.asarray(rows, float), 0)
                cells += [*(f"{value:.3f}" for value in mean[:3]), f"{mean[3]:.2f}", f"{np.median([row[4] for row in rows]):.2f}"]
            table.row(label, name, f"{floor:.3f}", *cells)
    table.line()
    table.line(
        f"Less is better but for ESS, the mean over steps of its share. `smc` of {count} particles, twist mmps, "
        f"{2 * arguments.seeds} problems of the 25 components and {arguments.seeds} of each other law, {keys} keys each. Distance: sliced "
        "1-Wasserstein to as many exact draws; floor: of two sets of those; evidence: mean of |error| of its logarithm, nats; modes: total "
        "variation of the components' shares; seconds: median of one population, on a machine that did other work besides: a rough guide."
    )


def cost(table, arguments, steps=20, count=1000, turns=9):
    """CPU time of one population by each step, in turns."""
    _, _, _, denoiser, (A, y, std) = next(problems(2))
    observation = lookahead.Observation(jnp.asarray(A, jnp.float32), jnp.asarray(y, jnp.float32), jnp.float32(std))
    times = {name: [] for name in chosen(8)}
    for turn in range(turns + 1):
        for name, solver in chosen(8).items():
            start = time.process_time()
            jax.block_until_ready(population(jax.random.key(turn), denoiser, observation, solver, steps, count))
            times[name].append(time.process_time() - start)
    table.head(*times)
    table.row(*(f"{np.median(each[1:]) / np.median(times['plug-in'][1:]):.2f}" for each in times.values()))
    table.line()
    table.line(
        f"CPU time over that of plug-in steps: `smc` of {count} particles and {steps} steps on the first of the problems of 25 components, "
        f"medians of {turns} turns."
    )


@eqx.filter_jit
def rewarded(key, denoiser, solver, steps, slope, count):
    result = particles.fk_steering(
        key, denoiser, lambda x, t: slope * x[:, 0], (4,), num_particles=count, steps=steps, solver=solver, every=2, resample="systematic"
    )  # fmt: skip
    return result.resampled(jax.random.fold_in(key, 1)), result.log_evidence


def rewards(table, arguments, count=1000, repeats=10, slope=2.0):
    """fk_steering of a linear reward."""
    law = LAWS["isotropic, 4 dimensions"]()
    weights, means, variance = np.asarray(law.weights, float), np.asarray(law.means, float), float(law.variances[0, 0])
    logs = np.log(weights) + slope * means[:, 0] + 0.5 * slope**2 * variance
    tilted = sd.oracle.GaussianMixture(np.exp(logs - logs.max()), means + slope * variance * np.eye(4)[0], variance)
    truth, other = (np.asarray(tilted.sample(jax.random.key(i), count)) for i in (1, 2))
    evidence = np.logaddexp.reduce(logs)
    table.head("step", "floor", *(f"{n} steps: {what}" for n in arguments.steps for what in ("distance", "evidence", "modes")))
    denoiser = law.denoiser(sd.GaussianProcess.vp())
    for name, solver in chosen(4).items():
        cells = []
        for steps in arguments.steps:
            rows = []
            for i in range(repeats):
                x, found = rewarded(jax.random.key(i), denoiser, solver, steps, slope, count)
                rows.append([sliced_wasserstein(np.asarray(x), truth), abs(float(found) - evidence), apart(tilted, x)])
            cells += [f"{value:.3f}" for value in np.mean(rows, 0)]
        table.row(name, f"{sliced_wasserstein(other, truth):.3f}", *cells)
    table.line()
    table.line(
        f"Less is better. `fk_steering` of {count} particles, resampled every second step, towards 2 nats for each unit of x_1, on the "
        f"isotropic mixture of 6 components in 4 dimensions; {repeats} keys; columns as above."
    )


@eqx.filter_jit
def probabilities(key, denoiser, event, solver, steps, count, repeats, shape):
    def one(key):
        return particles.smc(key, denoiser, event, shape, num_particles=count, steps=steps, solver=solver, grid="logsnr").log_evidence

    return jnp.exp(particles.for_each(key, one, count=repeats))


def extremes(table, arguments, count=400, repeats=10, threshold=3.5):
    """The probability of x_1 > c by particles, over the exact one."""
    laws = {"isotropic, 8 dimensions": unit_mixture(0, 8, 5, 0.5), "C, Student t": LAWS["C, Student t"]()}
    table.head("law", "event", "exact", "step", *(f"{n} steps: found / exact" for n in arguments.steps))
    for label, law in laws.items():
        shape, denoiser = law.means.shape[1:], law.denoiser(sd.GaussianProcess.vp())
        weights, mean, std = np.asarray(law.weights), np.asarray(law.means)[:, 0], np.sqrt(np.asarray(law.variances)[:, 0])
        exact = weights @ norm.sf((threshold - mean) / std)
        event = particles.Exceeds(lambda x: x[:, 0], jnp.asarray(threshold))
        for name, solver in chosen(shape[0]).items():
            cells = []
            for steps in arguments.steps:
                p = np.asarray(probabilities(jax.random.key(0), denoiser, event, solver, steps, count, repeats, shape)) / exact
                cells.append(f"{p.mean():.2f} +- {p.std(ddof=1) / np.sqrt(repeats):.2f}")
            table.row(label, f"x_1 > {threshold}", f"{exact:.2e}", name, *cells)
    table.line()
    table.line(f"1 is right. `smc` with an `Exceeds` of {count} particles: mean and standard error of {repeats} populations.")


def main() -> None:
    parts = {"samples": samples, "posteriors": posteriors, "cost": cost, "rewards": rewards, "extremes": extremes}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=list(parts))
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--seeds", type=int, default=2, help="sets of samples; twice as many problems")
    parser.add_argument("--only", nargs="+", help="laws of samples and posteriors whose name begins so")
    parser.add_argument("--out", help="a file besides")
    arguments = parser.parse_args()
    table = Table()
    table.line(
        "Plug-in: x_0 = x0_hat in the step. The others add share^2 Cov[x_0 | x_t] to its variance, where `backward passes` are those a "
        "step: `ddpm(covariance=...)`."
    )
    for part in arguments.parts:
        parts[part](table, arguments)
    table.line()
    table.line(describe())
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write(table.text())


if __name__ == "__main__":
    main()
