"""Fields of one dimension: the pictures of `plots` as lines."""

import matplotlib.pyplot as plt
import numpy as np

from domains.fields.plots_panels import LINES, MEAN, MEMBER, TRUTH, mean_and_spread, panels, point_estimate, wrapped


def gallery_of_lines(layout, view, frames):
    """A row a variable, a column a sample, a line each of the frames, which are fields by time."""
    count = len(next(iter(frames.values())))
    fig, axes = panels(view, len(layout.variables), count, bars=0)
    for i, (name, row) in enumerate(zip(layout.variables, axes, strict=True)):
        for j, ax in enumerate(row):
            for (when, fields), colour in zip(frames.items(), (MEAN, LINES[1]), strict=False):
                view.line(ax, fields[j, ..., i], color=colour, lw=1.3, label=when.strip() or None)
            view.gaps(ax, fields[j, ..., i])
            _tidy(layout, view, axes, ax, i, j, name)
            if i == 0:
                ax.set_title(f"sample {j + 1}", fontsize=9)
        _same_height(row)
    return _with_legend(fig, axes)


def ensemble_of_lines(layout, view, members, truth, answers, observed):
    """A row a variable: the members with their band at the left, the classical answers at the right."""
    mean, _ = mean_and_spread(members)
    fig, axes = plt.subplots(
        len(layout.variables), 2 if answers else 1, figsize=(12.0 if answers else 6.6, 2.7 * len(layout.variables) + 0.8),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for i, (name, row) in enumerate(zip(layout.variables, axes, strict=True)):
        for j, ax in enumerate(row):
            if j == 0:
                _band(view, ax, members[..., i])
                for k, member in enumerate(members[:8, ..., i]):
                    view.line(ax, member, color=MEMBER, lw=0.7, label="members" if k == 0 else None)
                view.line(ax, mean[..., i], color=MEAN, lw=1.7, label="mean")
            for (what, x), colour in zip(answers.items() if j else (), LINES[1:], strict=False):
                if x.ndim == mean.ndim + 1:
                    _band(view, ax, x[..., i], colour, label=None)
                view.line(ax, point_estimate(x, mean.ndim)[..., i], color=colour, lw=1.3, label=what)
            if truth is not None:
                view.line(ax, truth[..., i], color=TRUTH, lw=1.3, ls="--", label="truth")
            if name in observed:
                view.points(ax, *observed[name])
            view.gaps(ax, mean[..., i] if truth is None else truth[..., i])
            _tidy(layout, view, axes, ax, i, j, name)
            if i == 0:
                ax.set_title("classical answers" if j else f"{len(members)} members", fontsize=9)
        _same_height(row)
    return _with_legend(fig, axes)


def sequence_of_lines(layout, view, members, truth, answers, names, frames, titles):
    """A row a variable, a column a frame."""
    mean, _ = mean_and_spread(members)
    fig, axes = panels(view, len(names), len(frames), bars=0)
    for i, (name, row) in enumerate(zip(names, axes, strict=True)):
        for j, (ax, frame) in enumerate(zip(row, frames, strict=True)):
            _band(view, ax, members[:, frame, ..., i])
            view.line(ax, members[0, frame, ..., i], color=MEMBER, lw=0.8, label="member 1")
            view.line(ax, mean[frame, ..., i], color=MEAN, lw=1.6, label="mean")
            for (what, x), colour in zip(answers.items(), LINES[1:], strict=False):
                view.line(ax, point_estimate(x, mean.ndim)[frame, ..., i], color=colour, lw=1.1, label=what)
            if truth is not None:
                view.line(ax, truth[frame, ..., i], color=TRUTH, lw=1.2, ls="--", label="truth")
            view.gaps(ax, mean[frame, ..., i] if truth is None else truth[frame, ..., i])
            _tidy(layout, view, axes, ax, i, j, name)
            if i == 0:
                ax.set_title(titles[j], fontsize=9)
        _same_height(row)
    return _with_legend(fig, axes)


def _tidy(layout, view, axes, ax, i, j, name):
    view.finish(ax, left=j == 0, below=i == len(axes) - 1)
    ax.tick_params(labelleft=j == 0)
    if j == 0:
        ax.set_ylabel(wrapped(layout.label(name)), fontsize=8)


def _band(view, ax, members, colour=MEAN, label="90 % of the members"):
    if len(members) > 1:
        low, high = (np.quantile(members, q, axis=0) for q in (0.05, 0.95))
        ax.fill_between(view.at_x, view.field(low), view.field(high), color=colour, alpha=0.18, lw=0, label=label)


def _same_height(row):
    low, high = min(ax.get_ylim()[0] for ax in row), max(ax.get_ylim()[1] for ax in row)
    for ax in row:
        ax.set_ylim(low, high)


def _with_legend(fig, axes):
    found = {}
    for ax in axes.flat:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        fig.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(len(found), 7), frameon=False, fontsize=8.5)
    return fig
