"""The user's own fields: zarr, netCDF, PDEBench and The Well HDF5, DiffusionPDE .mat, checked before anything is trained on them."""

import h5py
import numpy as np
import scipy.io
import xarray as xr

from sciddm import store
from sciddm.data.reading import check_finite, even_step, files, kind_of, pick, reading, text
from sciddm.data.units import convert
from sciddm.errors import UserError

# What the published collections call a coefficient or start, and a solution.
ALIASES = {
    "a": ("a", "nu", "coeff", "permeability", "thresh_a_data", "f_data", "source"),
    "u": ("u", "tensor", "sol", "solution", "pressure", "thresh_p_data", "phi_data", "psi_data", "velocity"),
    "w0": ("w0", "a", "input"),
    "wT": ("wT", "u", "output"),
}


def read_fields(path, variables, *, names=None, units=None) -> xr.Dataset:
    """Fields of the user's own file, in canonical order (sample, *grid) and float32, checked.

    Args:
        path: .zarr, .nc, .h5, .hdf5 or .mat, or a folder or pattern with one of them; variables: the names the equation needs;
        names: variable -> name in the file, where `ALIASES` does not know it; units: variable -> expected units, to which values are
            converted where the file states others of the same kind.
    Raises: UserError naming the file, the variable and the index at fault.
    """
    found = files(path, READERS, "fields")
    if len(found) > 1:
        raise UserError(
            f"{path}: {len(found)} files, such as {found[0].name} and {found[1].name}; expected one, name it"
        )
    [path] = found
    with reading(path):
        found = READERS[kind_of(path)](path)
    picked = {variable: found[_pick(path, found, variable, (names or {}).get(variable))] for variable in variables}
    picked = check(path, picked, units or {})
    shape = next(iter(picked.values())).shape
    dims = ("sample", *[f"axis{i}" for i in range(len(shape) - 1)])
    fields = {
        name: xr.Variable(dims, np.asarray(array.values, np.float32), array.attrs) for name, array in picked.items()
    }
    return xr.Dataset(fields, attrs={"source": str(path)})


def check(path, fields: dict[str, xr.DataArray], units: dict[str, str]) -> dict[str, xr.DataArray]:
    """The fields, converted to the expected units where their own are others of the same kind.

    Raises: UserError unless they have one grid, at least one spatial axis, finite values, even spacing, and units that can be converted.
    """
    first, checked = next(iter(fields)), {}
    for name, array in fields.items():
        if array.ndim < 2:
            raise UserError(f"{path}: variable {name!r} has shape {array.shape}; expected (sample, *grid)")
        if array.shape != fields[first].shape:
            raise UserError(
                f"{path}: variable {name!r} has shape {array.shape}, but {first!r} has {fields[first].shape}; expected the same"
            )
        if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array.values):
            raise UserError(f"{path}: variable {name!r} has type {array.dtype}; expected real numbers")
        check_finite(path, name, array.values)
        for dim in array.dims[1:]:
            if dim in array.coords and array.sizes[dim] > 2:
                even_step(path, f"coordinate {dim!r} of {name!r}", array.coords[dim].values)
        checked[name], stated = array, array.attrs.get("units")
        if stated is not None and name in units:
            what, way_out = f"{path}: variable {name!r}", "convert it or set config.data.units"
            values = convert(array.values, stated, units[name], what, way_out=way_out)
            checked[name] = array.copy(data=values).assign_attrs(units=units[name])
    return checked


def _pick(path, found, variable, name):
    known = (name,) if name else ALIASES.get(variable, (variable,))
    what = f"variable for {variable!r} (looked for {', '.join(known)})"
    return pick(path, found, known, what=what, key=f"config.data.names.{variable}")


def _read_zarr(path):
    return dict(store.open_store(path).load().data_vars)


def _read_netcdf(path):
    with xr.open_dataset(path) as dataset:
        return dict(dataset.load().data_vars)


def _read_hdf5(path):
    with h5py.File(path) as file:
        if "t0_fields" in file:
            return _the_well(file)
        coords = {key[0]: np.asarray(value) for key, value in file.items() if key.endswith("-coordinate")}
        arrays = {
            key: np.asarray(value) for key, value in file.items() if isinstance(value, h5py.Dataset) and value.ndim > 1
        }
        attrs = {key: _attributes(file[key]) for key in arrays}
    if "tensor" in arrays and arrays["tensor"].ndim == 4 and arrays["tensor"].shape[1] == 1:
        arrays["tensor"] = arrays["tensor"][:, 0]  # PDEBench Darcy: a single time
    return {key: _named(value, coords, attrs[key]) for key, value in arrays.items()}


def _the_well(file):
    # Scalar fields only: (trajectory, time, *space), those constant in time without their second axis.
    coords = {key: np.asarray(value) for key, value in file["dimensions"].items() if isinstance(value, h5py.Dataset)}
    fields = {}
    for key, value in file["t0_fields"].items():
        axes = (["t"] if value.attrs.get("time_varying", True) else []) + list(
            coords and [c for c in coords if c != "time"]
        )
        named = {"t": coords.get("time"), **{c: coords[c] for c in coords if c != "time"}}
        dims = ("sample", *axes[: value.ndim - 1])
        fits = {
            d: named[d]
            for d, n in zip(dims, value.shape, strict=True)
            if named.get(d) is not None and named[d].shape == (n,)
        }
        fields[key] = xr.DataArray(np.asarray(value), fits, dims, attrs=_attributes(value))
    return fields


def _read_mat(path):
    if h5py.is_hdf5(path):  # version 7.3, which has its axes reversed
        with h5py.File(path) as file:
            arrays = {key: np.asarray(value).T for key, value in file.items() if isinstance(value, h5py.Dataset)}
    else:
        arrays = {key: value for key, value in scipy.io.loadmat(path).items() if not key.startswith("__")}
    return {key: _named(value, {}, {}) for key, value in arrays.items() if value.ndim > 1}


def _attributes(dataset):
    units = dataset.attrs.get("units")
    return {} if units is None else {"units": text(units)}


def _named(array, coords, attrs):
    # PDEBench orders its axes (sample, t, x) or (sample, x, y); a coordinate is taken where its length fits.
    order = [key for key in ("t", "x", "y", "z") if key in coords][: array.ndim - 1]
    dims = ["sample", *(order + [f"axis{i}" for i in range(array.ndim)])[: array.ndim - 1]]
    fits = {d: coords[d] for d, n in zip(dims, array.shape, strict=True) if d in coords and coords[d].shape == (n,)}
    return xr.DataArray(array, fits, dims, attrs=attrs)


READERS = {
    ".zarr": _read_zarr, ".nc": _read_netcdf, ".nc4": _read_netcdf, ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".mat": _read_mat,
}  # fmt: skip
