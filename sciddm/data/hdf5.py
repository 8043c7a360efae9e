"""HDF5 files that are damaged in ways which its libraries do not survive in silence, looked at before they are opened."""

import mmap
from pathlib import Path

from sciddm.errors import UserError

SCANNED = 2**28  # bytes; larger files are not read through
HEAP = b"GCOL\x01\0\0\0"  # a heap of names and references; one object of no length in it, and the library never comes back


def check_hdf5(file) -> None:
    """That an HDF5 file can be opened at all, and that its heaps are whole. Raises: UserError; OSError as h5py has it."""
    import h5netcdf
    import h5py

    h5netcdf.File._writable = False  # which a file that fails to open lacks, and its destructor then tells of
    h5py.File(file).close()
    size = Path(file).stat().st_size
    if not 0 < size <= SCANNED:
        return
    with Path(file).open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(HEAP)
        while at >= 0:
            if not _is_whole(data, at, size):
                raise UserError(f"{file}: the heap at byte {at} is damaged; copy it again, or write it again")
            at = data.find(HEAP, at + 1)


def _is_whole(data, start, size) -> bool:
    # Objects (index, count of references, reserved, length), padded to 8 bytes; what is free, index 0, says the length of all of it.
    end = start + int.from_bytes(data[start + 8 : start + 16], "little")
    at = start + 16
    if end > size:
        return False
    while end - at >= 16:
        index, length = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 8 : at + 16], "little")
        if index == 0 and length < 16:
            return False
        at += length if index == 0 else 16 + -(-length // 8) * 8
    return at <= end
