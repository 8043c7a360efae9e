"""Does the default grid follow the width of the data? A mixture scaled by .1 to 10, by the default and by the grid `optimised` as it is.

Usage: python scripts/benchmarks/widths.py (a minute; writes results/widths.md)
"""

from pathlib import Path

import jax
import numpy as np
from machine import describe
from mixtures import unit_mixture
from sampling_common import Table

import sciddm as sd
from sciddm.metrics import sliced_wasserstein

CALLS, SAMPLES, WIDTHS = (5, 10, 20), 2500, (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


def main() -> None:
    table, unit, process = Table(), unit_mixture(1, 16, 10, 0.2), sd.GaussianProcess.vp()
    table.line(
        "Sliced Wasserstein distance to exact samples over the width of the data: 10 Gaussians in 16 dimensions, VP, exact scores, "
        f"{SAMPLES} samples, one seed. Less is better, and at the floor nothing is left to gain."
    )
    table.head("width", "floor", *(f"{which}, {calls} calls" for which in ("default", "optimised") for calls in CALLS))
    for width in WIDTHS:
        law = sd.oracle.GaussianMixture(unit.weights, width * unit.means, width**2 * unit.covariances)
        draws = [np.asarray(law.sample(jax.random.key(seed), SAMPLES)) for seed in range(7)]
        floor = np.mean([sliced_wasserstein(a, b) for a, b in zip(draws[1::2], draws[2::2], strict=True)])
        row = []
        for grid in (None, "optimised"):
            for calls in CALLS:
                x, _ = sd.sample(0, law.denoiser(process), (SAMPLES, 16), steps=calls, grid=grid)
                row.append(sliced_wasserstein(np.asarray(x), draws[0]))
        table.row(width, *(f"{value / width:.3f}" for value in (floor, *row)))
    table.line(f"\n{describe()}")
    (Path(__file__).parent / "results" / "widths.md").write_text(table.text())


if __name__ == "__main__":
    main()
