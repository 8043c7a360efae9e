"""Many sharp values and a trained network: why particles end as one family, and which weights score better than none?

Usage: python scripts/benchmarks/sharp_values.py RUN [--fields 16] [--resampled 8] [--members 32] [--steps 20]
       RUN: a trained Darcy run, whose inverse problem sees 3 % of the pressure
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from sampling_common import Table
from tqdm import tqdm

import sciddm as sd
from sciddm.particles import effective_sample_size, lineage, smc
from sciddm.particles.reweighed import power_for
from sciddm.particles.twists import MomentMatched

LENGTHS, SHARES = (2.0, 4.0, 8.0), (0.25, 0.5, 0.75)
ANNEALED = 4.0  # times the noise's standard deviation, in the twist


@eqx.filter_jit
def population(key, denoiser, observation, shape, members, steps, threshold, inflation):
    """Particles of `smc`, log weights, ESS by step, and the number of families: ancestors after the first step."""
    seen = sd.lookahead.Observation(observation.operator, observation.value, inflation * observation.noise.std)
    twist = MomentMatched(seen, iterations=3)
    result = smc(
        key,
        denoiser,
        observation,
        shape,
        num_particles=members,
        steps=steps,
        twist=twist,
        ess_threshold=threshold,
        grid="logsnr",
    )
    return result.particles, result.log_weights, result.info["ess"], lineage(result.info["ancestors"])[0]


def softmax(values, axis=0):
    """Weights of logarithms, in float64."""
    weights = np.exp(values - np.max(values, axis, keepdims=True))
    return weights / weights.sum(axis, keepdims=True)


def tempered(log_weights, share):
    """(K, ...) weights to the largest power at which the ESS is `share` of K, at each place its own."""
    flat = jnp.asarray(log_weights.reshape(len(log_weights), -1))
    powers = jax.vmap(lambda one: power_for(one, share), 1)(flat)
    return softmax(np.asarray(powers * flat, np.float64)).reshape(log_weights.shape)


def clipped(log_weights, share):
    """Weights cut at that of the best `share` of K (Ionides 2008)."""
    return softmax(np.minimum(log_weights, np.sort(log_weights)[-round(share * len(log_weights))]))


def nearby(log_likelihood, places, size, length):
    """(K, size, size) log-likelihood of the values near each point, each counted by exp(-distance^2 / 2 length^2), in points."""
    rows, columns = np.divmod(places, size)
    y, x = np.mgrid[:size, :size]
    squared = (y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2
    return np.einsum("km,ijm->kij", log_likelihood, np.exp(-0.5 * squared / length**2))


def weighings(log_weights, log_likelihood, places, size):
    """Label -> weights of the same particles, (K,) or (K, size, size)."""
    fit = log_likelihood.sum(1)
    found = {
        "none: the plain mmps ensemble": np.full(len(fit), 1.0 / len(fit)),
        "importance weights": softmax(log_weights),
    }
    found["importance weights, clipped"] = clipped(log_weights, 0.25)
    found |= {f"importance weights, ESS kept at {share} K": tempered(log_weights, share) for share in SHARES}
    found |= {"likelihood": softmax(fit), "likelihood, clipped": clipped(fit, 0.25)}
    found |= {f"likelihood, ESS kept at {share} K": tempered(fit, share) for share in SHARES}
    for length in LENGTHS:
        near = nearby(log_likelihood, places, size, length)
        found |= {
            f"likelihood within {length:.0f} points, ESS kept at {share} K": tempered(near, share) for share in SHARES
        }
    return found


def score(x, weights, truth):
    """(3, C): CRPS, squared error of the mean and variance by channel. x: (K, n, n, C); weights: (K,) or (K, n, n)."""
    weights = weights.reshape(*weights.shape, *[1] * (4 - weights.ndim)) * np.ones(x.shape)
    order = np.argsort(x, 0)
    ordered, share = np.take_along_axis(x, order, 0), np.cumsum(np.take_along_axis(weights, order, 0), 0)[:-1]
    crps = (weights * np.abs(x - truth)).sum(0) - (share * (1.0 - share) * np.diff(ordered, axis=0)).sum(0)
    mean = (weights * x).sum(0)
    return np.array([part.mean((0, 1)) for part in (crps, (mean - truth) ** 2, (weights * (x - mean) ** 2).sum(0))])


def row(label, scores, plain):
    """Cells of one way of weighing; scores, plain: (fields, 3, C) of it and of the plain ensemble on the same fields."""
    off = (scores[:, 0] - plain[:, 0]).mean(1)
    ratio = np.sqrt(scores[:, 2].mean(0) / scores[:, 1].mean(0))
    crps = scores[:, 0].mean(0)
    return (
        label, len(scores), f"{crps[0]:.3f}", f"{crps[1]:.3f}",
        f"{off.mean():+.4f} +- {1.96 * off.std(ddof=1) / np.sqrt(len(off)):.4f}" if off.any() else "0",
        f"{ratio[0]:.2f}", f"{ratio[1]:.2f}",
    )  # fmt: skip


def solve(model, i, arguments, threshold, inflation=1.0):
    """Particles in physical units and the rest of `population`, log-likelihood by value, and the problem; of held-out field i."""
    problem = model.problem(
        "inverse", model.domain.dataset("test")[i]["x"], key=jax.random.fold_in(jax.random.key(1), i)
    )
    observation = problem.observation
    x, log_weights, ess, family = population(
        jax.random.key(2),
        model.denoiser,
        observation,
        model.domain.example.shape,
        arguments.members,
        arguments.steps,
        threshold,
        inflation,
    )
    off = (observation.value - observation.operator(x)) / observation.noise.std
    native = np.asarray(model.normalizer.denormalize(x))
    families = len(np.unique(np.asarray(family)))
    return native, np.asarray(log_weights), np.asarray(ess), families, np.asarray(-0.5 * off**2), problem


def report(plain, resampled, spread, steps):
    """The table. plain: (x, log weights, log-likelihood by value, places, truth) of each field; resampled: label -> those of `smc`, that
    saw the first fields, as (x, log weights, families); spread: (C,), of the truth over fields and points."""
    scores = {}
    for x, log_weights, fit, places, truth in plain:
        for label, weights in weighings(log_weights, fit, places, x.shape[1]).items():
            scores.setdefault(label, []).append(score(x / spread, weights, truth / spread))
    scores = {label: np.array(found) for label, found in scores.items()}
    table, first = Table(), next(iter(scores.values()))
    table.head(
        "weights of 32 members",
        "fields",
        "CRPS of a",
        "of u",
        "mean CRPS less the plain one's",
        "spread / error of a",
        "of u",
    )
    for label, found in scores.items():
        table.row(*row(label, found, first))
    for label, runs in resampled.items():
        found = np.array([score(run[0] / spread, softmax(run[1]), one[-1] / spread) for run, one in zip(runs, plain)])  # noqa: B905
        table.row(*row(f"{label}, {np.mean([run[2] for run in runs]):.1f} families", found, first[: len(found)]))
    deviation = [np.std(one[1]) for one in plain], [np.std(one[2].sum(1)) for one in plain]
    ess = np.median([float(effective_sample_size(jnp.asarray(one[1]))) for one in plain])
    table.line(
        f"\nHeld-out Darcy fields, 31 exact values of the pressure, taken for noise of 0.05; {steps} steps. CRPS over the truth's spread, "
        "good near 0; less the plain one's: mean over both variables and fields +- 1.96 standard errors over fields, good below 0. "
        "Spread / error: ensemble spread over the error of its mean, good at 1. Standard deviation of the log weights over members: "
        f"{np.median(deviation[0]):.0f} nats (median field), {np.median(deviation[1]):.0f} of the likelihood alone; ESS {ess:.1f} of "
        f"{len(plain[0][0])}. {describe()}"
    )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", help="a trained Darcy run")
    parser.add_argument("--fields", type=int, default=16)
    parser.add_argument(
        "--resampled", type=int, default=8, help="fields of the populations that are resampled on the way"
    )
    parser.add_argument("--members", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    model = sd.load(arguments.workdir)
    plain, truths = [], []
    for i in tqdm(range(arguments.fields), desc="weighed at the end"):
        x, log_weights, _, _, fit, problem = solve(model, i, arguments, 0.0)
        places = np.asarray(problem.observation.operator.indices) // x.shape[-1]
        plain.append((x, log_weights, fit, places, np.asarray(problem.truth)))
        truths.append(problem.truth)
    resampled = {}
    for label, inflation in (("smc", 1.0), (f"smc, twist of {ANNEALED:.0f} times the noise", ANNEALED)):
        for i in tqdm(range(arguments.resampled), desc=label):
            found = solve(model, i, arguments, 0.5, inflation)
            resampled.setdefault(label, []).append((found[0], found[1], found[3]))
    report(plain, resampled, np.std(truths, axis=(0, 1, 2)), arguments.steps)


if __name__ == "__main__":
    main()
