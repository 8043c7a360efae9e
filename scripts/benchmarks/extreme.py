"""How probable is an extreme? Particles with a tail twist against brute force of twenty times as many samples, and a closed form.

Usage: python scripts/benchmarks/extreme.py [--workdir RUN --statistic "maximum of u" "mean of u" --samples 12000 --steps 30]
       python scripts/benchmarks/extreme.py --workdir RUN --task nowcast --statistic "last rain" --samples 2000 --particles 64 --steps 20
"""

import argparse
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from mixtures import unit_mixture
from scipy.stats import norm
from tqdm import tqdm

import sciddm as sd
from sciddm import particles

REPEATS = 5


def repeated(key, denoiser, event, shape, count, steps, cond=None):
    """Probability by REPEATS independent populations of `count` particles, and its standard error."""

    def one(key):
        return particles.smc(key, denoiser, event, shape, num_particles=count, steps=steps, cond=cond).log_evidence

    estimates = np.exp(np.asarray(particles.for_each(key, one, count=REPEATS), float))
    return estimates.mean(), estimates.std(ddof=1) / np.sqrt(REPEATS)


def on_mixture(count, steps):
    """Rows of P(x_1 > c) on an exact mixture in 8 dimensions, by the same number of particles and of plain samples."""
    mixture = unit_mixture(0, 8, 5, 0.5)
    denoiser, weights = mixture.denoiser(sd.GaussianProcess.vp()), np.asarray(mixture.weights)
    samples, _ = sd.sample(jax.random.key(1), denoiser, (REPEATS * count, 8), solver="ddpm", steps=steps, grid="logsnr")
    for threshold in (2.0, 2.5, 3.0, 3.5):
        exact = weights @ norm.sf((threshold - np.asarray(mixture.means)[:, 0]) / 0.5)
        event = particles.Exceeds(lambda x: x[:, 0], jnp.asarray(threshold))
        found, error = repeated(jax.random.key(0), denoiser, event, (8,), count, steps)
        plain = float(np.mean(np.asarray(samples)[:, 0] > threshold))
        print(
            f"| mixture, x_1 > {threshold} | {found:.2e} +- {error:.1e} | {REPEATS * count} | exact {exact:.2e} | - | {plain:.1e} |",
            flush=True,
        )


def on_run(model, names, samples, steps, levels, task=None, count=None):
    """Rows of a domain's rewards: brute force first, one for all, whose quantiles are the thresholds."""
    domain, batch = model.domain, 250
    cond = None if task is None else jax.tree.map(jnp.asarray, model.problem(task).cond)

    def of(name):
        return lambda x: domain.rewards[name].function(model.normalizer.denormalize(x))

    def everything(x, t):
        return jnp.zeros(x.shape[0])

    statistics, brute = {name: of(name) for name in names}, {name: [] for name in names}
    for i in tqdm(range(samples // batch), desc="brute force", unit="batch"):
        key = jax.random.fold_in(jax.random.key(2), i)
        plain = particles.smc(
            key, model.denoiser, everything, domain.example, num_particles=batch, steps=steps, twist="none", cond=cond
        )
        for name, statistic in statistics.items():
            brute[name].append(np.asarray(statistic(plain.particles)))
    count = count or samples // (20 * REPEATS)
    for name, level in itertools.product(names, levels):
        values, statistic, units = np.concatenate(brute[name]), statistics[name], domain.rewards[name].units
        threshold = float(np.quantile(values, 1.0 - level))
        share = float(np.mean(values > threshold))
        wide = np.sqrt(share * (1.0 - share) / len(values))
        event = particles.Exceeds(statistic, jnp.asarray(threshold))
        found, error = repeated(jax.random.key(3), model.denoiser, event, domain.example, count, steps, cond)
        apart = abs(found - share) / np.hypot(error, wide)
        plain = float(np.mean(values[: REPEATS * count] > threshold))
        print(
            f"| {domain.name}, {name} > {threshold:.4g} [{units}] | {found:.2e} +- {error:.1e} | {REPEATS * count} | {len(values)} "
            f"samples: {share:.2e} +- {wide:.1e} | {apart:.1f} | {plain:.1e} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", help="a trained run whose domain has rewards")
    parser.add_argument("--statistic", nargs="+", default=["maximum of u", "mean of u"], help="rewards of the domain")
    parser.add_argument(
        "--task", help="whose condition the model is given, such as nowcast, on the first held-out example"
    )
    parser.add_argument("--samples", type=int, default=12000, help="of brute force")
    parser.add_argument(
        "--particles", type=int, help="of each population; a twentieth of the samples in all where not given"
    )
    parser.add_argument("--no-mixture", action="store_true", help="leave out the closed form")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--levels", type=float, nargs="+", default=[0.02, 0.005])
    arguments = parser.parse_args()
    print(
        "| event | particles | in all | brute force, or exact | standard errors apart | as many plain samples |\n"
        + "| --- " * 6
        + "|"
    )
    if not arguments.no_mixture:
        on_mixture(400, 1000)
    if arguments.workdir:
        model, many = sd.load(arguments.workdir), arguments.particles
        on_run(model, arguments.statistic, arguments.samples, arguments.steps, arguments.levels, arguments.task, many)
    print(
        f"\nParticles: mean and standard error of {REPEATS} independent populations. Mixture: 1000 steps; run: {arguments.steps}, the same "
        f"steps in both. {describe()}"
    )


if __name__ == "__main__":
    main()
