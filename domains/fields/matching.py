"""How an axis of a file lies to one of a model's grid: the same points, in any order, blocks of them, or neither."""

from dataclasses import dataclass

import numpy as np

from domains.fields.layout import Layout, is_longitude
from sciddm.errors import UserError

ALIKE = 0.02  # of a step that two coordinates may differ by, and still be the same


@dataclass(frozen=True, eq=False)
class Match:
    """factor: points of the model in one of the file; order: which of the file's entries comes first, second, ... in the model's order, -1
    where the file has none."""

    factor: int
    order: np.ndarray

    @property
    def partial(self) -> bool:
        """Whether the file ends within the model's grid."""
        return bool((self.order < 0).any())

    def laid(self, values: np.ndarray, axis: int) -> np.ndarray:
        """`values` in the model's order along an axis, NaN where the file has none."""
        values = np.take(values, self.order, axis)
        return np.where(np.expand_dims(self.order < 0, [i for i in range(values.ndim) if i != axis]), np.nan, values).astype(values.dtype)


def match(layout: Layout, dim: str, coordinate: np.ndarray | None, size: int, where: str) -> Match | None:
    """How `size` entries along `dim` lie to the model's grid; None: at places of their own.

    coordinate: (size,) in the model's units, None: the file has none, so that only sizes tell. A last block may be smaller. Neighbours
    that cover a part of the grid alone, two at least, lie on it, too.
    Raises: UserError where they are no whole number of points, or not all different.
    """
    own = layout.coordinate(dim)
    n = len(own)
    if coordinate is None or dim not in layout.header.coords or layout.header[dim].dtype.kind not in "iuf":
        if size == n or n % size == 0:
            return Match(n // size, np.arange(size))
        raise UserError(
            f"{where}: {size} points along {dim}, which are neither the model's {n} nor a whole number of them each; expected {n}, or a "
            f"coordinate {dim!r} that says where they lie"
        )
    coordinate = np.asarray(coordinate, float)
    if not np.isfinite(coordinate).all() or len(np.unique(coordinate)) < size:
        raise UserError(f"{where}: coordinate {dim!r} is missing or the same at two points; expected a number of its own for each")
    if n == 1:
        return Match(1, np.zeros(1, int)) if size == 1 else None
    step = float(np.abs(np.diff(own)).min())
    if size == 1 and np.abs(own - coordinate[0]).min() <= ALIKE * step:
        return None  # a slice at a point of the model, also where this is the middle of all
    around = 360.0 if dim in layout.header.coords and is_longitude(dim, layout.header[dim].attrs) else None
    for factor in range(1, n + 1):
        if -(-n // factor) == size:
            for centres in block_centres(own, factor):
                order = _order(centres, coordinate, ALIKE * step * factor, around)
                if order is not None:
                    return Match(factor, order)
    for factor in range(1, n // 2 + 1) if size > 1 else ():
        for centres in block_centres(own, factor):
            order = _part(centres, coordinate, ALIKE * step * factor, around)
            if order is not None:
                return Match(factor, order)
    _refuse_uneven(own, coordinate, step, where, dim)
    return None


def block_centres(own: np.ndarray, factor: int) -> tuple[np.ndarray, ...]:
    """Where blocks of `factor` points lie: at the means of their coordinates; and as if the last one were whole."""
    first = np.arange(0, len(own), factor)
    means = np.add.reduceat(own, first) / np.diff(np.append(first, len(own)))
    if len(own) % factor == 0 or len(own) < 2:
        return (means,)
    step = (own[-1] - own[0]) / (len(own) - 1)
    return means, own[first] + 0.5 * (factor - 1) * step


def _order(centres, coordinate, tolerance, around):
    difference = coordinate[None] - centres[:, None]
    if around:
        difference = difference - around * np.round(difference / around)
    nearest = np.abs(difference).argmin(1)
    apart = np.abs(difference)[np.arange(len(centres)), nearest]
    return nearest if len({*nearest.tolist()}) == len(coordinate) and (apart <= tolerance).all() else None


def _part(centres, coordinate, tolerance, around):
    # The same where the file has some of the centres, one beside the other.
    if len(coordinate) >= len(centres):
        return None
    difference = coordinate[None] - centres[:, None]
    if around:
        difference = difference - around * np.round(difference / around)
    there = np.abs(difference) <= tolerance
    at = np.flatnonzero(there.any(1))
    beside = len(at) and (np.diff(at) == 1).sum() >= len(at) - (2 if around else 1)  # a part that goes over the seam is in two pieces
    if len(at) != len(coordinate) or not (there.sum(0) == 1).all() or not beside:
        return None
    return np.where(there.any(1), there.argmax(1), -1)


def _refuse_uneven(own, coordinate, step, where, dim) -> None:
    # Cells that cover the model's grid, wider than its own, but no whole number of them.
    wide = np.sort(coordinate)
    if len(wide) < 2 or np.ptp(np.diff(wide)) > 0.02 * np.diff(wide).max():
        return
    half = 0.5 * float(np.diff(wide).mean())
    edges, mine = (wide[0] - half, wide[-1] + half), (own.min() - 0.5 * step, own.max() + 0.5 * step)
    if 2 * half > 1.02 * step and all(abs(a - b) < 0.25 * step for a, b in zip(edges, mine, strict=True)):
        raise UserError(
            f"{where}: {len(coordinate)} cells along {dim} cover the model's {len(own)} points, {len(own) / len(coordinate):.3g} each; "
            "expected a whole number: average them anew, or give points in a table"
        )
