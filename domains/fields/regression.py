"""Linear regression between principal components: later frames from given ones, fine fields from coarse ones, a variable from another."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

COMPONENTS = 96  # of what is given, at most, and of what is wanted
WANTED = 256
PENALTIES = np.logspace(-3, 5, 17)  # of the ridge, on scores whose mean variance is 1


@dataclass(frozen=True, eq=False)
class Regression:
    """wanted = mean + map (given - mean of given) + an error, drawn from those that fields set aside had.

    given_mean: (P,); basis: (P, k) of the components of what is given; slope: (k, Q); mean: (Q,); errors: (N, Q) of fields that the map
    was not fitted to; score: their root mean square, each entry of what is wanted over its standard deviation.
    """

    given_mean: np.ndarray
    basis: np.ndarray
    slope: np.ndarray
    mean: np.ndarray
    errors: np.ndarray
    score: float

    def estimate(self, given) -> np.ndarray:
        """(..., Q) for given (..., P)."""
        return self.mean + (np.asarray(given, float) - self.given_mean) @ self.basis @ self.slope

    def draw(self, given, members: int, seed: int = 0) -> np.ndarray:
        """(members, Q) for given (P,), or for one (members, P) each, such as draws of kriging."""
        rng = np.random.default_rng(seed)
        rows = np.concatenate([rng.permutation(len(self.errors)) for _ in range(-(-members // len(self.errors)))])[:members]
        return self.estimate(given) + self.errors[rows]


@threadpool_limits.wrap(limits=1)  # threads are slower on matrices of this size, and ten times so where cores are shared
def regression(given, wanted, *, scale=None, seed: int = 0) -> Regression:
    """The ridge regression of wanted (N, Q) on given (N, P) training fields, between their principal components.

    The penalty of each component of what is wanted is the one of the least error of leaving one out; where nothing can be predicted it
    leaves the mean. Errors are those of five parts of the fields in turn, each by the map of the other four. NaN are put at the mean.

    Args: scale: (P,) by which what is given is divided first, for variables of different units; its standard deviations where not said.
    """
    from sklearn.decomposition import PCA  # loads slowly, and only this needs it

    given, wanted = (_without_nan(np.asarray(z, np.float64)) for z in (given, wanted))
    spread = given.std(0)
    scale = np.where(spread > 0, spread, 1.0) if scale is None else np.broadcast_to(scale, spread.shape)
    folds = np.random.default_rng(seed).permutation(len(given)) % 5
    wide = PCA(min(WANTED, len(wanted) - 1, wanted.shape[1]), svd_solver=_solver(wanted), random_state=0).fit(wanted)
    targets, errors = wide.transform(wanted), np.empty_like(wanted)
    for fold in range(5):
        aside = folds == fold
        given_mean, basis, slope, mean = _ridge(given[~aside], targets[~aside], scale)
        errors[aside] = wanted[aside] - wide.inverse_transform(mean + (given[aside] - given_mean) @ basis @ slope)
    given_mean, basis, slope, mean = _ridge(given, targets, scale)
    spread = wanted.std(0)
    there = spread > 1e-9 * spread.max()
    score = float(np.sqrt(np.mean((errors[:, there] / spread[there]) ** 2))) if there.any() else 0.0
    return Regression(given_mean, basis, slope @ wide.components_, wide.inverse_transform(mean[None])[0], errors, score)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Later frames from given ones. lasting: whether `regression` is of how they differ from the last given frame."""

    regression: Regression
    lasting: bool

    def draw(self, first_frames, members: int, seed: int = 0) -> np.ndarray:
        """(members, frames to come, ...) for the given frames (past, ...), in units of the fields; NaN where the last of them is NaN."""
        first_frames = np.asarray(first_frames, float)
        given, last = first_frames.ravel(), first_frames[-1]
        drawn = self.regression.draw(np.where(np.isnan(given), self.regression.given_mean, given), members, seed)
        drawn = drawn.reshape(members, -1, *last.shape)
        return np.where(np.isnan(last), np.nan, drawn + (last if self.lasting else 0.0))


def forecast(windows, past: int, *, scale=1.0, seed: int = 0) -> Forecast:
    """The regression of the frames after `past` on those before, in training windows (N, frames, ...).

    Where nothing can be predicted a regression gives its mean: the climate's, or, of the difference from the last given frame,
    persistence with the climate's drift. The one of the smaller error on windows set aside is taken.

    Args: scale: broadcastable to (past, ...), such as a standard deviation for each variable.
    """
    windows = np.asarray(windows, np.float64)
    given = windows[:, :past].reshape(len(windows), -1)
    scale = np.broadcast_to(scale, windows.shape[2:])
    tried = {}
    for lasting in (False, True):
        wanted = windows[:, past:] - (windows[:, past - 1 : past] if lasting else 0.0)
        found = regression(given, wanted.reshape(len(windows), -1), scale=np.tile(scale.ravel(), past), seed=seed)
        error = np.mean((found.errors.reshape(wanted.shape) / scale) ** 2)
        tried[lasting] = error, Forecast(found, lasting)
    return min(tried.values(), key=lambda pair: pair[0])[1]


def _ridge(given, targets, scale):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV

    count = max(min(COMPONENTS, len(given) // 3, given.shape[1]), 1)
    narrow = PCA(count, svd_solver=_solver(given), random_state=0).fit(given / scale)
    scores = narrow.transform(given / scale)
    size = np.sqrt(scores.var(0).mean()) or 1.0
    ridge = RidgeCV(PENALTIES, alpha_per_target=True).fit(scores / size, targets)
    slope, mean = np.reshape(ridge.coef_, (-1, count)).T / size, np.reshape(ridge.intercept_, -1)
    return narrow.mean_ * scale, narrow.components_.T / scale[:, None], slope, mean


def _solver(fields):
    # Of many entries, the leading components by random projection, which is a hundred times less work.
    return "full" if min(fields.shape) <= 100 else "randomized"


def _without_nan(fields):
    missing = np.isnan(fields)
    if not missing.any():
        return fields
    there = np.maximum((~missing).sum(0), 1)
    return np.where(missing, np.where(missing, 0.0, fields).sum(0) / there, fields)
