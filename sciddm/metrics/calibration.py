"""Is the spread of an ensemble honest?"""

import numpy as np
import xarray as xr


def coverage(members, truth, level: float = 0.9) -> float:
    """Share of entries of truth inside the central interval of the members.

    Args: members: (M, ...); truth: (...), same units; level: of the interval, whose ends are linearly interpolated quantiles.
    """
    low, high = np.quantile(members, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return float(np.mean((truth >= low) & (truth <= high)))


def ideal_coverage(members: int, level: float = 0.9) -> float:
    """What `coverage` gives for a perfect ensemble of this size: level (M - 1) / (M + 1), as the k-th of M draws lies at k / (M + 1)."""
    return level * (members - 1) / (members + 1)


def crps(members, truth) -> float:
    """Mean continuous ranked probability score, fair in the number of members, in the units of truth; by the package `scores`.

    CRPS = E|X - y| - E|X - X'| / 2                                        (Ferro 2014, fair estimator)
    Args: members: (M, ...), M >= 2; truth: (...).
    """
    from scores.probability import crps_for_ensemble  # loads pandas, half a second that only evaluation should pay

    flat = np.reshape(members, (len(members), -1))
    forecast, observed = xr.DataArray(flat, dims=("member", "point")), xr.DataArray(np.ravel(truth), dims=("point",))
    return float(crps_for_ensemble(forecast, observed, ensemble_member_dim="member", method="fair"))
