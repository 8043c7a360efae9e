"""Domains of small files, made without a network."""

import numpy as np
import xarray as xr

from configs.fields import get_config
from domains.fields.readers import open_fields
from domains.fields.roles import make_plan
from domains.fields.source import Source
from sciddm.domain import get_domain


def domain_of(dataset: xr.Dataset | str, folder, name="own.nc", **data):
    """The domain of a dataset that is written into a folder, or of a path; data: config.data."""
    path = dataset
    if isinstance(dataset, xr.Dataset):
        path = folder / name
        dataset.to_netcdf(path, engine="h5netcdf") if name.endswith(".nc") else dataset.to_zarr(
            path, mode="w", consolidated=False
        )
    config = get_config()
    config.data.update({"path": str(path), "cache": str(folder / "cache"), **data})
    return get_domain(config)


def source_of(dataset, folder, held_out=0.1, stride=1, memory=2.0, **data) -> Source:
    """Windows of a dataset that is written into a folder, where it is not there yet."""
    path = folder / "own.nc"
    if not path.exists():
        dataset.to_netcdf(path, engine="h5netcdf")
    config = get_config()
    config.data.update(data)
    fields = open_fields(path)
    return Source(fields, make_plan(fields, config.data), held_out, stride, memory)


def restored(domain, **data):
    """The same domain as a checkpoint brings it back, which never saw the file."""
    import json

    config = get_config()
    config.data.update(data)
    return type(domain)(config, json.loads(json.dumps(domain.normalizer.to_json())))


def batch(domain, split="test", count=3) -> np.ndarray:
    data = domain.dataset(split)
    return np.stack([data[i]["x"] for i in range(count)])


def differences(original: xr.Dataset, written: xr.Dataset, counted) -> list:
    """What a written file has not as the original has it: names, dimensions and their order, coordinates, attributes one by one. Along the
    counted dimensions, of samples and times, values differ by their nature."""
    found = [("global attributes", original.attrs, written.attrs)] if original.attrs != written.attrs else []
    for name, before in original.variables.items():
        if name in original.coords and set(before.dims) & set(counted):
            continue
        if name not in written.variables:
            found.append((name, "missing"))
            continue
        after = written.variables[name]
        for key in {*before.attrs, *after.attrs}:
            if (
                key not in before.attrs
                or key not in after.attrs
                or not np.array_equal(before.attrs[key], after.attrs[key])
            ):
                found.append((name, key, before.attrs.get(key), after.attrs.get(key)))
        plain = [tuple("sample" if dim in counted else dim for dim in one.dims) for one in (before, after)]
        if plain[0] != plain[1] or (name in original.coords) != (name in written.coords):
            found.append((name, "dimensions", before.dims, after.dims))
        if not set(before.dims) & set(counted) and not _equal(before.values, after.values, name in original.coords):
            found.append((name, "values"))
    return found


def _equal(before, after, exactly) -> bool:
    # coordinates to the last bit, static fields as float32
    if before.dtype.kind in "SU":
        return before.astype(str).tolist() == after.astype(object if after.dtype.kind == "T" else str).tolist()
    if exactly or before.dtype.kind != "f":
        return np.array_equal(before, after)
    return np.allclose(before, after, rtol=1e-6, atol=0, equal_nan=True)
