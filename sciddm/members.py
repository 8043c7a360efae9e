"""An answer as files: members, made part by part and gone on with where they were stopped, their summary, pictures, what made them."""

import contextlib
import datetime
import glob
import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

import sciddm
from sciddm import summary
from sciddm.activity import activity
from sciddm.data.made import PARTIAL, at_once
from sciddm.domain import Domain
from sciddm.errors import UserError, of_system
from sciddm.evaluation import save_figure
from sciddm.events import Event
from sciddm.keys import sample_keys
from sciddm.memory import check_answers
from sciddm.parts import drop, in_parts, made_of
from sciddm.tasks.base import Task, draw_picture

LONGEST = 200  # bytes of a name: 255 is what file systems take, and what is written has a longer one until it is whole


@dataclass(frozen=True)
class Written:
    """files: what each one holds -> its path; lines: what is to be said besides."""

    files: dict[str, Path]
    lines: list[str]


def write_members(
    model, out, *, count: int, seed: int = 0, task: str | None = None, given=None, events: Sequence[Event] = (), page: bool = False,
    command: str = "", progress: bool = True, **options,
) -> Written:  # fmt: skip
    """`count` answers at `out` in the domain's format, a summary beside them, and pictures in the workdir's plots.

    Members are kept in OUT.partial as they are made; the same call goes on where it was stopped. Member i depends on (seed, i) alone.

    Args: task, given: as of `Model.sample`; events: whose probability is asked for; page: whether an HTML page is made beside them (see
    `Task.page`); command: for the history within the file; options: of `sd.sample`.
    Raises: UserError if there is something at `out`, before anything is made; as `Model.problem`, and as saving does.
    """
    out, known = Path(out), model.domain.suffixes
    check_name(out, known[0] if known else model.domain.suffix)
    folder = out.with_name(f"{out.name}.partial")
    if known and out.suffix.lower() not in known:
        raise UserError(f"--out {out}: {out.suffix or 'a name without a suffix'} can't be written; expected {' or '.join(known)}")
    html = out.with_suffix(".html")
    if page:
        has_page(model, task)
    for path in (out, *(out.with_name(f"{out.stem}-summary{suffix}") for suffix in summary.SUFFIXES), *([html] if page else [])):
        if path.exists():
            raise UserError(f"{path}: is there already; give another --out")
    check_writable(out.parent)
    plots = picture_folder(model.workdir, out)
    check_answers(model.domain.example, count, f"--count {count}")
    with activity("reading what is given" if given else "reading or making a held-out problem", progress and task is not None):
        problem = None if task is None else model.problem(task, key=seed, given=given)
    model.sampling_options(model.denoiser, **({} if task is None else model.task(task).sampling_of(problem)) | options)  # what it refuses
    settings = settings_of(model, task, problem, given, seed, options)
    _check_events(model, task, problem, events)
    if before := made_of(folder):
        print(f"going on: {folder} holds {before} part{'s' if before > 1 else ''}", file=sys.stderr)

    def make(rows):
        if task is None:
            keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(np.asarray(rows))
            return model.draw(keys, len(rows), **options)
        return model.solve(seed, task, problem, len(rows), rows=rows if model.task(task).by_member else None, **options)

    size = model.config.sampling.batch_size if task is None or model.task(task).by_member else count
    digest = {"given digest": digest_of(problem)} if problem is not None else {}
    try:
        x = in_parts(
            make, count, size, folder, settings | digest, jax.tree.structure(model.domain.example), label=task or "sample",
            progress=progress,
        )  # fmt: skip
    except KeyboardInterrupt:
        print(f"\nstopped; the members made so far are in {folder}, the same command goes on", file=sys.stderr)
        raise
    x, left_out = (x, []) if task is None else finite(x, count)  # what a domain draws for a sample is by its index
    with activity("summary and pictures", progress):
        native, figure = _shown(model, task, problem, x, seed)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        history = {"history": f"{now} {command}"} if command else {}
        about = {f"sciddm_{name.replace(' ', '_')}": value for name, value in settings.items()} | history
        with _whole(out) as partial:
            model.domain.save(model.domain.signed(native, about), partial)
            whole = summary.summarise(model.domain.quantities(native), events).assign_attrs(about)
            files = {"members": out, "summary": out.with_name(summary.save_summary(whole, partial).name)}
            if page:
                asked = model.domain.page(native, about) if task is None else model.task(task).page(x, problem, about)
                partial.with_name(html.name).write_text(asked, encoding="utf-8")
                files["page"] = html
        drop(folder)
        written = _drawn(model, native, figure, files, plots, events)
        return Written(written.files, [*left_out, *written.lines])


def finite(x, count: int) -> tuple:
    """(the members that have a finite value, what is to be said of those that have none): a solver or a guide has failed there."""
    good = np.any([np.isfinite(leaf).reshape(count, -1).any(1) for leaf in jax.tree.leaves(x)], axis=0)
    if good.all():
        return x, []
    if not good.any():
        raise UserError(f"all {count} members came out as NaN; take more --steps, or another --solver or --method")
    said = f"{(~good).sum()} of {count} members came out as NaN and are left out; take more --steps, or another --solver or --method"
    return jax.tree.map(lambda leaf: leaf[good], x), [said]


@contextlib.contextmanager
def _whole(out):
    # A place for what is written, which all comes to where it belongs at once; messages name that place.
    for broken in out.parent.glob(f".{glob.escape(out.name)}.*{PARTIAL}"):  # what a run that was killed has left
        shutil.rmtree(broken, ignore_errors=True)
    with at_once(out) as partial:
        try:
            yield partial
        except UserError as error:
            raise UserError(str(error).replace(str(partial), str(out))) from error


def has_page(model, task: str | None) -> None:
    """That there are pages of these answers. Raises: UserError, before the work and not after it."""
    whose, base = (model.domain, Domain) if task is None else (model.task(task), Task)
    if type(whose).page is base.page:
        what = f"domain {model.domain.name!r}" if task is None else f"task {task!r}"
        raise UserError(f"--page: {what} has no page to look at or listen to; leave it out")


def check_name(out: Path, suffix: str) -> None:
    """That a file may be called so, with what is made beside it. suffix: of one that may. Raises: UserError."""
    if not out.name or out.name == ".." or (out.is_dir() and not out.suffix):
        raise UserError(f"--out {out}: is a folder; name a file in it, such as --out {shlex.quote(str(out / f'samples{suffix}'))}")
    if (size := len(os.fsencode(out.name))) > LONGEST:
        raise UserError(f"--out {out.name[:40]}...: is a name of {size} bytes; expected {LONGEST} at most, choose a shorter name")


def check_writable(folder: Path) -> None:
    """That files can be written in `folder`, which is made. Raises: UserError, before the work and not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(of_system(error, str(folder))) from error


def picture_folder(workdir: Path, out: Path) -> Path:
    """plots/ of the run, or the folder of `out` where a run can be read and not written."""
    try:
        check_writable(workdir / "plots")
    except UserError:
        return out.parent
    return workdir / "plots"


def settings_of(model, task, problem, given, seed, options) -> dict[str, str | int | float]:
    """All that made the members, name -> plain value."""
    from sciddm.train.loop import versions

    found = {"version": sciddm.__version__, "run": str(model.workdir), "step": model.step, "seed": seed}
    own = {}
    if task is not None:
        kind = model.task(task)
        own = {name: value for name, value in kind.sampling_of(problem).items() if value is not None}
        own |= {name: getattr(kind, name) for name in ("method",) if hasattr(kind, name)}
        if kind.strength:
            own["strength"] = model.config.tasks[task].get(kind.strength, 1.0)
        brought = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
        found |= {"task": task, "given": " ".join(map(_name, brought)) or "the first held-out example"}
    config = model.config.sampling
    sampling = {"solver": config.solver, "steps": str(config.steps), "grid": model.grid} | own | options
    found |= {name: value if isinstance(value, (int, float)) else str(value) for name, value in sampling.items()}
    return found | {"versions": ", ".join(f"{name} {version}" for name, version in versions().items())}


def _name(thing):
    return str(thing) if isinstance(thing, (str, Path)) else f"<{type(thing).__name__}>"


def digest_of(problem) -> str:
    """Of all that the answers depend on and the command does not say, such as what stands in a file."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves((problem.observation, problem.cond, dict(problem.extras or {}))):
        if isinstance(leaf, (np.ndarray, jax.Array)) and leaf.dtype != object:
            found.update(str((leaf.shape, leaf.dtype)).encode() + np.ascontiguousarray(leaf).tobytes())
        elif isinstance(leaf, (str, int, float)):
            found.update(str(leaf).encode())
    return found.hexdigest()[:16]


def _native(model, task, problem, x, keys):
    if task is not None:
        return model.task(task).to_native(x, problem)
    return model.domain.to_native(x, model.domain.draw_cond(keys))


def _shown(model, task, problem, x, seed):
    native = _native(model, task, problem, x, sample_keys(seed, len(jax.tree.leaves(x)[0])))
    if task is None:
        return native, model.domain.plot(native)
    return native, draw_picture(model.task(task), x, problem, {})


def _check_events(model, task, problem, events):
    # Asked of two members of nothing, so that a wrong name is said before the work begins.
    if not events:
        return
    like = model.domain.example if problem is None or problem.truth is None else problem.truth
    blank = jax.tree.map(lambda leaf: np.zeros((2, *leaf.shape), np.float32), like)
    native = _native(model, task, problem, blank, sample_keys(0, 2))
    for event in events:
        event.check(model.domain.quantities(native))


def _drawn(model, native, figure, files, plots, events) -> Written:
    quantities, out = model.domain.quantities(native), files["members"]
    files["picture"] = plots / f"{out.stem}.png"
    save_figure(figure, files["picture"], model.verdict.short)
    for i, event in enumerate(events, 1):
        p, _ = event.probability(quantities)
        if p.ndim:
            label = "probability" if len(events) == 1 else f"probability {i}"
            files[label] = plots / f"{out.stem}-{label.replace(' ', '-')}.png"
            save_figure(summary.picture(p), files[label], model.verdict.short)
    return Written(files, [summary.in_words(event, quantities) for event in events])
