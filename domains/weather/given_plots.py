"""Pictures of answers to what a user brought: what was given, mean, spread and members, each panel with the time it is valid."""

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap

from domains.weather import plots
from domains.weather.window import Brought

SPREADS = np.arange(0, 21, 2.5)  # dBZ
SPREAD = ListedColormap(
    ["#ffffff", "#ece7f2", "#d0d1e6", "#a6bddb", "#74a9cf", "#3690c0", "#0570b0", "#034e7b"], name="spread"
).with_extremes(over="#021f3a", bad=(0, 0, 0, 0))


def answer(members, brought: Brought, interval: float, columns: int = 7):
    """Rows: given, mean, spread, two members; columns: some of the frames. members: (M, frames, Y, X) dBZ, from south to north.

    Frames that were given are framed in black; gauges are dots in the colour of what they reported.
    """
    members = np.asarray(members)[:, : brought.kept]
    if brought.exact:
        members = np.where(np.isfinite(brought.known[: brought.kept]), brought.known[: brought.kept], members)
    given, spacing = brought.given[: brought.kept], brought.header.spacing
    shown = _shown(given, columns, brought.kept)
    rows = {"given": brought.known[shown], f"mean of {len(members)}": members.mean(0)[shown]}
    if len(members) > 1:
        rows["spread"] = members.std(0, ddof=1)[shown]
    rows |= {f"member {i + 1}": member[shown] for i, member in enumerate(members[:2])}
    size = members.shape[2:]
    names = 0.1 + 0.055 * max(map(len, rows))
    fig, axes = plots._panels(len(rows), 1 + len(shown), size, between=0.05, first=max(names, 0.62))
    for row, (name, fields) in zip(axes, rows.items(), strict=True):
        row[0].axis("off")
        row[0].text(0.93, 0.5, name, ha="right", va="center", fontsize=11, transform=row[0].transAxes)
        for ax, field, i in zip(row[1:], fields, shown, strict=True):
            if name == "spread":
                plots._background(ax, size, spacing)
                spread = ax.imshow(
                    field, origin="lower", cmap=SPREAD, norm=BoundaryNorm(SPREADS, SPREAD.N), extent=plots._extent(size, spacing), zorder=1,
                )  # fmt: skip
            elif name == "given" and not given[i]:
                _gauges(ax, brought, i, size)
            else:
                image = plots._rain(ax, field, spacing)
    for ax, i in zip(axes[0, 1:], shown, strict=True):
        ax.set_title(f"{str(brought.times[i])[11:16]} UTC\n{plots._lead((i - brought.now) * interval)}", fontsize=9.5)
    for ax in axes[:, 1:].flat:
        plots._ticks(ax, size, spacing, left=ax in axes[:, 1], below=ax in axes[-1, 1:])
        ax.set(xlim=(0, spacing * size[1]), ylim=(0, spacing * size[0]), aspect="equal")
    for ax, i in zip(axes[0, 1:], shown, strict=True):
        for spine in ax.spines.values():
            spine.set(linewidth=2.0 if given[i] else 0.6, color="black" if given[i] else "#555555")
    plots._scale_bar(axes[0, 1], size, spacing)
    plots._colour_bar(fig, image, axes)
    if len(members) > 1:
        bar = fig.colorbar(spread, ax=axes, ticks=SPREADS[::2], aspect=12 + 7 * len(rows), pad=0.012, shrink=0.7, extend="max")
        bar.set_label("spread (standard deviation), dBZ", fontsize=9)
        bar.ax.tick_params(labelsize=8, length=2.5)
    where = brought.header.in_words(*((n - 1) / 2 for n in brought.header.shape))
    fig.suptitle(f"newest frame {brought.title}, about {where}; framed: given", fontsize=11)
    return fig


def _gauges(ax, brought, frame, size):
    # What gauges reported for this frame, on nothing.
    spacing = brought.header.spacing
    rows, columns, frames, dbz = brought.reports or 4 * (np.zeros(0, int),)
    here = frames == frame
    if not here.any():
        return ax.axis("off")
    ax.set(facecolor="#f4f4f4")
    norm = BoundaryNorm(plots.LEVELS, plots.RADAR.N, extend="neither")
    ax.scatter(
        spacing * (columns[here] + 0.5), spacing * (rows[here] + 0.5), c=dbz[here], cmap=plots.RADAR, norm=norm, s=14, lw=0.5,
        edgecolors="#333333", zorder=2,
    )  # fmt: skip


def _shown(given, columns, kept):
    # Where all of it is a mixture, some of all; of a forecast the last two frames given, and some of the rest.
    last = int(np.flatnonzero(given).max())
    if last + 1 >= kept or not given[: last + 1].any():
        return plots._spread(np.arange(kept), columns)
    before = np.arange(max(last - 1, 0), last + 1)
    return np.concatenate([before, plots._spread(np.arange(last + 1, kept), columns - len(before))])
