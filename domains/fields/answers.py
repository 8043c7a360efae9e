"""Classical answers to the tasks, beside which a model's are scored: the methods of `baselines` put to the problems of a domain."""

from functools import cache

import numpy as np

from domains.fields import baselines

MEMBERS = 32  # of an answer that is an ensemble
TRAINED = 512  # training samples that an answer is made of, at most


def from_points(domain, name: str, where, times, values, std) -> dict[str, np.ndarray]:
    """`kriging` of the measured variable `name`, the others by regression on it, and a `training ensemble`; `radial basis`, others at
    their mean."""
    layout, c, count = domain.layout, domain.variables.index(name), len(domain.variables)
    places, targets = _space(layout, where, times), _targets(layout)
    prior = _prior(domain, c, len(values), float(std))
    drawn = np.empty((MEMBERS, len(targets), count), np.float32)
    smooth = _mean(domain).reshape(len(targets), count)
    drawn[..., c] = baselines.kriging(places, values, std, targets, MEMBERS, prior=prior)
    smooth[:, c] = baselines.radial_basis(places, values, targets)
    for other in set(range(count)) - {c}:
        drawn[..., other] = _regression(domain, c, other).draw(drawn[..., c], MEMBERS)
    return {
        "kriging": domain.unmasked(drawn.reshape(MEMBERS, *layout.shape)),
        "radial basis": domain.unmasked(smooth.reshape(layout.shape)),
        "training ensemble": domain.unmasked(training_samples(domain)[:MEMBERS]),
    }


def filled_in(domain, truth, seen) -> dict[str, np.ndarray]:
    """`radial basis` through what is seen, variable by variable, and the `mean field`."""
    targets = _targets(domain.layout)
    found = _mean(domain)
    for c in range(truth.shape[-1]):
        there = seen[..., c].ravel()
        hidden = ~there
        known, values = targets[there], truth[..., c].ravel()[there]
        near = _near(known, targets[hidden])
        flat = truth[..., c].ravel().copy()
        flat[hidden] = baselines.radial_basis(known[near], values[near], targets[hidden])
        found[..., c] = flat.reshape(truth.shape[:-1])
    return {"radial basis": domain.unmasked(found), "mean field": domain.unmasked(_mean(domain))}


def sharpened(domain, coarse, factor: int) -> dict[str, np.ndarray]:
    """`cubic splines` through block means, whose own block means they are, and the `mean field`."""
    layout = domain.layout
    frames = (1,) if layout.frames else ()
    shape, factors = layout.shape[:-1], (*frames, *([factor] * len(layout.space)))
    columns = []
    for c in range(coarse.shape[-1]):
        weights = np.where(domain.masked[..., c], 0.0, layout.weights)
        periodic = tuple(len(frames) + i for i, dim in enumerate(layout.space) if dim in layout.periodic)
        columns.append(
            baselines.finer(coarse[..., c], shape, factors, np.broadcast_to(weights, shape), periodic=periodic)
        )
    found = np.stack(columns, -1).astype(np.float32)
    return {"cubic splines": domain.unmasked(found), "mean field": domain.unmasked(_mean(domain))}


def of_forecast(domain, truth) -> dict[str, np.ndarray]:
    """`persistence` of the last frame that is given, `regression` of later frames on it, and a `training ensemble` of frames."""
    past, frames = domain.past, len(truth)
    lasting = np.concatenate([truth[:past], baselines.persistence(truth[:past], frames - past)])
    climate = training_samples(domain)[:MEMBERS]
    times = np.arange(frames) % climate.shape[1]
    found = {"persistence": lasting.astype(np.float32), "training ensemble": domain.unmasked(climate[:, times])}
    if frames == domain.layout.frames:
        later = _forecast(domain).draw(truth[:past], MEMBERS)
        seen = np.broadcast_to(truth[:past], (MEMBERS, *truth[:past].shape))
        found["regression"] = domain.unmasked(np.concatenate([seen, later], 1))
    return found


def training_samples(domain) -> np.ndarray:
    """(N, [frames], *space, C) of at most `TRAINED` training samples in an order of chance, in physical units."""
    return _training(domain)


@cache
def _training(domain):
    data = domain.dataset("train")
    rows = np.sort(np.random.default_rng(0).permutation(len(data))[:TRAINED])
    found = np.stack([data[int(i)]["x"] for i in rows])
    return found[np.random.default_rng(1).permutation(len(found))]


@cache
def _prior(domain, c: int, observed: int, std: float):
    return baselines.fit_prior(_flat(domain, c), _targets(domain.layout), observed=observed, noise_std=std)


@cache
def _regression(domain, c: int, other: int):
    return baselines.regression(_flat(domain, c), _flat(domain, other))


@cache
def _forecast(domain):
    return baselines.forecast(training_samples(domain), domain.past, scale=domain.scales)


def _flat(domain, c: int) -> np.ndarray:
    found = training_samples(domain)[..., c]
    return found.reshape(len(found), -1)


def _mean(domain) -> np.ndarray:
    return np.array(np.broadcast_to(domain.mean_field, domain.layout.shape), np.float32)


def _targets(layout) -> np.ndarray:
    # (N, d) places of the grid points, times before space, on the sphere where the grid has latitudes and longitudes
    axes = [layout.coordinate(dim) for dim in layout.space]
    grid = np.stack([each.ravel() for each in np.meshgrid(*axes, indexing="ij")], -1)
    if not layout.frames:
        return baselines.euclidean(layout, grid)
    times = layout.step * np.arange(layout.frames)
    return _space(layout, np.tile(grid, (len(times), 1)), np.repeat(times, len(grid)))


def _space(layout, where, times) -> np.ndarray:
    found = baselines.euclidean(layout, np.asarray(where, float))
    return (
        found if times is None or not layout.frames else np.concatenate([np.asarray(times, float)[:, None], found], 1)
    )


def _near(known, targets, most: int = 4000):
    # The known places that lie nearest to a hole: the ones far away say nothing.
    centre = targets.mean(0)
    extent = np.ptp(known, axis=0)
    distance = np.sum(((known - centre) / np.where(extent > 0, extent, 1.0)) ** 2, 1)
    return np.sort(np.argsort(distance)[:most])
