"""Kriging, the classical answer to values at scattered places: a Gaussian law of the field, given those values.

Its law comes from the values themselves, or, which is far stronger, from training fields (`fit_prior`): then the mean and the standard
deviation are those of every place, and the correlations a mixture of a stationary kernel and of what the training fields have.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from domains.fields.layout import Layout, is_latitude, is_longitude

SMOOTHNESS = (0.5, 1.5, 2.5, np.inf)  # nu of the Matern kernels that are tried; infinity is the squared exponential
SHARES = (0.3, 0.6, 0.8, 0.9, 0.95, 0.99)  # of the training fields' own correlations that are tried, beside 0
REACHES = (np.inf, 12.0, 6.0, 3.0)  # correlation lengths over which those are damped
TOGETHER = 5000  # targets that are drawn jointly
BLOCK = 2500  # of more than those
LARGEST = 10**8  # numbers of training anomalies that are kept


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
            rows, weights = _neighbours(self.places, places)
            mean, std = (np.sum(np.asarray(values)[rows] * weights, 1) if np.ndim(values) else values for values in (mean, std))
            if self.share > 0:
                anomalies = np.einsum("nmk,mk->nm", self.anomalies[:, rows], weights)
        count = len(places)
        return Located(self, places, np.broadcast_to(mean, (count,)), np.broadcast_to(std, (count,)), anomalies)


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
        distance = cdist(self.places / prior.lengths, other.places / prior.lengths)
        found = _stationary(self.places, other.places, distance, prior.lengths, prior.smoothness, prior.nugget)
        if prior.share > 0:
            own = self.anomalies.T @ other.anomalies / len(self.anomalies)
            found = (1 - prior.share) * found + prior.share * own * _damping(distance, prior.reach)
        return self.std[:, None] * found * other.std


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
    values = np.asarray(values, float)
    there = np.isfinite(values)
    places, noise = np.asarray(places, float)[there], np.broadcast_to(noise_std, values.shape)[there]
    targets, values, rng = np.asarray(targets, float), values[there], np.random.default_rng(seed)
    prior = _fit_values(places, values, noise, targets, seed) if prior is None else prior
    if len(values):
        seen = prior.at(places)
        inner = seen.covariance(seen) + np.diag(noise**2)
        factor = _root(inner)
        misfit = scipy.linalg.solve_triangular(factor, values - seen.mean, lower=True)
    draws = np.empty((members, len(targets)))
    blocks = 1 if len(targets) <= TOGETHER else -(-len(targets) // BLOCK)
    for block in np.array_split(np.arange(len(targets)), blocks):
        there = prior.at(targets[block])
        mean, covariance = there.mean, there.covariance(there)
        if len(values):
            gain = scipy.linalg.solve_triangular(factor, seen.covariance(there), lower=True)
            mean, covariance = mean + gain.T @ misfit, covariance - gain.T @ gain
        draws[:, block] = mean + rng.standard_normal((members, len(block))) @ _root(covariance).T
    return draws


def fit_prior(fields, places, *, observed: int | None = None, noise_std: float = 0.0, seed: int = 0) -> Prior:
    """The Gaussian law of training fields that makes kriging strongest.

    Lengths and nugget are those of the greatest likelihood of the standardised training fields, for each of four smoothnesses. Smoothness,
    the share of the training fields' own correlations, the reach of these, and whether mean and standard deviation are of every place or
    the same everywhere, are those whose kriging has the least CRPS on a fifth of the fields, set aside, from as many values as it will get.

    Args: fields: (N, P) in the field's units, one variable; places: (P, d); observed: how many values kriging will be given, a fortieth
        of P where not said; noise_std: theirs.
    NaN are put at the mean of their place, and places that have no value at all are left out.
    """
    fields, places = np.asarray(fields, np.float64), np.asarray(places, float)
    there = np.isfinite(fields).any(0)
    fields, places = fields[:, there], places[there]
    rng = np.random.default_rng(seed)
    most = max(LARGEST // max(fields.shape[1], 1), 20)
    if len(fields) > most:
        fields = fields[rng.choice(len(fields), most, replace=False)]
    if np.isnan(fields).any():
        fields = np.where(np.isnan(fields), np.nanmean(fields, 0), fields)
    trial = _Trial(fields, places, observed, noise_std, rng)
    best = min(trial.candidates(), key=lambda pair: pair[0])[1]
    mean, std = _moments(fields, best.pop("pointwise"))
    anomalies = (fields - mean) / std if best["share"] > 0 else None
    return Prior(std=std, mean=mean, places=places, anomalies=anomalies, **best)


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


class _Trial:
    """Kriging tried on a fifth of the training fields: from `observed` values at random places, scored at some 300 others.

    Of fewer than ten fields none is set aside: then the likelihood chooses.
    """

    def __init__(self, fields, places, observed, noise_std, rng):
        count, order = len(places), rng.permutation(len(fields))
        aside = min(len(fields) // 5, 60) if len(fields) >= 10 else 0
        self.held, self.kept, self.places, self.noise_std = fields[order[:aside]], fields[order[aside:]], places, noise_std
        self.fitted = _some(places, 180, rng)
        self.shown = rng.permutation(len(self.kept))[:32]
        given = min(observed or max(count // 40, 3), 300, max(count // 2, 1))
        self.splits = [np.split(rng.permutation(count)[: given + 300], [given]) for _ in range(3)]
        self.errors = [noise_std * rng.standard_normal((aside, given)) for _ in self.splits]

    def candidates(self):
        """(score, parts of a `Prior` and whether it is pointwise), of which the least score is best."""
        if not len(self.held):
            return [trial for smoothness in SMOOTHNESS for trial in self.of_kernel(False, smoothness)]
        trials = [trial for smoothness in SMOOTHNESS for trial in self.of_kernel(True, smoothness)]
        best = min(trials, key=lambda pair: pair[0])[1]
        return trials + self.of_kernel(False, best["smoothness"])

    def of_kernel(self, pointwise, smoothness):
        """The candidates of one smoothness, at its likeliest lengths."""
        mean, std = _moments(self.kept, pointwise)
        anomalies = (self.kept - mean) / std
        training = anomalies[self.shown][:, self.fitted].T
        (lengths, nugget), likelihood = _likeliest(self.places[self.fitted], training, 1e-8, smoothness)
        parts = {"lengths": lengths, "nugget": nugget, "smoothness": smoothness, "pointwise": pointwise}
        if not len(self.held):
            return [(-likelihood, parts | {"share": 0.0, "reach": np.inf})]
        scores = self.shares(mean, std, anomalies, lengths, nugget, smoothness)
        return [(score, parts | {"share": share, "reach": reach}) for (share, reach), score in scores.items()]

    def shares(self, mean, std, anomalies, lengths, nugget, smoothness):
        """(share, reach) -> mean CRPS of kriging on the fields that are set aside."""
        scores = {}
        for split, errors in zip(self.splits, self.errors, strict=True):
            given, every = split[0], np.concatenate(split)
            scaled, m = self.places[every] / lengths, len(given)
            distance = cdist(scaled, scaled[:m])
            stationary = _stationary(self.places[every], self.places[given], distance, lengths, smoothness, nugget)
            own = anomalies[:, every].T @ anomalies[:, given] / len(anomalies)
            deviation = np.broadcast_to(std, mean.shape)[every] if np.ndim(std) else np.full(len(every), std)
            centre = mean[every] if np.ndim(mean) else mean
            misfit = (self.held[:, given] + errors - (centre[:m] if np.ndim(centre) else centre)).T
            for share, reach in [(0.0, np.inf), *((s, r) for s in SHARES for r in REACHES)]:
                mixed = stationary if share == 0 else (1 - share) * stationary + share * own * _damping(distance, reach)
                covariance = deviation[:, None] * mixed * deviation[:m]
                factor = _root(covariance[:m] + self.noise_std**2 * np.eye(m))
                gain = scipy.linalg.solve_triangular(factor, covariance[m:].T, lower=True)
                estimate = centre[m:, None] if np.ndim(centre) else centre
                estimate = estimate + gain.T @ scipy.linalg.solve_triangular(factor, misfit, lower=True)
                spread = np.sqrt(np.maximum(deviation[m:] ** 2 - (gain**2).sum(0), 1e-12 * deviation[m:] ** 2))
                score = _gaussian_crps(estimate, spread[:, None], self.held[:, split[1]].T).mean()
                scores[share, reach] = scores.get((share, reach), 0.0) + score / len(self.splits)
        return scores


def _fit_values(places, values, noise, targets, seed):
    # The law of the values alone: one mean, one standard deviation, the likeliest lengths.
    extent = np.ptp(np.concatenate([places, targets]), axis=0)
    extent = np.where(extent > 0, extent, 1.0)
    if len(values) < 5 or np.ptp(values) == 0:
        mean, std = (values.mean(), values.std()) if len(values) else (0.0, 1.0)
        return Prior(0.2 * extent, std or 1.0, mean)
    some = np.random.default_rng(seed).permutation(len(values))[:400]
    mean, std = values.mean(), values.std()
    alpha = (noise[some] / std) ** 2 + 1e-8
    tried = {}
    for smoothness in SMOOTHNESS:
        tried[smoothness] = _likeliest(places[some], ((values - mean) / std)[some, None], alpha, smoothness, amplitude=True)
    smoothness = max(tried, key=lambda nu: tried[nu][1])
    lengths, nugget, scale = tried[smoothness][0]
    return Prior(lengths, std * scale, mean, smoothness, nugget)


def _likeliest(places, values, alpha, smoothness, amplitude=False):
    # ((lengths, nugget[, amplitude]), log-likelihood) of standardised values (P, N) of N fields that are independent of each other.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor  # loads slowly, and only kriging needs it
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    extent = np.ptp(places, axis=0)
    extent = np.where(extent > 0, extent, 1.0)
    sill = ConstantKernel(1.0, (1e-2, 1e2) if amplitude else "fixed")
    kernel = sill * Matern(np.full(len(extent), 0.1), (2e-3, 50.0), smoothness) + WhiteKernel(0.01, (1e-6, 2.0))
    model = GaussianProcessRegressor(kernel, alpha=alpha, optimizer=partial(_climb, size=np.size(values)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at its bound: there is no nugget, or no change along an axis
        model.fit(places / extent, values)
    sill, found, nugget = model.kernel_.k1.k1.constant_value, model.kernel_.k1.k2.length_scale, model.kernel_.k2.noise_level
    parts = np.atleast_1d(found) * extent, nugget / (sill + nugget)
    return (*parts, np.sqrt(sill + nugget)) if amplitude else parts, model.log_marginal_likelihood_value_


def _climb(objective, start, bounds, size):
    # From the best of a few common lengths, as the likelihood has other summits; over its size, or the first steps go to the bounds.
    starts = [start + np.log(factor) * (np.arange(len(start)) < len(start) - 1) for factor in (0.3, 1.0, 3.0, 10.0)]
    start = min(starts, key=lambda theta: objective(theta, eval_gradient=False))

    def scaled(theta):
        value, gradient = objective(theta)
        return value / size, gradient / size

    options = {"maxiter": 30, "ftol": 1e-5}
    found = scipy.optimize.minimize(scaled, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    return found.x, found.fun * size


def _stationary(a, b, distance, lengths, smoothness, nugget):
    # The correlation between places a and b: Matern, and the nugget where they are the same.
    from sklearn.gaussian_process.kernels import Matern

    return (1 - nugget) * Matern(lengths, nu=smoothness)(a, b) + nugget * (distance < 1e-9)


def _damping(distance, reach):
    return np.exp(-0.5 * (distance / reach) ** 2)


def _moments(fields, pointwise):
    # Mean and standard deviation, of every place or of all; a place that is the same in all fields keeps a thousandth of the spread.
    if not pointwise:
        return fields.mean(), fields.std() or 1.0
    return fields.mean(0), np.maximum(fields.std(0, ddof=1), 1e-3 * (fields.std() or 1.0))


def _some(places, count, rng):
    # Places for the likelihood: two fifths anywhere, the others in patches of twelve, which know of short distances.
    if len(places) <= count:
        return np.arange(len(places))
    patches = rng.choice(len(places), 3 * count // 60, replace=False)
    near = cKDTree(places).query(places[patches], 12)[1].ravel()
    rest = rng.permutation(np.setdiff1d(np.arange(len(places)), near))
    near = np.unique(near)
    return np.concatenate([near, rest[: count - len(near)]])


def _neighbours(known, places):
    # Rows (m, k) of known places and their weights: the place itself where it is known, else by inverse squared distance.
    count = min(2 * known.shape[1], len(known))
    distance, rows = cKDTree(known).query(places, count)
    distance, rows = distance.reshape(len(places), count), rows.reshape(len(places), count)
    scale = np.maximum(distance.max(1, keepdims=True), 1e-300)
    weights = 1 / np.maximum((distance / scale) ** 2, 1e-16)
    exact = distance[:, :1] <= 1e-9 * scale
    weights = np.where(exact, np.arange(count) == 0, weights)
    return rows, weights / weights.sum(1, keepdims=True)


def _root(covariance):
    # Lower Cholesky factor, with as little added to the diagonal as rounding needs.
    scale = np.trace(covariance) / len(covariance)
    for extra in (1e-12, 1e-10, 1e-8, 1e-6, 1e-4):
        try:
            return np.linalg.cholesky(covariance + extra * (scale or 1.0) * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
    raise ValueError("a covariance is not positive; the nugget or the noise is too small")


def _gaussian_crps(mean, std, truth):
    # Closed form (Gneiting & Raftery 2007, eq. 21).
    z = (truth - mean) / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return std * (z * (2 * scipy.special.ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
