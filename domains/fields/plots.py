"""Pictures of gridded fields that a person can judge, in the file's own names, units and directions. Each returns its Figure."""

import matplotlib.pyplot as plt
import numpy as np

from domains.fields.layout import Layout
from domains.fields.plots_panels import (
    LINES,
    LONGEST,
    Scale,
    View,
    colour_bar,
    mean_and_spread,
    panels,
    spread_label,
    without_mask,
    wrapped,
)

MEMBER, MEAN, TRUTH = "#8fb4d8", "#1f5f99", "#111111"


def gallery(layout: Layout, x, count: int = 6):
    """One row a variable, one column a sample; of windows in time the first and the last frame. x: (N, [frames], *space, C).

    One dimension is drawn as lines; of three the middle slice along the first is shown, as the title says.
    """
    x = without_mask(layout, np.asarray(x)[:count])
    view = View(layout, x.shape[-1 - len(layout.space) : -1])
    frames = {f"\n{_time(layout, i)}": x[:, i] for i in (0, x.shape[1] - 1)} if layout.frames else {"": x}
    if view.y is None:
        return _gallery_of_lines(layout, view, frames)
    rows = [(i, when) for i in range(len(layout.variables)) for when in frames]
    fig, axes = panels(view, len(rows), len(x), titles=2 * len(rows) if layout.frames else 1)
    for r, (i, when) in enumerate(rows):
        scale = Scale(x[..., i])
        for j, (ax, field) in enumerate(zip(axes[r], frames[when][..., i], strict=True)):
            image = view.map(ax, field, scale)
            view.finish(ax, left=j == 0, below=r == len(rows) - 1)
            if r == 0 or when:
                ax.set_title(f"sample {j + 1}{when}", fontsize=8)
        if r + 1 == len(rows) or rows[r + 1][0] != i:
            colour_bar(fig, image, axes[r + 1 - len(frames) : r + 1], layout.label(layout.variables[i]))
    return _titled(fig, view.note)


def ensemble(layout: Layout, members, truth=None, answers=None, *, observed=None, title: str = ""):
    """A row a variable: truth, mean, two members, classical answers, and the spread, the members' standard deviation.

    members: (M, [frames], *space, C); truth: ([frames], *space, C) or None; answers: name -> one x, or an ensemble, which is shown by its
    mean; observed: name of a variable -> (places (m, d), values (m,)), d coordinate values along space, or one more in front for the time
    after the first frame; circles filled with the value, on the truth or else on the mean. Of windows in time the last frame is shown, and
    what was observed then.
    """
    members, truth, answers, observed = _prepared(layout, members, truth, answers, observed)
    notes = [title]
    if layout.frames:
        last = members.shape[1] - 1
        notes.append(f"last frame, {_time(layout, last)}")
        members, truth = members[:, -1], None if truth is None else truth[-1]
        answers = {name: x[..., -1, *(slice(None),) * (len(layout.space) + 1)] for name, x in answers.items()}
        observed = {name: _at_time(layout, *seen, layout.step * last) for name, seen in observed.items()}
    view = View(layout, members.shape[1:-1])
    notes.append(view.note)
    shown, spread, hidden = _shown(members, truth, answers)
    if hidden:
        notes.append(f"not shown: {', '.join(hidden)}")
    if view.y is None:
        fig = _ensemble_of_lines(layout, view, members, truth, answers, observed)
        return _titled(fig, *notes)
    several = len(members) > 1
    fig, axes = panels(view, len(layout.variables), len(shown) + several, bars=1 + several)
    for i, (name, row) in enumerate(zip(layout.variables, axes, strict=True)):
        fields = [field[..., i] for field in shown.values()]
        seen = observed.get(name)
        scale = Scale(*(fields[:2] if truth is not None else fields[:3]), *(() if seen is None else (seen[1],)))
        below = i == len(layout.variables) - 1
        for j, (ax, what, field) in enumerate(zip(row, shown, fields, strict=False)):
            image = view.map(ax, field, scale)
            view.finish(ax, left=j == 0, below=below)
            if i == 0:
                ax.set_title(wrapped(what, 18), fontsize=9)
        if seen is not None:
            view.points(row[0], *seen, scale)
        colour_bar(fig, image, row[: len(shown)], layout.label(name), scale.beyond(fields))
        if several:
            image = view.map(row[-1], spread[..., i], Scale(spread[..., i], spread=True))
            view.finish(row[-1], left=False, below=below)
            if i == 0:
                row[-1].set_title(f"spread of {len(members)}", fontsize=9)
            colour_bar(fig, image, row[-1:], spread_label(layout, name))
    return _titled(fig, *notes)


def sequence(layout: Layout, members, truth=None, answers=None, *, given: int = 0, variables: int = 2, columns: int = 6):
    """A forecast: a column each of at most `columns` frames with its lead, rows of truth, mean, a member, every answer, and spread.

    Leads count from the last of the `given` frames, which is shown first where there is one; with none, times from the first frame. One
    set of rows a variable, of the first `variables`. Args: as in `ensemble`, all with frames.
    """
    members, truth, answers, _ = _prepared(layout, members, truth, answers, None)
    view = View(layout, members.shape[2:-1])
    first = max(given - 1, 0)
    frames = np.unique(np.linspace(first, members.shape[1] - 1, columns).round().astype(int))
    names = layout.variables[:variables]
    notes = [view.note]
    if len(names) < len(layout.variables):
        notes.append(f"not shown: {', '.join(layout.variables[variables:])}")
    titles = [_lead(layout, frame, given) for frame in frames]
    if view.y is None:
        fig = _sequence_of_lines(layout, view, members, truth, answers, names, frames, titles)
        return _titled(fig, *notes)
    mean, spread = mean_and_spread(members)
    rows = {} if truth is None else {"truth": truth}
    rows |= {"mean": mean, "member 1": members[0]} if len(members) > 1 else {"answer": mean}
    rows |= {f"{what}, mean" if x.ndim > mean.ndim else what: _point(x, mean.ndim) for what, x in answers.items()}
    values = len(rows)
    rows |= {"spread": spread} if len(members) > 1 else {}
    fig, axes = panels(view, len(rows) * len(names), len(frames), titles=len(names))
    for i, name in enumerate(names):
        fields = {what: x[frames][..., i] for what, x in rows.items()}
        scale = Scale(fields["truth"] if truth is not None else members[:2, frames][..., i], mean[frames][..., i])
        block = axes[i * len(rows) : (i + 1) * len(rows)]
        for r, (what, row) in enumerate(zip(rows, block, strict=True)):
            for j, (ax, field) in enumerate(zip(row, fields[what], strict=True)):
                image = view.map(ax, field, scale if r < values else Scale(fields["spread"], spread=True))
                view.finish(ax, left=j == 0, below=i == len(names) - 1 and r == len(rows) - 1)
                if r == 0:
                    ax.set_title(titles[j], fontsize=9)
            side = {"fontsize": 9, "rotation": 90, "ha": "center", "va": "center"}
            row[0].annotate(wrapped(what, 14), (0, 0.5), (-46, 0), "axes fraction", "offset points", **side)
            if r == values - 1:
                colour_bar(fig, image, block[:values], layout.label(name), scale.beyond(list(fields.values())[:values]))
            elif r == values:
                colour_bar(fig, image, row, spread_label(layout, name))
    return _titled(fig, *notes)


def rank_picture(counts):
    """How often the truth had each rank among the members, the flat line of an honest ensemble, and where 95 % of bars would lie, were the
    points independent of each other (neighbours are not, so expect more). counts: (M + 1,) of `metrics.ranks`."""
    counts = np.asarray(counts, float)
    total, share = counts.sum(), 1 / len(counts)
    fig, ax = plt.subplots(figsize=(5.2, 3.2), layout="constrained")
    ax.bar(np.arange(len(counts)), counts / max(total, 1e-300), width=0.9, color=MEMBER, edgecolor="white", lw=0.4)
    half = 1.96 * np.sqrt(share * (1 - share) / max(total, 1.0))
    ax.axhspan(max(share - half, 0.0), share + half, color="#d1495b", alpha=0.25, lw=0, label="95 % of independent points")
    ax.axhline(share, color="#d1495b", lw=1.2, label="honest ensemble")
    ax.set(xlabel=f"rank of the truth among {len(counts) - 1} members", ylabel="share of the points")
    ax.set_title(f"rank histogram, {total:.0f} points", fontsize=10)
    ax.locator_params(axis="x", integer=True)
    ax.set_ylim(0, 1.25 * max(counts.max() / max(total, 1e-300), share + half))
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    ax.spines[["top", "right"]].set_visible(False)
    return fig


def _gallery_of_lines(layout, view, frames):
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


def _ensemble_of_lines(layout, view, members, truth, answers, observed):
    # The members with their band at the left, the classical answers at the right.
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
                view.line(ax, _point(x, mean.ndim)[..., i], color=colour, lw=1.3, label=what)
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


def _sequence_of_lines(layout, view, members, truth, answers, names, frames, titles):
    mean, _ = mean_and_spread(members)
    fig, axes = panels(view, len(names), len(frames), bars=0)
    for i, (name, row) in enumerate(zip(names, axes, strict=True)):
        for j, (ax, frame) in enumerate(zip(row, frames, strict=True)):
            _band(view, ax, members[:, frame, ..., i])
            view.line(ax, members[0, frame, ..., i], color=MEMBER, lw=0.8, label="member 1")
            view.line(ax, mean[frame, ..., i], color=MEAN, lw=1.6, label="mean")
            for (what, x), colour in zip(answers.items(), LINES[1:], strict=False):
                view.line(ax, _point(x, mean.ndim)[frame, ..., i], color=colour, lw=1.1, label=what)
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


def _titled(fig, *notes):
    text = ", ".join(note for note in notes if note)
    if text:
        fig.suptitle(text, fontsize=10)
    return fig


def _prepared(layout, members, truth, answers, observed):
    answers = {name: without_mask(layout, x) for name, x in (answers or {}).items()}
    truth = None if truth is None else without_mask(layout, truth)
    return without_mask(layout, members), truth, answers, dict(observed or {})


def _shown(members, truth, answers):
    # Fields by title, without spread; spread; names of answers for which there is no room.
    mean, spread = mean_and_spread(members)
    room = LONGEST - 2 - (truth is not None)  # beside truth, mean and spread
    ours = min(len(members), 2 if len(answers) <= room - 2 else 1)
    names = list(answers)[: room - ours]
    shown = {} if truth is None else {"truth": truth}
    shown |= {"mean" if len(members) > 1 else "answer": mean}
    shown |= {f"member {i + 1}": members[i] for i in range(ours)} if len(members) > 1 else {}
    for name in names:
        several = answers[name].ndim == mean.ndim + 1
        shown[f"{name}, mean" if several else name] = _point(answers[name], mean.ndim)
    return shown, spread, list(answers)[len(names) :]


def _point(x, ndim):
    # An answer is one x, or an ensemble of them.
    return x.mean(0) if x.ndim == ndim + 1 else x


def _at_time(layout, places, values, time):
    # What was observed at a time, and where.
    places, values = np.atleast_2d(np.asarray(places, float)), np.asarray(values, float)
    if places.shape[1] == len(layout.space):
        return places, values
    here = np.abs(places[:, 0] - time) < 0.5 * layout.step
    return places[here, 1:], values[here]


def _time(layout, frame):
    units = layout.time_units.split(" since ")[0]
    return f"{layout.step * frame:g} {units}" if units else f"frame {frame + 1}"


def _lead(layout, frame, given):
    if not given:
        return _time(layout, frame)
    if frame < given:
        return "last given" if frame == given - 1 else f"given, {_time(layout, frame)}"
    units = layout.time_units.split(" since ")[0]
    return f"+{layout.step * (frame - given + 1):g} {units}" if units else f"+{frame - given + 1} frames"
