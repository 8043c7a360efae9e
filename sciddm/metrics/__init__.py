"""Calibration and distance metrics that every domain shares."""

from sciddm.metrics.calibration import coverage, crps, ideal_coverage
from sciddm.metrics.distance import relative_l2, sliced_wasserstein

__all__ = ["coverage", "crps", "ideal_coverage", "relative_l2", "sliced_wasserstein"]
