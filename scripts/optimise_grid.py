"""The sampling times that serve YOUR model best at a few steps, found on the model itself and kept in its workdir.

Usage: python scripts/optimise_grid.py --workdir runs/demo --steps 8
then:  sciddm sample --workdir runs/demo --steps 8 --config.sampling.grid=runs/demo/grids/unipc2-8.json
"""

import argparse
import json
import os
import sys
from pathlib import Path

from sciddm.caches import folder

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder("compiled").expanduser()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True, type=Path, help="of the training run")
    parser.add_argument("--steps", required=True, type=int, help="of the sampler, at least 2")
    parser.add_argument("--solver", help="deterministic (default: the config's)")
    parser.add_argument("--samples", type=int, default=16, help="paths to descend on (default 16)")
    parser.add_argument("--iterations", type=int, default=40, help="of the descent (default 40)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    import jax

    from sciddm import UserError, load
    from sciddm.data.made import replace_text
    from sciddm.grid_search import search

    try:
        model = load(arguments.workdir)
        solver = arguments.solver or model.config.sampling.solver
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((arguments.samples, *leaf.shape), leaf.dtype), model.domain.example
        )
        inner, errors = search(
            jax.random.key(arguments.seed), model.denoiser, shapes,
            steps=arguments.steps, solver=solver, iterations=arguments.iterations, progress=True,
        )  # fmt: skip
    except (UserError, ValueError) as error:
        print(f"optimise_grid: {error}", file=sys.stderr)
        return 2
    out = arguments.workdir / "grids" / f"{solver}-{arguments.steps}.json"
    out.parent.mkdir(exist_ok=True)
    about = {"log_snr": [round(float(value), 4) for value in inner], "solver": solver, "step_of_model": model.step}
    replace_text(out, json.dumps(about | {"errors": [float(errors[0]), float(errors.min())]}, indent=2) + "\n")
    print(
        f"error at {arguments.steps} steps: {errors[0]:.4f} with the grid to begin with, {errors.min():.4f} with this one\ngrid: {out}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
