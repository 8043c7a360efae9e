"""Gridded variables of any file, or of several: structure at once, values when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from domains.fields.format_compare import is_sample, is_time
from domains.fields.format_join import Placed, join
from domains.fields.formats import READERS, kind, open_part, refuse_other
from sciddm.data.reading import files

__all__ = ["Fields", "is_sample", "is_time", "open_fields"]


@dataclass(frozen=True, eq=False)
class Fields:
    """Gridded variables of one file or of several, left on disk until they are read.

    source: what the user gave; files: those it meant.
    template: the structure of the whole: fields without memory (all NaN, the file's type and packing in their encoding), coordinates
        and scalar variables with their values.
    """

    source: str
    template: xr.Dataset
    files: tuple[Path, ...]
    placed: Mapping[str, Placed] = field(repr=False)

    def read(self, name: str, where: Mapping[str, int | slice | np.ndarray] | None = None) -> np.ndarray:
        """float32 values of a variable, NaN where missing, in the order of dims of template[name]; several threads may call it.

        Args: where: dimension -> an index, which drops the axis, a slice, indices (n,) or a mask (size,), each for itself; all of the
            dimensions that are not named. Dimensions of other variables are passed over.
        Raises: UserError naming file, variable and index of an infinite value; IndexError, KeyError on a wrong `where`.
        """
        array, where = self.template[name], dict(where or {})
        if unknown := {*where} - {*self.template.dims}:
            raise KeyError(f"no dimension {', '.join(sorted(map(str, unknown)))} in {tuple(self.template.dims)}")
        dropped = tuple(i for i, dim in enumerate(array.dims) if isinstance(where.get(dim), (int, np.integer)))
        picks = {dim: _indices(dim, where.get(dim, slice(None)), array.sizes[dim]) for dim in array.dims}
        if name not in self.placed:
            return np.asarray(array.isel(picks).values, np.float32).squeeze(dropped)
        return self.placed[name].read(name, picks, array.dims).squeeze(dropped)


def open_fields(path) -> Fields:
    """The gridded variables at `path`: a file, a store, a folder, or a pattern such as "runs/*.nc".

    Variables of several files on one grid are put side by side; the same variables behind each other: along the dimension of samples,
    else along time, in its order, else along a new dimension "sample". Axes without names are axis_0, axis_1, ...
    Raises: UserError in one line, naming the file or files, what was expected and the way out.
    """
    refuse_other(Path(path))
    found = files(path, READERS, "gridded data", mixed=True, kind=kind)
    joined = join([open_part(file) for file in found])
    return Fields(str(path), joined.template, tuple(found), joined.placed)


def _indices(dim, where, size) -> np.ndarray:
    if isinstance(where, slice):
        return np.arange(size)[where]
    index = np.atleast_1d(np.asarray(where))
    if index.dtype == bool:
        if index.shape != (size,):
            raise IndexError(f"a mask of shape {index.shape} along {dim!r}, which has size {size}")
        return np.flatnonzero(index)
    if index.ndim != 1 or index.dtype.kind not in "iu" and index.size:
        raise IndexError(
            f"an index of type {index.dtype} and shape {index.shape} along {dim!r}; expected integers (n,)"
        )
    index = index.astype(np.int64)
    if ((index < -size) | (index >= size)).any():
        raise IndexError(f"index {index[(index < -size) | (index >= size)][0]} along {dim!r}, which has size {size}")
    return np.where(index < 0, index + size, index)
