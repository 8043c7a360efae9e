"""Scores of PDE fields: errors, calibration, the equation's own residual, spectra."""

import numpy as np

from sciddm import metrics


def ensemble_metrics(spec, members, truth) -> dict[str, float]:
    """Scores of one problem's ensemble against its truth.

    Args: members: (M, n, n, C) physical; truth: (n, n, C). The point estimate is the members' mean.
    """
    mean, names, scores = members.mean(0), list(spec.variables), {}
    for i, name in enumerate(names):
        scores[f"relative L2 of {name}"] = metrics.relative_l2(mean[..., i], truth[..., i])
        scores[f"coverage of {name}"] = (
            metrics.coverage(members[..., i], truth[..., i]) if len(members) > 1 else float("nan")
        )
        scores[f"CRPS of {name}"] = crps_over_spread(members[..., i], truth[..., i])
    if is_two_phase(truth[..., 0]):
        middle = 0.5 * (truth[..., 0].min() + truth[..., 0].max())
        scores[f"sign error of {names[0]}"] = float(np.mean((mean[..., 0] > middle) != (truth[..., 0] > middle)))
    if spec.residual is not None:
        scores["residual"] = float(np.sqrt(np.mean(np.square(spec.residual(members[..., 0], members[..., 1])))))
    return scores


def crps_over_spread(members, truth) -> float:
    """CRPS over the standard deviation of truth; the mean absolute error for a single member."""
    return float(metrics.crps(members, truth) / truth.std())


def is_two_phase(field) -> bool:
    """Whether a field takes two values only, as Darcy's permeability does."""
    return len(np.unique(field)) == 2


def field_metrics(spec, samples, reference) -> dict[str, float]:
    """Scores of generated fields against data, each (N, n, n, C): distances of law, spectrum, residual.

    `spectrum` is the mean absolute difference of the logarithms of the isotropic spectra; 0 is equal.
    """
    count = min(len(samples), len(reference))
    spread = reference.std((0, 1, 2))
    scores = {"sliced Wasserstein": metrics.sliced_wasserstein(samples[:count] / spread, reference[:count] / spread)}
    for i, name in enumerate(spec.variables):
        ratio = np.log(spectrum(samples[..., i])) - np.log(spectrum(reference[..., i]))
        scores[f"spectrum of {name}"] = float(np.abs(ratio).mean())
    if spec.residual is not None:
        scores["residual"] = float(np.sqrt(np.mean(np.square(spec.residual(samples[..., 0], samples[..., 1])))))
    return scores


def spectrum(fields) -> np.ndarray:
    """Mean power by isotropic integer wavenumber 1 .. n/2, of fields as they are, with no window. fields: (N, n, n)."""
    return metrics.radial_spectrum(fields, window=None)
