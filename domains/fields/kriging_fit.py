"""The Gaussian law that makes kriging strongest, of training fields, or of the values themselves."""

import warnings
from functools import partial

import numpy as np
import scipy
from threadpoolctl import threadpool_limits

from domains.fields.kriging_law import Prior, damping, root, spacing_of, stationary_correlation

SMOOTHNESS = (0.5, 1.5, 2.5, np.inf)  # nu of the Matern kernels that are tried; infinity is the squared exponential
SHARES = (0.3, 0.6, 0.8, 0.9, 0.95, 0.99)  # of the training fields' own correlations that are tried, beside 0
REACHES = (np.inf, 12.0, 6.0, 3.0)  # correlation lengths over which those are damped
LARGEST = 5 * 10**7  # numbers of training anomalies that are kept


@threadpool_limits.wrap(limits=1)  # threads are slower on matrices of this size, and ten times so where cores are shared
def fit_prior(fields, places, *, observed: int | None = None, noise_std: float = 0.0, seed: int = 0) -> Prior:
    """The Gaussian law of training fields that makes kriging strongest.

    Lengths and nugget are those of the greatest likelihood of the standardised training fields, for each of four smoothnesses. Smoothness,
    the share of the training fields' own correlations, the reach of these, and whether mean and standard deviation are of every place or
    the same everywhere, are those whose kriging has the least CRPS on a fifth of the fields, set aside, from as many values as it will get.
    NaN are put at the mean of their place, and places that have no value at all are left out.

    Args: fields: (N, P) in the field's units, one variable; places: (P, d); observed: how many values kriging will be given, a fortieth
        of P where not said; noise_std: theirs.
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


@threadpool_limits.wrap(limits=1)
def fit_values(places, values, noise, targets, seed):
    """The law of the values alone: one mean, one standard deviation, the likeliest lengths. Args: as of `kriging`."""
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


class _Trial:
    """Kriging tried on a fifth of the training fields: from `observed` values at random places, scored at some 300 others.

    Of fewer than ten fields none is set aside: then the likelihood chooses.
    """

    def __init__(self, fields, places, observed, noise_std, rng):
        count, order = len(places), rng.permutation(len(fields))
        given = min(observed or max(count // 40, 3), 300, max(count // 2, 1))
        fitted, splits = _some(places, 130, rng), [rng.permutation(count)[: given + 300] for _ in range(3)]
        used = np.unique(np.concatenate([fitted, *splits]))
        self.fitted = np.searchsorted(used, fitted)
        self.splits = [np.split(np.searchsorted(used, split), [given]) for split in splits]
        aside = min(len(fields) // 5, 60) if len(fields) >= 10 else 0
        fields, self.places, self.noise_std = fields[:, used], places[used], noise_std
        self.held, self.kept = fields[order[:aside]], fields[order[aside:]]
        self.shown = rng.permutation(len(self.kept))[:24]
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
            distance = scipy.spatial.distance.cdist(scaled, scaled[:m])
            stationary = stationary_correlation(self.places[every], self.places[given], distance, lengths, smoothness, nugget)
            own = anomalies[:, every].T @ anomalies[:, given] / len(anomalies)
            centre, deviation = (np.broadcast_to(moment, (len(self.places),))[every, None] for moment in (mean, std))
            misfit = self.held[:, given].T + errors.T - centre[:m]
            for share, reach in [(0.0, np.inf), *((s, r) for s in SHARES for r in REACHES)]:
                mixed = stationary if share == 0 else (1 - share) * stationary + share * own * damping(distance, reach)
                covariance = deviation * mixed * deviation[:m, 0]
                factor = root(covariance[:m] + self.noise_std**2 * np.eye(m))
                gain = scipy.linalg.solve_triangular(factor, covariance[m:].T, lower=True).T
                estimate = centre[m:] + gain @ scipy.linalg.solve_triangular(factor, misfit, lower=True)
                variance = deviation[m:] ** 2
                spread = np.sqrt(np.maximum(variance - (gain**2).sum(1, keepdims=True), 1e-12 * variance))
                score = _gaussian_crps(estimate, spread, self.held[:, split[1]].T).mean()
                scores[share, reach] = scores.get((share, reach), 0.0) + score / len(self.splits)
        return scores


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
    scaled = places / spacing_of(places)
    near = scipy.spatial.cKDTree(scaled).query(scaled[patches], 12)[1].ravel()
    rest = rng.permutation(np.setdiff1d(np.arange(len(places)), near))
    near = np.unique(near)
    return np.concatenate([near, rest[: count - len(near)]])


def _gaussian_crps(mean, std, truth):
    # Closed form (Gneiting & Raftery 2007, eq. 21).
    z = (truth - mean) / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return std * (z * (2 * scipy.special.ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
