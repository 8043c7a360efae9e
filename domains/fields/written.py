"""What was measured as a user would bring it: points as a table, fields as netCDF, so that reading them gives the same again."""

import csv
from pathlib import Path

import numpy as np
import xarray as xr

from domains.fields.layout import Layout
from domains.fields.matching import block_centres
from domains.fields.naming import units_of
from domains.fields.observations import Gridded, Points
from sciddm.data.saving import save_dataset


def write_points(domain, points: Points, path: Path) -> Path:
    """A table variable, [time], coordinates, value, error, units, every number in full."""
    layout = domain.layout
    names = [layout.variables[c] for c in points.channel]
    columns = {"variable": names}
    if points.times is not None:
        columns[_header(layout.time, layout.time_units)] = points.times.tolist()
    for i, dim in enumerate(layout.space):
        columns[_header(dim, units_of(layout, dim))] = points.places[:, i].tolist()
    columns["value"] = np.asarray(points.values, float).tolist()
    columns["error"] = np.broadcast_to(np.asarray(points.errors, float), len(names)).tolist()
    columns["units"] = [units_of(layout, name) for name in names]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*([repr(x) if isinstance(x, float) else x for x in column] for column in columns.values()), strict=True))
    return path


def write_grid(domain, grid: Gridded, path: Path) -> Path:
    """Fields on the model's grid, or means over blocks with the places of their middles, and errors beside them; NaN where nothing is."""
    layout = domain.layout
    errors = np.broadcast_to(np.asarray(grid.errors, float), grid.values.shape)
    arrays = {}
    for c, name in enumerate(layout.variables):
        if np.isnan(grid.values[..., c]).all():
            continue
        arrays[name] = grid.values[..., c]
        known = errors[..., c][~np.isnan(grid.values[..., c])]
        arrays[f"{name}_error"] = known[0] if np.ptp(known) <= 1e-9 * known.max() else errors[..., c]
    return _save(layout, arrays, path, grid.factors)


def write_frames(domain, frames: np.ndarray, path: Path) -> Path:
    """Frames (n, *space, C) in physical units, NaN where nothing is known."""
    return _save(domain.layout, {name: frames[..., c] for c, name in enumerate(domain.variables)}, path)


def write_conditions(domain, conditions: np.ndarray, path: Path) -> Path:
    """Conditions ([frames], *space, Cc) in physical units."""
    return _save(domain.layout, {name: conditions[..., c] for c, name in enumerate(domain.layout.conditions)}, path)


def _save(layout: Layout, arrays, path, factors=None) -> Path:
    dims = (*((layout.time,) if layout.frames else ()), *layout.space)
    data, coords = {}, {}
    for name, values in arrays.items():
        units = layout.header[name.removesuffix("_error")].attrs.get("units")
        data[name] = xr.Variable(dims[-values.ndim :] if values.ndim else (), values, {"units": units} if units else {})
    for dim, factor in zip(layout.space, factors or (1,) * len(layout.space), strict=True):
        if dim in layout.header.coords and layout.header[dim].dtype.kind in "iuf":
            own = layout.header[dim]
            coords[dim] = xr.Variable(dim, own.values if factor == 1 else block_centres(layout.coordinate(dim), factor)[0], own.attrs)
    if layout.frames:
        frames = max(len(values) for values in arrays.values() if values.ndim)
        about = {"units": layout.time_units} if layout.time_units else {}
        coords[layout.time] = xr.Variable(layout.time, layout.step * np.arange(frames), about)
    save_dataset(xr.Dataset(data, coords), path)
    return path


def _header(name, units) -> str:
    return f"{name} [{units}]" if units and not set(units) & set("[]()") else str(name)
