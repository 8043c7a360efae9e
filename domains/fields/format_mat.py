"""MATLAB files of version 4 to 7: arrays by name, structures flattened. Version 7.3 is HDF5, see `format_hdf5`."""

import struct
from pathlib import Path

import numpy as np
import scipy
import xarray as xr

from domains.fields.format_lazy import Raw, name_axes
from sciddm.errors import UserError

# Types of data elements, MAT-File Format 1-5 (MathWorks), table 1-1.
NUMBERS, MATRIX, COMPRESSED, TEXTS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13), 14, 15, (16, 17, 18)
DEEPEST = 64  # levels of structures in structures


def open_mat(file: Path) -> Raw:
    """What a MATLAB file has, but for what is no full array of numbers. Raises: ValueError if it is broken."""
    check_elements(file)
    try:
        contents = scipy.io.loadmat(file)
    except NotImplementedError as error:
        raise ValueError(f"{error}, but no HDF5 in it") from error
    except (struct.error, OverflowError) as error:
        raise ValueError(f"broken: {error}") from error
    found = dict(_flat("", contents))
    if not found and (sparse := [name for name, value in contents.items() if scipy.sparse.issparse(value)]):
        raise UserError(f"{file}: {sparse[0]!r} is a sparse matrix; expected full arrays, save full({sparse[0]})")
    dims = name_axes({name: value.shape for name, value in found.items()})
    return Raw({name: xr.Variable(dims[name], found[name]) for name in dims}, {})


def check_elements(file: Path) -> None:
    """That all elements of a file of version 5 or later are of a known type and lie within it: scipy ends the process where they don't.

    What is compressed has a checksum of its own. Raises: ValueError.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        start = opened.read(128)
        order = {b"IM": "<", b"MI": ">"}.get(start[126:])
        if order is None or not start.startswith(b"MATLAB"):
            return  # of version 4, which has no elements
        _check(opened, order, 128, size, (MATRIX, COMPRESSED), 0)


def _check(opened, order, at, end, known, depth) -> list[int]:
    # Types of the elements from one byte to another.
    if depth > DEEPEST:
        raise ValueError(f"broken: structures in structures of more than {DEEPEST} levels")
    kinds = []
    while at + 8 <= end:
        opened.seek(at)
        kind, length = struct.unpack(order + "II", opened.read(8))
        small = kind >> 16  # its bytes where they fit into the tag
        kind &= 0xFFFF
        stop = at + 8 if small else at + 8 + length
        if kind not in known or small > 4 or stop > end:
            raise ValueError(f"broken at byte {at}: an element of type {kind} and {small or length} bytes")
        if kind == MATRIX and length:
            _check_matrix(opened, order, at + 8, stop, depth)
        kinds.append(kind)
        at = stop if kind == COMPRESSED else at + -(-(stop - at) // 8) * 8  # others begin at whole words
    return kinds


def _check_matrix(opened, order, at, end, depth):
    # Flags, dimensions, name, then of numbers the real part and the imaginary one if flagged, of texts one element, of sparse ones three.
    kinds = _check(opened, order, at, end, (*NUMBERS, MATRIX, *TEXTS), depth + 1)
    opened.seek(at + 8)
    flags = struct.unpack(order + "I", opened.read(4))[0]
    kind, parts = flags & 0xFF, 1 + bool(flags & 0x800)
    expected = {4: 4, 5: 5 + parts} | dict.fromkeys(range(6, 16), 3 + parts)
    if kinds[:3] != [6, 5, 1] or len(kinds) != expected.get(kind, len(kinds)) or (kind in expected and MATRIX in kinds):
        raise ValueError(f"broken at byte {at}: an array of class {kind} of elements of types {kinds[:8]}")


def _flat(prefix, contents):
    # Vectors have two axes, numbers too; structures are flattened, their fields as structure_field.
    for name, value in contents.items():
        if name.startswith("__") or not isinstance(value, np.ndarray):
            continue
        if value.dtype.names and value.size == 1:
            yield from _flat(f"{prefix}{name}_", {key: value[key].item() for key in value.dtype.names})
        elif value.dtype.kind in "biufUc":
            vector = value.ndim == 2 and 1 in value.shape
            yield prefix + name, value.reshape(() if value.size == 1 else -1) if vector else value
