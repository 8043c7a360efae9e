"""What one has without a trained model, in the fields' units: kriging, interpolation, splines, regression, persistence, climatology."""

import numpy as np
import scipy

from domains.fields.kriging import Prior, euclidean, fit_prior, kriging
from domains.fields.regression import Forecast, Regression, forecast, regression

__all__ = [
    "Forecast",
    "Prior",
    "Regression",
    "climatology",
    "euclidean",
    "finer",
    "fit_prior",
    "forecast",
    "kriging",
    "nearest",
    "persistence",
    "radial_basis",
    "regression",
]

NEIGHBOURS = 64  # values that a radial basis function takes for a target


def radial_basis(places, values, targets) -> np.ndarray:
    """Thin-plate splines through the values; linear ones where there are too few for a plane.

    places: (m, d), each axis then over its extent; values: (m,), NaN left out; targets: (N, d). Returns: (N,).
    """
    places, values, targets = _known(places, values, targets)
    kernel, degree = ("thin_plate_spline", 1) if len(values) > places.shape[1] + 1 else ("linear", 0)
    try:
        spline = scipy.interpolate.RBFInterpolator(
            places, values, kernel=kernel, degree=degree, neighbors=min(NEIGHBOURS, len(values)) if len(values) > NEIGHBOURS else None
        )
        return spline(targets)
    except np.linalg.LinAlgError:  # all on one line, which has no plane
        return scipy.interpolate.RBFInterpolator(places, values, kernel="linear", degree=0)(targets)


def nearest(places, values, targets) -> np.ndarray:
    """The value of the nearest place, each axis over its extent. Args, returns: as `radial_basis`."""
    places, values, targets = _known(places, values, targets)
    return scipy.interpolate.NearestNDInterpolator(places, values)(targets)


def finer(coarse, shape, factor, weights=None, *, periodic=()) -> np.ndarray:
    """Cubic splines through block means, whose own block means are those again.

    The splines go axis by axis through the centres of the blocks; what the means of their result lack is added, by the same splines, until
    nothing is left. A block counts `factor` points an axis, the last one what remains of them.

    Args: coarse: (*blocks, ...), trailing axes are carried along; NaN where nothing was seen, which is filled from the nearest blocks;
        shape: points an axis; factor: a number or one an axis, 1 for an axis that stays, such as frames; weights: (*shape) of the points
        in the means, 0 where there is no value; periodic: axes that wrap around.
    Returns: (*shape, ...).
    """
    shape, coarse = tuple(shape), np.asarray(coarse, np.float64)
    factors = np.broadcast_to(factor, len(shape))
    weights = np.ones(shape) if weights is None else np.broadcast_to(weights, shape)
    weights = weights.reshape(*shape, *(1,) * (coarse.ndim - len(shape)))
    total = _block_sums(weights, factors)
    coarse = _filled(coarse, len(shape))
    result, lacking = 0.0, coarse
    for _ in range(20):
        result = result + _splines(lacking, shape, factors, periodic)
        means = _block_sums(weights * result, factors) / np.where(total > 0, total, 1.0)
        lacking = np.where(total > 0, coarse - means, 0.0)
    return result


def persistence(first_frames, frames: int) -> np.ndarray:
    """The last given frame for every one of so many. first_frames: (given, ...). Returns: (frames, ...)."""
    return np.repeat(np.asarray(first_frames)[-1:], frames, axis=0)


def climatology(fields, members: int, seed: int = 0) -> np.ndarray:
    """An ensemble of training fields (N, ...), drawn without repetition: (members, ...), all N where that is fewer."""
    return np.asarray(fields)[np.sort(np.random.default_rng(seed).permutation(len(fields))[:members])]


def _known(places, values, targets):
    # Without NaN, and every axis over the extent of places and targets.
    places, values, targets = (np.asarray(z, float) for z in (places, values, targets))
    there = np.isfinite(values)
    places, values = places[there], values[there]
    extent = np.ptp(np.concatenate([places, targets]), axis=0)
    extent = np.where(extent > 0, extent, 1.0)
    return places / extent, values, targets / extent


def _filled(coarse, axes):
    # NaN from the nearest block that has a value, for each of the trailing axes by itself; 0 where none has.
    flat = coarse.reshape(*coarse.shape[:axes], -1).copy()
    for channel in np.moveaxis(flat, -1, 0):
        there = np.isfinite(channel)
        if there.all():
            continue
        if not there.any():
            channel[...] = 0.0
            continue
        places = np.argwhere(there)
        channel[~there] = scipy.interpolate.NearestNDInterpolator(places, channel[there])(np.argwhere(~there))
    return flat.reshape(coarse.shape)


def _block_sums(fine, factors):
    for axis, factor in enumerate(factors):
        fine = np.add.reduceat(fine, np.arange(0, fine.shape[axis], factor), axis=axis)
    return fine


def _splines(coarse, shape, factors, periodic):
    for axis, (count, factor) in enumerate(zip(shape, factors, strict=True)):
        if factor == 1:
            continue
        blocks = coarse.shape[axis]
        edges = np.minimum(np.arange(blocks + 1) * factor, count)
        centres = 0.5 * (edges[1:] + edges[:-1] - 1)
        # What lies beyond the outer centres is the field mirrored, or wrapped around, as extrapolated cubics run away.
        ghosts = min(blocks, 3)
        before, after = np.arange(ghosts)[::-1], np.arange(blocks - ghosts, blocks)[::-1]
        if axis in periodic:
            before, after = np.arange(blocks - ghosts, blocks), np.arange(ghosts)
            left, right = centres[before] - count, centres[after] + count
        else:
            left, right = -1 - centres[before], 2 * count - 1 - centres[after]
        known = np.concatenate([np.take(coarse, side, axis) for side in (before, np.arange(blocks), after)], axis)
        places = np.concatenate([left, centres, right])
        spline = scipy.interpolate.make_interp_spline(places, known, k=3 if len(places) > 3 else 1, axis=axis)
        coarse = spline(np.arange(count))
    return coarse
