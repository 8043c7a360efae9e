"""Files of gridded fields that say what their numbers mean, each in its own way: what is read is compared with what was written."""

from pathlib import Path

import h5py
import netCDF4
import numpy as np
import scipy.io
import tifffile
import xarray as xr
import zarr
from case import Case, done, refused

RNG = np.random.default_rng(0)
A, U = RNG.standard_normal((2, 5, 8, 8)).astype(np.float32)
SQUARE = (np.arange(8) + 0.5) / 8
S = ("sample", "y", "x")
RAW = np.array([0, 10, 160, 254, 255], "u1")
HALVES = np.array([-32, -27, 48, 95, np.nan], np.float32)  # RAW / 2 - 32, 255 being missing
PACKED = {"scale_factor": 0.5, "add_offset": -32.0}


def reads(kind, name, write, check) -> Case:
    """One whose file is read: write(folder) -> path; check(fields) asserts."""

    def run(folder):
        from domains.fields.readers import open_fields

        check(open_fields(write(folder)))

    return done(kind, name, run)


def gives(name, write, values, *, kind="metadata", variable="u", **sizes) -> Case:
    """The same, where a variable has these values."""

    def check(fields):
        np.testing.assert_allclose(fields.read(variable), np.asarray(values, np.float32), rtol=1e-6)
        assert {k: fields.template.sizes[k] for k in sizes} == sizes, fields.template.sizes

    return reads(kind, name, write, check)


def netcdf(suffix=".nc", attrs=PACKED, raw=RAW, fill=None, form="NETCDF4", group="", **more):
    """Bytes as netCDF's own library writes them."""

    def write(folder):
        path = folder / f"f{suffix}"
        with netCDF4.Dataset(path, "w", format=form) as file:
            place = file.createGroup(group) if group else file
            place.createDimension("x", len(raw))
            variable = place.createVariable("u", raw.dtype, ("x",), fill_value=fill, **more)
            variable.set_auto_maskandscale(False)
            variable[:] = raw
            for key, value in attrs.items():
                setattr(variable, key, value)
        return path

    return write


def sharded(attrs, raw=RAW, **options):
    """A store of version 3 with chunks in shards."""

    def write(folder):
        array = zarr.open_group(folder / "f.zarr", mode="w", zarr_format=3).create_array(
            "u", data=raw, chunks=(1,), shards=(5,), dimension_names=("x",), **options
        )
        array.attrs.update(attrs)
        return folder / "f.zarr"

    return write


def hdf5(attrs, raw=RAW, path="u", each=1):
    """Plain HDF5, of a group each where there are several."""

    def write(folder):
        with h5py.File(folder / "f.h5", "w") as file:
            for i in range(each):
                variable = file.create_dataset(path if each == 1 else f"{i:04d}/{path}", data=raw)
                variable.attrs.update(attrs)
        return folder / "f.h5"

    return write


def saved(dataset, name="f.nc", **options):
    """A dataset as it is."""

    def write(folder):
        if name.endswith(".zarr"):
            dataset.to_zarr(folder / name, consolidated=False)
        else:
            dataset.to_netcdf(folder / name, **({"engine": "h5netcdf"} | options))
        return folder / name

    return write


def together(*datasets):
    """Several files, by a pattern."""

    def write(folder):
        for i, dataset in enumerate(datasets):
            dataset.to_netcdf(folder / f"{i}.nc", engine="h5netcdf")
        return folder / "*.nc"

    return write


def pde(name, write, *, equation="poisson", kind="metadata") -> Case:
    """A file of an equation: a and u come out as they are, whatever the order and the direction of their axes."""

    def run(folder):
        from domains.fields.source import Source
        from domains.pde.own import open_own

        fields, plan = open_own(write(folder), equation)
        found = Source(fields, plan, 2, memory=np.inf).whole[:, 0]
        np.testing.assert_array_equal(found[..., 0], A)
        np.testing.assert_array_equal(found[..., -1], A if equation == "burgers" else U)

    return done(kind, f"pde: {name}", run)


def pde_refused(name, write, *words, kind="metadata") -> Case:
    """One that is refused."""

    def run(folder):
        from domains.pde.own import open_own

        open_own(write(folder), "poisson")

    return refused(kind, f"pde: {name}", run, *words)


def pair(a, u, **coords) -> xr.Dataset:
    """a and u of (dims, values), on the unit square where no coordinates are given."""
    return xr.Dataset({"a": a, "u": u}, coords or {"y": SQUARE, "x": SQUARE})


def one(name, values=None, dims=S, y=SQUARE, x=SQUARE, **coords) -> xr.Dataset:
    """One variable of a file."""
    return xr.Dataset({name: (dims, values)}, {"y": y, "x": x} | coords)


UPSIDE, LAST = SQUARE[::-1], ("y", "x", "sample")
COORDS = {"y": SQUARE, "x": SQUARE}
PDE = [
    pde("u is transposed", saved(pair((S, A), (("sample", "x", "y"), U.transpose(0, 2, 1))))),
    pde("both are transposed", saved(pair((("x", "sample", "y"), A.transpose(2, 0, 1)), (("x", "sample", "y"), U.transpose(2, 0, 1)))
                                     .transpose("sample", "y", "x"))),
    pde("the sample is last in one", saved(pair((LAST, A.transpose(1, 2, 0)), (S, U)))),
    pde("numbers of samples that are called alike", saved(pair((S, A), (("member", "y", "x"), U)))),
    pde("axes of numpy, samples last", lambda folder: _npz(folder, a=A.transpose(1, 2, 0), u=U.transpose(1, 2, 0))),
    pde("axes of numpy, samples last in one", lambda folder: _npz(folder, a=A, u=U.transpose(1, 2, 0))),
    pde("axes of MATLAB, samples last", lambda folder: _mat(folder, a=A.transpose(1, 2, 0), u=U.transpose(1, 2, 0))),
    pde("two files, y from the top in one", together(one("a", A), one("u", U[:, ::-1], y=UPSIDE))),
    pde("two files, x from the right in one", together(one("a", A), one("u", U[..., ::-1], x=UPSIDE))),
    pde("two files, transposed and from the top",
        together(one("a", A), one("u", U[:, ::-1].transpose(2, 1, 0), ("x", "y", "sample"), UPSIDE))),
    pde("two files, single and double precision", together(one("a", A), one("u", U, y=SQUARE.astype("f4"), x=SQUARE.astype("f4")))),
    pde("two files, kilometres and metres", together(one("a", A).assign_coords(y=("y", SQUARE, {"units": "km"})),
                                                     one("u", U).assign_coords(y=("y", 1000 * SQUARE, {"units": "m"})))),
    pde("two files, samples counted down in one", together(one("a", A, sample=np.arange(5)), one("u", U[::-1], sample=np.arange(5)[::-1]))),
    pde("x before a time without its name", saved(xr.Dataset({"u": (("sample", "x", "tau"), A.transpose(0, 2, 1))})),
        equation="burgers"),
    pde("x before time", saved(xr.Dataset({"u": (("x", "run", "time"), A.transpose(2, 0, 1))})), equation="burgers"),
    *(pde(f"samples are called {word}, in the middle",
          saved(pair((("y", word, "x"), A.transpose(1, 0, 2)), (("y", "x", word), U.transpose(1, 2, 0)))))
      for word in ("batch", "member", "realization", "realisation", "ensemble", "trajectory", "n", "seed")),
    pde_refused("y2 from the top beside y", saved(pair((S, A), (("sample", "y2", "x2"), U[:, ::-1]), **COORDS, y2=UPSIDE, x2=SQUARE)),
                "'y2'", "'y'"),
    pde_refused("another dimension without a coordinate", saved(pair((S, A), (("sample", "p", "q"), U))), "'p'", "rename"),
    pde_refused("which counts the samples is open", saved(pair((("foo", "bar", "baz"), A), (("foo", "bar", "baz"), U), foo=np.arange(5))),
                "which counts the samples"),
    pde_refused("two files, shifted by a hundredth", together(one("a", A), one("u", U, y=SQUARE + 0.01)), "'y' is", "interpolate"),
    pde_refused("two files, other numbers of samples",
                together(one("a", A, sample=np.arange(5)), one("u", U, sample=[0, 2, 1, 3, 4])), "'sample' is"),
    pde_refused("two files, no coordinate in one", together(one("a", A), xr.Dataset({"u": (S, U)})), "no coordinate"),
    pde_refused("no u", saved(xr.Dataset({"a": (S, A), "pp": (S, U)})), r"--config\.data\.names\.u=pp"),
    pde_refused("units of another kind", saved(pair((S, A), (S, U, {"units": "dBZ"}))), r"--config\.data\.units\.u=dBZ"),
    pde_refused("complex u", lambda folder: _npz(folder, a=A, u=U + 1j), "no variable for 'u'"),
    pde_refused("a grid of three dimensions", lambda folder: _npz(folder, a=A, u=np.stack([U, U], 1)), "two dimensions"),
    pde_refused("no samples", lambda folder: _npz(folder, a=A[:0], u=U[:0]), "0 entries"),
]  # fmt: skip


def _npz(folder, **arrays) -> Path:
    np.savez(folder / "f.npz", **arrays)
    return folder / "f.npz"


def _mat(folder, **arrays) -> Path:
    scipy.io.savemat(folder / "f.mat", arrays)
    return folder / "f.mat"


SIGNED = RAW.view("i1")
UNSIGNED = {"_Unsigned": "true", "missing_value": np.int8(-1)}
SHORT = np.array([0, 10, 160, 254, -1], "i2")
PACKINGS = [
    *(gives(f"packed netCDF-4 named {suffix or 'without a suffix'}", netcdf(suffix, fill=255), HALVES)
      for suffix in (".h5", ".hdf5", ".nc", ".nc4", ".hdf", ".H5", ".cdf", "")),
    *(gives(f"packed {form}", netcdf(raw=SHORT, fill=-1, form=form), HALVES)
      for form in ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4_CLASSIC")),
    gives("missing_value in .h5", netcdf(".h5", PACKED | {"missing_value": np.uint8(255)}), HALVES),
    gives("two missing values", netcdf(".h5", PACKED | {"missing_value": np.array([254, 255], "u1")}), [*HALVES[:3], np.nan, np.nan]),
    gives("_FillValue and missing_value", netcdf(".h5", PACKED | {"missing_value": np.uint8(254)}, fill=255),
        [*HALVES[:3], np.nan, np.nan]),
    gives("valid_range in .h5", netcdf(".h5", PACKED | {"valid_range": np.array([1, 254], "u1")}), [np.nan, *HALVES[1:4], np.nan]),
    gives("valid_max in .h5", netcdf(".h5", PACKED | {"valid_max": np.uint8(254)}), HALVES),
    gives("valid_range of floats", netcdf(".h5", PACKED | {"valid_range": np.array([-32.0, 95.0])}), HALVES),
    gives("_Unsigned in .h5", netcdf(".h5", PACKED | UNSIGNED, SIGNED), HALVES),
    gives("packed in a group", netcdf(".h5", fill=255, group="observed"), HALVES),
    gives("packed and deflated with checksums", netcdf(".h5", fill=255, zlib=True, fletcher32=True), HALVES),
    gives("big-endian", netcdf(".h5", raw=SHORT.astype(">i2"), fill=-1, endian="big"), HALVES),
    gives("plain HDF5 with CF attributes", hdf5(PACKED | {"_FillValue": np.uint8(255)}), HALVES),
    gives("groups of samples, packed alike", hdf5(PACKED | {"_FillValue": np.uint8(255)}, each=3), np.tile(HALVES, (3, 1))),
    gives("shards, _FillValue", sharded(PACKED | {"_FillValue": 255}), HALVES),
    gives("shards, missing_value", sharded(PACKED | {"missing_value": 255}), HALVES),
    gives("shards, _Unsigned", sharded(PACKED | {"_Unsigned": "true", "missing_value": -1}, SIGNED), HALVES),
    gives("shards, valid_max", sharded(PACKED | {"valid_max": 254}), HALVES),
    gives("a missing value that no byte is", hdf5({"missing_value": np.int16(-9999)}, np.array([0, 241, 3], "u1")), [0, 241, 3]),
    gives("a missing value by way of single precision", hdf5({"missing_value": np.float32(1e20)}, np.array([1, 1e20])), [1, np.nan]),
    gives("attributes in capitals", hdf5({"SCALE_FACTOR": 0.5, "Add_Offset": -32.0, "FillValue": np.uint8(255)}), HALVES),
    gives("nodata", hdf5(PACKED | {"nodata": np.uint8(255)}), HALVES),
    gives("_Unsigned as a number", hdf5(PACKED | {"_Unsigned": 1, "missing_value": np.int8(-1)}, SIGNED), HALVES),
    gives("integers that were never written", netcdf(attrs={}, raw=np.array([1, -32767, 3], "i2")), [1, np.nan, 3]),
    gives("chunks of HDF5 that were never written", lambda folder: sparse(folder, -1.0), [[1] * 4, [np.nan] * 4]),
    gives("two files, each its own packing",
        together(*(xr.Dataset({"u": ("x", RAW, PACKED | {"scale_factor": s, "_FillValue": np.uint8(255)})})
                                                        for s in (0.5, 1.0))), [HALVES, 2 * HALVES + 32]),
    gives("a mask of Booleans", saved(xr.Dataset({"u": ("x", RAW > 100)})), RAW > 100),
    gives("half precision", hdf5({}, HALVES[:4].astype("f2")), HALVES[:4]),
    gives("64-bit integers", netcdf(attrs={}, raw=RAW.astype("i8")), RAW),
    gives("nodata of GDAL", lambda folder: _tiff(folder), [[1, np.nan], [3, 4]], variable="f"),
]  # fmt: skip


def _tiff(folder) -> Path:
    tifffile.imwrite(folder / "f.tif", np.array([[1, -9999], [3, 4]], "f4"), extratags=[(42113, "s", 0, "-9999", True)])
    return folder / "f.tif"


def sparse(folder, fill) -> Path:
    """Half of an array is there."""
    with h5py.File(folder / "f.h5", "w") as file:
        file.create_dataset("u", (2, 4), "f4", chunks=(1, 4), fillvalue=fill)[0] = 1.0
    return folder / "f.h5"


def hours_before_minutes(fields):
    """Times of two files in the unit of the first."""
    np.testing.assert_allclose(fields.template["time"], [0, 6, 12, 18])


def groups_turned(folder) -> Path:
    """Two groups, of which one has x the other way than the root."""
    with netCDF4.Dataset(folder / "f.nc", "w") as file:
        file.createDimension("x", 4)
        file.createVariable("x", "f4", ("x",))[:] = np.arange(4)
        for name, x in (("a", np.arange(4)), ("b", np.arange(4)[::-1])):
            group = file.createGroup(name)
            group.createVariable("x", "f4", ("x",))[:] = x
            group.createVariable("u", "f4", ("x",))[:] = 1.0
    return folder / "f.nc"


def own_places(fields):
    """Of the group that is turned."""
    np.testing.assert_array_equal(fields.template["b_u"]["b_x"], [3, 2, 1, 0])


def unlike_groups(folder):
    """Groups of samples, of which one is packed otherwise."""
    with h5py.File(folder / "f.h5", "w") as file:
        for i in range(3):
            file.create_dataset(f"{i:04d}/u", data=RAW).attrs["scale_factor"] = 1.0 + (i == 1)
    return folder / "f.h5"


def _open(write):
    def run(folder):
        from domains.fields.readers import open_fields

        open_fields(write(folder))

    return run


CALENDARS = ("noleap", "360_day", "julian", "all_leap", "standard", "proleptic_gregorian")


def calendar(name, units, window) -> Case:
    """Times of a calendar through a model of two values: what it writes has the same calendar and units."""

    def run(folder):
        from fields_domains import domain_of, restored

        from domains.fields.times import stamped

        times = xr.date_range("2001-02-20", periods=40, freq="D", calendar=name, use_cftime=name not in ("standard", "proleptic_gregorian"))
        data = xr.Dataset({"u": (("time", "y", "x"), RNG.standard_normal((40, 4, 5)))}, {"time": times})
        data["time"].encoding |= {"units": units, "calendar": name}
        domain = domain_of(data, folder, window=window)
        again = restored(domain, window=window)
        written = stamped(again.to_native(np.zeros((1, *domain.example.shape), np.float32)), again.layout, data["time"].values[7])
        again.save(written, folder / "out.nc")
        with netCDF4.Dataset(folder / "out.nc") as file, netCDF4.Dataset(folder / "own.nc") as own:
            assert (file["time"].units, file["time"].calendar) == (own["time"].units, name), (file["time"].units, file["time"].calendar)
            expected = own["time"][7 : 7 + window] if window > 1 else own["time"][7]
            np.testing.assert_allclose(file["time"][:], expected)

    return done("metadata", f"times in {name}, {units}, windows of {window}", run)


def hours_of_floats(folder):
    """Every five minutes as hours since 1900: steps of five minutes, and dates of whole ones."""
    from fields_domains import source_of

    hours = 1_000_000 + np.arange(40) / 12
    data = xr.Dataset({"u": (("time", "y", "x"), RNG.standard_normal((40, 4, 5)))},
        {"time": ("time", hours, {"units": "hours since 1900-01-01"})})
    plan = source_of(data, folder, window=4).plan
    assert (plan.layout.step, plan.layout.time_units) == (5.0, "minutes"), (plan.layout.step, plan.layout.time_units)


HOURS = together(*(xr.Dataset({"u": ("time", [1.0, 2.0])}, {"time": ("time", times, {"units": units})})
                   for times, units in (([0.0, 6.0], "h"), ([720.0, 1080.0], "min"))))  # fmt: skip
MEANING = [
    reads("metadata", "times of two files in hours and in minutes", HOURS, hours_before_minutes),
    reads("metadata", "a group that has x the other way", groups_turned, own_places),
    *PDE,
    *PACKINGS,
    refused("metadata", "groups of samples that are packed unlike", _open(unlike_groups), "scale_factor"),
    *(calendar(name, "days since 1990-01-01", 4) for name in CALENDARS),
    *(calendar(name, "hours since 1850-01-01", 1) for name in CALENDARS[:3]),
    done("metadata", "times as floats of hours", hours_of_floats),
]
