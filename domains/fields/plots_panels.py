"""One field in one set of axes: a line, a map, or a slice, against the coordinates of the file in their direction and units."""

import re
import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from domains.fields.layout import Layout, is_latitude, is_longitude

GREY = "#bdbdbd"  # where there is no value
VALUES, SIGNED, SPREAD = "viridis", "RdBu_r", "magma"  # none of which has that grey
LINES = ("#1f5f99", "#e0962f", "#3b8f6b", "#7a5ba6", "#26a7b5", "#9c6644")
MEMBER, MEAN, TRUTH = "#8fb4d8", "#1f5f99", "#111111"
WIDTH, LONGEST = 12.0, 8  # inches, panels in a row
MARGIN = 0.75  # inches of a figure's height for the labels below, and for what stands above


class Scale:
    """Colours of a variable: of fields with both signs diverging around 0, else from dark to bright. `values`: what must be inside."""

    def __init__(self, *values, spread: bool = False):
        finite = np.concatenate([np.asarray(z, float)[np.isfinite(z)].ravel() for z in values] or [np.zeros(0)])
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        if spread:
            low = 0.0
        signed = not spread and low < 0 < high and min(-low, high) > 0.4 * max(-low, high)
        if signed:
            low, high = -max(-low, high), max(-low, high)
        if high <= low:
            low, high = (low - 0.5, high + 0.5) if not spread else (0.0, 1.0)
        self.cmap = plt.get_cmap(SPREAD if spread else SIGNED if signed else VALUES).with_extremes(bad=GREY)
        self.norm = Normalize(low, high)

    def beyond(self, fields) -> str:
        """What a colour bar of these fields must show by its arrows: "neither", "min", "max" or "both"."""
        finite = [np.asarray(z, float)[np.isfinite(z)] for z in fields]
        slack = 1e-6 * (self.norm.vmax - self.norm.vmin)
        below = any((z < self.norm.vmin - slack).any() for z in finite)
        above = any((z > self.norm.vmax + slack).any() for z in finite)
        return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]


class View:
    """How fields (*space) of a layout are shown: which axis is horizontal, which coordinates, what of a third one."""

    def __init__(self, layout: Layout, grid=None):
        self.layout, self.grid = layout, layout.grid if grid is None else tuple(grid)
        shown = list(layout.space[-2:])
        if len(shown) == 2 and _horizontal(layout, shown[0]) and not _horizontal(layout, shown[1]):
            shown.reverse()
        self.y, self.x = shown if len(shown) == 2 else (None, shown[0])
        self.middle = self.grid[0] // 2
        (self.at_x, self.label_x), (self.at_y, self.label_y) = self.axis(self.x), self.axis(self.y)

    @property
    def note(self) -> str:
        """Which slice of three dimensions is shown, "" of fewer."""
        if len(self.grid) < 3:
            return ""
        dim = self.layout.space[0]
        value = _coordinates(self.layout, dim, self.grid[0])[self.middle]
        return f"{name_of(self.layout, dim)} = {value:.4g}{_units(self.layout, dim, ' ')}"

    def axis(self, dim):
        """Values of a dimension's coordinate, in a strict order, and its label."""
        if dim is None:
            return None, ""
        values = _coordinates(self.layout, dim, self.grid[self.layout.space.index(dim)])
        if is_longitude(dim, _attrs(self.layout, dim)):
            values = np.unwrap(values, period=360.0)
        steps = np.diff(values)
        if len(steps) and not ((steps > 0).all() or (steps < 0).all()):
            return np.arange(len(values), dtype=float), f"index of {dim}"
        return values, self.layout.label(dim)

    @property
    def equal(self) -> bool:
        """Whether a unit is as long on both axes: those of one unit, unless that makes a needle of the picture."""
        if self.y is None:
            return False
        units = [_common(self.layout, dim) for dim in (self.x, self.y)]
        return units[0] == units[1] and 1 / 6 <= np.ptp(self.at_y) / max(np.ptp(self.at_x), 1e-300) <= 6

    @property
    def ratio(self) -> float:
        """Height of a panel over its width."""
        if self.y is None:
            return 0.75
        return float(np.clip(_extent(self.at_y) / _extent(self.at_x), 0.3, 2.0)) if self.equal else 0.8

    def field(self, values):
        """(*space) as it is drawn: (x,) or (y, x)."""
        values = np.asarray(values, float)
        if len(self.grid) == 3:
            values = values[self.middle]
        return values.T if self.y is not None and self.layout.space.index(self.x) < self.layout.space.index(self.y) else values

    def map(self, ax, values, scale: Scale):
        """A map of (*space) values."""
        field = np.ma.masked_invalid(self.field(values))
        image = ax.pcolormesh(self.at_x, self.at_y, field, cmap=scale.cmap, norm=scale.norm, rasterized=True)
        ax.set_facecolor(GREY)
        if self.equal:
            ax.set_aspect("equal")
        if _downward(self.layout, self.y):
            ax.invert_yaxis()
        return image

    def line(self, ax, values, **style):
        """A line of (x,) values, with grey behind it where there are none."""
        values = self.field(values)
        (line,) = ax.plot(self.at_x, values, **style)
        return line

    def gaps(self, ax, values):
        """Grey where (x,) has no value."""
        missing = ~np.isfinite(self.field(values))
        edges = _edges(self.at_x)
        for start, stop in _runs(missing):
            ax.axvspan(edges[start], edges[stop], color=GREY, lw=0, zorder=0)
        ax.set_xlim(*sorted((edges[0], edges[-1])))

    def points(self, ax, places, values, scale: Scale | None = None) -> bool:
        """Circles where something was observed; whether there are any. places: (m, d) coordinate values along space; those of another
        slice are left out."""
        places, values = np.atleast_2d(np.asarray(places, float)), np.asarray(values, float)
        if len(self.grid) == 3:
            first = _coordinates(self.layout, self.layout.space[0], self.grid[0])
            here = np.abs(places[:, :1] - first).argmin(1) == self.middle
            places, values = places[here], values[here]
        if not len(values):
            return False
        size = float(np.clip(600 / len(values), 5, 26))
        x = places[:, self.layout.space.index(self.x)]
        if self.y is None:
            ax.plot(x, values, "o", ms=np.sqrt(size), mfc="white", mec="black", mew=0.9, zorder=5, label="observed")
            return True
        y = places[:, self.layout.space.index(self.y)]
        ax.scatter(x, y, size, values, cmap=scale.cmap, norm=scale.norm, edgecolors="black", linewidths=0.8, zorder=3)
        return True

    def finish(self, ax, left: bool, below: bool):
        """Names and units of the axes, at the left and the lower edge of the figure alone."""
        ax.tick_params(labelsize=7, length=2.5, pad=1.5, labelbottom=below, labelleft=left or self.y is None)
        ax.locator_params(axis="x", nbins=4, min_n_ticks=2)
        ax.locator_params(axis="y", nbins=5, min_n_ticks=2)
        if below:
            ax.set_xlabel(wrapped(self.label_x, _room(ax)[0]), fontsize=8, labelpad=2)
        if left and self.y is not None:
            ax.set_ylabel(wrapped(self.label_y, _room(ax)[1]), fontsize=8, labelpad=2)
        for spine in ax.spines.values():
            spine.set(linewidth=0.6, color="#555555")


def panels(view: View, rows: int, columns: int, bars: int = 1, titles: int = 1):
    """Figure of WIDTH at most and its axes (rows, columns).

    bars: how many colour bars stand at the end of a row; titles: how many of the rows have titles above their panels.
    """
    widest = 2.8 if columns < 4 else 1.9
    side = min((WIDTH - 0.9 - 0.8 * bars) / columns, widest, max(1.2 * widest / view.ratio, 0.9))
    height = max(side * view.ratio, 0.6) * rows + 0.1 * rows + 0.3 * titles + MARGIN
    fig, axes = plt.subplots(rows, columns, figsize=(side * columns + 0.9 + 0.8 * bars, height), squeeze=False, layout="compressed")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.01, hspace=0.01)
    return fig, axes


def colour_bar(fig, image, axes, label: str, extend: str = "neither"):
    """At the right of axes (rows, columns). A label without a unit is of a file that says none."""
    axes = np.atleast_2d(axes)
    bar = fig.colorbar(image, ax=list(axes.ravel()), extend=extend, aspect=16 * len(axes), pad=0.012, fraction=0.1 / axes.shape[1])
    label = label if label.endswith("]") else f"{label} [no unit]"
    bar.set_label(wrapped(label, max(_room(axes[0, 0])[1] * len(axes), 12)), fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2.5)
    bar.locator = plt.MaxNLocator(5)
    bar.formatter.set_powerlimits((-3, 4))
    bar.ax.yaxis.get_offset_text().set_fontsize(7)
    bar.update_ticks()
    return bar


def with_marks(fig, circles: bool = False, grey: str = ""):
    """The figure with a legend of circles for what was observed, and of what grey means, as far as there are any."""
    handles = []
    if circles:
        circle = {"color": "none", "marker": "o", "mfc": "white", "mec": "black", "mew": 0.8, "ms": 5}
        handles.append(Line2D([], [], label="observed, in the colour of the value", **circle))
    if grey:
        handles.append(Patch(fc=GREY, ec="none", label=grey))
    if handles:
        fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8.5)
    return fig


def without_mask(layout: Layout, x):
    """x (..., *space, C) as float64 with NaN in the mask, where it is of the layout's own grid."""
    x = np.asarray(x, float)
    if layout.masked is None or x.shape[-layout.masked.ndim :] != layout.masked.shape:
        return x
    return np.where(layout.masked, np.nan, x)


def mean_and_spread(members):
    """Over the first axis; NaN where any member is."""
    return members.mean(0), members.std(0, ddof=1) if len(members) > 1 else np.zeros(members.shape[1:])


def point_estimate(x, ndim: int):
    """An answer as one x: itself, or the mean of an ensemble."""
    return x.mean(0) if x.ndim == ndim + 1 else x


def wrapped(text: str, width: int = 24) -> str:
    """In lines that fit beside a panel; a unit in brackets stays whole."""
    whole = re.sub(r"\[[^\]]*\]", lambda unit: unit.group().replace(" ", "\xa0"), text)
    lines = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ") or text


def name_of(layout: Layout, name: str) -> str:
    """The label without its units."""
    return re.sub(r" \[[^\]]*\]$", "", layout.label(name))


def spread_label(layout: Layout, name: str) -> str:
    """Of a colour bar of standard deviations."""
    return f"spread{_units(layout, name, ' [', ']')}"


def _room(ax):
    # Letters of the size of axis labels that fit along a panel's width and height.
    grid = ax.get_gridspec()
    width, height = (ax.figure.get_size_inches() - (0, MARGIN)) / (grid.ncols, grid.nrows)
    return max(int(13 * width), 10), max(int(13 * (height - 0.2)), 10)


def _attrs(layout, dim):
    return layout.header[dim].attrs if dim in layout.header.variables else {}


def _units(layout, name, before="", after=""):
    units = _attrs(layout, name).get("units", "")
    return f"{before}{units}{after}" if units else ""


def _common(layout, dim):
    # Degrees north and east are one unit.
    attrs = _attrs(layout, dim)
    return "degrees" if is_latitude(dim, attrs) or is_longitude(dim, attrs) else str(attrs.get("units", ""))


def _coordinates(layout, dim, count):
    # Of a field that is larger than the layout's: indices.
    values = layout.coordinate(dim)
    return values if len(values) == count else np.arange(count, dtype=float)


def _horizontal(layout, dim):
    attrs = _attrs(layout, dim)
    return attrs.get("axis") == "X" or is_longitude(dim, attrs) or str(dim).lower() == "x"


def _downward(layout, dim):
    return str(_attrs(layout, dim).get("positive", "")).lower() == "down"


def _extent(values):
    return np.ptp(_edges(values))


def _edges(values):
    if len(values) < 2:
        return np.array([values[0] - 0.5, values[0] + 0.5])
    middle = 0.5 * (values[1:] + values[:-1])
    return np.concatenate([[1.5 * values[0] - 0.5 * values[1]], middle, [1.5 * values[-1] - 0.5 * values[-2]]])


def _runs(flags):
    # (start, stop) of every run of true.
    change = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return zip(change[::2], change[1::2], strict=True)
