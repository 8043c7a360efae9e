"""What do network calls buy? Reward and held-out reward of the particle methods at equal budgets, beside the exact tilt.

Usage: python scripts/benchmarks/reward_budget.py [--plot FILE.png] [--workdir RUN [--reward NAME]]
       On a mixture in 8 dimensions the target p(x) exp(strength x_1) is known; with a run also on its own model. The least budgets pay
       for four paths.
"""

import argparse
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from machine import describe
from mixtures import unit_mixture
from tqdm import tqdm

import sciddm as sd
from sciddm import particles
from sciddm.evaluation import rewards, save_figure

METHODS = ("best_of_n", "svdd", "fk_steering", "rollover_budget", "smc")
BUDGETS = (400, 800, 1600, 3200, 6400)
RUN_BUDGETS = (80, 240, 720)
DIMENSION = 8
STYLES = {2: ("--", ":"), 3: ("--", "-.", ":")}  # of the lines: the target, the same at finitely many steps, the model


def tilted(law: sd.oracle.GaussianMixture, slope) -> sd.oracle.GaussianMixture:
    """p(x) exp(b x) / Z of a mixture: w_k' ~ w_k exp(b m_k + b C_k b / 2), m_k' = m_k + C_k b, the covariances stay."""
    shift = jnp.einsum("kij,j->ki", law.covariances, slope)
    log_weights = jnp.log(law.weights) + (law.means + 0.5 * shift) @ slope
    return sd.oracle.GaussianMixture(jax.nn.softmax(log_weights), law.means + shift, law.covariances)


def on_mixture(arguments) -> tuple[list[dict], dict]:
    """Rows of each method and budget, and the same scores of the exact tilt; the reward is x_1, held out is log p(x)."""
    law, slope = unit_mixture(0, DIMENSION, 12, 0.4), arguments.strength * jnp.eye(DIMENSION)[0]
    denoiser, shape = law.denoiser(sd.GaussianProcess.vp()), jax.ShapeDtypeStruct((DIMENSION,), jnp.float32)

    def potential(x_0, t=None):
        return x_0 @ slope

    def scores(x):
        return {"reward": np.asarray(x[:, 0]), "held_out": np.asarray(law.log_prob(x))}

    rows, keys = [], jax.random.split(jax.random.key(1), arguments.members)
    for name in tqdm(arguments.methods, desc="mixture", unit="method"):
        for budget in arguments.budgets:
            method = particles.METHODS[name]

            def answer(key, method=method, budget=budget):
                key_method, key_draw = jax.random.split(key)
                result = method(key_method, denoiser, potential, shape, budget=budget, steps=arguments.steps)
                return result.draw(key_draw), jnp.asarray(result.info["network_calls"])

            try:
                program = jax.jit(lambda keys, answer=answer: jax.lax.map(answer, keys)).lower(keys).compile()
            except ValueError as error:
                print(f"{name} leaves out {budget}: {error}")
                continue
            start = time.perf_counter()
            x, calls = jax.block_until_ready(program(keys))
            seconds = (time.perf_counter() - start) / arguments.members
            row = {"method": name, "budget": budget, "network_calls": float(np.mean(calls)), "seconds": seconds}
            for key, value in scores(x).items():
                row |= {f"{key}_mean": value.mean(), f"{key}_error": value.std(ddof=1) / len(value) ** 0.5}
            rows.append(row)
    exact, plain = (
        {key: float(value.mean()) for key, value in scores(one.sample(jax.random.key(2), 100_000)).items()}
        for one in (tilted(law, slope), law)
    )
    # What an exact method draws from at this number of ancestral steps, which are narrower than the model.
    x, _ = sd.sample(
        jax.random.key(3), denoiser, (20_000, DIMENSION), solver="ddpm", steps=arguments.steps, grid="logsnr"
    )
    weights = np.asarray(jax.nn.softmax(x @ slope))
    by_steps = {key: float(weights @ value) for key, value in scores(x).items()}
    return rows, {"exact tilt": exact, f"tilt of {arguments.steps} ddpm steps": by_steps, "the model": plain}


def on_run(model, arguments) -> tuple[list[dict], dict]:
    """The same of a run's own model and reward, by `sciddm.evaluation.rewards`."""
    rows, lines = [], {}
    for budget in arguments.run_budgets:
        found = rewards.steer(
            model, arguments.methods, arguments.reward, budget=budget, members=arguments.run_members,
            strength=arguments.strength,
        )  # fmt: skip
        rows += found[3:]
        lines = {
            name: {key: row[f"{key}_mean"] for key in ("reward", "held_out")}
            for name, row in zip(("tilted data", "the model"), found[1:3], strict=True)
        }
    return rows, lines


def table(rows: list[dict], lines: dict, reward: str, held_out: str) -> str:
    """Markdown: a row a method and budget, and the lines that they are held against."""
    text = [f"| method | budget | calls | {reward} | held out: {held_out} | seconds |", "| --- " * 6 + "|"]
    for name, values in lines.items():
        text.append(f"| {name} | - | - | {values['reward']:.4g} | {values['held_out']:.4g} | - |")
    for row in rows:
        means = [f"{row[f'{key}_mean']:.4g} +- {row[f'{key}_error']:.2g}" for key in ("reward", "held_out")]
        text.append(
            f"| {row['method']} | {row['budget']} | {row['network_calls']:.6g} | {means[0]} | {means[1]} | {row['seconds']:.3g} |"
        )
    return "\n".join(text)


def draw(panels) -> plt.Figure:
    """A row of two panels, reward and held-out reward by calls spent, for each (rows, lines, titles)."""
    figure, grid = plt.subplots(len(panels), 2, figsize=(11, 4.2 * len(panels)), squeeze=False, layout="constrained")
    for (rows, lines, titles), pair in zip(panels, grid, strict=True):
        for axes, key, title in zip(pair, ("reward", "held_out"), titles, strict=True):
            for i, name in enumerate(dict.fromkeys(row["method"] for row in rows)):
                found = [row for row in rows if row["method"] == name]
                calls, means, errors = (
                    np.array([row[column] for row in found])
                    for column in ("network_calls", f"{key}_mean", f"{key}_error")
                )
                axes.errorbar(
                    calls, means, errors, color=rewards.COLOURS[i], marker=rewards.MARKERS[i], ms=6,
                    lw=1.4, elinewidth=1.0, capsize=2.5, label=name,
                )  # fmt: skip
            for (name, values), style in zip(lines.items(), STYLES[len(lines)], strict=True):
                axes.axhline(values[key], color="black", ls=style, lw=1.2, label=name)
            axes.set(xlabel="network calls spent on an answer", ylabel=title)
            axes.set_xscale("log", base=2)
            # a search may leave the others' range far behind
            values = np.array([row[f"{key}_mean"] for row in rows])
            if np.all(values < 0) and values.min() < 10 * values.max():
                axes.set_yscale("symlog", linthresh=-1.5 * values.max(), subs=(2, 5))
                axes.set_ylim(1.2 * values.min(), 0.85 * values.max())
                for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
                    which("{x:g}")
            ticks = sorted({row["budget"] for row in rows})
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.grid(alpha=0.3)
        pair[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=sorted(particles.METHODS), metavar="METHOD")
    parser.add_argument("--budgets", nargs="+", type=int, default=BUDGETS, help="on the mixture, calls")
    parser.add_argument("--steps", type=int, default=100, help="of one path on the mixture")
    parser.add_argument("--strength", type=float, default=2.0, help="nats a standard deviation of the reward")
    parser.add_argument("--members", type=int, default=256, help="answers of each on the mixture")
    parser.add_argument("--workdir", help="a trained run")
    parser.add_argument("--reward", help="of the run's domain (default: its first)")
    parser.add_argument("--run-steps", type=int, default=20, help="of one path on the run")
    parser.add_argument("--run-budgets", nargs="+", type=int, default=RUN_BUDGETS, help="on the run, calls")
    parser.add_argument("--run-members", type=int, default=8, help="answers of each on the run")
    parser.add_argument("--plot", metavar="FILE.png")
    arguments = parser.parse_args()
    rows, lines = on_mixture(arguments)
    titles = ("reward: x_1, in standard deviations", "held out: log p(x) of the model, nats")
    print(f"\nMixture in {DIMENSION} dimensions, {arguments.steps} steps, {arguments.members} answers each:\n")
    print(table(rows, lines, *(title.removeprefix("held out: ") for title in titles)), flush=True)
    panels = [(rows, lines, titles)]
    if arguments.workdir:
        model = sd.load(arguments.workdir, changes={"sampling.steps": arguments.run_steps})
        rows, lines = on_run(model, arguments)
        first = rows[0]
        reward, held_out = f"{first['reward']} [{first['units']}]", f"{first['held_out']} [{first['held_out_units']}]"
        run = f"{model.config.domain}, training step {model.step}, {arguments.run_steps} steps"
        print(f"\n{run}, {arguments.run_members} answers each:\n")
        print(table(rows, lines, f"reward: {reward}", held_out), flush=True)
        panels.append((rows, lines, (f"reward: {reward}", f"held out: {held_out}")))
    print(f"\nStrength {arguments.strength:g}, +- one standard error. {describe()}")
    if arguments.plot:
        save_figure(draw(panels), Path(arguments.plot))


if __name__ == "__main__":
    main()
