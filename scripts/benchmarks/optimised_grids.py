"""Makes the table of `sciddm.grids.optimised`: grids found on exact mixtures of unit variance, none of which any benchmark scores.

Usage: python scripts/benchmarks/optimised_grids.py [--solver unipc2]        (about 15 minutes on 2 quiet cores)
"""

import argparse

import jax
import numpy as np
from machine import describe
from mixtures import unit_mixture

import sciddm as sd
from sciddm.grid_search import search

# (seed, dimension, components, standard deviation within a component): near Gaussian to nearly discrete, few dimensions to many.
TRAINING = [
    (101, 4, 4, 0.2),
    (102, 16, 8, 0.3),
    (103, 16, 12, 0.2),
    (104, 64, 10, 0.35),
    (105, 32, 6, 0.15),
    (106, 8, 5, 0.4),
]
STEPS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20)


def stretched(inner: np.ndarray, steps: int) -> np.ndarray:
    """The grid of one step less, at one step more: where the next search begins."""
    return np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(inner) + 2), [-9.0, *inner, inner[-1] + 3.0])[
        1:-1
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solver", default="unipc2")
    parser.add_argument("--iterations", type=int, default=150)
    arguments = parser.parse_args()
    process = sd.GaussianProcess.edm()
    denoisers = [unit_mixture(seed, d, k, std).denoiser(process) for seed, d, k, std in TRAINING]
    shapes = [(256, d) for _, d, _, _ in TRAINING]
    inner = np.array([-1.0])
    for steps in STEPS:
        begin = inner if len(inner) == steps - 1 else stretched(inner, steps)
        inner, errors = search(
            jax.random.key(5), denoisers, shapes, steps=steps, solver=arguments.solver, start=begin,
            iterations=arguments.iterations, learning_rate=0.08,
        )  # fmt: skip
        values = ", ".join(f"{value:.2f}" for value in inner)
        print(
            f"    {steps}: ({values}{',' if steps == 2 else ''}),  # error {errors[0]:.4f} -> {errors.min():.4f}",
            flush=True,
        )
    print(f"{arguments.solver}, {arguments.iterations} iterations. {describe()}")


if __name__ == "__main__":
    main()
