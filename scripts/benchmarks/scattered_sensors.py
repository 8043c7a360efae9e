"""Fields from a few scattered sensors of one variable, beside kriging and the training ensemble, problem by problem.

    python scripts/benchmarks/scattered_sensors.py RUN [--problems 32] [--members 19] [--config.tasks.observe.sensors=20 ...]

Writes results/scattered_sensors.md: CRPS in the variables' units, how much less than each classical answer with the standard error of the
paired difference, and the share of truths between the least and the greatest member, which is (M - 1) / (M + 1) where all is right.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from machine import describe
from tqdm import tqdm

import sciddm as sd
from domains.fields import metrics

RESULTS = Path(__file__).parent / "results" / "scattered_sensors.md"


def solve(model, problems: int, members: int):
    """method -> name of a score -> (problems,) values; and rank counts of each variable."""
    task, test, scores, ranks = model.domain.tasks["observe"], model.examples("observe"), {}, {}
    for i in tqdm(range(problems), desc="problems", unit="problem"):
        problem = model.problem("observe", element=test[i], key=jax.random.fold_in(jax.random.key(0), i))
        samples = model.solve(jax.random.fold_in(jax.random.key(1), i), "observe", problem, members)
        for method, answer in {"posterior": samples, **task.baseline(problem)}.items():
            answer = answer[None] if answer.shape == problem.truth.shape else answer
            for name, value in task.metrics(answer, problem).items():
                scores.setdefault(method, {}).setdefault(name, []).append(value)
        for c, name in enumerate(model.domain.variables):
            counts = metrics.ranks(model.domain.unmasked(samples)[..., c], problem.truth[..., c])
            ranks[name] = ranks.get(name, 0) + counts
    return {method: {name: np.array(values) for name, values in row.items()} for method, row in scores.items()}, ranks


def table(scores, ranks, members: int) -> str:
    """Rows a method, columns a score; means over the problems."""
    names = [name for name in scores["posterior"] if " of " in name]  # of each variable
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for method, row in scores.items():
        cells = [f"{np.nanmean(row[name]):.3g}" if np.isfinite(row[name]).any() else "-" for name in names]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines += ["", "| CRPS less than that of | by | standard errors |", "| --- | --- | --- |"]
    for method, row in scores.items():
        for name in (name for name in names if name.startswith("CRPS") and method != "posterior"):
            gain = row[name] - scores["posterior"][name]
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            lines.append(f"| {method}, {name.removeprefix('CRPS of ')} | {gain.mean():.3g} +- {error:.2g} | {gain.mean() / error:.1f} |")
    lines.append("")
    for name, counts in ranks.items():
        inside = counts[1:-1].sum() / counts.sum()
        lines.append(f"Between the least and the greatest of {members} members: {inside:.1%} of the truths of {name}, "
                     f"{(members - 1) / (members + 1):.0%} where all is right.")  # fmt: skip
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--problems", type=int, default=32)
    parser.add_argument("--members", type=int, default=19)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments, rest = parser.parse_known_args()
    model = sd.load(arguments.run, overrides=rest)
    scores, ranks = solve(model, arguments.problems, arguments.members)
    options = ", ".join(f"{key} = {value}" for key, value in model.config.tasks.observe.items())
    text = (
        f"# Scattered sensors\n\n{arguments.problems} held-out problems, {arguments.members} members, training step {model.step}; "
        f"{options}. {describe()}\n\n{table(scores, ranks, arguments.members)}\n"
    )
    arguments.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
