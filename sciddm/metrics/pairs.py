"""Forecast and observation as DataArrays of the same entries, whatever they come as."""

import functools

import numpy as np
import xarray as xr

from sciddm.data.units import same
from sciddm.errors import UserError


def scored(score):
    """The score of (forecast, observed, ...) with missing entries masked; of plain arrays too, where a score is a float."""

    @functools.wraps(score)
    def wrapped(forecast, observed, *args, **kwargs):
        found = score(*masked(*named(forecast, observed)), *args, **kwargs)
        plain = isinstance(found, xr.DataArray) and not found.dims and not isinstance(forecast, xr.DataArray)
        return float(found) if plain else found

    return wrapped


def named(forecast, observed, last=()):
    """DataArrays as they are; arrays, members (M, ...) and truth (...), with dimensions "member", axis_1, axis_2, ... and `last`.

    The number of an axis is that among the axes of the members; `last` names the last axes.
    Raises: UserError if one is a DataArray and the other is not.
    """
    kinds = [isinstance(z, xr.DataArray) for z in (forecast, observed)]
    if all(kinds):
        return forecast, observed
    if any(kinds):
        raise UserError("forecast and observed: expected two DataArrays or two arrays, got one of each")
    forecast, observed = np.asarray(forecast), np.asarray(observed)
    if forecast.ndim != observed.ndim + 1:
        raise UserError(f"expected members (M, ...) and truth (...), got shapes {forecast.shape} and {observed.shape}")
    dims = axes(forecast.ndim, last)[1:]
    return xr.DataArray(forecast, dims=("member", *dims)), xr.DataArray(observed, dims=dims)


def axes(count: int, last=()) -> list[str]:
    """Names of so many axes: axis_0, axis_1, ... and `last`."""
    return [f"axis_{i}" for i in range(count - len(last))] + list(last)


def masked(forecast, observed):
    """Both with NaN wherever the observation or any member is NaN; the members first, then the order of the observation.

    Raises: UserError if there are no members, or the other dimensions, their sizes or their coordinates differ.
    """
    if "member" not in forecast.dims or "member" in observed.dims:
        raise UserError(
            f"expected a dimension 'member' in forecast only, got {forecast.dims} and {observed.dims}; name the members"
        )
    forecast = beside(forecast, observed)
    there = observed.notnull() & forecast.notnull().all("member")
    return forecast.where(there).transpose("member", *observed.dims), observed.where(there)


def beside(forecast, observed):
    """The forecast on the coordinates of the observation, which may differ by the rounding of single precision.

    Raises: UserError if dimensions, sizes, units or coordinates differ: xarray would score what they have in common, in silence.
    """
    apart = sorted(
        d for d in {*forecast.dims, *observed.dims} - {"member"} if forecast.sizes.get(d) != observed.sizes.get(d)
    )
    if apart:
        raise UserError(
            f"forecast and observed differ along {apart}: {dict(forecast.sizes)} against {dict(observed.sizes)}"
        )
    for dim in observed.dims:
        if dim not in forecast.coords or dim not in observed.coords or forecast[dim].identical(observed[dim]):
            continue
        units = [z[dim].attrs.get("units") for z in (forecast, observed)]
        if None not in units and not same(*units):
            raise UserError(f"coordinates of forecast and observed differ: {dim!r} is in {units[0]!r} and in {units[1]!r}")
        ours, theirs = forecast[dim].values, observed[dim].values
        if not _alike(ours, theirs):
            first = int(np.argmax(ours != theirs))
            what = f"{dim!r} is {ours[first]} and {theirs[first]} at index {first}"
            raise UserError(f"coordinates of forecast and observed differ: {what}; put them on one grid")
        forecast = forecast.assign_coords({dim: observed[dim]})
    return forecast


def _alike(ours, theirs) -> bool:
    if ours.dtype.kind not in "iuf" or theirs.dtype.kind not in "iuf":
        return bool((ours == theirs).all())
    ours, theirs = ours.astype(float), theirs.astype(float)
    steps = np.abs(np.diff(theirs))
    most = max(4 * np.finfo(np.float32).eps * np.abs(theirs).max(initial=0.0), 0.0)
    most = min(most, 1e-2 * steps.min()) if steps.size else most  # never a part of a pixel that matters
    return bool((np.abs(ours - theirs) <= most).all())


def others(field, keep) -> list:
    """The dimensions of a field that are not kept. Raises: UserError if one that is to be kept does not exist."""
    unknown = [d for d in names(keep) if d not in field.dims]
    if unknown:
        raise UserError(f"no dimension {unknown[0]!r} to keep; there are {list(field.dims)}")
    return [d for d in field.dims if d not in names(keep)]


def names(dims) -> tuple:
    """Names of dimensions, of which one may come by itself."""
    return (dims,) if isinstance(dims, str) else tuple(dims)
