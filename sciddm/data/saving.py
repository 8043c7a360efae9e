"""Samples saved in the user's place: netCDF or zarr by the path."""

from pathlib import Path

import xarray as xr

from sciddm import store
from sciddm.data.made import at_once

CHUNK = 2**25  # bytes, at most where one entry is smaller


def save_dataset(dataset: xr.Dataset, path) -> None:
    """netCDF for a path that ends in .nc, else a checksummed zarr store; finished at once, or nothing is left.

    Raises: UserError if there is something at `path`, or the place can't be written or is full.
    """
    path = Path(path).expanduser()
    dataset = dataset.drop_encoding()  # of the file that it came from, which may be of another format
    if path.suffix.lower() == ".nc":
        with at_once(path) as partial:
            # By way of memory: HDF5 takes the process with it where a disk fills up under an open file.
            partial.write_bytes(dataset.to_netcdf(engine="h5netcdf"))
        return
    entry = max((a.nbytes // len(a) for a in dataset.data_vars.values() if a.ndim and len(a)), default=1)
    store.write(dataset, path, chunk=min(max(CHUNK // max(entry, 1), 1), 64))
