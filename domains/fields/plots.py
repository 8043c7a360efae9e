"""Pictures of gridded fields that a person can judge, in the file's own names, units and directions. Each returns its Figure."""

import matplotlib.pyplot as plt
import numpy as np

from domains.fields.layout import Layout
from domains.fields.plots_lines import ensemble_of_lines, gallery_of_lines, sequence_of_lines
from domains.fields.plots_panels import (
    LONGEST,
    MEMBER,
    Scale,
    View,
    colour_bar,
    mean_and_spread,
    panels,
    point_estimate,
    spread_label,
    with_marks,
    without_mask,
    wrapped,
)


def gallery(layout: Layout, x, count: int = 6):
    """One row a variable, one column a sample; of windows in time the first and the last frame. x: (N, [frames], *space, C).

    One dimension is drawn as lines; of three the middle slice along the first is shown, as the title says.
    """
    x = without_mask(layout, np.asarray(x)[:count])
    view = View(layout, x.shape[-1 - len(layout.space) : -1])
    frames = {f"\n{_time(layout, i)}": x[:, i] for i in (0, x.shape[1] - 1)} if layout.frames else {"": x}
    if view.y is None:
        return gallery_of_lines(layout, view, frames)
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
    return _titled(with_marks(fig, grey="no value" if np.isnan(x).any() else ""), view.note)


def ensemble(layout: Layout, members, truth=None, answers=None, *, observed=None, given=None, title: str = ""):
    """A row a variable: truth, mean, two members, classical answers, and the spread, the members' standard deviation.

    members: (M, [frames], *space, C); truth: ([frames], *space, C) or None; answers: name -> one x, or an ensemble, which is shown by its
    mean; observed: name of a variable -> (places (m, d), values (m,)), d coordinate values along space, or one more in front for the time
    after the first frame; circles filled with the value, on the truth or else on the mean; given: like truth, fields that are known in
    part, NaN elsewhere. Of windows in time the last frame is shown, without a truth the one of which most is known, and what
    was observed then.
    """
    members, truth, answers, observed = _prepared(layout, members, truth, answers, observed)
    given = None if given is None else without_mask(layout, given)
    notes = [title]
    if layout.frames:
        end = members.shape[1] - 1
        last = end if truth is not None else _most_known(layout, members.shape[1], given, observed)
        notes.append(f"last frame, {_time(layout, last)}" if last == end else f"{_time(layout, last)} after the first frame")
        given = None if given is None else given[last]
        members, truth = members[:, last], None if truth is None else truth[last]
        answers = {name: x[..., last, *(slice(None),) * (len(layout.space) + 1)] for name, x in answers.items()}
        observed = {name: _at_time(layout, *seen, layout.step * last) for name, seen in observed.items()}
    view = View(layout, members.shape[1:-1])
    notes.append(view.note)
    if given is not None and view.y is None:
        observed = {name: _as_points(view, given[..., i]) for i, name in enumerate(layout.variables)} | observed
        given = None
    shown, spread, hidden = _shown(members, truth, answers, given)
    if hidden:
        notes.append(f"not shown: {', '.join(hidden)}")
    if view.y is None:
        fig = ensemble_of_lines(layout, view, members, truth, answers, observed)
        return _titled(fig, *notes)
    several, circles = len(members) > 1, False
    fig, axes = panels(view, len(layout.variables), len(shown) + several, bars=1 + several)
    for i, (name, row) in enumerate(zip(layout.variables, axes, strict=True)):
        fields = [field[..., i] for field in shown.values()]
        seen = observed.get(name)
        names = ("truth", "mean", "answer") if truth is not None else tuple(shown)[:3]
        scale = Scale(*(field for what, field in zip(shown, fields, strict=True) if what in names), *(() if seen is None else (seen[1],)))
        truth_or_mean = row[1 if truth is None and given is not None else 0]
        below = i == len(layout.variables) - 1
        for j, (ax, what, field) in enumerate(zip(row, shown, fields, strict=False)):
            image = view.map(ax, field, scale)
            view.finish(ax, left=j == 0, below=below)
            if i == 0:
                ax.set_title(wrapped(what, 18), fontsize=9)
        if seen is not None:
            circles |= view.points(truth_or_mean, *seen, scale)
        colour_bar(fig, image, row[: len(shown)], layout.label(name), scale.beyond(fields))
        if several:
            image = view.map(row[-1], spread[..., i], Scale(spread[..., i], spread=True))
            view.finish(row[-1], left=False, below=below)
            if i == 0:
                row[-1].set_title(f"spread of {len(members)}", fontsize=9)
            colour_bar(fig, image, row[-1:], spread_label(layout, name))
    grey = "not known" if given is not None and np.isnan(given).any() else "no value" if np.isnan(members).any() else ""
    return _titled(with_marks(fig, circles, grey), *notes)


def sequence(
    layout: Layout, members, truth=None, answers=None, *, given: int = 0, variables: int = 2, columns: int = 6, title: str = ""
):  # fmt: skip
    """A forecast: a column each of at most `columns` frames with its lead, rows of truth, mean, a member, every answer, and spread.

    Leads count from the last of the `given` frames, which is shown first where there is one; with none, times from the first frame. One
    set of rows a variable, of the first `variables`. Args: as in `ensemble`, all with frames.
    """
    members, truth, answers, _ = _prepared(layout, members, truth, answers, None)
    view = View(layout, members.shape[2:-1])
    first = max(given - 1, 0)
    frames = np.unique(np.linspace(first, members.shape[1] - 1, columns).round().astype(int))
    names = layout.variables[:variables]
    notes = [title, view.note]
    if len(names) < len(layout.variables):
        notes.append(f"not shown: {', '.join(layout.variables[variables:])}")
    titles = [_lead(layout, frame, given) for frame in frames]
    if view.y is None:
        fig = sequence_of_lines(layout, view, members, truth, answers, names, frames, titles)
        return _titled(fig, *notes)
    mean, spread = mean_and_spread(members)
    rows = {} if truth is None else {"truth": truth}
    rows |= {"mean": mean, "member 1": members[0]} if len(members) > 1 else {"answer": mean}
    rows |= {f"{what}, mean" if x.ndim > mean.ndim else what: point_estimate(x, mean.ndim) for what, x in answers.items()}
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
            beside = -48 - 10 * row[0].get_ylabel().count("\n")
            row[0].annotate(wrapped(what, 14), (0, 0.5), (beside, 0), "axes fraction", "offset points", **side)
            if r == values - 1:
                colour_bar(fig, image, block[:values], layout.label(name), scale.beyond(list(fields.values())[:values]))
            elif r == values:
                colour_bar(fig, image, row, spread_label(layout, name))
    return _titled(with_marks(fig, grey="no value" if np.isnan(mean).any() else ""), *notes)


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


def _titled(fig, *notes):
    text = ", ".join(note for note in notes if note)
    if text:
        fig.suptitle(text, fontsize=10)
    return fig


def _prepared(layout, members, truth, answers, observed):
    answers = {name: without_mask(layout, x) for name, x in (answers or {}).items()}
    truth = None if truth is None else without_mask(layout, truth)
    return without_mask(layout, members), truth, answers, dict(observed or {})


def _as_points(view, field):
    # What is known of a field of one dimension.
    there = np.isfinite(field)
    return view.at_x[there][:, None], field[there]


def _most_known(layout, frames, given, observed):
    # The frame of which most is known, the last of several.
    known = np.zeros(frames)
    if given is not None:
        known += np.isfinite(given).reshape(frames, -1).sum(1)
    for places, _ in observed.values():
        if len(places) and np.shape(places)[1] > len(layout.space):
            at = np.clip(np.round(np.asarray(places)[:, 0] / layout.step).astype(int), 0, frames - 1)
            known += np.bincount(at, minlength=frames)
    return frames - 1 - int(np.argmax(known[::-1]))


def _shown(members, truth, answers, given=None):
    # Fields by title, without spread; spread; names of answers for which there is no room.
    mean, spread = mean_and_spread(members)
    room = LONGEST - 2 - (truth is not None) - (given is not None)  # beside truth, what was given, mean and spread
    ours = min(len(members), 2 if len(answers) <= room - 2 else 1)
    names = list(answers)[: room - ours]
    shown = {} if truth is None else {"truth": truth}
    shown |= {} if given is None else {"given": given}
    shown |= {"mean" if len(members) > 1 else "answer": mean}
    shown |= {f"member {i + 1}": members[i] for i in range(ours)} if len(members) > 1 else {}
    for name in names:
        several = answers[name].ndim == mean.ndim + 1
        shown[f"{name}, mean" if several else name] = point_estimate(answers[name], mean.ndim)
    return shown, spread, list(answers)[len(names) :]


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
    ahead = frame - given + 1
    return f"+{layout.step * ahead:g} {units}" if units else f"+{ahead} frame{'s' if ahead > 1 else ''}"
