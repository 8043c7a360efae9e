"""What is the own grid of a run worth? The error of few steps on its network by several grids, from noise that the search did not see.

Usage: python scripts/benchmarks/own_grid.py WORKDIR ...       (a minute or two a run; writes results/own_grid.md)
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
from machine import describe
from sampling_common import Table

import sciddm as sd
from sciddm.arithmetic import norm
from sciddm.own_grid import search_own
from sciddm.train.own_grid import SAMPLES

STEPS = (5, 10, 20)
ROWS = {
    "unipc2-signal, own": ("unipc2-signal", "own"), "unipc2-signal, optimised": ("unipc2-signal", "optimised"),
    "unipc2, optimised": ("unipc2", "optimised"), "unipc2, logsnr": ("unipc2", "logsnr"), "unipc2, edm": ("unipc2", "edm"),
    "dpmpp2m, logsnr": ("dpmpp2m", "logsnr"),
}  # fmt: skip


def main() -> None:
    table = Table()
    table.line(
        f"Root mean square distance, a coordinate in normalised units, of {SAMPLES} samples to the ends of 60 steps of unipc-signal from "
        "the same noise, which the search of the own grid did not see. Less is better."
    )
    for workdir in sys.argv[1:]:
        model = sd.load(workdir)
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((SAMPLES, *leaf.shape), leaf.dtype), model.domain.example)
        cond = jax.tree.map(lambda leaf: np.repeat(leaf[None], SAMPLES, 0), model.domain.cond_example)
        began = time.perf_counter()
        search_own(1, model.denoiser, like, cond=cond)
        seconds = time.perf_counter() - began
        options = {"solver": "unipc-signal", "steps": 60, "grid": "optimised", "return_path": True, "cond": cond}
        end, info = sd.sample(9, model.denoiser, like, **options)
        start = jax.tree.map(lambda path: path[0], info["path"])

        def error(solver, steps, grid, model=model, like=like, cond=cond, end=end, start=start):
            few, _ = sd.sample(9, model.denoiser, like, cond=cond, solver=solver, steps=steps, grid=grid, start=start)
            squares = norm(jax.tree.map(lambda a, b: a - b, few, end)) ** 2
            return float(np.sqrt(np.mean(squares) / sum(leaf[0].size for leaf in jax.tree.leaves(end))))

        name = f"{model.config.domain}, {model.step:,} steps of training"
        table.line(f"\n**{name}**, own grid {model.denoiser.sampling.grid.rows[:3]}; such a search takes {seconds:.0f} s.")
        table.head("solver, grid", *(f"{steps} calls" for steps in STEPS))
        for label, (solver, grid) in ROWS.items():
            table.row(label, *(f"{error(solver, steps, grid):.4f}" for steps in STEPS))
    table.line(f"\n{describe()}")
    (Path(__file__).parent / "results" / "own_grid.md").write_text(table.text())


if __name__ == "__main__":
    main()
