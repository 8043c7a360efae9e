"""The training loop: restore, step, write, checkpoint before the next batch is drawn."""

import contextlib
import itertools
import json
import platform
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

import filelock
import jax
import numpy as np

import sciddm
from sciddm.activity import Bar, activity
from sciddm.caches import keep_compiled
from sciddm.config import complete, resolved, restored, validate
from sciddm.data.made import replace_text
from sciddm.domain import get_domain
from sciddm.errors import UserError
from sciddm.export import refuse_training
from sciddm.train.budget import Budget, Leg
from sciddm.train.checkpoint import Checkpoints
from sciddm.train.data import Batches, check_dataset
from sciddm.train.fingerprint import absolute, check_same_data, fingerprint
from sciddm.train.held_out import HeldOut, as_metrics
from sciddm.train.log import Log
from sciddm.train.origin import Origin, check_same_origin
from sciddm.train.own_grid import searched
from sciddm.train.sharding import batch_sharding, make_mesh, place, state_sharding
from sciddm.train.state import TrainState, initial_state, make_denoiser, make_train_step, measure_sigma
from sciddm.train.verdict import judge


def fit(config, workdir, *, init_from=None, statistics: str = "kept", anew: bool = False, progress: bool = True) -> TrainState:
    """Train `config` in `workdir`, going on from what is there. Killed at any instant and started again it gives, for a budget
    in steps, bitwise the run that was never killed. With a larger budget than that of a finished run it goes on (`budget.Budget`).

    Args: init_from: a run, or an export of one, whose averaged weights a new run begins with; statistics: "kept", what the denoiser sees
    is normalised as in that run, or "measured" on the new data; anew: begin again where no checkpoint is whole, which stay set aside.
    Raises: UserError on a wrong config, data or workdir, on a full disk, and at the first loss that is not finite.
    """
    keep_compiled()
    with activity("checking the config", progress, at_once=False):
        validate(config)
    complete(config)
    mesh, workdir = make_mesh(config), Path(workdir)
    refuse_training(workdir)
    with alone(workdir):
        return train(config, workdir, mesh, init_from, statistics, progress, anew)


@contextlib.contextmanager
def alone(workdir: Path):
    """While no other process trains in `workdir`, which would clear away what this one is writing. Raises: UserError if one does."""
    workdir.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(workdir / ".lock")  # given back by the system, too, when the process is killed
    try:
        if jax.process_index() == 0:  # of the processes of one run the first holds it for all
            lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise UserError(f"{workdir}: another process trains there; wait for it, stop it, or choose another --workdir") from error
    except NotImplementedError:  # a file system that knows no locks
        pass
    try:
        yield
    finally:
        lock.release()


def train(config, workdir: Path, mesh, init_from, statistics: str, progress: bool, anew: bool = False) -> TrainState:
    """`fit` in a workdir that nobody else trains in, with a config that is whole."""
    checkpoints = Checkpoints(workdir, config.checkpoint.keep, anew=anew)
    stored = checkpoints.meta()
    typed, config.data.path = config.data.path, absolute(config.data.path)  # a run knows its data from any folder
    if stored:
        check_same_run(config, stored["config"], workdir)
        check_same_origin(init_from, statistics, stored, workdir)
    origin = Origin.of(config, init_from, statistics) if init_from is not None and not stored else None
    with activity("reading or making data", progress):
        domain = origin.domain(config) if origin else get_domain(config, stored and stored["normalizer"])
        dataset = domain.dataset("train")
        check_dataset(config, domain, dataset)
        data = fingerprint(config, domain, dataset)
        if stored:
            check_same_data(stored, data, workdir)
        sigma_data = stored["sigma_data"] if stored else origin.sigma_data if origin else None
        sigma_data = measure_sigma(config, domain) if sigma_data is None else sigma_data

    with activity("making the network", progress):
        denoiser = make_denoiser(config, domain, sigma_data)
        fresh = initial_state(config, origin.put_into(denoiser) if origin else denoiser)
        shardings = state_sharding(fresh, mesh)
        abstract = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), fresh, shardings)
        earlier = checkpoints.restore(abstract)
        state = earlier[0] if earlier else place(fresh, shardings)
    about = earlier[1] if earlier else {}
    step, looks, grid = int(state.step), list(about.get("held_out") or ()), None
    if stored and stored["samples"] != len(dataset):
        raise UserError(
            f"{workdir}: its run had {stored['samples']} training samples, now there are {len(dataset)}; choose another --workdir"
        )
    budget = Budget(config, about.get("elapsed", 0.0), step, legs_of(about))
    if budget.said and progress:
        print(budget.said, file=sys.stderr)
    meta = {
        "config": resolved(config), "samples": len(dataset), "normalizer": domain.normalizer.to_json(), "sigma_data": sigma_data,
        "versions": versions(), "git_revision": git_revision(), "schedule": budget.to_json(),
        "init_from": origin.to_json() if origin else about.get("init_from"), "data": {"typed": typed, **data},
    }  # fmt: skip
    replace_text(workdir / "config.json", json.dumps(meta["config"], indent=2) + "\n")
    with activity("reading held-out samples", progress):
        held_out = HeldOut(config, domain, denoiser, batch_sharding(mesh))
    batches = Batches(
        dataset, config.training.batch_size, config.seed, batch_sharding(mesh), domain.buckets(), domain.cut
    )
    log, stop = Log(workdir, step), StopSignal()
    waiting, recent, saved = None, about.get("recent", []), step if earlier else None
    over = budget.progress(step) >= 1.0
    train_step = Compiled(make_train_step(config, domain, denoiser, mesh), (shardings, None))
    stream = batches.from_step(step)
    if not over:
        with activity("reading the first batch", progress):
            batch = next(stream)
        with activity("compiling (a minute or more the first time)", progress):
            train_step.compile(state, batch, *pace(budget, step))
            held_out.compile(state.ema)
        stream = itertools.chain((batch,), stream)
    previous, bar = None, progress_bar(100.0 * budget.progress(step), progress and not over)
    with stop, bar, budget.running():
        for batch in stream:
            over = budget.progress(step) >= 1.0
            done = over or stop.asked
            # Before the next batch is used: what is on the disk is always a whole number of steps.
            if (done and saved != step) or (step > 0 and step % config.checkpoint.every == 0 and saved != step):
                with budget.paused():
                    check_finite(state.bad_step, batches, checkpoints)
                    if over and held_out.count and (not looks or looks[-1]["step"] != step):
                        looks.append(held_out.look(state.ema, step))
                        if waiting and recent:
                            write(log, bar, *waiting, batches, checkpoints)
                        waiting = (step, recent or waiting[1], looks[-1]) if recent or waiting else None
                    if waiting:
                        write(log, bar, *waiting, batches, checkpoints)
                    waiting = None
                    # The rows of an interval that is not over go along, so that its line will be that of the unbroken run.
                    recent, saved = as_floats(recent), step
                    if over:
                        grid = searched(config, domain, denoiser, state.ema, batch_sharding(mesh), progress, lambda: stop.asked)
                    about = {
                        "elapsed": budget.elapsed(), "progress": min(budget.progress(step), 1.0), "recent": recent, "held_out": looks,
                        "grid": grid if over else None,
                    }  # fmt: skip
                    checkpoints.save(state, meta | about)
            if done:
                break
            if not train_step.knows(batch):  # a batch of another shape
                with budget.paused():
                    bar.set_description("compiling")
                    train_step.compile(state, batch, *pace(budget, step))
                    bar.set_description("train")
            state, metrics = train_step(state, batch, *pace(budget, step))
            step += 1
            # No more than two steps under way: CPU devices of one process can wait for each other for ever once their queue is full.
            jax.block_until_ready(previous)
            previous = metrics
            recent.append(metrics)
            if step % config.training.log_every == 0:
                if waiting:  # fetched one interval late, so that the device never waits for the host
                    write(log, bar, *waiting, batches, checkpoints)
                if held_out.due(step):
                    with budget.paused():
                        looks.append(held_out.look(state.ema, step))
                waiting, recent = (step, recent, looks[-1] if looks and looks[-1]["step"] == step else None), []
            bar.update(max(100.0 * min(budget.progress(step), 1.0) - bar.n, 0.0))
    if waiting:
        write(log, bar, *waiting, batches, checkpoints)
    with activity("saving", progress):
        checkpoints.close()
        log.close()
    if progress:
        print(judge(checkpoints.meta() or {}), file=sys.stderr)
    return state


class Compiled:
    """A training step with one program a shape of batch, compiled when it is asked to and not by the way: it may take a minute."""

    def __init__(self, train_step, out_shardings):
        self._jitted = jax.jit(train_step, donate_argnums=0, out_shardings=out_shardings)
        self._programs = {}

    def compile(self, state, batch, *pace) -> None:
        self._programs[self._shape(batch)] = self._jitted.lower(state, batch, *pace).compile()

    def knows(self, batch) -> bool:
        return self._shape(batch) in self._programs

    def __call__(self, state, batch, *pace):
        return self._programs[self._shape(batch)](state, batch, *pace)

    @staticmethod
    def _shape(batch):
        return tuple((leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch))


def pace(budget: Budget, step: int) -> tuple[np.float32, ...]:
    """progress, peak and warm_from of `learning_rate` at `step`."""
    leg = budget.legs[-1]
    return np.float32(budget.progress(step)), np.float32(leg.peak), np.float32(leg.warm_from)


def legs_of(about: dict) -> list[dict]:
    """The budgets of a checkpoint's run, of one that is older than they are too."""
    if not about or about.get("schedule"):
        return about.get("schedule", [])
    training = about["config"]["training"]
    return [asdict(Leg(steps=training["steps"], minutes=training["wall_minutes"]))]


def progress_bar(percent: float, show: bool) -> Bar:
    """Per cent of the budget, whether it is in steps or minutes, so that the time left is that of the run."""
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"
    return Bar(total=100.0, initial=percent, desc="train", bar_format=layout, disable=not show, mininterval=1.0)


def write(log, bar, step, recent, look, batches, checkpoints) -> None:
    """One line of metrics: means over the interval that ended at `step`, and the held-out losses, if it was looked at them then."""
    rows = as_floats(recent)
    check_finite(rows[-1].pop("bad_step"), batches, checkpoints)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[-1]}
    bar.set_postfix_str(f"step {step}, loss {means['loss']:.4f}", refresh=False)
    log.write(step, means | (as_metrics(look) if look else {}))


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
        "Look at these samples, or take smaller steps, such as --config.training.learning_rate=1e-4"
    )


class StopSignal:
    """SIGTERM and SIGINT ask for a last checkpoint and a clean end instead of ending the process."""

    def __init__(self, words="stopping: saving a checkpoint first; the same command goes on from there"):
        self.asked, self._words = False, words

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
        print(f"\n{self._words}", file=sys.stderr)


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
