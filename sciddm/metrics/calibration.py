"""Is the spread of an ensemble honest?"""

import math

import numpy as np
import xarray as xr


def coverage(members, truth, level: float = 0.9) -> float:
    """Share of entries of truth inside the central interval of the members.

    The ends are members themselves, the nearest outside the quantiles: so what a perfect ensemble scores, `ideal_coverage`,
    does not depend on the law.

    Args: members: (M, ...); truth: (...), same units; level: of the interval.
    """
    low, high = _ranks(len(members), level)
    ordered = np.sort(members, axis=0)
    return float(np.mean((truth >= ordered[low]) & (truth <= ordered[high])))


def ideal_coverage(members: int, level: float = 0.9) -> float:
    """What `coverage` gives for a perfect ensemble of this size: ranks apart / (M + 1), 0.78 for 8 members and level 0.9."""
    low, high = _ranks(members, level)
    return (high - low) / (members + 1)


def _ranks(members, level):
    tail = (members - 1) * (0.5 - level / 2)
    return math.floor(tail), members - 1 - math.floor(tail)


def crps(members, truth) -> float:
    """Mean continuous ranked probability score, fair in the number of members, in the units of truth; by the package `scores`.

    CRPS = E|X - y| - E|X - X'| / 2                                        (Ferro 2014, fair estimator)
    Args: members: (M, ...), M >= 2; truth: (...).
    """
    from scores.probability import crps_for_ensemble  # loads pandas, half a second that only evaluation should pay

    flat = np.reshape(members, (len(members), -1))
    forecast, observed = xr.DataArray(flat, dims=("member", "point")), xr.DataArray(np.ravel(truth), dims=("point",))
    return float(crps_for_ensemble(forecast, observed, ensemble_member_dim="member", method="fair"))
