"""The training loop: restore, step, write, checkpoint before the next batch is drawn."""

import json
import platform
import signal
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

import sciddm
from sciddm.config import complete, resolved, restored, validate
from sciddm.domain import get_domain
from sciddm.errors import UserError
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.data import Batches, check_dataset
from sciddm.train.log import Log, replace_text
from sciddm.train.sharding import batch_sharding, make_mesh, place, state_sharding
from sciddm.train.state import TrainState, initial_state, make_denoiser, make_train_step, measure_sigma


def fit(config, workdir, *, progress: bool = True) -> TrainState:
    """Train `config` in `workdir`, going on from what is there. Killed at any instant and started again it gives, for a budget
    in steps, bitwise the run that was never killed.

    Raises: UserError on a wrong config, data or workdir, on a full disk, and at the first loss that is not finite.
    """
    validate(config)
    complete(config)
    mesh, workdir = make_mesh(config), Path(workdir)
    checkpoints = Checkpoints(workdir, config.checkpoint.keep)
    stored = checkpoints.meta()
    if stored:
        check_same_run(config, stored["config"], workdir)
    domain = get_domain(config, stored and stored["normalizer"])
    dataset = domain.dataset("train")
    check_dataset(config, domain, dataset)
    sigma_data = stored["sigma_data"] if stored else measure_sigma(config, domain)

    denoiser = make_denoiser(config, domain, sigma_data)
    fresh = initial_state(config, denoiser)
    shardings = state_sharding(fresh, mesh)
    abstract = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), fresh, shardings)
    earlier = checkpoints.restore(abstract)
    state = earlier[0] if earlier else place(fresh, shardings)
    step, elapsed = int(state.step), earlier[1]["elapsed"] if earlier else 0.0

    if stored and stored["samples"] != len(dataset):
        raise UserError(
            f"{workdir}: its run had {stored['samples']} training samples, now there are {len(dataset)}; choose another --workdir"
        )
    meta = {
        "config": resolved(config), "samples": len(dataset), "normalizer": domain.normalizer.to_json(), "sigma_data": sigma_data,
        "versions": versions(), "git_revision": git_revision(),
    }  # fmt: skip
    replace_text(workdir / "config.json", json.dumps(meta["config"], indent=2) + "\n")
    train_step = jax.jit(make_train_step(config, domain, denoiser), donate_argnums=0, out_shardings=(shardings, None))
    batches = Batches(
        dataset, config.training.batch_size, config.seed, batch_sharding(mesh), domain.buckets(), domain.cut
    )
    budget = Budget(config, elapsed)
    log, stop = Log(workdir, step), StopSignal()
    waiting, recent, saved = None, earlier[1]["recent"] if earlier else [], step if earlier else None
    previous, bar = None, progress_bar(100.0 * budget.progress(step), progress)
    with stop:
        for batch in batches.from_step(step):
            done = budget.progress(step) >= 1.0 or stop.asked
            # Before the next batch is used: what is on the disk is always a whole number of steps.
            if (done and saved != step) or (step > 0 and step % config.checkpoint.every == 0 and saved != step):
                check_finite(state.bad_step, batches, checkpoints)
                if waiting:
                    write(log, bar, *waiting, batches, checkpoints)
                # The rows of an interval that is not over go along, so that its line will be that of the unbroken run.
                waiting, recent, saved = None, as_floats(recent), step
                checkpoints.save(state, meta | {"elapsed": budget.elapsed(), "recent": recent})
            if done:
                break
            state, metrics = train_step(state, batch, np.float32(budget.progress(step)))
            step += 1
            # No more than two steps under way: CPU devices of one process can wait for each other for ever once their queue is full.
            jax.block_until_ready(previous)
            previous = metrics
            recent.append(metrics)
            if step % config.training.log_every == 0:
                if waiting:  # fetched one interval late, so that the device never waits for the host
                    write(log, bar, *waiting, batches, checkpoints)
                waiting, recent = (step, recent), []
            bar.update(100.0 * min(budget.progress(step), 1.0) - bar.n)
    if waiting:
        write(log, bar, *waiting, batches, checkpoints)
    checkpoints.close()
    log.close()
    bar.close()
    return state


def progress_bar(percent: float, show: bool) -> tqdm:
    """Per cent of the budget, whether it is in steps or minutes, so that the time left is that of the run."""
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"
    return tqdm(total=100.0, initial=percent, desc="train", bar_format=layout, disable=not show, mininterval=1.0)


def write(log, bar, step, recent, batches, checkpoints) -> None:
    """One line of metrics: means over the interval that ended at `step`."""
    rows = as_floats(recent)
    check_finite(rows[-1].pop("bad_step"), batches, checkpoints)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[-1]}
    log.write(step, means)
    bar.set_postfix_str(f"step {step}, loss {means['loss']:.4f}", refresh=False)


def as_floats(rows) -> list[dict[str, float]]:
    """Metrics of several steps, fetched from the devices at once."""
    return [{name: float(value) for name, value in row.items()} for row in jax.device_get(rows)]


def check_finite(bad_step, batches, checkpoints) -> None:
    """The NaN guard: stops with the step and what it was fed."""
    if (bad := int(bad_step)) < 0:
        return
    last = checkpoints.steps()
    rest = f"the checkpoint of step {last[0]} is intact" if last else "there is no checkpoint yet"
    raise UserError(
        f"training: the loss is not finite at step {bad}, batch indices {batches.indices(bad)}; {rest}. "
        "Look at these samples, or lower config.training.learning_rate"
    )


class Budget:
    """How far a run is: steps done over steps, seconds over wall_minutes (kept across restarts), whichever is further."""

    def __init__(self, config, elapsed: float):
        self._steps, self._minutes = config.training.steps, config.training.wall_minutes
        self._start = time.monotonic() - elapsed

    def elapsed(self) -> float:
        """Seconds of training, those of earlier starts included."""
        return time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """In [0, 1]; 1 is done. Deterministic for a budget in steps alone."""
        by_steps = step / self._steps if self._steps else 0.0
        return max(by_steps, self.elapsed() / (60.0 * self._minutes)) if self._minutes else by_steps


class StopSignal:
    """SIGTERM and SIGINT ask for a last checkpoint and a clean end instead of ending the process."""

    def __init__(self):
        self.asked = False

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_):
        self.asked = True
        print("\nstopping: saving a checkpoint first; the same command goes on from there", file=sys.stderr)


def check_same_run(config, stored: dict, workdir) -> None:
    """Raises: UserError if the workdir holds a run of other data, or of another domain, process, network or seed."""
    from sciddm.overrides import fixed_by_training  # which asks this package for the process

    now = resolved(config)
    if change := fixed_by_training(config, restored(stored)):
        key, before, after = change
        raise UserError(f"{workdir}: holds a run with config.{key} = {before}, now it is {after}; choose another --workdir")
    size, stored_size = now["training"]["batch_size"], stored["training"]["batch_size"]
    if size != stored_size:  # the position in the data is counted in batches
        raise UserError(
            f"{workdir}: its batches are of {stored_size}, now config.training.batch_size = {size}; choose another --workdir"
        )


def versions() -> dict[str, str]:
    """Of everything that the numbers of a run depend on."""
    packages = ("sciddm", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "diffrax", "grain", "numpy")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # a checkout that is on the path alone, not installed
        return sciddm.__version__ if name == "sciddm" else "unknown"


def git_revision() -> str | None:
    """The commit of the code that is running, with -dirty where it was changed; None outside a checkout."""
    where = Path(__file__).parent
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
        return subprocess.run(command, cwd=where, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
