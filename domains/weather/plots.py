"""Pictures a forecaster reads: reflectivity in the radar's own colours, km on both axes, minutes after the last observation on top.

Fields are dBZ, no echo 0, NaN missing (hatched grey), rows from south to north. Every function returns its Figure and closes nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
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
SPREADS = np.arange(0, 21, 2.5)  # dBZ
SPREAD = ListedColormap(
    ["#ffffff", "#ece7f2", "#d0d1e6", "#a6bddb", "#74a9cf", "#3690c0", "#0570b0", "#034e7b"], name="spread"
).with_extremes(over="#021f3a", bad=(0, 0, 0, 0))
CELL = 1.75  # inches
GIVEN = Patch(fc="white", ec="black", lw=2.0, label="framed: given")
UNKNOWN = Patch(fc="#d4d4d4", ec="#9a9a9a", hatch="/////", lw=0, label="hatched: not known")


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
    panels = [("observed", truth), *((f"member {i + 1}", member) for i, member in enumerate(members))]
    fig, axes = _panels(-(-len(panels) // columns), min(columns, len(panels)), np.shape(truth))
    for ax, (name, field) in zip(axes.flat, panels, strict=False):
        image = _rain(ax, np.asarray(field), spacing)
        ax.set_title(name, fontsize=9, fontweight="bold" if name == "observed" else "normal")
    _tidy(axes, len(panels), np.shape(truth), spacing)
    _frame(axes.flat[0])
    _colour_bar(fig, image, axes)
    if minute is not None:
        fig.suptitle(f"{len(members)} members, {_lead(minute)}", fontsize=11)
    return fig


def gallery(samples, count: int = 4, columns: int = 8):
    """A row each sequence, a column each of at most `columns` times. samples: native Dataset `reflectivity` (sample, time, y, x)."""
    field = samples["reflectivity"].isel(sample=slice(0, count))
    shown = _spread(np.arange(field.sizes["time"]), columns)
    rows = {f"sample {i + 1}": sequence for i, sequence in enumerate(field.values[:, shown])}
    return _rows(rows, field.time.values[shown], _spacing(field), corner=None)[0]


def comparison(truth, samples, answers=None, scored=slice(None), columns: int = 5, *, given=None, framed=(), gauges=None):
    """Truth, what is given of it, mean, spread, two members and the first one of each answer, in at most `columns` of some frames.

    truth (one sample), samples, answers (name -> ...): native Datasets `reflectivity` (sample, time, y, x);
    scored: slice or indices of the frames. In the corner the frame before those, which is given, if there is one. given: (time, y, x) dBZ,
    NaN where nothing is known; framed: frames that are given whole; gauges: (rows, columns, frames, dBZ) of pixels that were reported.
    """
    field, members = truth["reflectivity"], samples["reflectivity"].values
    indices = np.arange(field.sizes["time"])[scored]
    shown = _spread(indices, columns)
    rows = {"truth": field.values[0]} | ({} if given is None else {"given": given}) | _of_ensemble(members)
    for name, answer in (answers or {}).items():
        values = answer["reflectivity"].values
        rows[f"{name},\nmember 1" if len(values) > 1 else name] = values[0]
    minutes, before = field.time.values, indices[0] - 1
    corner = (field.values[0, before], minutes[before]) if before >= 0 else None
    fig, axes = _rows({name: row[shown] for name, row in rows.items()}, minutes[shown], _spacing(field), corner)
    handles = []
    for ax, frame in zip(axes[0, 1:], shown, strict=True):
        _frame(ax, frame in framed)
        if gauges is not None:
            handles = _gauges(ax, gauges, frame, _spacing(field)) or handles
    if corner is not None or np.isin(shown, framed).any():
        handles = [*handles, GIVEN]
    if any(np.isnan(row[shown]).any() for row in rows.values()):
        handles = [*handles, UNKNOWN]
    _legend(fig, handles)
    return fig


def forecast(
    past, truth, members, baselines=None, leads=(5, 15, 30, 60), notes=None, spacing: float = SPACING, interval=INTERVAL
):
    """The forecast at a glance: what happened, mean, spread, two members and every baseline, each from 5 to 60 minutes.

    past: (4, Y, X); truth: (12, Y, X); members: (M, 12, Y, X); baselines: name -> (12, Y, X), all dBZ; leads: minutes, of frames
    `interval` apart; notes: row name -> a line below the name, such as its CRPS. The first column has the last past frame, at 0 minutes,
    then names.
    """
    shown = [round(lead / interval) - 1 for lead in leads]
    rows = {"observed": truth, **_of_ensemble(np.asarray(members)), **(baselines or {})}
    rows = {name: np.asarray(row)[shown] for name, row in rows.items()}
    fig, _ = _rows(rows, leads, spacing, corner=(np.asarray(past)[-1], 0), notes=notes)
    _legend(fig, [GIVEN])
    return fig


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
    bar = fig.colorbar(image, ax=axes, ticks=TENTHS[::2], aspect=14, pad=0.012, format=PercentFormatter(1.0, 0, symbol=None))
    bar.set_label("share of the members [%]", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    fig.suptitle(f"probability of {threshold:g} dBZ and more", fontsize=11)
    if truth is not None:
        fig.set_figheight(fig.get_figheight() + 0.3)
        _legend(fig, [Line2D([], [], color="#d1495b", lw=1.1, label=f"edge of what was observed of {threshold:g} dBZ and more")])
    return fig


def _of_ensemble(members):
    if len(members) == 1:
        return {"member 1": members[0]}
    both = {f"mean of {len(members)}": members.mean(0), "spread": members.std(0, ddof=1)}
    return both | {"member 1": members[0], "member 2": members[1]}


def _rows(rows, minutes, spacing, corner, notes=None):
    # rows: name -> (columns, Y, X), the first one the truth; corner: a field that was known and its minutes, before the truth.
    first = next(iter(rows))
    size = rows[first].shape[1:]
    longest = max(len(line) for name in rows for line in name.split("\n"))
    names = max(0.1 + 0.055 * longest, 1.0 if corner is not None else 0.0)
    fig, axes = _panels(len(rows), 1 + len(minutes), size, between=0.03, first=names)
    for row, (name, sequence) in zip(axes, rows.items(), strict=True):
        for ax, field in zip(row[1:], sequence, strict=True):
            if name == "spread":
                spread = _spread_map(ax, field, spacing)
            else:
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
    if corner is not None:
        _frame(start)
    _colour_bar(fig, image, axes)
    if "spread" in rows:
        _spread_bar(fig, spread, axes)
    return fig, axes


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
    fig.get_layout_engine().set(w_pad=0.025, h_pad=0.05, wspace=0.0, hspace=0.0)
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
    # The outer panels have numbers, those without a field nothing. Both axes are in km: a scale bar would only cover rain.
    columns = axes.shape[1]
    for i, ax in enumerate(axes.flat):
        if i >= used:
            ax.axis("off")
            continue
        _ticks(ax, size, spacing, left=i % columns == 0, below=i + columns >= used)


def _ticks(ax, size, spacing, left, below):
    height, width = spacing * size[0], spacing * size[1]
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if width / s <= 3.2 or s == 1000)
    ax.set_xticks(np.arange(0, width + 1e-6, step))
    ax.set_yticks(np.arange(0, height + 1e-6, step))
    ax.tick_params(labelsize=7.5, length=2.5, pad=1.5, labelleft=left, labelbottom=below)
    ax.set(xlim=(0, width), ylim=(0, height))
    if left:
        ax.set_ylabel("y [km]", fontsize=8, labelpad=1)
    if below:
        ax.set_xlabel("x [km]", fontsize=8, labelpad=1)
    for spine in ax.spines.values():
        spine.set(linewidth=0.6, color="#555555")


def _colour_bar(fig, image, axes):
    rows = axes.shape[0]
    bar = fig.colorbar(
        image, ax=axes, ticks=LEVELS[::2], aspect=12 + 7 * rows, pad=0.012, shrink=1.0 if rows < 3 else 0.7
    )
    bar.set_label("reflectivity [dBZ]", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2.5)


def _spread_map(ax, field, spacing):
    _background(ax, field.shape, spacing)
    norm = BoundaryNorm(SPREADS, SPREAD.N)
    return ax.imshow(field, origin="lower", cmap=SPREAD, norm=norm, extent=_extent(field.shape, spacing), zorder=1)


def _spread_bar(fig, image, axes):
    bar = fig.colorbar(image, ax=axes, ticks=SPREADS[::2], aspect=12 + 7 * axes.shape[0], pad=0.012, shrink=0.7, extend="max")
    bar.set_label("spread (standard deviation of the members) [dBZ]", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2.5)


def _frame(ax, given: bool = True):
    # What is given whole stands in a black frame.
    for spine in ax.spines.values():
        spine.set(linewidth=2.0 if given else 0.6, color="black" if given else "#555555")


def _gauges(ax, gauges, frame, spacing):
    # Reports of one frame as circles in the colour of what they say. Returns what the legend says of them, nothing where there are none.
    rows, columns, frames, dbz = gauges
    here = (frames == frame) & np.isfinite(dbz)
    if not here.any():
        return []
    norm = BoundaryNorm(LEVELS, RADAR.N, extend="neither")
    ax.scatter(
        spacing * (columns[here] + 0.5), spacing * (rows[here] + 0.5), c=dbz[here], cmap=RADAR, norm=norm, s=18, lw=0.9,
        edgecolors="black", zorder=2,
    )  # fmt: skip
    circle = {"color": "none", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.9, "ms": 4.5}
    return [Line2D([], [], label="gauges, in the colour of what they report", **circle)]


def _legend(fig, handles):
    if handles:
        fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
