"""Where the rows of `sciddm.grids.OPTIMISED` come from: grids of three numbers on laws of many kinds, none of which a benchmark scores.

Usage: python scripts/benchmarks/optimised_grids.py        (about 10 minutes on 2 quiet cores; writes results/optimised_grids.md)
"""

import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from laws import full_covariances, heavy_tails, ring, spectra, uniform_cube
from machine import describe
from mixtures import unit_mixture
from sampling_common import Table

import sciddm as sd
from sciddm.grids import OPTIMISED, Logistic
from sciddm.own_grid import _ends

LAWS = {
    "full covariances, 8": full_covariances(11, 8, 6),
    "full covariances, 24": full_covariances(12, 24, 8),
    "t, 4 degrees": heavy_tails(6, 4.0, 20),
    "spectra, 32": spectra(5, 32, (1.5, 2.7)),
    "spectra, 48": spectra(6, 48, (2.2, 3.2, 3.8)),
    "isotropic, 4": unit_mixture(101, 4, 4, 0.2),
    "isotropic, 16": unit_mixture(103, 16, 12, 0.2),
    "isotropic, 32": unit_mixture(105, 32, 6, 0.15),
    "cube, 3": uniform_cube(3, 12),
    "ring": ring(16, 1.4, 0.08),
}
STEPS, COUNT = (3, 5, 8, 10, 12, 15, 20, 40), 400
CENTRES, LEFTS, RIGHTS = (-0.75, -0.4, 0.0, 0.4, 0.8, 1.2), (0.7, 0.85, 1.0, 1.2, 1.5), (0.8, 1.0, 1.25, 1.5, 1.9)


def errors(law, candidates) -> np.ndarray:
    """(STEPS, candidates) root mean square distances, a coordinate, to the ends of a fine path."""
    process, d = sd.GaussianProcess.vp(), law.means.shape[1]
    denoiser, solver = law.denoiser(process), sd.solvers.UniPCSignal(2)
    end, info = sd.sample(1, denoiser, (COUNT, d), solver="dpmpp3m", steps=300, grid="logsnr", return_path=True)
    keys, start = jax.random.split(jax.random.key(0), COUNT), info["path"][0]

    def error(times, steps):
        few = _ends(denoiser, solver, None, keys, start, times, steps)
        return jnp.sqrt(jnp.mean((few - end) ** 2))

    found = np.empty((len(STEPS), len(candidates)))
    for i, steps in enumerate(STEPS):
        for k, shape in enumerate(candidates):
            times = np.zeros(max(STEPS) + 1, np.float32)
            times[: steps + 1] = Logistic(((steps, *shape),))(process, steps)
            found[i, k] = error(times, steps)
    return found


def main() -> None:
    chosen = [Logistic(OPTIMISED).shape(steps) for steps in STEPS]
    candidates = [*itertools.product(CENTRES, LEFTS, RIGHTS), *chosen]
    regrets = []
    for name, law in LAWS.items():
        logs = np.log(errors(law, candidates))
        regrets.append(logs - logs.min(1, keepdims=True))
        print(name, flush=True)
    mean, worst, table = np.mean(regrets, 0), np.max(regrets, 0), Table()
    table.line(
        "Root mean square error over that of each law's best grid: the geometric mean over ten laws, and the worst law. 1 is the best that "
        f"any of {len(candidates) - len(STEPS)} grids of (centre, left, right) reaches on a law; unipc2-signal, VP, exact scores. The "
        "best grid here is that of the least mean and half of the worst, in logarithms; `OPTIMISED` is rounded from such, smooth in steps."
    )
    table.head("steps", "best grid", "mean", "worst", "OPTIMISED", "mean", "worst", "uniform in rectified t (0, 1, 1): mean", "worst")
    plain = candidates.index((0.0, 1.0, 1.0))
    for i, steps in enumerate(STEPS):
        best, ours = int(np.argmin(mean[i] + 0.5 * worst[i])), len(candidates) - len(STEPS) + i
        cells = [f"{np.exp(values[i, k]):.2f}" for k in (best, ours, plain) for values in (mean, worst)]
        words = [", ".join(f"{value:.2f}" for value in candidates[k]) for k in (best, ours)]
        table.row(steps, words[0], *cells[:2], words[1], *cells[2:])
    table.line(f"\n{describe()}")
    (Path(__file__).parent / "results" / "optimised_grids.md").write_text(table.text())


if __name__ == "__main__":
    main()
