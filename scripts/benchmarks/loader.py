"""What reading costs beside training: batches a second from a file, a training step's time, the share of it spent waiting, peak memory.

    python scripts/benchmarks/loader.py --config configs/fields.py [--config.data.path=large.zarr ...] [--steps 60]

Writes results/loader.md. Waiting is what is left to read when a step asks for its batch, with the loop's own threads reading ahead.
"""

import argparse
import resource
import time
from pathlib import Path

import jax
import numpy as np
from machine import describe

from sciddm.domain import get_domain
from sciddm.overrides import load_config
from sciddm.train.data import Batches
from sciddm.train.sharding import batch_sharding, make_mesh, place, state_sharding, use_cores
from sciddm.train.state import initial_state, make_denoiser, make_train_step, measure_sigma

RESULTS = Path(__file__).parent / "results" / "loader.md"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments, rest = parser.parse_known_args()
    config = load_config(arguments.config, rest)
    use_cores(config)
    mesh, start = make_mesh(config), time.perf_counter()
    domain = get_domain(config)
    opened = time.perf_counter() - start
    dataset = domain.dataset("train")
    denoiser = make_denoiser(config, domain, measure_sigma(config, domain))
    state = initial_state(config, denoiser)
    shardings = state_sharding(state, mesh)
    state = place(state, shardings)
    step = jax.jit(make_train_step(config, domain, denoiser, mesh), donate_argnums=0, out_shardings=(shardings, None))

    def batches():
        size = config.training.batch_size
        return Batches(dataset, size, config.seed, batch_sharding(mesh), domain.buckets(), domain.cut).from_step(0)

    alone = batches()
    next(alone)
    start = time.perf_counter()
    for _ in range(arguments.steps):
        next(alone)
    reading = (time.perf_counter() - start) / arguments.steps

    waits, steps, both = [], [], batches()
    for i in range(arguments.steps + 3):
        begin = time.perf_counter()
        batch = next(both)
        ready = time.perf_counter()
        state, metrics = step(state, batch, np.float32(0.0))
        jax.block_until_ready(metrics)
        if i >= 3:  # the first ones compile
            waits.append(ready - begin)
            steps.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    wait, whole = np.median(waits), np.median(steps)
    size = config.training.batch_size
    cells = {
        "statistics, s": f"{opened:.0f}",
        "reading alone, ms a batch": f"{1e3 * reading:.0f}",
        "windows/s": f"{size / reading:.0f}",
        "a training step, ms": f"{1e3 * whole:.0f}",
        "of it waiting for the batch, ms": f"{1e3 * wait:.1f}",
        "share": f"{wait / whole:.1%}",
        "peak memory, GiB": f"{peak:.2f}",
    }
    windows = f"{Path(config.data.path).name}: {len(dataset)} windows of {domain.example.shape}"
    about = f"{windows}, batches of {size}; medians of {arguments.steps}."
    rows = "\n".join(f"| {' | '.join(row)} |" for row in (cells, ["---"] * len(cells), cells.values()))
    text = f"# Reading beside training\n\n{about} {describe()}\n\n{rows}\n"
    arguments.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
