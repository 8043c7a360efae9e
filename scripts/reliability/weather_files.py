"""Small files of radar as others write them: well, packed, with what is odd about them."""

import numpy as np
import xarray as xr

TIMES = np.datetime64("2024-05-01T10:00", "ns") + np.arange(6) * np.timedelta64(300, "s")
rng = np.random.default_rng(0)
DBZ = np.round(rng.uniform(1, 60, (6, 8, 10)) * 2).astype(np.float32) / 2  # (time, y, x), steps of .5
DBZ[:, 3, 4:] = 0
RAW = np.round((DBZ + 32) * 2).astype(np.uint8)  # scale .5, offset -32
PACKED = {"scale_factor": 0.5, "add_offset": -32.0}


def projected(values=DBZ, name="reflectivity", times=TIMES, coords=None, **attrs):
    """A CF data set in metres, 2 km pixels, as it lies in a file: attributes as they are given."""
    places = {
        dim: xr.Variable(dim, 2000.0 * np.arange(n), {"standard_name": f"projection_{dim}_coordinate", "units": "m"})
        for dim, n in zip("yx", values.shape[1:], strict=True)
    }
    data = {name: (("time", "y", "x"), values, {"units": "dBZ"} | attrs)}
    return xr.Dataset(data, {"time": times[: len(values)]} | places | (coords or {}))


def as_netcdf(data, path):
    # Attributes that say how numbers are coded stay attributes, and nothing is added.
    data.to_netcdf(
        path,
        engine="h5netcdf",
        encoding={name: {"_FillValue": None} for name in data.variables if "_FillValue" not in data[name].attrs},
    )
    return path


def as_classic(data, path):
    data.to_netcdf(
        path,
        engine="scipy",
        encoding={name: {"_FillValue": None} for name in data.variables if "_FillValue" not in data[name].attrs},
    )
    return path


def as_zarr(data, path, *, shard=None, version=3, **options):
    """A store of others: no manifest, attributes as they are."""
    import zarr

    name = next(iter(data.data_vars))
    array = data[name]
    data.drop_vars(name).to_zarr(path, zarr_format=version, consolidated=False, mode="w")
    with zarr.config.set({"array.write_empty_chunks": True}):
        dims = {"dimension_names": array.dims} if version == 3 else {}
        made = zarr.open_group(path, mode="r+").create_array(
            name,
            shape=array.shape,
            dtype=array.dtype,
            chunks=(1, *array.shape[1:]),
            shards=shard and (shard, *array.shape[1:]),
            attributes={k: v.tolist() if hasattr(v, "tolist") else v for k, v in array.attrs.items()}
            | ({} if version == 3 else {"_ARRAY_DIMENSIONS": list(array.dims)}),
            **dims,
            **options,
        )
        made[:] = array.values
    return path


def as_sharded(data, path):
    return as_zarr(data, path, shard=3)


def as_version_2(data, path):
    return as_zarr(data, path, version=2)


def as_hdf5(data, path):
    return as_netcdf(data, path)


KINDS = {
    "netCDF-4": (as_netcdf, ".nc"),
    "classic netCDF": (as_classic, ".nc"),
    "netCDF-4 named .h5": (as_hdf5, ".h5"),
    "zarr": (as_zarr, ".zarr"),
    "sharded zarr": (as_sharded, ".zarr"),
    "zarr of version 2": (as_version_2, ".zarr"),
}


def odim(
    path,
    raw,
    *,
    kind="COMP",
    quantity="DBZH",
    minute=0,
    where=None,
    datasets=1,
    starts=None,
    dataset_what=None,
    version="H5rad 2.3",
    **what,
):
    """An ODIM composite; `what` goes beside the data, `dataset_what` beside the data set."""
    import h5py
    import pyproj

    definition = "+proj=laea +lat_0=52 +lon_0=5 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    corners = pyproj.Proj(definition)
    height, width = raw.shape
    (west, south), (east, north) = corners(0, 0, inverse=True), corners(2000 * width, 2000 * height, inverse=True)
    stamp = {"date": np.bytes_("20240501"), "time": np.bytes_(f"10{minute:02d}00")}
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
        file.create_group("what").attrs.update(
            object=np.bytes_(kind), version=np.bytes_(version), source=np.bytes_("NOD:xx"), **stamp
        )
        file.create_group("where").attrs.update(
            {
                "projdef": np.bytes_(definition),
                "xscale": 2000.0,
                "yscale": 2000.0,
                "xsize": width,
                "ysize": height,
                "LL_lon": west,
                "LL_lat": south,
                "UR_lon": east,
                "UR_lat": north,
            }
            | (where or {})
        )
        for i in range(datasets):
            group = file.create_group(f"dataset{i + 1}")
            start = np.bytes_(f"10{(starts or [minute] * datasets)[i]:02d}00")
            group.create_group("what").attrs.update(startdate=stamp["date"], starttime=start, **(dataset_what or {}))
            group["data1/data"] = raw
            group.create_group("data1/what").attrs.update(quantity=np.bytes_(quantity), **what)
    return path


def odim_folder(folder, frames, **options):
    folder.mkdir()
    for i, raw in enumerate(frames):
        odim(folder / f"r{i}.h5", raw, minute=5 * i, **options)
    return folder


def odim_sweep(path, raw, *, quantity="DBZH", minute=0, elevation=0.5, **what):
    """A volume of one sweep, 360 rays of gates of 1 km."""
    import h5py

    stamp = {"date": np.bytes_("20240501"), "time": np.bytes_(f"10{minute:02d}00")}
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_3")
        file.create_group("what").attrs.update(
            object=np.bytes_("PVOL"), version=np.bytes_("H5rad 2.3"), source=np.bytes_("NOD:xx"), **stamp
        )
        file.create_group("where").attrs.update(lon=5.0, lat=52.0, height=0.0)
        file.create_group("how")
        group = file.create_group("dataset1")
        times = {
            "startdate": stamp["date"],
            "starttime": stamp["time"],
            "enddate": stamp["date"],
            "endtime": np.bytes_(f"10{minute:02d}30"),
        }
        group.create_group("what").attrs.update(product=np.bytes_("SCAN"), **times)
        group.create_group("where").attrs.update(
            elangle=elevation, nbins=raw.shape[1], rstart=0.0, rscale=1000.0, nrays=360, a1gate=0
        )
        group["data1/data"] = raw
        group.create_group("data1/what").attrs.update(quantity=np.bytes_(quantity), **what)
    return path


def sevir(path, digital):
    import h5py

    with h5py.File(path, "w") as file:
        file["vil"] = digital
        file["id"] = np.array([f"S{i}" for i in range(len(digital))], "S8")
    return path


def grib(path, frames, *, bitmap=True, **more):
    """Precipitation rate in mm/h on a grid of degrees; more: keys of eccodes."""
    import eccodes

    with open(path, "wb") as file:
        for i, frame in enumerate(frames):
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
            keys = {
                "Ni": frame.shape[1],
                "Nj": frame.shape[0],
                "latitudeOfFirstGridPointInDegrees": 50 + 0.05 * (frame.shape[0] - 1),
                "latitudeOfLastGridPointInDegrees": 50.0,
                "longitudeOfFirstGridPointInDegrees": 5.0,
                "longitudeOfLastGridPointInDegrees": 5 + 0.05 * (frame.shape[1] - 1),
                "iDirectionIncrementInDegrees": 0.05,
                "jDirectionIncrementInDegrees": 0.05,
                "dataDate": 20240501,
                "dataTime": 1000 + 5 * i,
                "bitmapPresent": int(bitmap),
                "missingValue": 9999,
                "bitsPerValue": 24,
                "shortName": "prate",
            } | more
            for key, value in keys.items():
                eccodes.codes_set(message, key, value)
            rate = np.where(np.isnan(frame), 9999, frame / 3600) if bitmap else frame / 3600
            eccodes.codes_set_values(message, rate[::-1].ravel().astype(float))
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return path
