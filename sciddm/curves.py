"""A picture of how runs learnt: training and held-out loss against steps, and held-out loss by noise level."""

from collections.abc import Sequence
from pathlib import Path

from sciddm.compare import short_names
from sciddm.errors import UserError
from sciddm.runs import Run


def draw(runs: Sequence[Run], path) -> Path | None:
    """Write the picture of one or several runs to `path`; None, and nothing written, where none of them has lines of metrics.

    Raises: UserError if `path` has an ending that is none of a picture.
    """
    from matplotlib.figure import Figure  # without pyplot, which takes a second more and knows of screens
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, NullFormatter

    path, shown = Path(path), [run for run in runs if _training(run) or run.looks]
    if not shown:
        return None
    if path.suffix.lower().lstrip(".") not in Figure().canvas.get_supported_filetypes():
        raise UserError(f"--out {path}: expected a file whose name ends in .png, .pdf or .svg")
    figure = Figure(figsize=(10.0, 4.2 + 0.2 * len(shown)), layout="constrained")
    by_step, by_noise = figure.subplots(1, 2)
    for place, run in enumerate(shown):
        colour = f"C{place % 10}"
        if training := _training(run):
            by_step.plot(*zip(*training, strict=True), color=colour, alpha=0.35, lw=1)
        if run.looks:
            steps, losses, errors = zip(*((look["step"], look["loss"], look["error"]) for look in run.looks), strict=True)
            by_step.errorbar(steps, losses, errors, color=colour, marker="o", ms=4, capsize=2)
            levels = run.looks[-1]["levels"]
            by_noise.plot([float(noise) for noise in levels], list(levels.values()), f"{colour}o-", ms=4)
    by_step.set(xlabel="training step", ylabel="loss (1)", title="Loss: thin in training, dots held-out ± standard error")
    by_noise.set(xlabel="noise level sigma / alpha (1)", ylabel="held-out loss (1)", title="Held-out loss at the end, smaller is better")
    for axes in (by_step, by_noise):
        axes.set(xscale="log", yscale="log")
        axes.grid(alpha=0.3, which="both", lw=0.5)
        for axis in (axes.xaxis, axes.yaxis):  # 0.6 and not 6 x 10^-1
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "2346" else ""))
        axes.xaxis.set_minor_formatter(NullFormatter())
        if not axes.has_data():
            axes.text(0.5, 0.5, "not recorded", ha="center", transform=axes.transAxes)
    lines = [Line2D([], [], color=f"C{place % 10}", marker="o", ms=4) for place in range(len(shown))]
    words = [f"{name}, step {run.step:,}{', ' * bool(run.verdict.short)}{run.verdict.short}" for name, run in _named(shown)]
    figure.legend(lines, words, loc="outside lower left", fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _named(runs):
    return zip(short_names(runs), runs, strict=True)


def _training(run: Run) -> list[tuple[int, float]]:
    return [(row["step"], row["loss"]) for row in run.metrics if row.get("loss", 0) > 0]
