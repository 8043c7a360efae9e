"""What instruments see of fields in physical units: points on or off the grid, means over blocks. Linear, of (B, [frames], *space)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from domains.fields.layout import Layout, is_longitude
from sciddm.errors import UserError


class Interpolate(eqx.Module):
    """Multilinear interpolation of a variable at m places: y_i = sum_j w_ij f(corner j of the cell that place i lies in).

    indices: (m, corners) into the flattened ([frames], *space); weights: like it, each row of sum 1. Returns (B, m).
    """

    variable: str = eqx.field(static=True)
    indices: jax.Array
    weights: jax.Array

    def __call__(self, fields: Mapping[str, jax.Array]):
        values = fields[self.variable]
        rows = values.reshape(values.shape[0], -1)
        return jnp.sum(rows[:, self.indices] * self.weights.astype(rows.dtype), -1)


class Readings(eqx.Module):
    """m readings of several variables, each over the scale of its own: y_i = sum_j w_ij f(corner j of the cell that place i lies in) / s_i.

    indices: (m, corners) into the flattened (variables, [frames], *space); weights: like it, each row of sum 1; scale: (m,), so that no
    variable outweighs the others. Returns (B, m).
    """

    names: tuple[str, ...] = eqx.field(static=True)
    indices: jax.Array
    weights: jax.Array
    scale: jax.Array

    def __call__(self, fields: Mapping[str, jax.Array]):
        stacked = jnp.stack([fields[name] for name in self.names], 1)
        rows = stacked.reshape(stacked.shape[0], -1)
        return jnp.sum(rows[:, self.indices] * self.weights.astype(rows.dtype), -1) / self.scale.astype(rows.dtype)


def interpolate(layout: Layout, variable: str, places, times=None, *, where: str = "given") -> Interpolate:
    """The instrument that sees `variable` at places, (m, d) in the coordinates of `layout.space`, and times, (m,) counted as the file's.

    Raises: UserError as `corners_of`, places counted from 0.
    """
    if variable not in layout.variables:
        raise UserError(f"{where}: no variable {variable!r}; expected one of {', '.join(layout.variables)}")
    places = np.atleast_2d(np.asarray(places, float))
    channel = np.full(len(places), layout.variables.index(variable))
    corners, weights = corners_of(layout, channel, places, times, lambda i: f"{where}: place {i}")
    return Interpolate(variable, jnp.asarray(corners), jnp.asarray(weights, jnp.result_type(float)))


def corners_of(layout: Layout, channel, places, times=None, label: Callable[[int], str] = str) -> tuple[np.ndarray, np.ndarray]:
    """(indices into the flattened ([frames], *space), weights), (m, corners) each, of multilinear interpolation at places (m, d).

    Places up to half a cell beyond the outermost points are taken to lie on the edge; a corner without values (land) is left out, the
    other corners keep their share. channel: (m,) which variable; times: (m,) after the first frame; label: of place i, for messages.
    Raises: UserError that names a place that lies outside, or on land altogether.
    """
    axes = [(dim, layout.coordinate(dim), dim in layout.periodic) for dim in layout.space]
    columns = [_around(layout, dim, values, places[:, i]) for i, (dim, values, _) in enumerate(axes)]
    if layout.frames:
        times = np.zeros(len(places)) if times is None else np.asarray(times, float)
        axes.insert(0, (layout.time, layout.step * np.arange(layout.frames), False))
        columns.insert(0, times)
    corners, weights = np.zeros((len(places), 1), int), np.ones((len(places), 1))
    for (dim, values, periodic), column in zip(axes, columns, strict=True):
        below, above, share = _cell(layout, dim, values, periodic, column, label)
        corners = np.concatenate([corners * len(values) + one[:, None] for one in (below, above)], 1)
        weights = np.concatenate([weights * (1 - share)[:, None], weights * share[:, None]], 1)
    if layout.masked is not None:
        masked = layout.masked.reshape(-1, len(layout.variables))
        weights = np.where(masked[corners % len(masked), np.asarray(channel)[:, None]], 0.0, weights)
        total = weights.sum(1)
        if (total <= 0).any():
            i = int(np.argmax(total <= 0))
            at, name = tuple(float(one) for one in places[i]), layout.variables[int(np.asarray(channel)[i])]
            raise UserError(f"{label(i)} at {at} has no value of {name!r} around it: masked in all of the training data; leave it out")
        weights = weights / total[:, None]
    return corners, weights


def _around(layout, dim, values, column):
    # A longitude of the other convention, 0 to 360 for -180 to 180, is turned into the grid's.
    if dim in layout.periodic or dim not in layout.header.coords or not is_longitude(dim, layout.header[dim].attrs):
        return column
    middle = 0.5 * (values.min() + values.max())
    inside = (column >= values.min()) & (column <= values.max())
    return np.where(inside, column, column - 360.0 * np.round((column - middle) / 360.0))


def _cell(layout, dim, values, periodic, column, label):
    # (index below, index above, share of the one above) along one dimension, whatever its direction
    n = len(values)
    if n == 1:
        return np.zeros(len(column), int), np.zeros(len(column), int), np.zeros(len(column))
    order = np.argsort(values)
    rising = values[order]
    first, last = rising[1] - rising[0], rising[-1] - rising[-2]
    if periodic:
        length = rising[-1] - rising[0] + 0.5 * (first + last)
        column = rising[0] + np.mod(column - rising[0], length)
        rising, order = np.append(rising, rising[0] + length), np.append(order, order[0])
    else:
        outside = ~((column >= rising[0] - 0.5 * first) & (column <= rising[-1] + 0.5 * last))
        if outside.any():
            i = int(np.argmax(outside))
            about = layout.header[dim].attrs if dim in layout.header.coords else {}
            units = layout.time_units if dim == layout.time else about.get("units", "")
            raise UserError(
                f"{label(i)} has {dim} = {column[i]:g}; expected {rising[0]:g} to {rising[-1]:g}{f' {units}' if units else ''}, where the "
                "model's grid is"
            )
        column = np.clip(column, rising[0], rising[-1])
    left = np.clip(np.searchsorted(rising, column, side="right") - 1, 0, len(rising) - 2)
    share = (column - rising[left]) / (rising[left + 1] - rising[left])
    return order[left], order[left + 1], share


class Scaled(eqx.Module):
    """What an instrument sees over `scale`, 0 where it is not `there`: variables of unlike units, none of which outweighs the others."""

    instrument: Any
    scale: jax.Array
    there: jax.Array

    def __call__(self, fields: Mapping[str, jax.Array]):
        return jnp.where(self.there, self.instrument(fields), 0.0) / self.scale


class BlockMeans(eqx.Module):
    """Means over blocks of a grid, weighted: y = sum w f / sum w over each block; a block at the end of a dimension may be smaller.

    sums: a (blocks, n) matrix of 0 and 1 for each dimension of space; weights: (*space, C), areas, 0 where there is no value.
    Of fields name -> (B, [frames], *space). Returns (B, [frames], *blocks, C), 0 where a block has no value.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    sums: tuple[jax.Array, ...]
    weights: jax.Array

    def __call__(self, fields: Mapping[str, jax.Array]):
        x = jnp.stack([fields[name] for name in self.names], -1)
        weights = self.weights.astype(x.dtype)
        total = self._blocks(weights)
        return self._blocks(x * weights) / jnp.where(total > 0, total, 1.0)

    @property
    def there(self) -> np.ndarray:
        """(*blocks, C) whether a block has a value at all."""
        return self.count > 0

    @property
    def count(self) -> np.ndarray:
        """(*blocks, C) sums of the weights."""
        return np.asarray(self._blocks(self.weights))

    def _blocks(self, x):
        space = len(self.sums)
        for i, sums in enumerate(self.sums):
            axis = x.ndim - 1 - space + i
            x = jnp.moveaxis(jnp.tensordot(sums.astype(x.dtype), x, (1, axis)), 0, axis)
        return x


def block_means(layout: Layout, factor: int | Sequence[int], names: Sequence[str] = (), *, areas: bool = True) -> BlockMeans:
    """The instrument that sees means over blocks of `factor` points a side of `names` (all), over areas where the grid has latitudes.

    areas: whether; False: each point counts the same.
    """
    names = tuple(names) or layout.variables
    factors = [factor] * len(layout.space) if np.ndim(factor) == 0 else list(factor)
    sums = []
    for n, width in zip(layout.grid, factors, strict=True):
        block = np.arange(n) // width
        sums.append(jnp.asarray(block == np.arange(block[-1] + 1)[:, None], jnp.float32))
    weights = np.repeat((layout.weights if areas else np.ones(layout.grid))[..., None], len(names), -1)
    if layout.masked is not None:
        weights = np.where(layout.masked[..., [layout.variables.index(name) for name in names]], 0.0, weights)
    return BlockMeans(names, tuple(sums), jnp.asarray(weights, jnp.result_type(float)))
