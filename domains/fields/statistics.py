"""Means, spreads, extremes, masks and spectra of a file, in one pass over it that goes on where it was stopped."""

import hashlib
import json
import os
import tempfile
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from domains.fields.source import Source
from sciddm.data.reading import index_of
from sciddm.errors import UserError
from sciddm.transforms import Transform, transform

SAVED_EVERY = 10.0  # seconds
COARSEST = 0.05  # of a standard deviation that single precision may have between two numbers
SPECTRA = 512  # training frames whose spectrum is taken, at most


@dataclass
class Statistics:
    """Sums over the training frames, of each variable and point after its transform, and what is missing of every frame.

    count, total, square: (*space, names); cube, least, most, of the variable as it is: (names,); missing: (samples, times) share.
    power: (*space, names), summed, of `spectra` frames less `level`, (names,), which is nearly the mean; done: how many blocks are in it.
    """

    count: np.ndarray
    total: np.ndarray
    square: np.ndarray
    moments: np.ndarray  # (3, names): sums of x, x^2, x^3 of the variable as it is, about `centre`
    centre: np.ndarray
    least: np.ndarray
    most: np.ndarray
    missing: np.ndarray
    power: np.ndarray
    level: np.ndarray
    spectra: np.ndarray = field(default_factory=lambda: np.zeros((), int))
    done: np.ndarray = field(default_factory=lambda: np.zeros((), int))

    @property
    def mean(self) -> np.ndarray:
        """(names,) of what was transformed."""
        return _sum(self.total) / np.maximum(_sum(self.count), 1)

    @property
    def std(self) -> np.ndarray:
        """(names,) of what was transformed, over samples and points."""
        return np.sqrt(np.maximum(_sum(self.square) / np.maximum(_sum(self.count), 1) - self.mean**2, 0.0))

    @property
    def scale(self) -> np.ndarray:
        """(names,) standard deviations of the variables as they are."""
        first, second, _ = self.moments / np.maximum(_sum(self.count), 1)
        return np.sqrt(np.maximum(second - first**2, 0.0))

    @property
    def skewness(self) -> np.ndarray:
        """(names,) of the variables as they are."""
        first, second, third = self.moments / np.maximum(_sum(self.count), 1)
        variance = second - first**2
        return (third - 3 * first * second + 2 * first**3) / np.maximum(variance, 1e-300) ** 1.5

    @property
    def mean_field(self) -> np.ndarray:
        """(*space, names) of what was transformed; the variable's mean where there is nothing."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), self.mean)

    @property
    def std_field(self) -> np.ndarray:
        """(*space, names) of what was transformed, over samples."""
        n = np.maximum(self.count, 1)
        return np.sqrt(np.maximum(self.square / n - (self.total / n) ** 2, 0.0))


def measure(source: Source, transforms: Sequence[str], cache, *, spectrum: bool) -> Statistics:
    """The statistics of a file, kept in `cache` while they are made and afterwards.

    Args: transforms: of `source.names`, as `sciddm.transforms` names them; spectrum: whether the fields' own is wanted.
    Raises: UserError that names the variable and the index of a value outside of its transform's range, or of a variable that is constant.
    """
    path = Path(cache).expanduser() / f"fields-statistics-{_digest(source, transforms, spectrum)}.npz"
    found, made = _load(path) or _empty(source), [transform(name) for name in transforms]
    trained = _trained(source)
    every = max(int(trained.sum()) // SPECTRA, 1)
    saved = clock.monotonic()
    for (samples, times), values in source.blocks("statistics", int(found.done)):
        _add(found, source, made, samples, times, values, trained, every if spectrum else 0)
        found.done = found.done + 1
        if clock.monotonic() - saved > SAVED_EVERY:
            _save(path, found)
            saved = clock.monotonic()
    _save(path, found)
    _check_spread(source, found)
    return found


def _check_spread(source, found) -> None:
    mean = found.centre + found.moments[0] / np.maximum(_sum(found.count), 1)
    steps = np.maximum(np.spacing(np.abs(mean).astype(np.float32)), np.finfo(np.float32).tiny)
    for name, count, std, scale, step, about in zip(source.names, _sum(found.count), found.std, found.scale, steps, mean, strict=True):
        where = f"{source.fields.source}: variable {name!r}"
        if not count:
            raise UserError(f"{where} has no value in the training split; leave it out")
        if not std > 0 or not scale > 0:
            raise UserError(f"{where} is constant over the training split, in single precision; expected fields that vary")
        if step > COARSEST * scale:
            raise UserError(
                f"{where} varies by {scale:.3g} about {about:.8g}, where single precision has steps of {step:.3g}; subtract a constant "
                "from it in the file, or give it in other units"
            )


def _add(found, source, made, samples, times, values, trained, every):
    space = tuple(range(2, values.ndim - 1))
    n = len(source.plan.layout.variables)
    found.missing[samples, times] = np.isnan(values[..., :n]).mean((*space, -1))
    _check_range(source, made, samples, times, values)
    here = trained[samples, times]
    rows = values[here].astype(np.float64)
    if not len(rows):
        return
    there = ~np.isnan(rows)
    for c, one in enumerate(made):
        x, seen = rows[..., c], there[..., c]
        if not found.done and seen.any():
            found.centre[c] = x[seen].mean()
        centre, count = found.centre[c], seen.sum(0)
        about = x - centre
        if not count.min() == len(x):
            about[~seen] = 0.0
        square, sums = about * about, about.sum(0)
        squares = square.sum(0)
        found.count[..., c] += count
        found.moments[:, c] += [sums.sum(), squares.sum(), np.vdot(square, about)]
        if one.is_identity:  # no second pass: this reads files of many gigabytes
            y = x
            found.total[..., c] += sums + count * centre
            found.square[..., c] += squares + 2 * centre * sums + count * centre**2
        else:
            y = np.where(seen, one.forward(np.where(seen, x, _inside(one))), 0.0)
            found.total[..., c] += y.sum(0)
            found.square[..., c] += (y * y).sum(0)
        if seen.any():
            found.least[c], found.most[c] = min(found.least[c], np.nanmin(x)), max(found.most[c], np.nanmax(x))
        if every:
            if not found.spectra and seen.any():
                found.level[c] = y[seen].mean()
            for row, mask in zip(y[::every], seen[::every], strict=True):
                found.power[..., c] += _power(np.where(mask, row - found.level[c], 0.0), source.plan.layout)
    if every:
        found.spectra = found.spectra + len(rows[::every])


def _check_range(source, made, samples, times, values) -> None:
    # Of what is held out, too, which is compared with samples after its transform.
    for c, (name, one) in enumerate(zip(source.names, made, strict=True)):
        if one.is_identity:
            continue
        x = values[..., c].astype(np.float64)
        outside = ~np.isnan(x) & ~((x > one.low) & (x < one.high))
        if outside.any():
            sample, time, *place = index_of(outside)
            raise UserError(
                f"{source.fields.source}: variable {name!r} is {x[outside][0]:g} at sample {sample + samples.start}, time "
                f"{time + times.start}, point {tuple(place)}, outside of its transform's range ({one.low:g}, {one.high:g}); widen it by "
                "its options, such as log(offset=1.0), or take another"
            )


def _power(row, layout) -> np.ndarray:
    # Power at the frequencies of `noise.spectral`: of a Fourier transform where all of space wraps around, else of cosines.
    import scipy.fft

    if set(layout.periodic) == set(layout.space):
        return np.abs(np.fft.fftn(row, norm="ortho")) ** 2
    return scipy.fft.dctn(row, norm="ortho") ** 2


def _trained(source) -> np.ndarray:
    # (samples, times): which frames are in a window of the training split.
    found = np.zeros((source.samples, len(source.times)), bool)
    rows = source.rows("train")
    for shift in range(source.length):
        found[rows[:, 0], rows[:, 1] + shift] = True
    return found


def _empty(source) -> Statistics:
    names, shape = len(source.names), (*source.plan.layout.grid, len(source.names))
    zeros = [np.zeros(shape) for _ in range(4)]
    return Statistics(
        *zeros[:3], np.zeros((3, names)), np.zeros(names), np.full(names, np.inf), np.full(names, -np.inf),
        np.zeros((source.samples, len(source.times)), np.float32), zeros[3], np.zeros(names),
    )  # fmt: skip


def _digest(source, transforms, spectrum) -> str:
    files = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in source.fields.files]
    layout = source.plan.layout
    asked = [
        files,
        source.names,
        layout.space,
        layout.sample,
        layout.time,
        layout.frames,
        layout.periodic,
        spectrum,
        source.held_out,
        source.stride,
    ]
    asked += [dict(source.units)] if source.units else []
    asked += [{dim: str(part) for dim, part in source.plan.slices.items()}, dict(source.plan.factors)]
    return hashlib.sha256(json.dumps([asked, list(transforms)], default=str).encode()).hexdigest()[:24]


def _inside(one: Transform) -> float:
    # some number that it takes, in the place of one that is missing
    return (
        one.low + 1.0 if one.high == np.inf and one.low > -np.inf else 0.5 * (max(one.low, -1.0) + min(one.high, 2.0))
    )


def _save(path: Path, found: Statistics) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
            np.savez(file, **{one.name: getattr(found, one.name) for one in fields(found)})
        os.replace(file.name, path)
    except OSError as error:
        raise UserError(f"{path}: statistics can't be kept ({error.strerror}); --config.data.cache=cache is another place") from error


def _load(path: Path) -> Statistics | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Statistics(**{one.name: stored[one.name] for one in fields(Statistics)})
    except (OSError, ValueError, KeyError, EOFError):
        return None  # there is none, or a broken one, which is made again


def _sum(values) -> np.ndarray:
    return values.reshape(-1, values.shape[-1]).sum(0)
