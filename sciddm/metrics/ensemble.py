"""Is an ensemble right, and is its spread honest?

Everywhere: `forecast` has a dimension "member", `observed` has the others, in the same units. An entry that is NaN in the observation
or in any member is left out of every score. An exceedance is >=. `by` names the dimensions to keep, () for one number.
Plain arrays do too, members (M, ...) and truth (...), their dimensions called axis_1, axis_2, ...; one number is a float then.

Convention: CRPS, energy score and Brier score are fair in the number of members, that is what an ensemble of any size from the same law
would get, unless the name of the result says otherwise ("ecdf": what these M members get). One member has the absolute error.
"""

import math

import numpy as np
import scipy
import xarray as xr

from sciddm.errors import UserError
from sciddm.metrics.pairs import names, others, scored

LARGEST = 2**24  # entries of a forecast that are scored at once
ESTIMATORS = ("fair", "ecdf")


@scored
def crps(forecast, observed, by=(), estimator: str = "fair"):
    """Mean continuous ranked probability score, in the units of the observation; of one member the absolute error.

    CRPS = mean_i |x_i - y| - sum_ij |x_i - x_j| / 2K,   K = M (M - 1) if fair, M^2 if ecdf                   (Ferro 2014)
    Args: estimator: "fair" or "ecdf".  Raises: UserError for another.
    """
    from scores.probability import crps_for_ensemble  # loads pandas, half a second that only evaluation should pay

    name, over = _named("CRPS", forecast, estimator), others(observed, by)
    if forecast.sizes["member"] == 1:
        return abs(forecast.isel(member=0, drop=True) - observed).mean(over).rename("absolute error")
    each = _in_pieces(
        lambda f, o: crps_for_ensemble(f, o, "member", method=estimator, preserve_dims="all"), forecast, observed
    )
    return each.mean(over).rename(name)


@scored
def energy_score(forecast, observed, over=None, by=(), estimator: str = "fair"):
    """Mean energy score of vectors, in their units: the CRPS of more than one dimension; of one member the norm of its error.

    ES = mean_i |x_i - y| - sum_ij |x_i - x_j| / 2K,   K = M (M - 1) if fair, M^2 if ecdf           (Gneiting & Raftery 2007)
    Entries that are left out shorten their vector; a vector without entries counts nowhere. M^2 / 2 distances a vector.

    Args: over: names of the dimensions that form the vector, None for all but `by`; estimator: "fair" or "ecdf".
    Raises: UserError for another estimator, or a dimension that is both of the vector and kept.
    """
    name, count = _named("energy score", forecast, estimator), forecast.sizes["member"]
    over = others(observed, by) if over is None else names(over)
    apart, kept = others(observed, over), names(by)
    if set(kept) & set(over):
        raise UserError(f"over and by share {sorted(set(kept) & set(over))}")
    number, length = (math.prod(observed.sizes[d] for d in dims) for dims in (apart, over))
    x = forecast.transpose(*apart, "member", *over).values.reshape(number, count, length)
    y = observed.transpose(*apart, *over).values.reshape(number, 1, length)
    pairs = {"fair": max(count * (count - 1), 1), "ecdf": count**2}[estimator]
    scores = np.full(number, np.nan)
    for i, there in enumerate(~np.isnan(y[:, 0])):
        if there.any():
            members, truth = x[i][:, there], y[i][:, there]
            scores[i] = scipy.spatial.distance.cdist(members, truth).mean() - scipy.spatial.distance.pdist(members).sum() / pairs
    each = observed.isel({d: 0 for d in over}, drop=True).copy(data=scores.reshape([observed.sizes[d] for d in apart]))
    return each.mean(others(each, by)).rename(name if count > 1 else "norm of the error")


@scored
def spread_skill(forecast, observed, by=()):
    """Spread over skill: sqrt((M + 1)/M <variance>) / sqrt(<(mean - y)^2>), variance over M - 1, <.> over all but `by`.

    1 if truth and members are exchangeable, since then E(mean - y)^2 = (1 + 1/M) E variance; below 1 is overconfident.
    NaN for a single member. (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1)
    """
    count, over = forecast.sizes["member"], others(observed, by)
    if count == 1:
        return (observed.mean(over) * np.nan).rename("spread/skill")
    variance = (1 + 1 / count) * forecast.var("member", ddof=1).mean(over)
    error = ((forecast.mean("member") - observed) ** 2).mean(over)
    return np.sqrt(variance / error).rename("spread/skill")


@scored
def coverage(forecast, observed, level: float = 0.9, by=()):
    """Share of the observations inside the central interval of the members.

    The ends are members themselves, the nearest outside the quantiles: so what a perfect ensemble scores, `ideal_coverage`,
    does not depend on the law.

    Args: level: of the interval.
    """
    low, high = _ranks(forecast.sizes["member"], level)
    ordered = forecast.copy(data=np.sort(forecast.values, axis=0))
    low, high = (ordered.isel(member=rank, drop=True) for rank in (low, high))
    inside = ((observed >= low) & (observed <= high)).astype(float)
    return inside.where(observed.notnull()).mean(others(observed, by)).rename(f"coverage of {level:g}")


def ideal_coverage(members: int, level: float = 0.9) -> float:
    """What `coverage` gives for a perfect ensemble of this size: ranks apart / (M + 1), 0.78 for 8 members and level 0.9."""
    low, high = _ranks(members, level)
    return (high - low) / (members + 1)


@scored
def rank_histogram(forecast, observed, seed: int = 0):
    """How often the truth has each of the ranks 0..M among the members: flat if they are exchangeable. (rank,) counts.

    Among ties (dry pixels, mostly) the rank is uniform at random, the same for the same seed.
    """
    below, tied = (forecast < observed).sum("member"), (forecast == observed).sum("member")
    seen = observed.notnull().values
    draw = np.random.default_rng(seed).integers(0, tied.values[seen] + 1)
    counts = np.bincount(below.values[seen] + draw, minlength=forecast.sizes["member"] + 1)
    return xr.DataArray(counts, dims="rank", coords={"rank": np.arange(len(counts))}, name="rank histogram")


@scored
def reliability(forecast, observed, threshold: float, bins: int = 10):
    """Observed frequency against forecast probability of >= threshold, in equal bins of probability, the last one closed.

    Returns: Dataset over `bin`: probability (mean forecast within the bin), frequency (NaN where empty), count.
    """
    seen = observed.notnull().values
    p, y = (exceedance_probability(z, threshold).values[seen].astype(np.float64) for z in (forecast, observed))
    place = np.minimum((p * bins + 1e-5).astype(int), bins - 1)  # 14/20 belongs to [.7, .8) whatever its last bit
    count, forecasts, events = (np.bincount(place, w, minlength=bins) for w in (np.ones_like(p), p, y))
    empty = np.where(count > 0, count, np.nan)
    return xr.Dataset(
        {
            "probability": ("bin", forecasts / empty),
            "frequency": ("bin", events / empty),
            "count": ("bin", count.astype(int)),
        },
        attrs={
            "threshold": threshold,
            "members": forecast.sizes["member"],
            "base rate": float(y.mean()) if y.size else np.nan,
        },
    )


@scored
def brier(forecast, observed, threshold: float, by=()):
    """Brier score of >= threshold, fair in the number of members: <(p - o)^2 - p (1 - p)/(M - 1)>.       (Ferro 2014)

    Of one member (p - o)^2, and the name does not say fair.
    """
    from scores.probability import brier_score_for_ensemble

    over, fair = others(observed, by), forecast.sizes["member"] > 1
    options = {"preserve_dims": "all", "fair_correction": fair}
    each = _in_pieces(
        lambda f, o: brier_score_for_ensemble(f, o, "member", threshold, **options).squeeze("threshold"),
        forecast,
        observed,
    )
    return each.mean(over).rename("Brier score, fair" if fair else "Brier score")


def exceedance_probability(forecast, threshold: float):
    """Share of the members with a value >= threshold; of a DataArray without members its 0 or 1. NaN where any is missing.

    Args: forecast: DataArray, or members (M, ...), whose probability is an array (...).
    """
    if not isinstance(forecast, xr.DataArray):
        forecast = np.asarray(forecast)
        missing = np.isnan(forecast).any(0)
        return np.where(missing, np.nan, (forecast >= threshold).mean(0, dtype=np.float32))
    exceeds = (forecast >= threshold).astype(np.float32).where(forecast.notnull())
    return exceeds.mean("member", skipna=False) if "member" in forecast.dims else exceeds


def _named(score, forecast, estimator):
    if estimator not in ESTIMATORS:
        raise UserError(f"estimator: expected one of {ESTIMATORS}, got {estimator!r}")
    return f"{score} {estimator}"


def _ranks(members, level):
    tail = (members - 1) * (0.5 - level / 2)
    return math.floor(tail), members - 1 - math.floor(tail)


def _in_pieces(score, forecast, observed):
    # The package holds several copies of what it is given, so large ensembles go through it a stretch of the first dimension at a time.
    if forecast.size <= LARGEST or not observed.dims:
        return score(forecast, observed)
    along, length = observed.dims[0], observed.sizes[observed.dims[0]]
    step = max(1, length * LARGEST // forecast.size)
    pieces = [{along: slice(i, i + step)} for i in range(0, length, step)]
    return xr.concat([score(forecast.isel(piece), observed.isel(piece)) for piece in pieces], along)
