"""Small files of each format that gridded fields are read from, for byte flips: u (sample, y, x) in K, y descending, and what is read."""

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import tifffile
import xarray as xr
import zarr
from flips import Format

U = (10 + np.random.default_rng(0).standard_normal((4, 5, 6))).astype(np.float32)
Y, X = np.arange(5)[::-1] * 2.0, np.arange(6) * 0.5
DIMS = ("sample", "y", "x")


def small(values=U, **more) -> xr.Dataset:
    """u in K with coordinates in km."""
    coords = {"y": ("y", Y, {"units": "km"}), "x": ("x", X, {"units": "km"})}
    return xr.Dataset({"u": (DIMS, values, {"units": "K"})} | more, coords, {"title": "a run"})


def packed() -> xr.Dataset:
    """The same as bytes, 255 being missing."""
    raw = np.round((U - 5) / 0.05).astype("u1")
    raw[0, 0, 0] = 255
    found = small(raw)
    found["u"].attrs |= {"scale_factor": 0.05, "add_offset": 5.0, "_FillValue": np.uint8(255)}
    return found


def read(path: Path) -> dict:
    """Shapes, units, coordinates and values of all fields at a path, as the reader gives them."""
    from domains.fields.readers import open_fields

    fields = open_fields(path)
    found = {}
    for name, array in fields.template.variables.items():
        values = fields.read(name) if name in fields.placed else np.asarray(array.values)
        if name in fields.placed:
            values = np.ascontiguousarray(values)
        digest = hashlib.sha256(values.tobytes() if values.dtype.kind != "O" else repr(values.tolist()).encode()).hexdigest()
        found[str(name)] = [list(map(str, array.dims)), list(array.shape), str(array.attrs.get("units")), digest]
    return found


def _netcdf(suffix, make, **options):
    def write(path):
        file = path.with_suffix(suffix)
        make().to_netcdf(file, **options)
        return file

    return write


def _zarr(version, **options):
    def write(path):
        file = path.with_suffix(".zarr")
        small().to_zarr(file, zarr_format=version, consolidated=False, **options)
        return file

    return write


def _ours(path):
    file = path.with_suffix(".zarr")
    process = os.fork()  # of tensorstore, whose threads don't let a process be forked later
    if process == 0:
        from sciddm import store

        store.write(packed(), file, chunk=2, shard=4)
        os._exit(0)
    os.waitpid(process, 0)
    return file


def _hdf5(path):
    file = path.with_suffix(".h5")
    with h5py.File(file, "w") as opened:
        opened["u"], opened["y"], opened["x"] = U, Y, X
        opened["u"].attrs["units"] = "K"
    return file


def _chunked(path):
    file = path.with_suffix(".hdf5")
    with h5py.File(file, "w") as opened:
        opened.create_dataset("u", data=U, chunks=(1, 5, 6), compression="gzip", fletcher32=True)
    return file


def _saved(save, suffix):
    def write(path):
        file = path.with_suffix(suffix)
        save(file)
        return file

    return write


def _bare_zarr(path):
    file = path.with_suffix(".zarr")
    zarr.create_array(file, data=U, chunks=(2, 5, 6))
    return file


FORMATS = [
    Format("fields: netCDF-4", _netcdf(".nc", small, engine="h5netcdf"), read),
    Format("fields: netCDF-4 packed, named .h5", _netcdf(".h5", packed, engine="h5netcdf"), read),
    Format("fields: netCDF classic", _netcdf(".nc", small, engine="scipy", format="NETCDF3_CLASSIC"), read),
    Format("fields: netCDF 64-bit data", _netcdf(".nc", small, engine="netcdf4", format="NETCDF3_64BIT_DATA"), read),
    Format("fields: HDF5", _hdf5, read),
    Format("fields: HDF5 in chunks", _chunked, read),
    Format("fields: zarr 2", _zarr(2), read),
    Format("fields: zarr 3", _zarr(3), read),
    Format("fields: an array of zarr", _bare_zarr, read),
    Format("fields: a store of ours", _ours, read, checked=True),
    Format("fields: .mat", _saved(lambda file: scipy.io.savemat(file, {"u": U, "y": Y, "x": X}), ".mat"), read),
    Format("fields: .mat compressed", _saved(lambda file: scipy.io.savemat(file, {"u": U}, do_compression=True), ".mat"), read),
    Format("fields: .npz", _saved(lambda file: np.savez(file, u=U, y=Y, x=X), ".npz"), read),
    Format("fields: .npz compressed", _saved(lambda file: np.savez_compressed(file, u=U), ".npz"), read),
    Format("fields: .npy", _saved(lambda file: np.save(file, U), ".npy"), read),
    Format("fields: TIFF", _saved(lambda file: tifffile.imwrite(file, U), ".tif"), read),
    Format("fields: TIFF of ImageJ", _saved(lambda file: tifffile.imwrite(file, U, imagej=True), ".tif"), read),
    Format("fields: TIFF compressed", _saved(lambda file: tifffile.imwrite(file, U, compression="zlib", tile=(16, 16)), ".tif"), read),
]
