"""Kriging, the classical answer to values at scattered places: a Gaussian law of the field, given those values.

Its law comes from the values themselves, or, which is far stronger, from training fields (`fit_prior`): then the mean and the standard
deviation are those of every place, and the correlations a mixture of a stationary kernel and of what the training fields have.
"""

import numpy as np
import scipy
from threadpoolctl import threadpool_limits

from domains.fields.kriging_fit import fit_prior, fit_values
from domains.fields.kriging_law import Prior, root
from domains.fields.layout import Layout, is_latitude, is_longitude

__all__ = ["Prior", "euclidean", "fit_prior", "kriging"]

TOGETHER = 5000  # targets that are drawn jointly
BLOCK = 2500  # of more than those


def kriging(places, values, noise_std, targets, members, seed: int = 0, *, prior: Prior | None = None) -> np.ndarray:
    """Draws of the field at the targets given noisy values at places: of a Gaussian law.

    mean = m_t + K_tp (K_pp + R)^-1 (y - m_p),   covariance = K_tt - K_tp (K_pp + R)^-1 K_pt,   R = diag(noise_std^2)

    (Rasmussen & Williams 2006, eq. 2.22 to 2.24). Up to 5000 targets are drawn jointly; more are drawn in blocks of at most 2500 in a row,
    each right by itself: then the members have no joint law across the edges of the blocks (spectra and energy scores suffer), while the
    law at every single target, and so its CRPS, stays exact.

    Args: places: (m, d); values: (m,), those that are NaN are left out; noise_std: a number or (m,), in the units of the values; targets:
        (N, d); prior: of `fit_prior`, which has seen training fields, else fitted to these values alone.
    Returns: (members, N) in the units of the values.
    """
    # Threads are slower on small matrices, and ten times so where cores are shared.
    with threadpool_limits(None if len(targets) > 1500 else 1):
        return _draws(places, values, noise_std, targets, members, seed, prior)


def euclidean(layout: Layout, places, dims=None) -> np.ndarray:
    """Places between which straight distances mean something: latitudes and longitudes on the unit sphere, periodic axes on a circle.

    places: (m, d) coordinate values, along `dims`, those of space where not said. Returns: (m, d') for `kriging`, whose lengths are fitted
    for each of the d' axes.
    """
    places, dims = np.asarray(places, float), layout.space if dims is None else tuple(dims)
    attrs = {dim: layout.header[dim].attrs if dim in layout.header.coords else {} for dim in dims}
    north = next((i for i, dim in enumerate(dims) if is_latitude(dim, attrs[dim])), None)
    east = next((i for i, dim in enumerate(dims) if is_longitude(dim, attrs[dim])), None)
    columns = []
    if north is not None and east is not None:
        latitude, longitude = np.deg2rad(places[:, [north, east]]).T
        columns = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    else:
        north = east = None
    for i, dim in enumerate(dims):
        if i in (north, east):
            continue
        if dim in layout.periodic:
            coordinate = layout.coordinate(dim)
            period = abs(coordinate[-1] - coordinate[0]) * len(coordinate) / max(len(coordinate) - 1, 1)
            angle = 2 * np.pi * places[:, i] / period
            columns += [period / (2 * np.pi) * np.cos(angle), period / (2 * np.pi) * np.sin(angle)]
        else:
            columns.append(places[:, i])
    return np.stack(columns, 1)


def _draws(places, values, noise_std, targets, members, seed, prior):
    values = np.asarray(values, float)
    there = np.isfinite(values)
    places, noise = np.asarray(places, float)[there], np.broadcast_to(noise_std, values.shape)[there]
    targets, values, rng = np.asarray(targets, float), values[there], np.random.default_rng(seed)
    prior = fit_values(places, values, noise, targets, seed) if prior is None else prior
    if len(values):
        seen = prior.at(places)
        inner = seen.covariance(seen) + np.diag(noise**2)
        factor = root(inner)
        misfit = scipy.linalg.solve_triangular(factor, values - seen.mean, lower=True)
    draws = np.empty((members, len(targets)))
    blocks = 1 if len(targets) <= TOGETHER else -(-len(targets) // BLOCK)
    for block in np.array_split(np.arange(len(targets)), blocks):
        there = prior.at(targets[block])
        mean, covariance = there.mean, there.covariance(there)
        if len(values):
            gain = scipy.linalg.solve_triangular(factor, seen.covariance(there), lower=True)
            mean, covariance = mean + gain.T @ misfit, covariance - gain.T @ gain
        draws[:, block] = mean + rng.standard_normal((members, len(block))) @ root(covariance).T
    return draws
