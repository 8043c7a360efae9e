"""Which guide, at what cost? Every method on the mixture of 25 components, whose posterior is known, and on a PDE inverse problem.

Usage: python scripts/benchmarks/inverse_problems.py [--seeds 20] [--workdir RUN --problems 12]
       --search instead prints how rho and mu of tfg, and the scale of dps, were picked, on problems that are not scored
"""

import argparse
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
from machine import describe
from mixtures import twenty_five
from tqdm import tqdm

import sciddm as sd
from sciddm import lookahead
from sciddm.metrics import coverage, crps, ideal_coverage, sliced_wasserstein

# Published samplers and settings (each file says which), but what `--search` picked for dps and tfg; a shift of x0_hat that comes
# without a sampler of its own takes 100 steps of "ddpm".
PLAIN = {"solver": "ddpm", "steps": 100, "grid": "logsnr"}
MIXTURE = {
    "steer": ({}, PLAIN), "dps": ({"scale": 0.1}, {}), "dps, no scale": ({}, {"steps": 100}), "dps, no scale, 1000 steps": ({}, {}),
    "lgd": ({}, PLAIN), "pigdm": ({}, PLAIN), "mmps": ({"iterations": 4}, PLAIN),
    "tfg": ({"rho": 0.25}, {}), "freedom": ({}, {}), "universal": ({}, PLAIN), "mpgd": ({}, {}), "ddnm": ({}, {}),
    "ddrm": ({}, {}), "diffpir": ({}, {}), "daps": ({}, {}), "sitcom": ({}, {}), "repaint": ({}, {}), "reddiff": ({}, {}),
    "dflow": ({}, {}), "flowdps": ({}, {}), "flowchef": ({}, {}),
}  # fmt: skip
ON_PDE = {"solver": "ddpm", "steps": 40, "grid": "logsnr"}
PDE = {
    "dps": ({"scale": 10.0}, {"steps": 200}), "pigdm": ({}, ON_PDE), "mmps": ({"iterations": 3}, ON_PDE),
    "mmps, 200 steps": ({"iterations": 3}, ON_PDE | {"steps": 200}), "daps": ({}, {"steps": 40}), "diffpir": ({}, {}), "tfg": ({}, {}),
    "ddnm": ({}, {}), "ddrm": ({}, {}), "sitcom": ({}, {}), "flowdps": ({}, {}),
}  # fmt: skip
LARGE = ("exact", "steer", "dps", "dps, no scale", "dps, no scale, 1000 steps", "pigdm", "mmps", "tfg", "ddnm", "diffpir", "daps", "none")
RHO, MU, SCALE = (0.25, 1.0, 4.0), (0.1, 0.25, 0.5, 1.0), (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


def on_mixture(make, settings, dimension, seen, seed, count):
    """Scores of one method on one problem: distance to the posterior, CRPS and coverage of the truth, calls, seconds."""
    prior, A, y, noise_std, x = twenty_five(seed, dimension, seen)
    observation = lookahead.Observation(jnp.asarray(A, jnp.float32), y, noise_std)
    posterior = prior.posterior(A, y, noise_std)
    guided = make(prior, observation, posterior)
    key, start = jax.random.key(seed), time.perf_counter()
    samples, info = sd.sample(key, guided, (count, dimension), **settings)
    samples = np.asarray(samples)
    seconds = time.perf_counter() - start
    truth = posterior.sample(jax.random.fold_in(key, 1), count)
    finite = np.nan_to_num(samples, nan=1e6, posinf=1e6, neginf=-1e6)
    return {
        "error": sliced_wasserstein(finite, truth), "CRPS": crps(finite[:200], x), "coverage": coverage(finite[:200], x),
        "calls": int(info["network_calls"]), "seconds": seconds,
    }  # fmt: skip


def number(value: float) -> str:
    """Two decimals, or two digits of what has diverged."""
    return f"{value:.2f}" if value < 1000 else f"{value:.1e}"


def guide(name, options):
    process = sd.GaussianProcess.vp()
    if name == "none":
        return lambda prior, observation, posterior: prior.denoiser(process)
    if name == "exact":
        return lambda prior, observation, posterior: posterior.denoiser(process)
    return lambda prior, observation, posterior: getattr(lookahead, name.split(",")[0])(
        prior.denoiser(process), observation, **options
    )


def mixture_row(name, options, settings, dimension, seeds, count, first=0):
    """Means over problems with 1, 2 and 4 values seen, and 1.96 standard errors of the distance."""
    rows = [
        on_mixture(guide(name, options), settings, dimension, seen, seed, count)
        for seen in (1, 2, 4)
        for seed in range(first, first + seeds)
    ]
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    # the first of each shape compiles: the median is what a call costs
    mean["seconds"] = float(np.median([row["seconds"] for row in rows]))
    mean["median"] = float(np.median([row["error"] for row in rows]))
    mean["error of it"] = 1.96 * float(np.std([row["error"] for row in rows], ddof=1)) / np.sqrt(len(rows))
    return mean


def on_pde(model, name, options, settings, indices, members):
    """Means over held-out inverse problems: the pressure seen at 3 % of its points, both fields asked for."""
    test, rows = model.domain.dataset("test"), []
    task, shape = model.domain.tasks["inverse"], (members, *model.domain.example.shape)
    for i in indices:
        problem = model.problem("inverse", test[i]["x"], key=jax.random.fold_in(jax.random.key(1), i))
        denoiser = model.denoiser
        if name != "none":
            denoiser = getattr(lookahead, name.split(",")[0])(denoiser, problem.observation, **options)
        start = time.perf_counter()
        samples, info = sd.sample(jax.random.fold_in(jax.random.key(2), i), denoiser, shape, **settings)
        samples = np.nan_to_num(np.asarray(model.normalizer.denormalize(samples)), nan=1e6, posinf=1e6, neginf=-1e6)
        seconds = time.perf_counter() - start
        found = task.metrics(samples, problem)
        rows.append(
            {
                "error": found["relative L2 of u"], "sign": found["sign error of a"],
                "CRPS": 0.5 * (found["CRPS of u"] + found["CRPS of a"]),
                "coverage": 0.5 * (found["coverage of u"] + found["coverage of a"]),
                "calls": int(info["network_calls"]), "seconds": seconds,
            }
        )  # fmt: skip
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    mean["seconds"] = float(np.median([row["seconds"] for row in rows]))
    return mean


def search(model, problems) -> None:
    """Print the scores of settings on problems that the tables don't score."""
    trials = [("tfg", {"rho": rho, "mu": mu}) for rho, mu in itertools.product(RHO, MU)]
    trials += [("dps", {"scale": scale}) for scale in SCALE]
    for name, options in trials:
        found = mixture_row(name, options, MIXTURE[name][1], 8, 4, 500, first=100)
        line = f"{name} {options}: mixture {found['error']:.2f}"
        if model is not None:
            scored = on_pde(model, name, options, PDE[name][1], range(40, 40 + problems), 8)
            line += f", PDE CRPS {scored['CRPS']:.3f}, relative L2 {scored['error']:.3f}, sign {scored['sign']:.3f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="problems of each number of values seen, d = 8")
    parser.add_argument("--large-seeds", type=int, default=4, help="the same at d = 80")
    parser.add_argument("--count", type=int, default=1000, help="samples of each")
    parser.add_argument("--workdir", help="a trained Darcy run")
    parser.add_argument("--problems", type=int, default=12)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--search", action="store_true")
    arguments = parser.parse_args()
    model = sd.load(arguments.workdir) if arguments.workdir else None
    if arguments.search:
        return search(model, 3)
    print(
        "| problem | method | error | CRPS | coverage | calls | seconds |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    methods = {"exact": ({}, PLAIN), **MIXTURE, "none": ({}, PLAIN)}
    for dimension, seeds in ((8, arguments.seeds), (80, arguments.large_seeds)):
        chosen = {name: methods[name] for name in (methods if dimension == 8 else LARGE)}
        for name, (options, settings) in tqdm(chosen.items(), desc=f"mixture, d = {dimension}") if seeds else ():
            row = mixture_row(name, options, settings, dimension, seeds, arguments.count)
            print(
                f"| mixture, d = {dimension} | {name} | {number(row['median'])}, mean {number(row['error'])} +- "
                f"{number(row['error of it'])} | {number(row['CRPS'])} | {row['coverage']:.2f} | {row['calls']:.0f} "
                f"| {row['seconds']:.2f} |",
                flush=True,
            )
    for name, (options, settings) in {**PDE, "none": ({}, ON_PDE)}.items() if model else ():
        row = on_pde(model, name, options, settings, range(arguments.problems), arguments.members)
        print(
            f"| Darcy, inverse | {name} | {row['error']:.3f}, sign {row['sign']:.3f} | {row['CRPS']:.3f} | {row['coverage']:.2f} "
            f"| {row['calls']:.0f} | {row['seconds']:.2f} |",
            flush=True,
        )
    print(
        f"\nMixture: error is the sliced 1-Wasserstein distance of {arguments.count} samples to the exact posterior, over problems "
        f"with 1, 2 and 4 values seen ({arguments.seeds} each at d = 8, {arguments.large_seeds} at d = 80) +- 1.96 standard errors; CRPS "
        f"and coverage of the truth by 200 members (ideal {ideal_coverage(200):.2f}); exact: the exact posterior's own denoiser. "
    )
    if model:
        print(
            f"Darcy: {arguments.problems} held-out problems, 3 % of the pressure seen, {arguments.members} members (ideal coverage "
            f"{ideal_coverage(arguments.members):.2f}); error is the relative L2 of the pressure and the sign error of the permeability; "
            f"CRPS over the truth's spread and coverage are means of both fields; a run of {model.step} steps."
        )
    print(f"seconds: median of all problems, everything compiled. {describe()}")


if __name__ == "__main__":
    main()
