"""What many members say together: mean, spread, quantiles and the probability of events, as a file beside them."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from sciddm.data.made import replace_text
from sciddm.data.saving import save_dataset
from sciddm.events import Event, like

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SUFFIXES = (".nc", ".zarr", ".csv")


def summarise(quantities: xr.Dataset, events: Sequence[Event] = ()) -> xr.Dataset:
    """Over the dimension "member" of every number: NAME_mean, NAME_std (1 over n - 1), NAME_quantile (quantile, ...), and of each event
    probability and probability_error (probability_1, ... where there are several). What is NaN in a member is left out."""
    found, attrs = {}, dict(quantities.attrs)
    numbers = [name for name, array in quantities.data_vars.items() if "member" in array.dims and array.dtype.kind in "fiub"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of what is missing in all members
        for name in numbers:
            array = quantities[name].astype(np.float32)
            about = {key: value for key, value in quantities[name].attrs.items() if key in ("units", "grid_mapping")}
            long = quantities[name].attrs.get("long_name", name)
            found[f"{name}_mean"] = array.mean("member").assign_attrs(about | _named("mean", long))
            found[f"{name}_std"] = array.std("member", ddof=1).assign_attrs(about | _named("standard deviation", long))
            quantile = array.quantile(QUANTILES, "member").astype(np.float32)
            found[f"{name}_quantile"] = quantile.assign_attrs(about | _named("quantile", long))
    for i, event in enumerate(events, 1):
        label = "probability" if len(events) == 1 else f"probability_{i}"
        found[label], found[f"{label}_error"] = event.probability(quantities)
    others = {name: array for name, array in quantities.data_vars.items() if "member" not in array.dims}  # such as a grid mapping
    whole = xr.Dataset({name: like(array, quantities) for name, array in {**found, **others}.items()}).assign_attrs(attrs)
    return whole.drop_vars("member", errors="ignore")


def save_summary(summary: xr.Dataset, out: Path) -> Path:
    """Beside the members at `out`: netCDF, or zarr as they are; where it is numbers alone, a table in CSV.

    Returns: its path. Raises: UserError if there is something, or the place can't be written.
    """
    flat = all(set(array.dims) <= {"quantile"} for array in summary.data_vars.values())
    suffix = ".csv" if flat else out.suffix.lower() if out.suffix.lower() in SUFFIXES else ".nc"
    path = out.with_name(f"{out.stem}-summary{suffix}")
    if flat:
        replace_text(path, table(summary).to_csv(index=False))
    else:
        save_dataset(summary, path)
    return path


def table(summary: xr.Dataset) -> pd.DataFrame:
    """Numbers alone: a row a quantity, with mean, std and quantiles over the members; of an event the mean is its probability, with its
    error."""
    rows = []
    for label, array in summary.data_vars.items():
        name = str(label)
        if name.endswith("_mean"):
            quantity = name.removesuffix("_mean")
            quantiles = summary[f"{quantity}_quantile"]
            row = {"quantity": quantity, "units": array.attrs.get("units", "1"), "mean": float(array)}
            row |= {"std": float(summary[f"{quantity}_std"])}
            rows.append(row | {f"{100 * q:g} %": float(quantiles.sel(quantile=q)) for q in QUANTILES})
        elif "event" in array.attrs:
            error = float(summary[f"{name}_error"])
            rows.append({"quantity": f"P({array.attrs['event']})", "units": "1", "mean": float(array), "error": error})
    return pd.DataFrame(rows)


def in_words(event: Event, quantities: xr.Dataset) -> str:
    """The probability as a line: the number, or of a map its mean and range, with the error that the number of members leaves."""
    p, error = event.probability(quantities)
    members = quantities.sizes["member"]
    if not np.isfinite(p).any():
        return f"P({event.text}): no member has a value"
    if p.ndim == 0:
        valued = int(event.happens(quantities).notnull().sum())
        which = f"{members} members" if valued == members else f"the {valued} members, of {members}, that have a value"
        return f"P({event.text}) = {float(p):.3g} +- {float(error):.2g}, {round(float(p) * valued)} of {which}"
    return (
        f"P({event.text}): {float(p.mean()):.3g} over all places, {float(p.min()):.3g} to {float(p.max()):.3g}, each +- "
        f"{float(error.max()):.2g} at most by {members} members"
    )


def picture(p: xr.DataArray, columns: int = 6):
    """A map of a probability, 0 to 1, or a line; of more than two dimensions a panel a step of the first, `columns` at most."""
    import matplotlib.pyplot as plt

    title = p.attrs["long_name"]
    p = p.squeeze(drop=True)
    if p.ndim > 3:
        p = p.isel({dim: -1 for dim in p.dims[: p.ndim - 3]})
    if p.ndim <= 1:
        fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
        p.plot(ax=ax, ylim=(0, 1)) if p.ndim else ax.bar([""], [float(p)])
        ax.set(title=title, ylim=(0, 1), ylabel="probability [1]")
        return fig
    steps = [p] if p.ndim == 2 else [p.isel({p.dims[0]: i}) for i in _evenly(p.sizes[p.dims[0]], columns)]
    fig, axes = plt.subplots(1, len(steps), figsize=(1 + 3.2 * len(steps), 3.4), layout="constrained", squeeze=False, sharey=True)
    for ax, one in zip(axes[0], steps, strict=True):
        image = one.plot(ax=ax, vmin=0, vmax=1, cmap="YlGnBu", add_colorbar=False)
        ax.set_aspect("equal" if _alike(one) else "auto")
        ax.set_title("" if p.ndim == 2 else f"{p.dims[0]} = {_shown(one[p.dims[0]])}" if p.dims[0] in one.coords else "", fontsize=9)
    fig.colorbar(image, ax=axes[0], label="probability [1]")
    fig.suptitle(title, fontsize=10)
    return fig


def _named(what, long):
    return {"long_name": f"{what} of {long} over the members"}


def _evenly(count, most):
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _alike(one):
    # whether both axes are lengths of one unit
    units = [one[dim].attrs.get("units") if dim in one.coords else None for dim in one.dims]
    return units[0] == units[1]


def _shown(value):
    value = value.values
    if value.dtype.kind == "M":
        return np.datetime_as_string(value, unit="m")
    return f"{float(value):g}" if value.dtype.kind in "iuf" else str(value)
