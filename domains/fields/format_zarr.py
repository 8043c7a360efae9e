"""zarr stores of version 2 and 3 through tensorstore, which is several times faster than zarr-python where chunks are small."""

import base64
import contextlib
import json
import struct
from functools import partial
from pathlib import Path

import numpy as np
import tensorstore
import xarray as xr

from domains.fields.format_lazy import Raw, flatten, lazy, name_axes
from sciddm import store
from sciddm.data.reading import reading

AXES = "_ARRAY_DIMENSIONS"  # of version 2, which has no other place for them
HASHED = 2 * 2**30  # bytes; larger stores are not read through each time they are opened


def open_zarr(path: Path) -> Raw:
    """What a store has, all its groups, its values left there.

    Raises: UserError if it is damaged, by its manifest; without one as a variable is read, if it lacks a chunk that isn't a missing value.
    """
    import zarr

    with reading(path, "not a readable zarr store"):
        node = zarr.open(path, mode="r")
        arrays = {path.stem: node} if isinstance(node, zarr.Array) else dict(_arrays(path, ""))
        groups: dict[str, dict] = {"": {}}
        for name, array in arrays.items():
            group, _, own = name.rpartition("/")
            groups.setdefault(group, {})[own] = array
        if store.manifest_path(path).exists():
            store.check_chunks(path, arrays, {}, hashed=HASHED)
        flat = flatten({name: _group(path, members) for name, members in groups.items()})
    return flat._replace(attrs=dict(node.attrs) if isinstance(node, zarr.Group) else {})


def _arrays(root, group):
    # (path in the store, array), folder by folder: of a broken one zarr's own walk tells in a thread of its own, too.
    import zarr

    for folder in sorted(folder for folder in (root / group).iterdir() if folder.is_dir() and not folder.name.startswith(".")):
        name = f"{group}/{folder.name}".strip("/")
        if (folder / "zarr.json").exists():
            is_array = json.loads((folder / "zarr.json").read_text()).get("node_type") != "group"
        elif (folder / ".zarray").exists() or (folder / ".zgroup").exists():
            is_array = (folder / ".zarray").exists()
        elif any(store.KEY.fullmatch(each.relative_to(folder).as_posix()) for each in folder.rglob("*")):
            raise ValueError(f"{name!r} has chunks, but neither zarr.json nor .zarray")
        else:
            continue  # nothing of zarr's
        if is_array:
            yield name, zarr.open_array(root, path=name, mode="r")
        else:
            yield from _arrays(root, name)


def _group(path, members) -> Raw:
    given = {name: _axes(array) for name, array in members.items()}
    dims = name_axes({name: array.shape for name, array in members.items()}, given)
    variables = {name: _variable(path, members[name], dims[name]) for name in dims}
    return Raw(variables, {})


def _axes(array) -> tuple:
    names = array.attrs.get(AXES) or getattr(array.metadata, "dimension_names", None)
    return tuple(names) if names and len(names) == array.ndim else (None,) * array.ndim


def _variable(path, array, dims) -> xr.Variable:
    attrs = {key: value for key, value in array.attrs.items() if key != AXES}
    fill, kind = array.fill_value, array.dtype.kind
    if isinstance(attrs.get("_FillValue"), str) and kind == "f":
        with contextlib.suppress(ValueError, struct.error):  # else text such as "NaN"
            packed = base64.b64decode(attrs["_FillValue"], validate=True)  # as xarray writes it to version 3
            attrs["_FillValue"] = struct.unpack("<d", packed)[0]
    elif array.metadata.zarr_format == 2 and AXES in array.attrs and fill is not None and kind in "iuf":
        # What xarray keeps _FillValue in. A zero is what others have it by default, and no missing value.
        if fill != 0:
            attrs.setdefault("_FillValue", fill)
    handle = _open(path, array)
    get = array.get_orthogonal_selection if handle is None else partial(_get, handle)
    own = array.path.rpartition("/")[2]
    # A coordinate's zero alone, or from which integers are counted, is what zarr doesn't write.
    alone = dims == (own,) and (array.chunks[0] == 1 or array.shape[0] % array.chunks[0] == 1)
    if array.ndim and not alone and not store.manifest_path(path).exists():
        get = Whole(path, array, attrs, get)
    return lazy(dims, array.shape, array.dtype, get, attrs)


def _get(handle, key):
    return handle.oindex[key].read().result()


class Whole:
    """`get` of an array that is looked at for missing chunks when it is first read; what nobody reads may lack some."""

    def __init__(self, path, array, attrs, get):
        self.parts, self.get, self.seen = (path, array.path or path.stem, array, xr.Variable((), 0, attrs)), get, False

    def __call__(self, key):
        if not self.seen:
            store.check_complete(*self.parts)
            self.seen = True
        return self.get(key)


def _open(path, array):
    # None where tensorstore knows no type or codec of it: text, dates, and the rarer filters of version 2.
    if array.dtype.kind not in "biuf":
        return None
    driver = "zarr3" if array.metadata.zarr_format == 3 else "zarr"
    place = {"driver": "file", "path": str((path / array.path).absolute())}
    try:
        handle = tensorstore.open({"driver": driver, "kvstore": place}, open=True, read=True).result()
    except (ValueError, NotImplementedError):
        return None
    return (
        handle
        if handle.shape == array.shape and handle.dtype.numpy_dtype == np.dtype(array.dtype).newbyteorder("=")
        else None
    )
