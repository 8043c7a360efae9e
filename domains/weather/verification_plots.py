"""How good forecasts are, as a forecaster draws it: ranks, reliability, scores by lead time, spectra. Each returns its Figure."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

LINES = ("#d1495b", "#1f5f99", "#e0962f", "#3b8f6b", "#7a5ba6", "#6b6b6b", "#26a7b5", "#9c6644")


def reliability_diagram(diagrams):
    """Observed frequency against forecast probability, and how often each was forecast. diagrams: name -> verify.reliability."""
    fig, (top, below) = plt.subplots(
        2, 1, figsize=(4.8, 6.0), sharex=True, layout="constrained", gridspec_kw={"height_ratios": (3.4, 1)}
    )
    top.plot([0, 1], [0, 1], color="#999999", lw=1, ls="--", zorder=0)
    base = next(iter(diagrams.values())).attrs
    top.axhline(base["base rate"], color="#999999", lw=0.8, ls=":", zorder=0)
    top.text(0.99, base["base rate"] + 0.01, "base rate", ha="right", va="bottom", fontsize=8, color="#777777")
    for (name, diagram), colour in zip(diagrams.items(), LINES, strict=False):
        there = diagram["count"].values > 0
        x = diagram["probability"].values
        top.plot(x[there], diagram["frequency"].values[there], "o-", ms=4.5, lw=1.5, color=colour, label=name)
        edges = np.linspace(0, 1, len(x) + 1)
        below.stairs(np.where(there, diagram["count"].values, np.nan), edges, color=colour, lw=1.5, baseline=None)
    top.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), ylabel="observed frequency")
    top.set_title(f"{base['threshold']:g} dBZ and more", fontsize=11)
    below.set(yscale="log", xlabel="forecast probability", ylabel="pixels")
    top.legend(frameon=False, fontsize=9, loc="upper left")
    _plain(top, below)
    return fig


def rank_diagram(histograms):
    """Rank of the observation among the members, as a multiple of what is uniform. histograms: name -> verify.rank_histogram."""
    fig, axes = plt.subplots(
        1, len(histograms), figsize=(3.4 * len(histograms), 2.8), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, (name, counts), colour in zip(axes.flat, histograms.items(), LINES, strict=False):
        share = np.asarray(counts) * len(counts) / max(float(np.sum(counts)), 1.0)
        ax.bar(np.arange(len(share)), share, width=0.86, color=colour)
        ax.axhline(1.0, color="#333333", lw=1.0, ls="--")
        ax.set_title(name, fontsize=10)
        ax.set_xlabel("rank among members")
    axes[0, 0].set_ylabel("frequency / uniform")
    axes[0, 0].set_ylim(0, max(ax.get_ylim()[1] for ax in axes.flat) * 1.04)
    _plain(*axes.flat)
    return fig


def scores_by_lead(scores):
    """A panel a score, a line a forecast, against minutes of lead. scores: Dataset of (forecast, time), as verify.by_lead."""
    fig, axes = plt.subplots(1, len(scores), figsize=(3.2 * len(scores), 3.3), squeeze=False, layout="constrained")
    for ax, (score, values) in zip(axes.flat, scores.data_vars.items(), strict=True):
        for name, colour in zip(values.forecast.values, LINES, strict=False):
            line = values.sel(forecast=name)
            if line.notnull().any():
                ax.plot(line.time, line, "o-", ms=3.5, lw=1.6, color=colour)
        if score == "spread/skill":
            ax.axhline(1.0, color="#999999", lw=1, ls="--", zorder=0)
        ax.set_xlabel("lead time, min")
        unit = values.attrs.get("units", "")
        ax.set_title(score + (f", {unit}" if unit else ""), fontsize=10)
        low, high = ax.get_ylim()
        ax.set_ylim(min(low, 0.0), high)
        ax.set_xticks([t for t in (0, 15, 30, 45, 60) if t <= float(values.time.max())])
    _plain(*axes.flat)
    names = scores.forecast.values
    handles = [
        plt.Line2D([], [], color=c, marker="o", ms=4, lw=1.6, label=n) for n, c in zip(names, LINES, strict=False)
    ]
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9.5)
    return fig


def spectra(powers):
    """Radially averaged power against wavelength. powers: name -> verify.spectrum; the first, the observation, is black."""
    fig, ax = plt.subplots(figsize=(5.2, 4.0), layout="constrained")
    for (name, power), colour in zip(powers.items(), ("#111111", *LINES), strict=False):
        ax.loglog(power.wavelength, power, color=colour, lw=2.0 if colour == "#111111" else 1.5, label=name)
    longest = float(power.wavelength.max())
    ticks = [t for t in (4, 8, 16, 32, 64, 128, 256, 512) if float(power.wavelength.min()) <= t <= longest]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.invert_xaxis()
    ax.set(xlabel="wavelength, km", ylabel="power a mode, dBZ²")
    ax.legend(frameon=False, fontsize=9)
    _plain(ax)
    return fig


def _plain(*axes):
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, lw=0.6)
        ax.set_axisbelow(True)
