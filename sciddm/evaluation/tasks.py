"""How good is a run? Every task on held-out examples, beside the classical answers, as a table and as pictures."""

import hashlib
import json

import jax
import matplotlib
import numpy as np

from sciddm.activity import Bar
from sciddm.errors import UserError
from sciddm.model import Model
from sciddm.parts import read_arrays, write_arrays
from sciddm.tasks.base import Problem, draw_picture


def evaluate(
    model: Model, *, tasks=(), problems: int = 4, members: int = 8, seed: int = 0, progress: bool = True
) -> dict:
    """Means over problems of each task's metrics: task -> method -> metric -> value; "posterior" is the model.

    Samples are kept in the workdir: the same evaluation of the same checkpoint is read back. Pictures go to its plots/.

    Args: tasks: names, () for all of the domain's; problems: held-out examples a task; members: samples of each.
    """
    names = tuple(tasks) or tuple(model.domain.tasks)
    if not names:
        raise UserError(
            f"domain {model.domain.name!r} has no tasks to evaluate: name some in its `task_types`, or in config.tasks"
        )
    table = {}
    with Bar(total=len(names) * problems, desc="evaluate", unit="problem", disable=not progress) as bar:
        for name in names:
            task, test, rows = model.domain.tasks[name], model.examples(name), {}
            if not len(test):
                raise UserError(f"task {name!r}: the test split is empty; expected held-out examples")
            for i in range(problems):
                problem = model.problem(name, element=test[i % len(test)], key=jax.random.fold_in(jax.random.key(seed), i))
                samples = _samples(model, name, problem, members, (seed, i))
                rows.setdefault("posterior", []).append(task.metrics(samples, problem))
                others = task.controls(model, jax.random.fold_in(jax.random.key(seed), i), problem, members)
                answers = task.baseline(problem)
                for method, answer in {**others, **answers}.items():
                    rows.setdefault(method, []).append(task.metrics(_ensemble(answer, problem.truth, method), problem))
                if i < 2:
                    picture = draw_picture(task, samples, problem, answers)
                    save_figure(picture, model.workdir / "plots" / f"{name}-{i}.png", model.verdict.short)
                bar.update()
            keys = list(dict.fromkeys(key for found in rows.values() for row in found for key in row))
            table[name] = {
                method: {key: _mean([row.get(key, np.nan) for row in found]) for key in keys}
                for method, found in rows.items()
            }
    return table


def format_table(scores: dict[str, dict[str, float]]) -> str:
    """One task's scores as aligned text: a row a method, a column a metric; a dash where a metric says nothing."""
    columns = list(next(iter(scores.values())))
    cells = [["", *columns]]
    for method, row in scores.items():
        cells.append(
            [
                method,
                *[_shown(row[key]) for key in columns],
            ]
        )
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def _shown(value: float) -> str:
    # three digits of what has a size of about 1 and of what is far smaller, which is no 0
    if np.isnan(value):
        return "-"
    if abs(value) >= 100:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) >= 0.1 or not value else f"{value:.3g}"


def save_figure(figure, path, note: str = "") -> None:
    """Write a figure as PNG and close it; note: what a reader must know of the run, small below its lower left corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for text in _words(figure):  # names of a user's own, in which dollars are no formulas
        text.set_parse_math(False)
    if note:  # below all that is drawn, where it covers nothing; the picture is cut to what is in it
        if (layout := figure.get_layout_engine()) is not None:  # which moves axes when they are drawn
            layout.execute(figure)
        (width, height), drawn = figure.get_size_inches(), figure.get_tightbbox()
        figure.text(drawn.x0 / width, (drawn.y0 - 0.05) / height, note, ha="left", va="top", fontsize=8, color="#9a6a6a")
    figure.savefig(path, dpi=110, bbox_inches="tight", pad_inches=0.08)
    matplotlib.pyplot.close(figure)


def _words(figure):
    # titles, labels and legends; numbers along axes are formulas where they are powers of ten
    yield from figure.texts
    if figure._suptitle is not None:
        yield figure._suptitle
    for axes in figure.axes:
        yield from (axes.title, axes._left_title, axes._right_title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
        if (legend := axes.get_legend()) is not None:
            yield from legend.get_texts()


def _mean(values) -> float:
    # A score that says nothing of one problem, such as that of heavy rain on a dry day, still says something of the others.
    there = [value for value in values if not np.isnan(value)]
    return float(np.mean(there)) if there else float("nan")


def _ensemble(answer, truth, method: str):
    # A classical method's one answer as an ensemble of one; what is an ensemble already stays.
    shapes, expected = (jax.tree.map(np.shape, tree) for tree in (answer, truth))
    if shapes == expected:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], answer)
    if jax.tree.map(lambda leaf: np.shape(leaf)[1:], answer) != expected:
        raise UserError(
            f"the answer {method!r} has shapes {shapes}; expected {expected}, or an ensemble (members, ...) of such"
        )
    return answer


def _samples(model: Model, task: str, problem: Problem, members: int, place):
    # Named by all they depend on, the data by the truth; arrays only, read without pickle.
    truth = hashlib.sha256(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in jax.tree.leaves(problem.truth)))
    depends = [
        task,
        members,
        place,
        model.step,
        truth.hexdigest(),
        dict(model.domain.tasks[task].sampling),
        model.domain.tasks[task].depends(model),
        json.dumps(model.config.to_dict(), sort_keys=True, default=str),
    ]
    name = hashlib.sha256(json.dumps(depends, default=str).encode()).hexdigest()[:16]
    path, structure = model.workdir / "samples" / f"{task}-{name}.npz", jax.tree.structure(model.domain.example)
    if (samples := read_arrays(path, structure)) is None:
        samples = model.solve(jax.random.fold_in(jax.random.key(place[0]), place[1]), task, problem, members)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, samples)
    return samples
