"""Rain between gauges: kriging alone, on a background, and of the members of an ensemble. dBZ, 0 is no echo."""

import numpy as np
import scipy

from sciddm.errors import UserError


def kriging(points, values, errors, shape, background=None):
    """Ordinary kriging of gauges, or of their difference from a background (kriging with external background).

    mean = b + k^T (K + diag e^2)^-1 (y - b - m),   K = s exp(-3 d / r),   m the generalised least squares mean
    s and r are those of the greatest restricted likelihood of this sample; the errors are known, gauge by gauge, and that is the
    nugget. Without a background b = 0; with one m = 0, as the background is taken to be unbiased far from gauges.

    Args: points: (n, 2) pixels (y, x); values: (n,) dBZ; errors: (n,) standard deviations, dBZ; background: (Y, X) dBZ.
    Returns: mean (Y, X) dBZ, not below 0, and standard deviation (Y, X), of the rain and not of a gauge there.
    """
    points, values, errors = _gauges(points, values, errors, shape)
    residual = values if background is None else values - background[tuple(points.T)]
    sill, reach = _fit(points, residual, errors, ordinary=background is None)
    weights, variance = _solve(points, errors, shape, sill, reach, ordinary=background is None)
    mean = (weights @ residual).reshape(shape) + (0.0 if background is None else background)
    return np.clip(mean, 0.0, None), np.sqrt(np.clip(variance, 0.0, None)).reshape(shape)


def kriged_members(points, values, errors, members, seed: int = 0):
    """An ensemble drawn to the gauges: each member kriged with them and their errors drawn anew.

    x_i + k^T (K + diag e^2)^-1 (y + e_i - x_i), the covariance fitted to y - mean of the members. The fair kriging for CRPS.
    Args: as in `kriging`; members: (M, Y, X) dBZ of one frame. Returns: (M, Y, X) dBZ.
    """
    members = np.asarray(members, np.float64)
    points, values, errors = _gauges(points, values, errors, members.shape[1:])
    at = tuple(points.T)
    sill, reach = _fit(points, values - members.mean(0)[at], errors, ordinary=False)
    weights, _ = _solve(points, errors, members.shape[1:], sill, reach, ordinary=False)
    drawn = values + errors * np.random.default_rng(seed).standard_normal((len(members), len(values)))
    residual = drawn - np.stack([m[at] for m in members])
    return np.clip(members + (residual @ weights.T).reshape(members.shape), 0.0, None).astype(np.float32)


def _gauges(points, values, errors, shape):
    points, values, errors = np.asarray(points, int), np.asarray(values, np.float64), np.asarray(errors, np.float64)
    errors = np.broadcast_to(errors, values.shape)
    there = np.isfinite(values)
    points, values, errors = points[there], values[there], errors[there]
    if len(values) < 3:
        raise UserError(f"gauges: kriging needs 3 values at least, got {len(values)}")
    if (points < 0).any() or (points >= np.asarray(shape)).any():
        raise UserError(
            f"gauges: a point lies outside of the {shape[0]} x {shape[1]} pixels; points are (y, x) indices"
        )
    return points, values, errors


def _covariance(a, b, sill, reach):
    return sill * np.exp(-3.0 * scipy.spatial.distance.cdist(a, b) / reach)  # reach: pixels, where 5 % is left, as geostatistics has it


def _fit(points, residual, errors, ordinary):
    one = np.ones((len(residual), 1))

    def loss(log_parameters):
        k = _covariance(points, points, *np.exp(log_parameters)) + np.diag(errors**2 + 1e-6)
        factor = scipy.linalg.cho_factor(k, lower=True)
        cost = 2 * np.log(np.diag(factor[0])).sum()
        r = residual
        if ordinary:
            of_one = scipy.linalg.cho_solve(factor, one)[:, 0]
            r = residual - of_one @ residual / of_one.sum()
            cost += np.log(of_one.sum())
        return cost + r @ scipy.linalg.cho_solve(factor, r)

    start = np.log([max(residual.var() - np.mean(errors**2), 0.1 * residual.var() + 1e-3), 15.0])
    bounds = [(np.log(1e-3), np.log(1e4)), (np.log(1.0), np.log(500.0))]
    return np.exp(scipy.optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def _solve(points, errors, shape, sill, reach, ordinary):
    grid = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"), -1).reshape(-1, 2)
    k = _covariance(points, points, sill, reach) + np.diag(errors**2 + 1e-6)
    cross = _covariance(points, grid, sill, reach)
    weights = scipy.linalg.solve(k, cross, assume_a="pos")
    variance = sill - (cross * weights).sum(0)
    if ordinary:
        # The Lagrange multiplier that makes each pixel's weights sum to one.
        of_one = scipy.linalg.solve(k, np.ones(len(k)), assume_a="pos")
        short = 1.0 - weights.sum(0)
        weights = weights + np.outer(of_one, short) / of_one.sum()
        variance = variance + short**2 / of_one.sum()
    return weights.T, variance
