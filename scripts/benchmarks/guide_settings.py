"""Which guide settings serve a trained PDE model best? Scored on the held-out problems that `sciddm evaluate` doesn't score.

Usage: python scripts/benchmarks/guide_settings.py --workdir runs/pde-base [--first 32] [--problems 16]
"""

import argparse
import time

import jax
import numpy as np
from machine import describe
from tqdm import tqdm

import sciddm as sd

# The config's own, then one key changed at a time.
CHANGES = [
    {}, {"steps": 20}, {"solver": "dpmpp2m"}, {"method": "mmps(iterations=3)"}, {"method": "mmps(iterations=10)"}, {"noise_std": 0.1},
    {"noise_std": 0.02}, {"method": "pigdm"},
]  # fmt: skip


def scores(model, indices, members: int) -> dict[str, float]:
    """Mean metrics of both tasks, and seconds a problem."""
    test, rows, start = model.domain.dataset("test"), [], time.perf_counter()
    for name in ("forward", "inverse"):
        for i in indices:
            problem = model.problem(name, test[i]["x"], key=jax.random.fold_in(jax.random.key(1), i))
            samples = model.solve(jax.random.fold_in(jax.random.key(2), i), name, problem, members)
            found = model.domain.tasks[name].metrics(samples, problem)
            rows.append({f"{name} {key}": value for key, value in found.items()})
    table = {key: float(np.mean([row[key] for row in rows if key in row])) for row in rows for key in row}
    table["CRPS, mean of all"] = float(np.mean([value for key, value in table.items() if "CRPS" in key]))
    table["seconds"] = (time.perf_counter() - start) / len(rows)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--first", type=int, default=32, help="first held-out sample; those before it are for scoring")
    parser.add_argument("--problems", type=int, default=16)
    parser.add_argument("--members", type=int, default=8)
    arguments = parser.parse_args()
    indices = range(arguments.first, arguments.first + arguments.problems)
    shown = [
        "CRPS, mean of all", "forward relative L2 of u", "forward CRPS of u", "inverse CRPS of a", "inverse sign error of a",
        "inverse coverage of a", "seconds",
    ]  # fmt: skip
    print("|".join(["| settings ", *[f" {key} " for key in shown], ""]) + "\n|" + " --- |" * (len(shown) + 1))
    for changes in tqdm(CHANGES, desc="settings"):
        keys = {f"tasks.{task}.{key}": value for key, value in changes.items() for task in ("forward", "inverse")}
        model = sd.load(arguments.workdir, changes=keys)
        row = scores(model, indices, arguments.members)
        name = ", ".join(f"{key} {value}" for key, value in changes.items()) or "config's own"
        print("|".join([f"| {name} ", *[f" {row[key]:.3f} " for key in shown], ""]), flush=True)
    print(f"\n{arguments.problems} held-out problems from {arguments.first} on, step {model.step}; {describe()}")


if __name__ == "__main__":
    main()
