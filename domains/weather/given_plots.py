"""Pictures of answers to what a user brought: what was given, mean, spread and members, each panel with the time it is valid."""

import numpy as np

from domains.weather import plots
from domains.weather.window import Brought


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
    gauges = []
    for row, (name, fields) in zip(axes, rows.items(), strict=True):
        row[0].axis("off")
        row[0].text(0.93, 0.5, name, ha="right", va="center", fontsize=11, transform=row[0].transAxes)
        for ax, field, i in zip(row[1:], fields, shown, strict=True):
            if name == "spread":
                spread = plots._spread_map(ax, field, spacing)
            elif name == "given" and not given[i]:
                gauges = _reports(ax, brought, i) or gauges
            else:
                image = plots._rain(ax, field, spacing)
    for ax, i in zip(axes[0, 1:], shown, strict=True):
        ax.set_title(f"{str(brought.times[i])[11:16]} UTC\n{plots._lead((i - brought.now) * interval)}", fontsize=9.5)
    for ax in axes[:, 1:].flat:
        plots._ticks(ax, size, spacing, left=ax in axes[:, 1], below=ax in axes[-1, 1:])
        ax.set(xlim=(0, spacing * size[1]), ylim=(0, spacing * size[0]), aspect="equal")
    for ax, i in zip(axes[0, 1:], shown, strict=True):
        plots._frame(ax, bool(given[i]))
    plots._colour_bar(fig, image, axes)
    if len(members) > 1:
        plots._spread_bar(fig, spread, axes)
    missing = np.isnan(members[:, shown]).any() or np.isnan(rows["given"][given[shown]]).any()
    plots._legend(fig, [*gauges, plots.GIVEN, *([plots.UNKNOWN] if missing else [])])
    where = brought.header.in_words(*((n - 1) / 2 for n in brought.header.shape))
    fig.suptitle(f"newest frame {brought.title}, about {where}; axes in km", fontsize=11)
    return fig


def _reports(ax, brought, frame):
    # What gauges reported for this frame, on nothing.
    found = plots._gauges(ax, brought.reports, frame, brought.header.spacing) if brought.reports is not None else []
    if not found:
        ax.axis("off")
    ax.set(facecolor="#f4f4f4")
    return found


def _shown(given, columns, kept):
    # Where all of it is a mixture, some of all; of a forecast the last two frames given, and some of the rest.
    last = int(np.flatnonzero(given).max())
    if last + 1 >= kept or not given[: last + 1].any():
        return plots._spread(np.arange(kept), columns)
    before = np.arange(max(last - 1, 0), last + 1)
    return np.concatenate([before, plots._spread(np.arange(last + 1, kept), columns - len(before))])
