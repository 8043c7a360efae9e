"""Opening a file of any format, which its first bytes tell, else its suffix; values stay on disk where the format allows that."""

import re
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from domains.fields.format_classic import open_classic
from domains.fields.format_coding import Part, part_of
from domains.fields.format_hdf5 import open_hdf5, open_mat73
from domains.fields.format_lazy import Raw, name_axes
from domains.fields.format_mat import open_mat
from domains.fields.format_tiff import open_tiff
from domains.fields.format_zarr import open_zarr
from sciddm.data.reading import kind_of, reading
from sciddm.errors import UserError

HDF5 = b"\x89HDF\r\n\x1a\n"
MAGIC = {
    b"CDF\x01": ".cdf", b"CDF\x02": ".cdf", b"CDF\x05": ".cdf", HDF5: ".h5", b"MATLAB ": ".mat", b"\x93NUMPY": ".npy",
    b"II*\0": ".tif", b"MM\0*": ".tif", b"II+\0": ".tif", b"MM\0+": ".tif",
}  # fmt: skip
# What is often given by mistake, and the way out.
OTHERS = {
    b"\x0e\x03\x13\x01": ("HDF4", "convert it with h4toh5 or ncl_convert2nc"),
    b"\xcd\xf3": ("a CDF of NASA", "convert it with cdf2netcdf"),
    b"\0\0\xff\xff": ("a CDF of NASA", "convert it with cdf2netcdf"),
    b"GRIB": ("GRIB", "convert it with grib_to_netcdf or `cdo -f nc copy`"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it with gunzip"),
    b"BZh": ("compressed by bzip2", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it with unzstd"),
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the file with `git lfs pull`"),
    b"<": ("a web page or XML", "download the file itself"),
    b"{": ("JSON", "give the data file"),
}


def kind(file: Path) -> str:
    """ ".zarr", ".cdf" (classic), ".h5", ".mat", ".npy" or ".tif" by what is in it, else the suffix in lower case."""
    if any((file / name).exists() for name in ("zarr.json", ".zgroup", ".zarray", ".zmetadata")):
        return ".zarr"
    start = _start(file) if file.is_file() else b""
    for magic, found in MAGIC.items():
        if start.startswith(magic):
            return ".mat" if found == ".h5" and file.suffix.lower() == ".mat" else found
    if file.suffix.lower() not in (".h5", ".hdf5", ".mat") and len(start) > 512 and HDF5 in _blocks(file):
        return ".h5"
    return kind_of(file)


def refuse_other(file: Path) -> None:
    """Raises: UserError of a single file of no format that is read, if it is a well-known other one, with what converts it."""
    try:
        if not file.is_file() or kind(file) in READERS:
            return
    except OSError as error:  # a name that is too long, a disk that is gone
        raise UserError(f"{str(file)[:200]}: can't be read ({error.strerror}); check the path") from error
    for magic, (what, way_out) in OTHERS.items():
        if _start(file).startswith(magic):
            raise UserError(f"{file}: is {what}; {way_out}")


def open_part(file: Path) -> Part:
    """The structure and the fields of one file or store. Raises: UserError in one line if it is broken, or has no field."""
    name = kind(file)
    if file.is_file():
        _refuse_others(file, name)
    # Said of a mapping that outlives the handle of its file, at any time later.
    warnings.filterwarnings("ignore", "Cannot close a netcdf_file opened with mmap", RuntimeWarning)
    with reading(file, f"can't be read as {name}"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate dimension names", UserWarning)  # which part_of tells apart
        warnings.filterwarnings("ignore", "Object at .* is not recognized as a component of a Zarr hierarchy")
        try:
            return part_of(file, READERS[name](file))
        except MemoryError as error:  # of a size in the file's header
            raise ValueError("it says to hold more than fits into memory, and may be damaged") from error


def _start(file) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(1024)
    except OSError:
        return b""  # said when it is opened


def _blocks(file):
    # Where HDF5 may begin behind a user block.
    with file.open("rb") as opened:
        for offset in (512, 1024, 2048):
            opened.seek(offset)
            yield opened.read(8)


def _refuse_others(file, name):
    try:
        with file.open("rb") as opened:
            start = opened.read(64)
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check its permissions") from error
    if not start:
        raise UserError(f"{file}: is empty (0 bytes); expected gridded data as {name}, write or copy it again")
    for magic, (what, way_out) in OTHERS.items():
        if start.startswith(magic):
            raise UserError(f"{file}: is {what}, no {name} file; {way_out}")


def stem(file) -> str:
    """What files of one kind have in common: "u" of u.npy, u_007.npy and 12-u_t0.5.npy's "u_t", "data" of numbers alone."""
    return re.sub(r"^\d+[\W_]+|[\W_]*\d[\d.]*$", "", Path(file).stem) or "data"


def _npy(file) -> Raw:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" in str(error) or "pickle" in str(error):
            raise UserError(f"{file}: holds Python's own objects; write numbers, np.save(file, array.astype(float))") from error
        raise
    found = {name: array[name] for name in array.dtype.names} if array.dtype.names else {stem(file): array}
    dims = name_axes({name: value.shape for name, value in found.items()})
    return Raw({name: xr.Variable(dims[name], found[name]) for name in dims}, {})


def _npz(file) -> Raw:
    found = {}
    with np.load(file, allow_pickle=False) as opened:
        for name in opened.files:
            try:
                array = opened[name]
                if isinstance(array, np.ndarray):  # another file in it is bytes
                    found |= {f"{name}_{own}": array[own] for own in array.dtype.names} if array.dtype.names else {name: array}
            except ValueError as error:
                if "allow_pickle" not in str(error):  # Python's own objects are no fields
                    raise
    dims = name_axes({name: value.shape for name, value in found.items()})
    return Raw({name: xr.Variable(dims[name], found[name]) for name in dims}, {})


def _mat(file) -> Raw:
    start = _start(file)
    if start.startswith(HDF5) or HDF5 in _blocks(file):
        return open_mat73(file)
    return open_mat(file)


READERS = {
    ".zarr": open_zarr, ".nc": open_hdf5, ".nc4": open_hdf5, ".netcdf": open_hdf5, ".cdf": open_classic, ".h5": open_hdf5,
    ".hdf5": open_hdf5, ".hdf": open_hdf5, ".mat": _mat, ".npz": _npz, ".npy": _npy, ".tif": open_tiff, ".tiff": open_tiff,
}  # fmt: skip
