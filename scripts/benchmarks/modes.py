"""Do all keys find the same modes? Weighted particles of the 25-component posterior over problems and keys, against the exact law.

Usage: python scripts/benchmarks/modes.py [--first 0] [--keys 20] [--cells 8,1 8,2 8,4 80,1] [--methods ...]
       --first 10 are the problems that settings were picked on
"""

import argparse
import functools
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from mixtures import isotropic_denoiser, isotropic_posterior, twenty_five
from posterior import PROCESS
from sampling_common import Table
from tqdm import tqdm

import sciddm as sd
from sciddm.solvers import DDPM

LOGSNR = {"grid": "logsnr"}
METHODS = {
    "grid logsnr": LOGSNR,
    "default": {},
    "wide steps": {"solver": DDPM(covariance="exact")},
    "wide steps of low rank": {"solver": DDPM(covariance="low_rank", probes=4)},
    "grid logsnr, exact twist": LOGSNR,
    "exact twist": {},
    "wide steps, exact twist": {"solver": DDPM(covariance="exact")},
    "grid logsnr, resampled at every step": LOGSNR | {"ess_threshold": 1.0},
    "grid logsnr, never resampled": LOGSNR | {"ess_threshold": 0.0},
}
OFTEN = ("grid logsnr", "default", "wide steps")
# A wide step with d axes costs d backward passes: with many entries a low rank is taken.
CHEAPER = {"wide steps": "wide steps of low rank"}
PROBLEMS, KEYS, DRAWS = 6, 20, 40


class ExactTwist(eqx.Module):
    """log p(y | x_t) of components N(m_k, I): a mixture again, of the components' own x_0 | x_t."""

    prior: sd.oracle.GaussianMixture
    A: jax.Array
    y: jax.Array
    noise_std: jax.Array

    def __call__(self, x_t, t):
        alpha, sigma = PROCESS.alpha(t), PROCESS.sigma(t)
        unseen = sigma**2 / (alpha**2 + sigma**2)
        expected = self.prior.means + alpha / (alpha**2 + sigma**2) * (x_t[:, None] - alpha * self.prior.means)
        covariance = self.noise_std**2 * jnp.eye(len(self.y)) + unseen * self.A @ self.A.T
        density = jax.scipy.stats.multivariate_normal.logpdf(
            self.y - expected @ self.A.T, jnp.zeros_like(self.y), covariance
        )
        return jax.nn.logsumexp(jax.nn.log_softmax(self.prior._log_joint(x_t, alpha, sigma), -1) + density, -1)


@eqx.filter_jit
def solve(keys, denoiser, observation, options, dimension, count):
    """(keys, count, d) particles of equal weight, log evidences, mean ESS over K: one compiled program for all problems of a cell."""

    def one(key):
        result = sd.particles.smc(key, denoiser, observation, (dimension,), num_particles=count, **options)
        return result.resampled(jax.random.fold_in(key, 1)), result.log_evidence, jnp.mean(result.info["ess"]) / count

    return jax.lax.map(one, keys)


class ExactLaw:
    """A law's quantiles along directions, by draws of it: one set of particles is compared with the law, not with another draw's luck."""

    def __init__(self, draw, dimension, count, fold=50, directions=100):
        found = np.random.default_rng(0).normal(size=(dimension, directions))
        self.directions = found / np.linalg.norm(found, axis=0)
        # the mean of `fold` neighbours stands for the quantile between them
        self.quantiles = np.sort(draw(7, count * fold)[0] @ self.directions, 0).reshape(count, fold, directions).mean(1)

    def distance(self, x) -> float:
        """Sliced 1-Wasserstein distance."""
        return float(np.abs(np.sort(x @ self.directions, 0) - self.quantiles).mean())


def shares(x, means):
    """(components,) share of the samples next to each mean; components are sixteen standard deviations apart and more."""
    nearest = np.argmin(np.sum(means**2, -1) - 2.0 * x @ means.T, 1)
    return np.bincount(nearest, minlength=len(means)) / len(x)


@functools.cache
def problem(dimension, seen, seed, count):
    """Prior, observation, weights and evidence, the exact law, and its scores: of (count, d) exact draws, DRAWS of them."""
    prior, A, y, noise_std, _ = twenty_five(seed, dimension, seen)
    draw, weights, evidence = isotropic_posterior(prior, A, y, noise_std)
    law = ExactLaw(draw, dimension, count)
    draws = [draw(1000 + i, count)[0] for i in range(DRAWS)]
    A, y = jnp.asarray(A, jnp.float32), jnp.asarray(y, jnp.float32)
    return prior, A, y, jnp.float32(noise_std), weights, evidence, law, scores(draws, law, prior, weights)


def scores(sets, law, prior, weights):
    """(n,) distances, and total variations of the weights of components, of n sets of samples."""
    off = [0.5 * np.abs(shares(x, np.asarray(prior.means)) - weights).sum() for x in sets]
    return np.array([law.distance(x) for x in sets]), np.array(off)


def one_problem(name, dimension, seen, seed, keys, count):
    """(keys,) distances above the floor, those of exact draws, TV of both, errors of the evidence, and mean ESS."""
    prior, A, y, noise_std, weights, evidence, law, (floor, off_floor) = problem(dimension, seen, seed, count)
    observation = sd.lookahead.Observation(A, y, noise_std)
    options = METHODS[name] | ({"twist": ExactTwist(prior, A, y, noise_std)} if "exact twist" in name else {})
    folded = sd.keys.sample_keys(jax.random.key(seed), keys)
    samples, log_evidence, ess = solve(
        folded, isotropic_denoiser(prior, PROCESS), observation, options, dimension, count
    )
    distance, off = scores(np.asarray(samples), law, prior, weights)
    return (
        distance - floor.mean(),
        floor - floor.mean(),
        off,
        off_floor,
        np.asarray(log_evidence) - evidence,
        np.asarray(ess),
    )


def summary(above):
    """Mean, the ninth decile, the mean of the worst tenth and the largest."""
    above = np.sort(above)
    worst = above[-max(1, len(above) // 10) :].mean()
    return f"{above.mean():.3f}", f"{np.quantile(above, 0.9):.2f}", f"{worst:.2f}", f"{above[-1]:.2f}"


def rows(name, dimension, seen, arguments, keys):
    """The row of a method, and of exact draws."""
    start = time.perf_counter()
    seeds = range(arguments.first, arguments.first + arguments.problems)
    found = [
        one_problem(name, dimension, seen, seed, keys, arguments.particles)
        for seed in tqdm(seeds, desc=name, leave=False)
    ]
    seconds = (time.perf_counter() - start) / (len(found) * keys)
    worst_problem = max(row[0].mean() for row in found)
    above, exact, off, off_exact, evidence, ess = (np.concatenate(part) for part in zip(*found, strict=True))
    within = f"{100 * np.mean(np.abs(evidence) < 0.2):.0f} %"
    cell = f"{dimension}, {seen}"
    own = (
        cell, name, *summary(above), f"{worst_problem:.2f}", f"{off.mean():.3f}", f"{evidence.mean():+.3f} +- {evidence.std():.3f}",
        within, f"{np.abs(evidence).max():.2f}", f"{ess.mean():.2f}", f"{seconds:.1f}",
    )  # fmt: skip
    return own, (cell, "exact draws", *summary(exact), "0.00", f"{off_exact.mean():.3f}", *["-"] * 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--first", type=int, default=0, help="number of the first problem")
    parser.add_argument("--keys", type=int, default=KEYS, help="of each problem")
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--cells", nargs="+", default=["8,1", "8,2", "8,4", "80,1"], help="dimension,values seen")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        help="of all cells; else all of the first cell, and three of the others",
    )
    arguments = parser.parse_args()
    table = Table()
    table.head(
        "d, values seen", "method", "above the floor: mean", "nine in ten below", "worst tenth", "largest", "worst problem",
        "modes", "log evidence", "within 0.2 nat", "largest error", "ESS", "seconds",
    )  # fmt: skip
    for place, (dimension, seen) in enumerate(tuple(int(part) for part in text.split(",")) for text in arguments.cells):
        names = arguments.methods or (OFTEN if place else [name for name in METHODS if name not in CHEAPER.values()])
        for name in names:
            often = arguments.methods or (place == 0 and name in OFTEN)
            keys = arguments.keys if often else max(arguments.keys // 4, 1)
            own, exact = rows(CHEAPER.get(name, name) if dimension > 16 else name, dimension, seen, arguments, keys)
            table.row(*own)
        table.row(*exact)
    table.line(
        f"\n{arguments.problems} problems from number {arguments.first}, {arguments.keys} keys each in the first three rows and a quarter "
        f"of them in others, {arguments.particles} particles, 100 steps. Above the floor: sliced 1-Wasserstein distance of the resampled "
        "particles to the exact law, less the mean of that of as many exact draws, good where it is what exact draws have (last row of "
        "a cell); worst tenth: mean of those; worst problem: mean over its keys. Modes: total variation of the shares of components. "
        "Log evidence: its error in nats, mean and spread, good near 0. ESS: mean share of the particles over the steps. seconds: a run, "
        f"beside other work. {describe()}"
    )


if __name__ == "__main__":
    main()
