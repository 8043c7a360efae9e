"""Pictures of sounds that a person can judge: seconds, hertz, decibels.

Sounds are (n,) or (members, n), full scale 1. A level is that of a sine wave of full scale: 0 dB has amplitude 1, -20 dB amplitude 0.1.
Every function returns its Figure and closes nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.signal
from matplotlib.ticker import EngFormatter, MaxNLocator

from sciddm.errors import UserError

WINDOW, HOP = 0.032, 0.008  # seconds
RANGE = 80.0  # dB below the loudest that colours tell apart
MOST = 1500, 1024  # frames and frequencies: no picture shows more, and of neighbours the loudest stands for all
COLOURS = "magma"
TRUTH, GIVEN, ANSWER, MARK = "#1a1a1a", "#8a8f98", "#1f6fb4", "#2a9d8f"
OTHERS = ("#c8553d", "#8f5fb0", "#b8860b", "#4d7c2a", "#a04070", "#6b4a35")
ANSWERS_SHOWN = 2  # as spectrograms of their own, in a restoration


def levels(samples, rate, *, span=None):
    """Levels (frequencies, frames) in dB of full scale, Hz (frequencies,) and seconds (frames,) of the frames' middles.

    Hann windows of 32 ms every 8 ms, more of them within a short span. samples: (n,); span: (start, stop) seconds, all if None.
    """
    samples = np.asarray(samples, np.float64)
    start, stop = (0.0, len(samples) / rate) if span is None else span
    size = max(round(WINDOW * rate), 16)
    hop = max(round(HOP * rate), 1) if span is None else max(round(min(HOP, (stop - start) / 200) * rate), 1)
    places = np.arange(round(start * rate), max(round(stop * rate), round(start * rate) + 1), hop)
    window = scipy.signal.get_window("hann", size)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (size // 2, size)), size)
    places = places[(places >= 0) & (places < len(frames))]
    together, bins = -(-len(places) // MOST[0]), -(-(size // 2 + 1) // MOST[1])
    found = []
    for part in np.array_split(places, np.arange(together, len(places), together)):
        loudest = np.abs(np.fft.rfft(frames[part] * window)).max(0) * 2 / window.sum()
        found.append(np.maximum.reduceat(loudest, np.arange(0, len(loudest), bins)))
    hertz = np.fft.rfftfreq(size, 1 / rate)[::bins] + 0.5 * (bins - 1) * rate / size
    seconds = (places[::together] + 0.5 * (together - 1) * hop) / rate
    return 20 * np.log10(np.maximum(np.array(found).T, 1e-10)), hertz, seconds


def colour_range(sounds, rate) -> tuple[float, float]:
    """The least and greatest dB of colours that several sounds (n,) share: 80 dB up to the loudest, in tens."""
    loudest = max(levels(sound, rate)[0].max() for sound in sounds)
    high = 10.0 * np.ceil(max(loudest, -110.0) / 10)
    return high - RANGE, high


def spectrogram(axes, samples, rate, *, low: float = -90.0, high: float = 0.0, span=None):
    """Draw levels in dB of full scale, `low` to `high`, over seconds and hertz; without labels. Returns the mesh, for a colour bar.

    samples: (n,); span: (start, stop) seconds, all if None.
    """
    level, hertz, seconds = levels(samples, rate, span=span)
    start, stop = (0.0, len(samples) / rate) if span is None else span
    mesh = axes.pcolormesh(
        _edges(seconds, stop - start), _edges(hertz, rate / 2), level, cmap=COLOURS, vmin=low, vmax=high, rasterized=True
    )
    axes.set(xlim=(start, stop), ylim=(0, rate / 2), facecolor=plt.get_cmap(COLOURS)(0.0))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    return mesh


def gallery(sounds, rate, titles=None, columns: int = 4):
    """Waveform and spectrogram of at most 8 sounds, in one scale of amplitude and one of colours. sounds: (members, n)."""
    sounds = [_known(sound) for sound in list(sounds)[:8]]
    if not sounds:
        raise UserError("sounds: there is none; expected an array (members, n) with at least one member")
    columns = min(columns, len(sounds))
    rows = -(-len(sounds) // columns)
    figure = plt.figure(figsize=(2.6 * columns + 1.2, 2.3 * rows + 0.3), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    axes = figure.subplots(2 * rows, columns, squeeze=False, sharex=True, gridspec_kw={"height_ratios": [1, 2.6] * rows})
    low, high = colour_range(sounds, rate)
    most = max(np.abs(sound).max() for sound in sounds) or 1.0
    shown = []
    for i in range(rows * columns):
        above, below = axes[2 * (i // columns) : 2 * (i // columns) + 2, i % columns]
        if i >= len(sounds):
            above.axis("off"), below.axis("off")
            continue
        _waveform(above, sounds[i], rate, most, color=ANSWER)
        above.set_title(titles[i] if titles is not None else f"sample {i + 1}", fontsize=9, pad=3, parse_math=False)
        mesh = spectrogram(below, sounds[i], rate, low=low, high=high)
        last = i + columns >= len(sounds)
        _ticks(above, left=i % columns == 0, below=False)
        _ticks(below, left=i % columns == 0, below=last)
        if i % columns == 0:
            above.set_ylabel("amplitude", fontsize=8)
            below.set_ylabel("frequency [Hz]", fontsize=8)
        if last:
            below.set_xlabel("time [s]", fontsize=8)
        shown.append(below)
    _colour_bar(figure, mesh, axes[:, -1] if rows == 1 else axes)
    return figure


def restoration(rows, rate, *, marks=(), zoom=None):
    """What was given and what was made of it: all of it on the left, a place of it on the right, in one scale of colours.

    On top waveforms, on the right those of all answers over the truth; below a spectrogram a row.

    Args:
      rows: (label, samples (n,)), in the order in which they are drawn: "truth" and "given", either may be absent, "mean..." of the
        answers, "member..." or "answer..." for answers, of which two have a spectrogram; all others are baselines.
      marks: (start, stop) seconds of what was missing. zoom: (start, stop) seconds of the right column; by default around the first
        mark, without marks the loudest quarter of a second.
    Raises: UserError if there is no row.
    """
    rows = [(str(label), _known(samples)) for label, samples in rows]
    if not rows:
        raise UserError("rows: there is none; expected pairs (label, samples)")
    kinds, labels = [_kind(label) for label, _ in rows], [label for label, _ in rows]
    answers = [i for i, kind in enumerate(kinds) if kind == "answer"]
    own = [i for i in range(len(rows)) if i not in answers[ANSWERS_SHOWN:]]
    seconds = max(len(samples) for _, samples in rows) / rate
    first = rows[kinds.index("truth") if "truth" in kinds else 0][1]
    zoom = _zoom(first, rate, marks, seconds) if zoom is None else zoom
    longest = max(max(map(len, label.split("\n"))) for label in labels)
    ratios = {"width_ratios": [0.1 + 0.075 * longest, 5.0, 4.0], "height_ratios": [1.5, *[1.0] * len(own)]}
    figure = plt.figure(figsize=(sum(ratios["width_ratios"]) + 1.2, 1.35 * len(own) + 2.5), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    axes = figure.subplots(1 + len(own), 3, squeeze=False, gridspec_kw=ratios)
    _waveforms(figure, axes[0], rows, kinds, rate, (0.0, seconds), zoom)
    low, high = colour_range([rows[i][1] for i in own], rate)
    for i, (name, whole, near) in zip(own, axes[1:], strict=True):
        name.axis("off")
        place = {"transform": name.transAxes, "ha": "right", "va": "center", "fontsize": 10}
        name.text(0.98, 0.5, labels[i], parse_math=False, **place)
        mesh = spectrogram(whole, rows[i][1], rate, low=low, high=high)
        spectrogram(near, rows[i][1], rate, low=low, high=high, span=zoom)
        whole.set(xlim=(0, seconds))
        whole.set_ylabel("frequency [Hz]", fontsize=8)
        for ax in (whole, near):
            _ticks(ax, left=ax is whole, below=i == own[-1])
            ax.vlines(np.ravel(marks), 0, rate / 2, color="white", lw=0.9, ls=(0, (4, 3)))
        whole.axvspan(*zoom, fc="none", ec=MARK, lw=1.2)
    for ax in axes[0, 1:]:
        for mark in marks:
            ax.axvspan(*mark, color=MARK, alpha=0.18, lw=0)
    for ax in axes[-1, 1:]:
        ax.set_xlabel("time [s]", fontsize=9)
    axes[0, 1].axvspan(*zoom, fc="none", ec=MARK, lw=1.2)
    axes[0, 1].set_title("all of it", fontsize=10)
    axes[0, 2].set_title(f"{zoom[0]:.2f} to {zoom[1]:.2f} s", fontsize=10)
    _colour_bar(figure, mesh, axes[1:])
    return figure


def ranks(counts, coverage: float, expected: float, *, overlap: float = 4.0):
    """How often the truth has each rank among the members, beside the uniform share and two standard errors of it.

    Args: counts: (members + 1,); coverage, expected: share of the truth between the least and the greatest member, as it is and as it
    should be; overlap: how many counts say the same thing, as bins of frames do that overlap (a window over its hop).
    """
    counts = np.asarray(counts, float)
    total = max(counts.sum(), 1.0)
    uniform, places = 1 / len(counts), np.arange(len(counts))
    error = 2 * np.sqrt(uniform * (1 - uniform) * overlap / total)
    figure, ax = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    ax.bar(places, counts / total, width=0.86, color=ANSWER, label="truth")
    ax.axhspan(max(uniform - error, 0), uniform + error, color=MARK, alpha=0.3, lw=0, label="two standard errors")
    ax.axhline(uniform, color=TRUTH, lw=1.2, ls="--", label="uniform")
    ax.set(xlabel="rank of the truth among the members", ylabel="share of bins [1]", xlim=(-0.6, len(counts) - 0.4))
    ax.set_ylim(0, 1.08 * max((counts / total).max(), uniform + error))
    ax.set_title(f"inside the members' range: {coverage:.2f}, expected {expected:.2f}", fontsize=10)
    ax.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    ax.spines[["top", "right"]].set_visible(False)
    _legend(figure, loc="outside lower center", ncols=3)
    return figure


def spectra(named, rate, *, edge: float | None = None):
    """Long-term level by frequency of several sounds, in dB of full scale in bins of 1/64 of the rate.

    Args: named: label -> samples (n,) or (members, n), whose powers are averaged; "truth" and "given" have colours of their own;
    edge: Hz, up to where the given sound reaches, drawn as a line.
    """
    figure, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    others, most = iter(OTHERS), -np.inf
    for label, samples in named.items():
        samples = np.atleast_2d(_known(samples))
        hertz, power = scipy.signal.welch(samples, rate, nperseg=min(256, samples.shape[1]), scaling="spectrum", detrend=False)
        # of the sines whose mean square it is: one of amplitude 1 has half of it, at 0 dB
        level = 10 * np.log10(np.maximum(2 * power.mean(0), 1e-20))
        kind = _kind(label)
        fixed = {"truth": (TRUTH, 2.2), "given": (GIVEN, 2.2), "mean": (ANSWER, 1.4), "answer": (ANSWER, 1.4)}
        colour, width = fixed[kind] if kind in fixed else (next(others, GIVEN), 1.4)
        ax.plot(hertz, level, color=colour, lw=width, ls="--" if kind == "mean" else "-", label=label)
        most = max(most, level.max())
    if edge is not None:
        ax.axvline(edge, color=MARK, lw=1.2, ls=":", label=f"given up to {edge:g} Hz")
    low, high = ax.get_ylim()
    ax.set(xlabel="frequency [Hz]", ylabel="level [dB of full scale]", xlim=(0, rate / 2), ylim=(max(low, most - 100), high))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.grid(color="#dddddd", lw=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    _legend(figure, loc="outside lower center", ncols=3)
    return figure


def _kind(label):
    label = label.lower()
    starts = {"truth": "truth", "given": "given", "mean": "mean", "member": "answer", "answer": "answer"}
    return next((kind for start, kind in starts.items() if label.startswith(start)), "baseline")


def _known(samples):
    return np.nan_to_num(np.asarray(samples, np.float64), nan=0.0, posinf=0.0, neginf=0.0)  # what is missing makes no sound


def _edges(middles, width):
    # of cells between middles; one alone is as wide as all
    half = 0.5 * (middles[1] - middles[0] if len(middles) > 1 else width)
    return np.append(middles - half, middles[-1] + half)


def _waveform(ax, samples, rate, most, **line):
    ax.plot(*envelope(samples, rate), lw=0.6, **line)
    ax.set(xlim=(0, len(samples) / rate), ylim=(-1.08 * most, 1.08 * most))
    ax.spines[["top", "right"]].set_visible(False)


def envelope(samples, rate, points: int = 2000):
    """Seconds and samples to draw as a line: all of them, or of more than `points` the least and greatest of neighbours. samples: (n,)."""
    together = -(-len(samples) // points)
    if together <= 2:
        return np.arange(len(samples)) / rate, samples
    starts = np.arange(0, len(samples), together)
    both = np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)], 1)
    return np.repeat(starts / rate, 2), both.ravel()


def _waveforms(figure, axes, rows, kinds, rate, whole, zoom):
    # On the left what was given, else the truth; on the right all of them, the truth below the others.
    name, left, right = axes
    name.axis("off")
    inside = slice(max(int(zoom[0] * rate), 0), int(np.ceil(zoom[1] * rate)) + 1)
    chosen = next(kinds.index(kind) for kind in ("given", "truth", kinds[0]) if kind in kinds)
    most = np.abs(rows[chosen][1]).max() or 1.0
    _waveform(left, rows[chosen][1], rate, most, color=GIVEN if kinds[chosen] == "given" else TRUTH)
    left.set(xlim=whole)
    left.set_ylabel("amplitude", fontsize=8)
    name.text(0.98, 0.5, rows[chosen][0], transform=name.transAxes, ha="right", va="center", fontsize=10, parse_math=False)
    styles = {
        "truth": {"color": TRUTH, "lw": 2.2, "zorder": 2}, "given": {"color": GIVEN, "lw": 1.2, "ls": ":", "zorder": 5},
        "mean": {"color": ANSWER, "lw": 1.6, "ls": "--", "zorder": 4},
        "answer": {"color": ANSWER, "lw": 0.8, "alpha": 0.55, "zorder": 3},
    }  # fmt: skip
    others, answers, named, heights = iter(OTHERS), kinds.count("answer"), False, []
    for (label, samples), kind in zip(rows, kinds, strict=True):
        style = styles.get(kind) or {"color": next(others, OTHERS[-1]), "lw": 1.2, "zorder": 4}
        if kind == "answer" and answers > 1:  # one line in the legend stands for all of them
            label, named = "_" if named else f"{answers} answers", True
        right.plot((inside.start + np.arange(len(samples[inside]))) / rate, samples[inside], label=label, **style)
        heights.append(np.abs(samples[inside]).max(initial=0.0))
    highest = max(heights) or 1.0
    right.set(xlim=zoom, ylim=(-1.08 * highest, 1.08 * highest))
    right.spines[["top", "right"]].set_visible(False)
    for ax in (left, right):
        ax.tick_params(labelsize=8, length=2.5, labelbottom=False)
    _legend(figure, *right.get_legend_handles_labels(), loc="outside upper center", ncols=5)


def _zoom(samples, rate, marks, seconds):
    if len(marks):
        start, stop = marks[0]
        margin = max(0.6 * (stop - start), 0.02)
        return max(start - margin, 0.0), min(stop + margin, seconds)
    size = min(round(0.25 * rate), len(samples))
    power = np.convolve(samples**2, np.ones(size), "valid")
    start = int(np.argmax(power)) / rate
    return start, start + size / rate


def _ticks(ax, left, below):
    ax.tick_params(labelsize=8, length=2.5, labelleft=left, labelbottom=below)


def _legend(figure, *entries, **place):
    for text in figure.legend(*entries, frameon=False, fontsize=9, **place).get_texts():
        text.set_parse_math(False)  # labels are names of a user's own, in which dollars are no formulas


def _colour_bar(figure, mesh, axes):
    bar = figure.colorbar(mesh, ax=axes, aspect=30, pad=0.012, extend="min")
    bar.set_label("level [dB of full scale]", fontsize=9)
    bar.ax.tick_params(labelsize=8, length=2.5)
