"""HDF5: netCDF-4 under any name, plain arrays with or without dimension scales, PDEBench, The Well and MATLAB 7.3."""

import re
from functools import partial
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
from xarray.backends.locks import HDF5_LOCK
from xarray.core.indexing import IndexingSupport

from domains.fields.format_lazy import Raw, flatten, lazy, name_axes
from sciddm.data.hdf5 import check_hdf5
from sciddm.data.reading import text
from sciddm.errors import UserError

INTERNAL = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "DIMENSION_LABELS", "_NCProperties"}
ONE = IndexingSupport.OUTER_1VECTOR  # what h5py understands
OPAQUE = ("char", "cell", "string", "function_handle", "table", "datetime", "categorical")  # classes of MATLAB that are no numbers
PACKING = ("scale_factor", "add_offset", "_FillValue", "missing_value", "valid_min", "valid_max", "valid_range", "_Unsigned", "units")
SUFFIX = "-coordinate"  # of PDEBench's coordinates


def open_hdf5(file: Path) -> Raw:
    """What an HDF5 file has, its values left there."""
    check_hdf5(file)
    with h5py.File(file) as opened:
        if "t0_fields" in opened:
            return _the_well(file, opened)
        data = _datasets(opened)
        if not _is_netcdf(opened, data):
            numbered = _numbered(data)
            return _stacked(file, opened, numbered) if numbered else _plain(file, opened, data)
        shapes = {path: node.shape for path, node in data.items()}
    raws = {}
    for group in {"": None} | dict.fromkeys(path.rpartition("/")[0] for path in shapes):
        store = xr.backends.H5NetCDFStore.open(str(file), group=group or None, phony_dims="access")
        variables, attrs = store.load()
        raws[group] = Raw(
            _named({n: _direct(file, group, n, v, shapes) for n, v in variables.items()}), dict(attrs), netcdf=True
        )
        store.close()
    return flatten(raws)


def _direct(file, group, name, variable, shapes) -> xr.Variable:
    # Numbers by h5py itself, which opens a file again ten times as fast where there are more than may stay open.
    path = f"{group}/{name}".strip("/")
    if variable.dtype.kind not in "biuf" or shapes.get(path) != variable.shape:
        return variable
    return lazy(variable.dims, variable.shape, variable.dtype, _getter(file, path), variable.attrs, support=ONE)


def _named(variables) -> dict[str, xr.Variable]:
    # Axes without a dimension, which h5netcdf makes up names for.
    if not any(dim.startswith("phony_dim_") for v in variables.values() for dim in v.dims):
        return variables
    given = {n: tuple(None if d.startswith("phony_dim_") else d for d in v.dims) for n, v in variables.items()}
    dims = name_axes({name: variable.shape for name, variable in variables.items()}, given)
    return {name: xr.Variable(dims[name], variables[name]._data, variables[name].attrs) for name in dims}


def open_mat73(file: Path) -> Raw:
    """What a MATLAB 7.3 file has: HDF5 with all axes reversed, vectors with two axes, structures as groups."""
    found, shapes = {}, {}
    with h5py.File(file) as opened:
        for path, data in _datasets(opened).items():
            if path.startswith("#") or data.dtype.kind not in "biuf" or "MATLAB_empty" in data.attrs:
                continue
            name, shape = path.replace("/", "_"), data.shape[::-1]
            if text(data.attrs.get("MATLAB_class", "")) in OPAQUE or "MATLAB_sparse" in data.parent.attrs:
                continue
            if len(shape) == 2 and 1 in shape:
                found[name] = data[()].reshape(() if data.size == 1 else -1)
                shapes[name] = found[name].shape
            else:
                found[name], shapes[name] = (shape, data.dtype, _getter(file, path, reversed_axes=True)), shape
    variables = {}
    for name, dims in name_axes(shapes).items():
        kept = found[name]
        variables[name] = lazy(dims, *kept, support=ONE) if isinstance(kept, tuple) else xr.Variable(dims, kept)
    return Raw(variables, {})


def _getter(file, path, *, reversed_axes=False):
    # At most 128 files stay open at a time, however many there are. HDF5 does one thing at a time.
    return partial(_get, xr.backends.CachingFileManager(h5py.File, str(file), mode="r"), path, reversed_axes)


def _get(manager, path, reversed_axes, key):
    with HDF5_LOCK, manager.acquire_context(needs_lock=False) as opened:
        return opened[path][key[::-1]].T if reversed_axes else opened[path][key]


def _datasets(opened) -> dict[str, h5py.Dataset]:
    found = {}
    opened.visititems(lambda path, node: found.update({path: node}) if isinstance(node, h5py.Dataset) else None)
    return {path: node for path, node in found.items() if node.shape is not None}


def _is_netcdf(opened, data) -> bool:
    if "_NCProperties" in opened.attrs or "_nc3_strict" in opened.attrs:
        return True
    marks = ("_Netcdf4Dimid", "_Netcdf4Coordinates")
    some = list(islice(data.values(), 200))  # not each of a million
    return any(mark in d.attrs for d in some for mark in marks) or any(map(_is_no_variable, some))


def _is_no_variable(node) -> bool:
    return text(node.attrs.get("NAME", "")).startswith("This is a netCDF dimension but not a netCDF variable")


def _attributes(node) -> dict:
    found = {}
    for key in node.attrs:
        if key not in INTERNAL and not key.startswith("_Netcdf4"):
            try:
                found[key] = node.attrs[key]
            except (OSError, TypeError):  # of a type that h5py has none for
                continue
    return found


def _never_written(file, node) -> tuple[dict, str]:
    # (the fill value as the missing one, where some of an array was never written and reads as that; why it is not read, "" where it is)
    called = f"{file}: variable {node.name.strip('/')!r}"
    for source in node.virtual_sources() if node.is_virtual else ():
        if source.file_name != "." and "%" not in source.file_name and not (Path(file).parent / source.file_name).exists():
            return {}, f"{called} lies in {source.file_name}, which is not there; copy it, too"
    if node.dtype.kind not in "iuf" or not node.size or node.is_virtual or node.external:
        return {}, ""
    expected = int(np.prod([-(-n // chunk) for n, chunk in zip(node.shape, node.chunks, strict=True)])) if node.chunks else 1
    lacking = expected - (node.id.get_num_chunks() if node.chunks else int(node.id.get_storage_size() > 0))
    if lacking <= 0 or {"_FillValue", "missing_value"} & set(node.attrs):
        return {}, ""
    reason = f"{called} lacks {lacking} of {expected} chunks, never written, which would read as 0; write them, or copy the file again"
    return ({"_FillValue": node.fillvalue}, "") if node.fillvalue else ({}, reason)


def _refuse(reason, key):
    raise UserError(reason)


def _plain(file, opened, data) -> Raw:
    folders = {path.rpartition("/")[0] for path in data}
    names = {path: path.rpartition("/")[2] if len(folders) == 1 else path.replace("/", "_") for path in data}
    located = {path: name.removesuffix(SUFFIX) for path, name in names.items() if name.endswith(SUFFIX)}
    names |= located
    shapes = {names[path]: node.shape for path, node in data.items()}
    by_id = {node.id: names[path] for path, node in data.items()}
    given = {names[path]: _scales(node, by_id) for path, node in data.items()}
    if located:
        given |= _pdebench(shapes, [name for name in "txyz" if name in located.values()])
    dims = name_axes(shapes, given)
    variables = {}
    for path, node in data.items():
        if (name := names[path]) not in dims or _is_no_variable(node):
            continue
        missing, reason = _never_written(file, node)
        getter = partial(_refuse, reason) if reason else _getter(file, path)
        parts = (node.shape, node.dtype, getter, _attributes(node) | missing)
        variables[name] = lazy(dims[name], *parts, support=ONE)
        if dims[name][1:2] == ("once",):
            variables[name] = variables[name].isel(once=0)
    return Raw(variables, _attributes(opened))


def _numbered(data) -> dict[str, list]:
    # The arrays by their names in a group, where a file has nothing but groups 0000, 0001, ... of the same arrays: a group a sample.
    found: dict[str, dict] = {}
    for path, node in data.items():
        head, _, name = path.partition("/")
        found.setdefault(name, {})[head] = node
    heads = list(next(iter(found.values()), {}))
    number = re.compile(r"(.*?)(\d+)")
    numbers = [number.fullmatch(head) for head in heads]
    if len(heads) < 2 or not all(numbers) or len({match[1] for match in numbers}) > 1:
        return {}
    order = [head for _, head in sorted(zip([int(match[2]) for match in numbers], heads, strict=True))]
    alike = all(
        {*nodes} == {*heads} and len({(node.shape, node.dtype) for node in nodes.values()}) == 1
        for nodes in found.values()
    )
    return {name: [nodes[head] for head in order] for name, nodes in found.items()} if alike else {}


def _stacked(file, opened, numbered) -> Raw:
    names = {name: name.rpartition("/")[2] for name in numbered}
    names = names if len({*names.values()}) == len(names) else {name: name.replace("/", "_") for name in numbered}
    dims = name_axes({names[name]: nodes[0].shape for name, nodes in numbered.items()})
    variables = {}
    for name, nodes in numbered.items():
        first, own = nodes[0], names[name]
        if own not in dims or first.dtype.kind not in "biuf":
            continue
        if dims[own] == (own,):  # the coordinate of an axis, if it is that of all samples
            if not all(np.array_equal(first[()], node[()]) for node in nodes):
                where = next(node.name for node in nodes if not np.array_equal(first[()], node[()]))
                raise UserError(
                    f"{file}: {where} is not {first.name}; expected samples on one grid, interpolate to it first"
                )
            variables[own] = xr.Variable((own,), first[()], _attributes(first))
            continue
        for node, key in ((node, key) for node in nodes for key in PACKING):
            if not np.array_equal(node.attrs.get(key), first.attrs.get(key)):
                raise UserError(
                    f"{file}: {node.name} has {key} {node.attrs.get(key)}, but {first.name} {first.attrs.get(key)}; expected samples that "
                    "are packed alike and in one unit, write them so"
                )
        unwritten = [_never_written(file, node) for node in nodes]
        attrs = _attributes(first) | max((missing for missing, _ in unwritten), key=len)
        manager = xr.backends.CachingFileManager(h5py.File, str(file), mode="r")
        reason = next(filter(None, (why for _, why in unwritten)), "")
        get = partial(_refuse, reason) if reason else partial(_get_stacked, manager, [node.name for node in nodes])
        variables[own] = lazy(("sample", *dims[own]), (len(nodes), *first.shape), first.dtype, get, attrs, support=ONE)
    return Raw(variables, _attributes(opened))


def _get_stacked(manager, paths, key):
    with HDF5_LOCK, manager.acquire_context(needs_lock=False) as opened:
        samples, rest = key[0], key[1:]
        if isinstance(samples, (int, np.integer)):
            return opened[paths[samples]][rest]
        return np.stack([opened[paths[i]][rest] for i in np.arange(len(paths))[samples]])


def _scales(node, names) -> tuple:
    # The names of the dimension scales of each axis, or of its label.
    if node.is_scale and node.ndim == 1:
        return (names[node.id],)
    found = []
    for axis in node.dims:
        scale = next((names.get(scale.id) for scale in axis.values()), None)
        found.append(scale or axis.label or None)
    return tuple(None if name and found.count(name) > 1 else name for name in found)


def _pdebench(shapes, located) -> dict[str, tuple]:
    # PDEBench's axes are (sample, t, x, y, z): those that have a coordinate, t not in all arrays and one longer than its axis in some
    # files, and "once" in Darcy flow, whose solutions have one time and no coordinate for it.
    lengths = {name: shapes[name][0] for name in located}
    space, given = [name for name in located if name != "t"], {}
    for name, shape in shapes.items():
        for axes in (located, space, ["once", *space]):
            known = [{lengths.get(a, 1), lengths.get(a, 1) - (a == "t")} for a in axes]
            if len(shape) == len(axes) + 1 and all(n in fits for n, fits in zip(shape[1:], known, strict=True)):
                given[name] = ("sample", *axes)
                given |= {a: (a,) for a, n in zip(axes, shape[1:], strict=True) if lengths.get(a) == n}
                break
    return given


def _the_well(file, opened) -> Raw:
    # (trajectory, time, *space), of which a field that is the same along one lacks that axis.
    dimensions = opened["dimensions"]
    located = {k: v for k, v in dimensions.items() if isinstance(v, h5py.Dataset) and v.ndim == 1}
    space = [text(name) for name in dimensions.attrs.get("spatial_dims", [k for k in located if k != "time"])]
    variables = {}
    for key, data in opened["t0_fields"].items():
        varying = np.ravel(data.attrs.get("dim_varying", [True] * len(space)))
        axes = ["sample"] * bool(data.attrs.get("sample_varying", True))
        axes += ["time"] * bool(data.attrs.get("time_varying", True))
        axes += [name for name, varies in zip(space, varying, strict=False) if varies]
        dims = (*axes, *[f"axis_{i}" for i in range(len(axes), data.ndim)])[: data.ndim]
        getter = _getter(file, f"t0_fields/{key}")
        variables[key] = lazy(dims, data.shape, data.dtype, getter, _attributes(data), support=ONE)
    sizes = {dim: n for variable in variables.values() for dim, n in variable.sizes.items()}
    for key, value in located.items():
        if sizes.get(key) == len(value):
            variables[key] = xr.Variable((key,), value[()], _attributes(value))
    return Raw(variables, _attributes(opened))
