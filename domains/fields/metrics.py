"""Scores of gridded fields in their own units, NaN and masked points left out, areas weighted where the grid has latitudes."""

import numpy as np

from domains.fields.layout import Layout
from sciddm import metrics

FLOOR = 1e-10  # of the power of all scales: less than that is rounding


def ensemble_scores(layout: Layout, members, truth, scales=None) -> dict[str, float]:
    """Scores of an ensemble against its truth, of every variable in its units.

    CRPS: fair in the number of members, the absolute error of one; RMSE: of the members' mean; spread/skill: 1 is honest, below is
    overconfident; coverage/ideal: the share of truths between the least and the greatest member, over the (M - 1)/(M + 1) that an honest
    ensemble has, so 1 is honest again; energy score: of all variables together, each over its scale, a vector counted by its root
    mean square. Spread/skill and coverage need two members at least, and are NaN for one.

    members: (M, [frames], *space, C); truth: ([frames], *space, C); scales: (C,), such as standard deviations of the training data, those
    of the truth where not said.
    """
    members, truth = _without(layout, members), _without(layout, truth)
    weights = np.broadcast_to(layout.weights, truth.shape[:-1])
    scores, scaled = {}, []
    for i, name in enumerate(layout.variables):
        x, y = members[..., i], truth[..., i]
        there = np.isfinite(y) & np.isfinite(x).all(0)
        x, y, w = x[:, there], y[there], weights[there]
        if len(w):
            w = w / w.mean()
        # CRPS and root mean squares are homogeneous, so that weights go in with the values.
        root, units = np.sqrt(w), layout.units(name)
        scores[f"CRPS of {name} [{units}]"] = _number(metrics.crps, w * x, w * y)
        scores[f"RMSE of {name} [{units}]"] = float(np.sqrt(np.mean(w * (x.mean(0) - y) ** 2))) if len(y) else np.nan
        scores[f"spread/skill of {name}"] = _number(metrics.spread_skill, root * x, root * y)
        scores[f"coverage/ideal of {name}"] = _coverage(x, y, w)
        if scales is not None:
            std = float(scales[i])
        else:
            std = np.sqrt(np.average((y - np.average(y, weights=w)) ** 2, weights=w)) if len(y) else 0.0
        scaled.append((root * x / (std or 1.0), root * y / (std or 1.0)))
    x, y = (np.concatenate(parts, -1) for parts in zip(*scaled, strict=True))
    scores["energy score"] = _number(metrics.energy_score, x / np.sqrt(max(len(y), 1)), y / np.sqrt(max(len(y), 1)))
    return scores


def sample_scores(layout: Layout, samples, reference) -> dict[str, float]:
    """Is what is generated like the data? Scores of generated fields against data, each (N, [frames], *space, C); 0 is equal.

    Mean and standard deviation: root mean square over the points of how far those over the samples are apart; quantiles: of all points
    and samples together; spectrum: mean over the scales of |10 log10 ratio of powers|; sliced Wasserstein: of whole fields, each variable
    over its standard deviation, sets cut to the smaller one. As many data that were held out score what is attainable.
    """
    samples, reference = _without(layout, samples), _without(layout, reference)
    weights = np.broadcast_to(layout.weights, reference.shape[1:-1])
    scores, flat = {}, []
    for i, name in enumerate(layout.variables):
        ours, theirs, units = samples[..., i], reference[..., i], layout.units(name)
        there = np.isfinite(ours).all(0) & np.isfinite(theirs).all(0)
        if not there.any():
            continue
        x, y, w = ours[:, there], theirs[:, there], weights[there]
        for moment, of in (("mean", np.mean), ("std", np.std)):
            apart = np.sqrt(np.average((of(x, axis=0) - of(y, axis=0)) ** 2, weights=w))
            scores[f"{moment} error of {name} [{units}]"] = float(apart)
        for share in (0.01, 0.99):
            apart = _quantile(x, share, w) - _quantile(y, share, w)
            scores[f"{100 * share:g} % quantile error of {name} [{units}]"] = float(abs(apart))
        power, of_data = (spectrum(layout, z) for z in (ours, theirs))
        scores[f"spectrum error of {name} [dB]"] = float(np.abs(10 * np.log10(power / of_data)).mean()) if len(power) else np.nan
        flat.append([z / (y.std() or 1.0) for z in (x, y)])
    if flat:
        count = min(len(samples), len(reference))
        pair = (np.concatenate(parts, -1)[:count] for parts in zip(*flat, strict=True))
        scores["sliced Wasserstein"] = metrics.sliced_wasserstein(*pair)
    return scores


def spectrum(layout: Layout, fields) -> np.ndarray:
    """Mean power of fields (..., *space) a mode, by the wavenumber's distance from 0 in cycles a point: rings as wide as the first is
    far, up to half a cycle. Axes that do not wrap around have a Hann window; points without a value are at the mean, and have no power.
    """
    axes, grid = tuple(range(-len(layout.grid), 0)), layout.grid
    window = np.ones(grid)
    for axis, (dim, n) in enumerate(zip(layout.space, grid, strict=True)):
        if dim not in layout.periodic and n > 3:
            hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
            window = window * hann.reshape([-1 if i == axis else 1 for i in range(len(grid))])
    fields = np.asarray(fields, np.float64).reshape(-1, *grid)
    there = np.isfinite(fields)
    weight = np.where(there, window, 0.0)
    values = np.where(there, fields, 0.0)
    mean = (weight * values).sum(axes, keepdims=True) / np.maximum(weight.sum(axes, keepdims=True), 1e-12)
    power = np.abs(np.fft.fftn(weight * (values - mean), axes=axes)) ** 2
    power = power.mean(0) / (np.prod(grid) ** 2 * np.mean(window**2))
    wavenumbers = np.meshgrid(*[np.fft.fftfreq(n) for n in grid], indexing="ij")
    ring = np.rint(np.sqrt(sum(k**2 for k in wavenumbers)) * max(grid)).astype(int).ravel()
    modes = np.bincount(ring)
    found = np.bincount(ring, power.ravel()) / np.maximum(modes, 1)
    last = max(grid) // 2 + 1
    return np.maximum(found[1:last], FLOOR * max(power.sum(), 1e-300))[modes[1:last] > 0]


def ranks(members, truth, weights=None, seed: int = 0) -> np.ndarray:
    """How often the truth has each of the ranks 0 .. M among the members: flat if they are exchangeable.

    members: (M, ...); truth: (...); weights: broadcastable to truth, each entry then counts as much. Among ties the rank is uniform at
    random. Returns: (M + 1,) float.
    """
    members, truth = np.asarray(members), np.asarray(truth)
    if weights is None:
        return metrics.rank_histogram(members, truth, seed).values.astype(float)
    there = np.isfinite(truth) & np.isfinite(members).all(0)
    x, y = members[:, there], truth[there]
    rank = (x < y).sum(0) + np.random.default_rng(seed).integers(0, (x == y).sum(0) + 1)
    return np.bincount(rank, np.broadcast_to(weights, truth.shape)[there], minlength=len(members) + 1)


def _without(layout, x):
    # As float64, with NaN where there are no values.
    x = np.asarray(x, np.float64)
    return x if layout.masked is None else np.where(layout.masked, np.nan, x)


def _number(score, members, truth):
    return float(score(members, truth)) if truth.size else np.nan


def _coverage(members, truth, weights):
    if len(members) < 2 or not len(truth):
        return np.nan
    inside = (truth >= members.min(0)) & (truth <= members.max(0))
    return float(np.average(inside, weights=weights) / metrics.ideal_coverage(len(members), 1.0))


def _quantile(x, share, weights):
    weights = np.broadcast_to(weights, x.shape)
    if np.ptp(weights) == 0:
        return np.quantile(x, share)
    return np.quantile(x.ravel(), share, weights=weights.ravel(), method="inverted_cdf")
