"""Pictures of PDE fields that a person can judge."""

import matplotlib.pyplot as plt
import numpy as np

COLOURS = ("cividis", "magma")  # the first variable, the second


def gallery(x, variables, count: int = 6):
    """One row a variable, one column a sample. x: (N, n, n, C) physical."""
    x = np.asarray(x)[:count]
    fig, axes = plt.subplots(
        len(variables), len(x), figsize=(1.9 * len(x) + 0.8, 1.9 * len(variables)), squeeze=False, layout="constrained"
    )
    for row, name in enumerate(variables):
        low, high = x[..., row].min(), x[..., row].max()
        for ax, field in zip(axes[row], x[..., row], strict=True):
            image = ax.imshow(field, origin="lower", cmap=COLOURS[row % 2], vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
        axes[row, 0].set_ylabel(name, fontsize=12)
        fig.colorbar(image, ax=axes[row], shrink=0.85)
    return fig


def ensemble(domain, members, problem, baselines):
    """One row a variable: truth with the observed points, mean, spread, two members, and the classical answers."""
    members, truth, variables = np.asarray(members), problem.truth, domain.variables
    places, side = (problem.extras or {}).get("places"), (problem.extras or {}).get("side")
    panels = {
        "truth": truth,
        "posterior mean": members.mean(0),
        "spread": members.std(0),
        "member 1": members[0],
        "member 2": members[1],
    }
    panels |= dict(baselines)
    fig, axes = plt.subplots(
        len(variables),
        len(panels),
        figsize=(1.9 * len(panels) + 0.9, 2.1 * len(variables)),
        squeeze=False,
        layout="constrained",
    )
    for row, name in enumerate(variables):
        low, high = truth[..., row].min(), truth[..., row].max()
        for ax, (title, field) in zip(axes[row], panels.items(), strict=True):
            spread = title == "spread"
            limits = {"vmin": 0.0, "vmax": 0.5 * (high - low)} if spread else {"vmin": low, "vmax": high}
            image = ax.imshow(field[..., row], origin="lower", cmap="viridis" if spread else COLOURS[row % 2], **limits)
            ax.set(xticks=[], yticks=[])
            if row == 0:
                ax.set_title(title, fontsize=10)
            if title == "truth":
                shown = image
                if places is not None and row == side:
                    n = truth.shape[0]
                    ax.plot(places % n, places // n, "o", ms=3.5, mfc="none", mec="#e8413c", mew=1.0)
        axes[row, 0].set_ylabel(name, fontsize=12)
        fig.colorbar(shown, ax=axes[row], shrink=0.85)
    return fig
