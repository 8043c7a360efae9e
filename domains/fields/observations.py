"""What was measured, in physical units, as observations that the denoiser's guides see: at points, on the grid, over blocks of it."""

from collections.abc import Callable
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np

from domains.fields.instruments import Readings, Scaled, block_means, corners_of
from domains.fields.layout import Layout
from sciddm import lookahead
from sciddm.lookahead import operators
from sciddm.transforms import transform


@dataclass(frozen=True, eq=False)
class Points:
    """m values at places, on the grid or off it.

    channel: (m,) int, which variable; places: (m, d) in the coordinates of `layout.space`; times: (m,) after the first frame in
    layout.time_units, None of models without frames; values: (m,) in the variables' units; errors: (m,) one standard deviation each;
    label: where value i stands, for messages.
    """

    channel: np.ndarray
    places: np.ndarray
    times: np.ndarray | None
    values: np.ndarray
    errors: np.ndarray
    label: Callable[[int], str] = field(default=lambda i: f"place {i}")


@dataclass(frozen=True, eq=False)
class Gridded:
    """Fields on the grid or coarser.

    values: ([frames], *blocks, C) float32 in the variables' units, NaN where nothing is known; errors: like it or broadcasting to it, one
    standard deviation, NaN: the share of the variable's own that `noise` is; factors: points of a block along each dimension of space;
    sums: whether values are sums over blocks and no means.
    """

    values: np.ndarray
    errors: np.ndarray
    factors: tuple[int, ...]
    sums: bool = False


def observe_points(domain, points: Points, layout: Layout | None = None) -> lookahead.Observation:
    """The observation of values at points, by multilinear interpolation of fields in physical units.

    On grid points alone, of variables that are learned without a transform, it is one of entries of the normalised x, for which there
    are more methods. layout: of a wider grid than the model's. Raises: UserError as `corners_of`.
    """
    layout, channel = layout or domain.layout, points.channel
    corners, weights = corners_of(layout, channel, points.places, points.times, points.label)
    plain = all(domain.normalizer.transforms[c] == "identity" for c in np.unique(channel))
    if plain and (weights.max(1) > 1 - 1e-6).all():
        at = np.take_along_axis(corners, weights.argmax(1)[:, None], 1)[:, 0]
        mean, std = (np.asarray(each, np.float32)[channel] for each in (domain.normalizer.mean, domain.normalizer.std))
        seen = operators.Points(jnp.asarray(at * len(layout.variables) + channel))
        return lookahead.Observation(seen, (points.values.astype(np.float32) - mean) / std, uniform(points.errors / std))
    offsets = channel[:, None] * int(np.prod(layout.shape[:-1]))
    scale = domain.scales[channel]
    numbers = (jnp.asarray(each, jnp.result_type(float)) for each in (weights, scale))
    instrument = Readings(layout.variables, jnp.asarray(corners + offsets), *numbers)
    return domain.observation(instrument, (points.values / scale).astype(np.float32), uniform(points.errors / scale))


def observe_grid(domain, grid: Gridded, noise: float, layout: Layout | None = None) -> lookahead.Observation:
    """The observation of fields on the grid, entry by entry of the normalised x, or of means over blocks of fields in physical units.

    On the grid, the error of a variable that is learned after a transform is carried over to first order. noise: share of a variable's
    standard deviation that stands where no error is given. layout: of a wider grid than the model's.
    """
    layout, errors = layout or domain.layout, np.broadcast_to(np.asarray(grid.errors, float), grid.values.shape)
    there = ~np.isnan(grid.values)
    if set(grid.factors) == {1}:
        there = there & ~(domain.masked if layout is domain.layout else False)
        values = np.where(there, grid.values, domain.mean_value)
        std = np.where(np.isnan(errors), noise, errors * _slope(domain, values))
        normal = np.where(there, domain.normalizer.normalize(values.astype(np.float32)), 0.0)
        return lookahead.Observation(operators.Mask(there.astype(np.float32)), normal, uniform(std, there))
    if _plain_blocks(domain, grid, layout) and there.all():
        factor = grid.factors[0]
        count = factor ** len(grid.factors) if grid.sums else 1
        std = np.where(np.isnan(errors), noise, errors / count / np.asarray(domain.normalizer.std, float))
        values = grid.values / np.float32(count)
        return lookahead.Observation(operators.Downsample(factor), domain.normalizer.normalize(values), uniform(std))
    means, scales = block_means(layout, grid.factors, areas=not grid.sums), np.asarray(domain.scales)
    there = there & means.there
    count = np.maximum(means.count, 1.0) if grid.sums else 1.0
    std = np.where(np.isnan(errors), noise, errors / count / scales)
    instrument = Scaled(means, jnp.asarray(scales), jnp.asarray(there))
    value = np.where(there, np.nan_to_num(grid.values) / count, 0.0) / scales
    return domain.observation(instrument, value.astype(np.float32), uniform(std, there))


def _plain_blocks(domain, grid, layout) -> bool:
    # Whether means over blocks of the normalised x say it all.
    alike = len({*grid.factors}) == 1 and all(n % grid.factors[0] == 0 for n in layout.grid)
    flat = layout.masked is None and np.ptp(layout.weights) == 0
    return not layout.frames and alike and flat and all(name == "identity" for name in domain.normalizer.transforms)


def uniform(std, there=True):
    """A standard deviation for all where all are alike, so that problems of one shape share a program; else one each, 1 where none is."""
    std = np.where(there, np.asarray(std, float), np.nan)
    known = std[~np.isnan(std)]
    if not known.size:
        return 1.0
    if np.ptp(known) <= 1e-6 * known.max():
        return float(f"{known.flat[0]:.6g}")
    return np.where(np.isnan(std), 1.0, std).astype(np.float32)


def errors_of(domain, values, noise: float) -> np.ndarray:
    """What `noise` means, as errors in physical units of values ([frames], *space, C): a share of each variable's standard deviation."""
    return noise / _slope(domain, np.where(np.isnan(values), domain.mean_value, values))


def _slope(domain, values) -> np.ndarray:
    # dz/dx of the normalised z, (..., C) or (C,)
    std, names = np.asarray(domain.normalizer.std, float), domain.normalizer.transforms
    if all(name == "identity" for name in names):
        return 1 / std
    each = [np.exp(-np.asarray(transform(name).log_slope(values[..., c]), float)) for c, name in enumerate(names)]
    return np.stack(each, -1) / std
