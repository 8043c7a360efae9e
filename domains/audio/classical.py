"""A damaged sound by the classical methods alone: what answers are compared with, and what the network is shown as a first guess."""

import numpy as np

from domains.audio import aspade, janssen, spectral
from domains.audio.labels import runs

SHORT = 0.04  # s, of gaps that Janssen's method fills best
QUICK = {"step": 4, "every": 1, "tolerance": 0.1, "dtype": np.float32}  # A-SPADE in a tenth of the time, as near in dB, not to the ear
QUICK_SHORT = {"order": 128, "context": 0.04}  # of short gaps run into from either side, in a quarter of the time, 1 dB further off


def restored(heard, gap, side, noise, rate: float, *, onward: bool = True, quick: bool = False) -> np.ndarray:
    """(n,) of one channel: clipping by A-SPADE, gaps by autoregression, noise by a Wiener filter, in this order.

    Gaps by Janssen's method, from `SHORT` on by that which runs on from either side; where the law of a band that is not full lets the
    latter grow, by Janssen's too, and not at all as a first guess.

    Args:
      heard: (n,), whatever stands in gaps; gap: (n,) bool; side: (n,) of -1, 0 and 1, beyond which side of `heard` a sample lies.
      noise: standard deviation of white noise in what is heard, None without; rate: Hz.
      onward: whether long gaps are run into from either side; quick: with fewer turns, as a first guess.
    """
    found = np.where(gap, 0.0, np.asarray(heard, np.float64))
    if np.any(side):
        found = aspade.declip(found, side=side, rate=rate, **(QUICK if quick else {}))
    if np.any(gap):
        long = _longer(gap, SHORT * rate)
        if quick:
            filled = janssen.extrapolated(found, gap & ~long, rate=rate, **QUICK_SHORT)
        else:
            filled = janssen.fill_gaps(found, gap, rate=rate)
        if long.any() and onward:
            run_on = janssen.extrapolated(filled, long, rate=rate)
            if np.abs(run_on).max() <= 2 * np.abs(found[~gap]).max(initial=0.0):
                filled = run_on
        found = filled
    return found if noise is None else spectral.wiener(found, noise, rate=rate)


def _longer(gap, least):
    # which of it lies in gaps of so many samples or more
    found = np.zeros(len(gap), bool)
    for first, stop in runs(gap):
        found[first:stop] = stop - first >= least
    return found
