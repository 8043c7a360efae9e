"""Scores of ensembles, spectra and distances that every domain shares; of DataArrays and of plain arrays."""

from sciddm.metrics.distance import relative_l2, sliced_wasserstein
from sciddm.metrics.ensemble import (
    brier,
    coverage,
    crps,
    energy_score,
    exceedance_probability,
    ideal_coverage,
    rank_histogram,
    reliability,
    spread_skill,
)
from sciddm.metrics.spectrum import radial_spectrum, spectrum_error_dB

__all__ = [
    "brier",
    "coverage",
    "crps",
    "energy_score",
    "exceedance_probability",
    "ideal_coverage",
    "radial_spectrum",
    "rank_histogram",
    "relative_l2",
    "reliability",
    "sliced_wasserstein",
    "spectrum_error_dB",
    "spread_skill",
]
