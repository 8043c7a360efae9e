"""What one run, or several beside each other, say of themselves, as text."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from sciddm.config import flatten
from sciddm.export import is_export
from sciddm.runs import Run, finished

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40  # of a curve drawn by `BARS`
BESIDE = 4  # runs in one table; more go below
NAMED = 4  # keys in a sentence
ELSEWHERE = ("data.cache", "version")  # keys that say nothing of a run
# What held-out losses hang on beside the weights: the samples, their units, and how they are weighed.
OF_THE_LOSS = ("domain", "data", "seed", "process", "objective", "training.held_out")
SMALLER = "loss: smaller is better; ± is one standard error over the held-out samples"


def describe(run: Run) -> str:
    """All that is known of one run, for a reader."""
    meta, last = run.meta, run.looks[-1] if run.looks else None
    state = "exported" if is_export(run.path) else "done" if finished(run) else "not over: the same command goes on"
    facts = {
        "domain": meta["config"]["domain"],
        "step": f"{run.step:,} of {run.budget() or 'no budget'} ({state})",
        "samples": f"{run.samples_seen:,} seen, {run.samples_seen / meta['samples']:.3g} times the {meta['samples']:,} there are",
        "training": _time(run),
        "verdict": f"undertrained: {'; '.join(run.verdict.reasons)}" if run.verdict.undertrained else "nothing speaks against its training",
        "parameters": f"{run.parameters:,}",
        "tasks": ", ".join(run.tasks) or "none",
        "units": "; ".join(str(row["units"]) for row in meta["normalizer"].values() if "units" in row),
        "checkpoints": ", ".join(f"{step:,}" for step in run.checkpoints),
        "sampling": _sampling(run),
    }
    if origin := meta.get("init_from"):
        facts["begun with"] = f"{origin['path']}, step {origin['step']:,}, statistics {origin['statistics']}"
    versions = ", ".join(f"{name} {meta['versions'][name]}" for name in ("sciddm", "jax") if name in meta["versions"])
    facts["code"] = f"{meta.get('git_revision') or 'outside of a checkout'}; {versions}"
    parts = [f"{run.path}\n" + tabulate(facts.items(), tablefmt="plain", disable_numparse=True)]
    if curves := list(_curves(run)):
        parts.append("learning curve, each from its first to its last step (log. axes)\n" + tabulate(curves, tablefmt="plain"))
    if last:
        levels = [["noise (sigma / alpha)", *last["levels"]], ["held-out loss", *(f"{loss:.3g}" for loss in last["levels"].values())]]
        said = f"held-out loss by noise level at step {last['step']:,}, of {len(last['each'])} samples; smaller is better"
        parts.append(f"{said}\n{tabulate(levels, tablefmt='plain', disable_numparse=True)}")
    else:
        parts.append("held-out loss: none; the run is older than it is recorded, or config.training.held_out is 0")
    if run.evaluation:
        rows = [[task, metric, _number(value)] for task, metric, value in run.scores()]
        table = tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=("left", "left", "right"))
        parts.append(f"evaluation at step {run.evaluation['step']:,} (beside classical answers: {run.path / 'evaluation.json'})\n{table}")
    return "\n\n".join(parts)


def side_by_side(runs: Sequence[Run]) -> str:
    """A table with a column a run: what differs between their configs, how long they were trained, and how good they are."""
    names, rows = [name.replace(",", ",\n") for name in short_names(runs)], list(_rows(runs))
    tables = []
    for start in range(0, len(runs), BESIDE):
        part = slice(start, start + BESIDE)
        body = [[name, *cells[part]] for name, cells in rows]
        align = ("left", *["right"] * len(names[part]))
        tables.append(tabulate(body, ["", *names[part]], tablefmt="simple", disable_numparse=True, colalign=align))
    return "\n\n".join([*tables, SMALLER + _paired_words(runs)])


def short_names(runs: Sequence[Run]) -> list[str]:
    """Their paths without what all have in front."""
    paths = [Path(os.path.abspath(run.path)) for run in runs]
    common = os.path.commonpath([path.parent for path in paths])
    return [str(path.relative_to(common)) for path in paths]


def differing_keys(runs: Sequence[Run]) -> dict[str, list]:
    """Config keys that are not the same in all, with a value a run; None where a run lacks the key, which of runs of several domains
    are only those that all have."""
    flat = [flatten(run.meta["config"]) for run in runs]
    keys = {key for one in flat for key in one} - set(ELSEWHERE)
    if len({one["domain"] for one in flat}) > 1:  # most keys of another domain mean nothing to this one
        keys = {key for key in keys if all(key in one for one in flat)}
    keys = sorted(keys)
    values = {key: [one.get(key) for one in flat] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def apart(runs: Sequence[Run]) -> list[str]:
    """What held-out losses hang on and is not the same in all; [] where they are of the same draws of the same samples."""
    found = [f"config.{key}" for key in differing_keys(runs) if any(key == one or key.startswith(one + ".") for one in OF_THE_LOSS)]
    for name, words in (("normalizer", "the normaliser"), ("sigma_data", "sigma_data"), ("samples", "the number of training samples")):
        if any(run.meta[name] != runs[0].meta[name] for run in runs):
            found.append(words)
    looks = [run.looks[-1] for run in runs if run.looks]
    if any((len(look["each"]), list(look["levels"])) != (len(looks[0]["each"]), list(looks[0]["levels"])) for look in looks):
        found.append("the held-out samples or noise levels")
    return found


def _rows(runs) -> Iterator[tuple[str, list[str]]]:
    for key, values in differing_keys(runs).items():
        yield f"config.{key}", ["-" if value is None else _plain(value) for value in values]
    yield "step", [f"{run.step:,}" for run in runs]
    yield "samples seen", [f"{run.samples_seen:,}" for run in runs]
    yield "time in training", [_time(run) for run in runs]
    yield "parameters", [f"{run.parameters:,}" for run in runs]
    yield "held-out loss", [f"{run.looks[-1]['loss']:.4g} ± {run.looks[-1]['error']:.1g}" if run.looks else "-" for run in runs]
    if runs[0].looks and not apart(runs):
        yield "  less that of the first", ["", *(_difference(run, runs[0]) for run in runs[1:])]
    yield "verdict", [run.verdict.short or "trained" for run in runs]
    scores = [{(task, metric): value for task, metric, value in run.scores()} for run in runs]
    for task, metric in dict.fromkeys(key for one in scores for key in one):
        yield f"{task}: {metric}", [_number(one.get((task, metric))) for one in scores]
    if any(scores):
        yield "evaluated at step", [f"{run.evaluation['step']:,}" if run.evaluation else "-" for run in runs]


def _difference(run: Run, first: Run) -> str:
    # of the same samples, whose own spread drops out
    if not run.looks:
        return "-"
    each = np.subtract(run.looks[-1]["each"], first.looks[-1]["each"])
    error = each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else 0.0
    return f"{each.mean():+.2g} ± {error:.1g}"


def _paired_words(runs) -> str:
    if not any(run.looks for run in runs):
        return ""
    if found := apart(runs):
        words = "their held-out losses are not of the same draws or units; small differences say nothing"
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return f".\nThe runs differ in {', '.join(found[:NAMED])}{more}: {words}"
    return ".\nThe held-out losses are of the same samples and noise: their difference is known better than each of them"


def _curves(run: Run) -> Iterator[list[str]]:
    held_out = [(look["step"], look["loss"]) for look in run.looks]
    training = [(row["step"], row["loss"]) for row in run.metrics if "loss" in row]
    for name, points in (("training loss", training), ("held-out loss", held_out)):
        points = [(step, loss) for step, loss in points if step > 0 and loss > 0 and math.isfinite(loss)]
        if len(points) > 1:
            yield [name, f"{points[0][1]:.3g}", bars(points), f"{points[-1][1]:.3g}", f"steps {points[0][0]:,} to {points[-1][0]:,}"]


def bars(points: Sequence[tuple[int, float]], width: int = WIDTH) -> str:
    """A curve of (step, loss) as a line of blocks, both on log. axes; each block is the mean of what falls into it."""
    steps, losses = np.log(np.array(points, float)).T
    places = np.minimum(((steps - steps[0]) / max(steps[-1] - steps[0], 1e-9) * width).astype(int), width - 1)
    filled = np.interp(np.arange(width), np.unique(places), [losses[places == place].mean() for place in np.unique(places)])
    low, high = filled.min(), filled.max()
    heights = np.round((filled - low) / max(high - low, 1e-9) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def _sampling(run: Run) -> str:
    sampling = run.meta["config"]["sampling"]
    said = f"{sampling['solver']}, {sampling['steps']} steps"
    if sampling["grid"] != "own":
        return f"{said}, grid {sampling['grid']}"
    if run.meta.get("grid"):
        return f"{said}, its own grid, searched for it"
    from sciddm.train.own_grid import way_to_one  # which takes seconds to import

    return f"{said}, grid optimised, as none of its own was searched; {way_to_one(run)}"


def _time(run: Run) -> str:
    return f"{run.minutes:.1f} minutes" if run.minutes >= 1.0 else f"{60.0 * run.minutes:.0f} seconds"


def _plain(value) -> str:
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value)) or "none"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 32 else "..." + text[-29:]


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3g}"
