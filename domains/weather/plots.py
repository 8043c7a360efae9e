"""Pictures a forecaster reads: reflectivity in the radar's own colours, km on both axes, minutes of lead time on top.

Fields are dBZ, no echo 0, NaN missing (hatched grey), rows from south to north. Every function returns its Figure and closes nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from domains.weather.generate import INTERVAL, SPACING

LEVELS = np.arange(5, 76, 5)  # dBZ
# Blue, green, yellow, red, purple as on every radar screen, but each darker or warmer than the one before, also without colours.
RADAR = ListedColormap(
    ["#dcebf5", "#b0d3ec", "#7bb3dd", "#4a8fca", "#2f9e8f", "#4fb259", "#a3cc46", "#f3dc4b", "#f6ae2d", "#ee7a2b"]
    + ["#d93a2b", "#b0164a", "#84127a", "#521b80"],
    name="radar",
).with_extremes(under="#ffffff", over="#2b0a45", bad=(0, 0, 0, 0))
CHANCE = ListedColormap(
    ["#ffffff", "#e3eef9", "#cbdff1", "#a8cee4", "#7db8da", "#559fcd", "#3585bf", "#1b69af", "#08509b", "#08306b"],
    name="chance",
).with_extremes(bad=(0, 0, 0, 0))
TENTHS = np.linspace(0.0, 1.0, 11)
CELL = 1.75  # inches


def frames(sequence, minutes=None, label: str = "", spacing: float = SPACING, columns: int = 8):
    """A sequence in rows of at most `columns` frames. sequence: (T, Y, X) dBZ; minutes: (T,) of lead, 4 past frames if not given."""
    sequence = np.asarray(sequence)
    minutes = INTERVAL * (np.arange(len(sequence)) - 3) if minutes is None else np.asarray(minutes)
    fig, axes = _panels(-(-len(sequence) // columns), min(columns, len(sequence)), sequence.shape[1:])
    for ax, field, minute in zip(axes.flat, sequence, minutes, strict=False):
        image = _rain(ax, field, spacing)
        ax.set_title(_lead(minute), fontsize=9)
    _tidy(axes, len(sequence), sequence.shape[1:], spacing)
    _colour_bar(fig, image, axes)
    if label:
        fig.suptitle(label, fontsize=11)
    return fig


def stamps(members, truth, minute=None, spacing: float = SPACING, columns: int = 7):
    """Postage stamps: what happened, framed, and every member at one lead time. members: (M, Y, X); truth: (Y, X) dBZ."""
    panels = [("observed", truth), *((f"{i + 1}", member) for i, member in enumerate(members))]
    fig, axes = _panels(-(-len(panels) // columns), min(columns, len(panels)), np.shape(truth))
    for ax, (name, field) in zip(axes.flat, panels, strict=False):
        image = _rain(ax, np.asarray(field), spacing)
        ax.set_title(name, fontsize=9, fontweight="bold" if name == "observed" else "normal")
    _tidy(axes, len(panels), np.shape(truth), spacing)
    for spine in axes.flat[0].spines.values():
        spine.set(linewidth=2.2, color="black")
    _colour_bar(fig, image, axes)
    if minute is not None:
        fig.suptitle(f"{len(members)} members, {_lead(minute)}", fontsize=11)
    return fig


def gallery(samples, count: int = 4, columns: int = 8):
    """A row each sequence, a column each of at most `columns` times. samples: native Dataset `reflectivity` (sample, time, y, x)."""
    field = samples["reflectivity"].isel(sample=slice(0, count))
    shown = _spread(np.arange(field.sizes["time"]), columns)
    rows = {f"{i + 1}": sequence for i, sequence in enumerate(field.values[:, shown])}
    return _rows(rows, field.time.values[shown], _spacing(field), corner=None)


def comparison(truth, samples, answers=None, scored=slice(None), columns: int = 5):
    """Truth, mean, two members and the first one of each answer, in at most `columns` of the frames that are scored.

    truth (one sample), samples, answers (name -> ...): native Datasets `reflectivity` (sample, time, y, x);
    scored: slice or indices of frames. In the corner the frame before those, if there is one.
    """
    field, members = truth["reflectivity"], samples["reflectivity"].values
    indices = np.arange(field.sizes["time"])[scored]
    shown = _spread(indices, columns)
    rows = {"truth": field.values[0], **_of_ensemble(members)}
    rows |= {name: answer["reflectivity"].values[0] for name, answer in (answers or {}).items()}
    minutes, before = field.time.values, indices[0] - 1
    corner = (field.values[0, before], minutes[before]) if before >= 0 else None
    return _rows({name: row[shown] for name, row in rows.items()}, minutes[shown], _spacing(field), corner)


def forecast(
    past, truth, members, baselines=None, leads=(5, 15, 30, 60), notes=None, spacing: float = SPACING, interval=INTERVAL
):
    """The forecast at a glance: what happened, the mean, two members and every baseline, each from 5 to 60 minutes.

    past: (4, Y, X); truth: (12, Y, X); members: (M, 12, Y, X); baselines: name -> (12, Y, X), all dBZ; leads: minutes, of frames
    `interval` apart; notes: row name -> a line below the name, such as its CRPS. The first column has the last but one past frame,
    then names.
    """
    shown = [round(lead / interval) - 1 for lead in leads]
    rows = {"observed": truth, **_of_ensemble(np.asarray(members)), **(baselines or {})}
    rows = {name: np.asarray(row)[shown] for name, row in rows.items()}
    return _rows(rows, leads, spacing, corner=(np.asarray(past)[-2], -interval), notes=notes)


def exceedance(
    members, threshold: float, truth=None, leads=(5, 15, 30, 45, 60), spacing: float = SPACING, interval=INTERVAL
):
    """Share of the members with dBZ >= threshold, by lead time; the line is where it was observed. members: (M, 12, Y, X) dBZ."""
    members = np.asarray(members)
    size = members.shape[2:]
    chance = np.where(np.isnan(members).any(0), np.nan, (members >= threshold).mean(0))
    fig, axes = _panels(1, len(leads), size)
    for ax, lead in zip(axes.flat, leads, strict=True):
        frame = round(lead / interval) - 1
        _background(ax, size, spacing)
        image = ax.imshow(
            chance[frame],
            origin="lower",
            cmap=CHANCE,
            norm=BoundaryNorm(TENTHS, 10),
            extent=_extent(size, spacing),
            zorder=1,
        )
        if truth is not None and (truth[frame] >= threshold).any():
            y, x = (spacing * (np.arange(n) + 0.5) for n in size)
            ax.contour(x, y, truth[frame] >= threshold, levels=[0.5], colors="#d1495b", linewidths=1.1, zorder=2)
        ax.set_title(_lead(lead), fontsize=10)
    _tidy(axes, len(leads), size, spacing)
    bar = fig.colorbar(image, ax=axes, ticks=TENTHS[::2], aspect=14, pad=0.012, format=PercentFormatter(1.0, 0))
    bar.ax.tick_params(labelsize=8)
    observed = ", line: observed" if truth is not None else ""
    fig.suptitle(f"probability of {threshold:g} dBZ and more{observed}", fontsize=11)
    return fig


def _of_ensemble(members):
    if len(members) == 1:
        return {"member 1": members[0]}
    return {f"mean of {len(members)}": members.mean(0), "member 1": members[0], "member 2": members[1]}


def _rows(rows, minutes, spacing, corner, notes=None):
    # rows: name -> (columns, Y, X), the first one the truth; corner: a field that was known and its minutes, before the truth.
    first = next(iter(rows))
    size = rows[first].shape[1:]
    names = max(0.1 + 0.055 * max(map(len, rows)), 1.0 if corner is not None else 0.0)
    fig, axes = _panels(len(rows), 1 + len(minutes), size, between=0.03, first=names)
    for row, (name, sequence) in zip(axes, rows.items(), strict=True):
        for ax, field in zip(row[1:], sequence, strict=True):
            image = _rain(ax, field, spacing)
        if name == first and corner is not None:
            continue
        row[0].axis("off")
        note = (notes or {}).get(name, "")
        place = {"transform": row[0].transAxes, "ha": "right"}
        row[0].text(0.97, 0.52, name, va="bottom" if note else "center", fontsize=11, **place)
        row[0].text(0.97, 0.47, note, va="top", fontsize=8.5, color="#555555", **place)
    for ax, minute in zip(axes[0, 1:], minutes, strict=True):
        ax.set_title(_lead(minute), fontsize=10)
    start = axes[0, 0] if corner is not None else axes[0, 1]
    if corner is not None:
        _rain(start, corner[0], spacing)
        start.set_anchor("E")
        start.set_title(f"{first}, {_lead(corner[1])}", fontsize=10)
    for ax in [start, *axes[:, 1:].flat]:
        _ticks(ax, size, spacing, left=ax is start, below=ax in axes[-1, 1:])
    _scale_bar(start, size, spacing)
    _colour_bar(fig, image, axes)
    return fig


def _spread(indices, count):
    # At most `count` of them, evenly, with the first and the last.
    places = np.linspace(0, len(indices) - 1, min(count, len(indices)))
    return indices[np.unique(np.floor(places + 0.49).astype(int))]


def _spacing(field):
    return float(field.x[1] - field.x[0]) if field.sizes["x"] > 1 else SPACING


def _panels(rows, columns, size, between: float = 0.22, first: float = 1.0):
    # between: inches of a row that its titles take; first: width of the first column, in panels.
    height = CELL * size[0] / size[1] + between
    fig, axes = plt.subplots(
        rows,
        columns,
        figsize=(CELL * (columns - 1 + first) + 1.35, height * rows + 0.6),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"width_ratios": [first, *[1.0] * (columns - 1)]},
    )
    fig.get_layout_engine().set(w_pad=0.025, h_pad=0.035, wspace=0.0, hspace=0.0)
    return fig, axes


def _rain(ax, field, spacing):
    _background(ax, field.shape, spacing)
    norm = BoundaryNorm(LEVELS, RADAR.N, extend="neither")
    return ax.imshow(
        field,
        origin="lower",
        cmap=RADAR,
        norm=norm,
        extent=_extent(field.shape, spacing),
        interpolation="nearest",
        zorder=1,
    )


def _background(ax, size, spacing):
    # Missing pixels are transparent, and this is what one sees through them.
    rectangle = Rectangle(
        (0, 0), spacing * size[1], spacing * size[0], fc="#d4d4d4", ec="#9a9a9a", hatch="/////", lw=0, zorder=0
    )
    ax.add_patch(rectangle)


def _extent(size, spacing):
    return (0, spacing * size[1], 0, spacing * size[0])


def _lead(minute):
    return "now" if minute == 0 else f"{minute:+g} min".replace("-", "−")


def _tidy(axes, used, size, spacing):
    # The outer panels have ticks, the first one the scale bar, those without a field nothing.
    columns = axes.shape[1]
    for i, ax in enumerate(axes.flat):
        if i >= used:
            ax.axis("off")
            continue
        _ticks(ax, size, spacing, left=i % columns == 0, below=i + columns >= axes.size)
    _scale_bar(axes.flat[0], size, spacing)


def _ticks(ax, size, spacing, left, below):
    height, width = spacing * size[0], spacing * size[1]
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if width / s <= 3.2 or s == 1000)
    ax.set_xticks(np.arange(0, width + 1e-6, step))
    ax.set_yticks(np.arange(0, height + 1e-6, step))
    ax.tick_params(labelsize=7.5, length=2.5, pad=1.5, labelleft=left, labelbottom=below)
    if left:
        ax.set_ylabel("km", fontsize=8, labelpad=1)
    if below:
        ax.set_xlabel("km", fontsize=8, labelpad=1)
    for spine in ax.spines.values():
        spine.set(linewidth=0.6, color="#555555")


def _scale_bar(ax, size, spacing):
    width = spacing * size[1]
    length = max(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if s <= 0.45 * width)
    x, y = 0.06 * width, 0.07 * width
    line = ax.plot([x, x + length], [y, y], color="black", lw=2.2, solid_capstyle="butt", zorder=3)[0]
    line.set_path_effects([patheffects.withStroke(linewidth=4.5, foreground="white")])
    box = {"fc": "white", "ec": "none", "alpha": 0.8, "pad": 0.8}
    ax.text(
        x + length / 2, y + 0.035 * width, f"{length} km", ha="center", va="bottom", fontsize=7.5, bbox=box, zorder=3
    )
    ax.set(xlim=(0, width), ylim=(0, spacing * size[0]))


def _colour_bar(fig, image, axes):
    rows = axes.shape[0]
    bar = fig.colorbar(
        image, ax=axes, ticks=LEVELS[::2], aspect=12 + 7 * rows, pad=0.012, shrink=1.0 if rows < 3 else 0.7
    )
    bar.set_label("reflectivity, dBZ", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2.5)
