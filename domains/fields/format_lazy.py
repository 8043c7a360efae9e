"""Arrays that stay in their files until they are indexed, and names for the axes that have none."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from domains.fields.format_compare import alike

# 1-D arrays that locate an axis, in formats whose axes have no names.
COORDINATES = ("x", "y", "z", "t", "time", "lat", "lon", "latitude", "longitude", "depth")


class Raw(NamedTuple):
    """What a file has, as it has it: packed, with its attributes, the values on disk."""

    variables: dict[str, xr.Variable]
    attrs: dict
    netcdf: bool = False  # values that were never written are told by netCDF's own fill values


class Lazy(xr.backends.BackendArray):
    """An array that `get` reads: from a tuple of ints, slices and index arrays, an axis each, to numpy."""

    def __init__(self, shape, dtype, get: Callable[[tuple], np.ndarray], support: IndexingSupport):
        self.shape, self.dtype, self.get, self.support = tuple(shape), np.dtype(dtype), get, support

    def __getitem__(self, key):
        return explicit_indexing_adapter(key, self.shape, self.support, self.get)


def lazy(dims, shape, dtype, get, attrs=None, *, support=IndexingSupport.OUTER) -> xr.Variable:
    """A variable that `get` reads, see `Lazy`. Args: support: how many index arrays at once `get` understands."""
    return xr.Variable(dims, LazilyIndexedArray(Lazy(shape, dtype, get, support)), attrs)


def plain_attributes(attrs: Mapping) -> dict:
    """Attributes without the types of their format: bytes are text, arrays of one number are that number."""
    plain = {}
    for key, value in attrs.items():
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.reshape(())[()]
        if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
            value = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value.ravel()]
        plain[str(key)] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return plain


def name_axes(shapes: Mapping[str, tuple], given: Mapping[str, tuple] | None = None) -> dict[str, tuple[str, ...]]:
    """Names of all axes: those given, those that a 1-D array of a telling name and an unambiguous length locates, else axis_0, axis_1, ...

    A 1-D array in `COORDINATES` locates an axis if its length is no other's of them, and that of one axis alone in each larger array that
    has it. One that locates nothing is left out. Where arrays have axes of unlike sizes at a place, those of the largest array are
    called axis_i, the others axis_i_size.
    Args: shapes: by the name of the array; given: names of its axes, None where an axis has none.
    """
    dims = {name: list((given or {}).get(name) or [None] * len(shape)) for name, shape in shapes.items()}
    telling = {n: s[0] for n, s in shapes.items() if n in COORDINATES and len(s) == 1 and dims[n] == [None]}
    others = {name for name in shapes if name not in telling}
    larger = {name for name in others if len(shapes[name]) > 1} or others
    lengths, taken = Counter(telling.values()), {name for each in dims.values() for name in each}
    for name, length in telling.items():
        fits = {n: [i for i, d in enumerate(dims[n]) if d is None and shapes[n][i] == length] for n in larger}
        fits = {n: places for n, places in fits.items() if places}
        if fits and all(len(places) == 1 for places in fits.values()) and lengths[length] == 1 and name not in taken:
            dims[name] = [name]
            for other, [place] in fits.items():
                dims[other][place] = name
        else:
            del dims[name]
    sizes: dict[str, int] = {}
    for name in sorted(dims, key=lambda name: -int(np.prod(shapes[name], dtype=np.int64))):
        for i, (dim, size) in enumerate(zip(dims[name], shapes[name], strict=True)):
            if dim is None:
                dim = f"axis_{i}" if sizes.setdefault(f"axis_{i}", size) == size else f"axis_{i}_{size}"
                dims[name][i] = dim
    return {name: tuple(each) for name, each in dims.items()}


def flatten(groups: Mapping[str, Raw]) -> Raw:
    """The variables of all groups, those of the only one with variables under their own names, else as group_name.

    Dimensions that the root has with the same size and coordinate are the root's, others are the group's own.
    """
    filled = {path.strip("/"): raw for path, raw in groups.items() if raw.variables}
    attrs = next(iter(groups.values())).attrs if groups else {}
    if len(filled) == 1:
        [only] = filled.values()
        return only._replace(attrs={**attrs, **only.attrs})
    root = filled.get("", Raw({}, {}))
    shared = {d: n for v in root.variables.values() for d, n in v.sizes.items()}
    variables = dict(root.variables)
    for path, raw in filled.items():
        if not path:
            continue
        prefix = path.replace("/", "_")
        names = {}
        for variable in raw.variables.values():
            for dim, size in variable.sizes.items():
                names[dim] = dim if shared.get(dim) == size and _same_places(root, raw, dim) else f"{prefix}_{dim}"
        for name, variable in raw.variables.items():
            if names.get(name) == name and name in variables:
                continue  # the coordinate of a shared dimension once more
            dims = tuple(names[dim] for dim in variable.dims)
            listed = {key: _renamed(variable.attrs[key], prefix, raw) for key in REFERENCES if key in variable.attrs}
            renamed = xr.Variable(dims, variable._data, variable.attrs | listed)
            variables[names.get(name, f"{prefix}_{name}")] = renamed
    return Raw(variables, attrs, any(raw.netcdf for raw in filled.values()))


def _same_places(root, raw, dim) -> bool:
    # Whether a group has no coordinate of its own for a dimension of the root, or the same one.
    own, one = raw.variables.get(dim), root.variables.get(dim)
    if own is None or one is None:
        return own is None
    return str(own.attrs.get("units")) == str(one.attrs.get("units")) and own.shape == one.shape and alike(one.values, own.values)


REFERENCES = ("coordinates", "bounds", "climatology", "grid_mapping", "cell_measures")


def _renamed(text, prefix, raw):
    # The names of other variables in an attribute, as they are called outside their group.
    words = str(text).split()
    return " ".join(f"{prefix}_{word}" if word in raw.variables else word for word in words)
