"""Classic netCDF: of 32 bits and 64-bit offsets through scipy, of 64-bit data through netCDF's own library, once its header is sound."""

import struct
import traceback
from pathlib import Path

import xarray as xr
from xarray.backends.locks import HDF5_LOCK

from domains.fields.format_lazy import Raw
from sciddm.data.reading import need

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}  # bytes of a value of each nc_type


def open_classic(file: Path) -> Raw:
    """What a file has, its values left there. Raises: ValueError if it is cut off or damaged."""
    with file.open("rb") as opened:
        wide = opened.read(4)[3:] == b"\x05"  # sizes of 64 bits, which scipy doesn't know
    if wide:
        check_header(file)
        need("netCDF4", file, "weather")
        store = xr.backends.NetCDF4DataStore.open(str(file))
    else:
        try:
            store = xr.backends.ScipyDataStore(str(file), mmap=True, lock=HDF5_LOCK)
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # so that the mapping ends here
            raise
    variables, attrs = store.load()
    if wide and sum(variable.nbytes for variable in variables.values()) > file.stat().st_size:
        raise ValueError("it is cut off or damaged: its header tells of more than there is")
    return Raw(dict(variables), dict(attrs), netcdf=True)


def check_header(file: Path) -> None:
    """That no count in the header of a file of 64-bit data is of more than the file holds: netCDF's library takes minutes to find out.

    Raises: ValueError.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:

        def number(form="q"):
            found = opened.read(struct.calcsize(form))
            return struct.unpack(f">{form}", found)[0] if len(found) == struct.calcsize(form) else -1

        def count(bytes_each):
            found = number()
            if not 0 <= found <= (size - opened.tell()) // bytes_each:
                raise ValueError(f"its header is damaged at byte {opened.tell() - 8}: {found} entries in a file of {size} bytes")
            return found

        def skip(length):
            opened.seek(-(-length // 4) * 4, 1)

        def attributes():
            number("i")
            for _ in range(count(16)):
                skip(count(1))
                each = SIZES.get(kind := number("i"))
                if each is None:
                    raise ValueError(f"its header is damaged at byte {opened.tell() - 4}: no type {kind} is known")
                skip(each * count(each))

        opened.seek(12)
        number("i")
        for _ in range(count(16)):
            skip(count(1))
            number()
        attributes()
        number("i")
        for _ in range(count(32)):
            skip(count(1))
            opened.seek(8 * count(8), 1)
            attributes()
            opened.seek(20, 1)
