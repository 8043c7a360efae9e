"""The Gaussian law of a field that kriging takes: its mean, standard deviation and correlations, at any places."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy


@dataclass(frozen=True, eq=False)
class Prior:
    """A Gaussian law of a field: z(x) = mean(x) + std(x) e(x), e with variance 1 and the correlation

    (1 - share) [(1 - nugget) Matern_nu(|(x - x') / lengths|) + nugget 1(x = x')] + share E(x, x') exp(-|(x - x') / lengths|^2 / 2 reach^2),

    E that of the training anomalies. The nugget is the field's own variation from point to point, no error of measurement.

    lengths: (d,) in the units of the places; std, mean: numbers in the field's units, or (P,) at `places` (P, d), between which they and
    the anomalies are interpolated; smoothness: nu; anomalies: (N, P), standardised.
    """

    lengths: np.ndarray
    std: float | np.ndarray = 1.0
    mean: float | np.ndarray = 0.0
    smoothness: float = 1.5
    nugget: float = 0.0
    places: np.ndarray | None = None
    anomalies: np.ndarray | None = None
    share: float = 0.0
    reach: float = np.inf

    def at(self, places) -> "Located":
        """The law at places (m, d)."""
        places = np.asarray(places, float)
        mean, std, anomalies = self.mean, self.std, None
        if self.places is not None:
            rows, weights = self._corners(places)
            mean, std = (np.sum(np.asarray(values)[rows] * weights, 1) if np.ndim(values) else values for values in (mean, std))
            if self.share > 0:
                anomalies = sum(self.anomalies[:, row] * weight for row, weight in zip(rows.T, weights.T, strict=True))
        count = len(places)
        return Located(self, places, np.broadcast_to(mean, (count,)), np.broadcast_to(std, (count,)), anomalies)

    def _corners(self, places):
        # Rows (m, k) of known places and their weights: the place itself where it is known, else those around it by inverse squared
        # distance in their spacing.
        spacing, tree = self._known
        nearest = tree.query(places / spacing, 1)
        if (nearest[0] < 1e-6).all():
            return nearest[1][:, None], np.ones((len(places), 1))
        count = min(2 ** min(places.shape[1], 3), len(self.places))
        distance, rows = tree.query(places / spacing, count)
        distance, rows = distance.reshape(len(places), count), rows.reshape(len(places), count)
        weights = np.where(distance[:, :1] < 1e-6, np.arange(count) == 0, 1 / np.maximum(distance, 1e-6) ** 2)
        return rows, weights / weights.sum(1, keepdims=True)

    @cached_property
    def _known(self):
        spacing = spacing_of(self.places)
        return spacing, scipy.spatial.cKDTree(self.places / spacing)


@dataclass(frozen=True, eq=False)
class Located:
    """A `Prior` at places (m, d): its mean and standard deviation (m,), the training anomalies (N, m) there."""

    prior: Prior
    places: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    anomalies: np.ndarray | None

    def covariance(self, other: "Located") -> np.ndarray:
        """(m, m') between two sets of places, in the field's units squared."""
        prior = self.prior
        distance = scipy.spatial.distance.cdist(self.places / prior.lengths, other.places / prior.lengths)
        found = stationary_correlation(self.places, other.places, distance, prior.lengths, prior.smoothness, prior.nugget)
        if prior.share > 0:
            own = self.anomalies.T @ other.anomalies / len(self.anomalies)
            found = (1 - prior.share) * found + prior.share * own * damping(distance, prior.reach)
        return self.std[:, None] * found * other.std


def stationary_correlation(a, b, distance, lengths, smoothness, nugget):
    """(m, m') between places (m, d) and (m', d), `distance` apart in lengths: Matern, and the nugget where they are the same."""
    from sklearn.gaussian_process.kernels import Matern

    return (1 - nugget) * Matern(lengths, nu=smoothness)(a, b) + nugget * (distance < 1e-9)


def damping(distance, reach):
    """Of the training fields' own correlations, with the distance in lengths."""
    return np.exp(-0.5 * (distance / reach) ** 2)


def root(covariance):
    """Lower Cholesky factor, with as little added to the diagonal as rounding needs."""
    scale = np.trace(covariance) / len(covariance)
    for extra in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4):
        try:
            return np.linalg.cholesky(covariance + extra * (scale or 1.0) * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
    raise ValueError("a covariance is not positive; the nugget or the noise is too small")


def spacing_of(places):
    """(d,) how far neighbours are apart along each axis of places (P, d): scales over which they are as far along all of them."""
    extent = np.ptp(places, axis=0)
    spacing = np.where(extent > 0, extent, 1.0)
    some = places[np.linspace(0, len(places) - 1, min(len(places), 300)).astype(int)]
    for _ in range(8):
        near = scipy.spatial.cKDTree(places / spacing).query(some / spacing, min(2 * places.shape[1] + 1, len(places)))[1]
        squares = (places[near.reshape(len(some), -1)] - some[:, None]) ** 2
        apart = squares > 1e-12 * extent**2
        count = apart.sum((0, 1))
        steps = np.sqrt((squares * apart).sum((0, 1)) / np.maximum(count, 1))
        spacing = np.where(extent == 0, spacing, np.where(count > 0, steps, 2 * spacing))  # none along an axis: it is too fine
    return spacing
