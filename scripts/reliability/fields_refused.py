"""Files that are no gridded fields, keys of the config that mean nothing, and work that no machine does: each is one line."""

import io
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import scipy.sparse
import tifffile
import xarray as xr
import zarr
from case import Case, refused

RNG = np.random.default_rng(0)
U = RNG.standard_normal((20, 8, 9)).astype(np.float32)
S, T = ("sample", "y", "x"), ("time", "y", "x")
# Where nothing else is wrong there are too few samples, which is said once the data have been read: nothing is trained.
TRAIN = ("train", "--config", "fields:smoke", "--workdir", "run", "--config.data.cache=cache", "--config.training.batch_size=999")
PDE = ("train", "--config", "pde:smoke", "--workdir", "run", "--config.data.cache=cache")


def own(values=U, dims=S, coords=None, **more) -> xr.Dataset:
    """u in K."""
    return xr.Dataset({"u": (dims, values, {"units": "K"})} | more, coords or {})


def of(kind, name, write, *words, keys=(), path=None) -> Case:
    """Training on what write(folder) leaves, a path, is refused."""

    def run(folder):
        found = write(folder)
        return [*TRAIN, f"--config.data.path={path or found}", *keys]

    return refused(kind, name, run, *words)


def data(kind, name, dataset, *words, keys=()) -> Case:
    """The same of a dataset."""

    def write(folder):
        dataset.to_netcdf(folder / "f.nc", engine="h5netcdf")
        return "f.nc"

    return of(kind, name, write, *words, keys=keys)


def put(name, content: bytes):
    """A file of these bytes."""

    def write(folder):
        (folder / name).write_bytes(content)
        return name

    return write


def built(name, build):
    """What build(path) leaves at a path."""

    def write(folder):
        build(folder / name)
        return name

    return write


def npy(**options) -> bytes:
    file = io.BytesIO()
    np.save(file, options.get("array", U), allow_pickle=True)
    return file.getvalue()


def zipped(content: bytes):
    def build(path):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("u.npy", content)

    return build


def huge(path):
    """A dataset of which nothing is written, and that no memory holds."""
    with h5py.File(path, "w") as file:
        file.create_dataset("u", (4, 10**7, 10**7), "f4", chunks=(1, 1000, 1000))


def half(path):
    """Of which one half was written."""
    with h5py.File(path, "w") as file:
        file.create_dataset("u", (20, 8, 9), "f4", chunks=(1, 8, 9))[:10] = U[:10]


def lacking(path):
    array = zarr.open_group(path, mode="w", zarr_format=3).create_array("u", shape=(20, 8, 9), chunks=(2, 8, 9), dtype="f4",
        dimension_names=S)
    array[:10] = U[:10]


def without_metadata(path):
    own().to_zarr(path, zarr_format=3, consolidated=False)
    os.remove(path / "u/zarr.json")


HEADER = npy()
FILES = {
    "an empty file": (put("f.nc", b""), "is empty"),
    "an empty zip": (built("f.npz", lambda p: zipfile.ZipFile(p, "w").close()), "no gridded numbers"),
    "netCDF in gzip": (put("f.nc.gz", b"\x1f\x8b\x08\0"), "gunzip"), "gzip named .nc": (put("f.nc", b"\x1f\x8b\x08\0abc"), "gunzip"),
    "GRIB named .nc": (put("f.nc", b"GRIB\0\0\0\2"), "grib_to_netcdf"), "HDF4": (put("f.hdf", b"\x0e\x03\x13\x01abc"), "HDF4"),
    "a web page": (put("f.nc", b"<!DOCTYPE html>"), "web page"),
    "a pointer of Git LFS": (put("f.h5", b"version https://git-lfs"), "git lfs pull"),
    "JSON": (put("f.nc", b'{"a": 1}'), "JSON"), "a table named .nc": (put("f.nc", b"a,b\n1,2\n"), "can't be read"),
    "a table": (put("f.csv", b"a,b\n1,2\n"), "not known"), "no format": (put("f.xyz", b"1 2 3"), "not known"),
    "a picture named .tif": (put("f.tif", b"\x89PNG\r\n\x1a\n"), "can't be read"),
    "half a header of classic netCDF": (put("f.nc", b"CDF\x01"), "f.nc"),
    "half a header of HDF5": (put("f.h5", b"\x89HDF\r\n\x1a\n" + bytes(100)), "f.h5"), "zeros": (put("f.nc", bytes(4096)), "f.nc"),
    "half a header of netCDF with 64-bit data": (put("f.nc", b"CDF\x05" + bytes(10)), "f.nc"),
    "a count beyond the file in netCDF with 64-bit data": (put("f.nc", b"CDF\x05" + bytes(11) + b"\x0a" + b"\x7f" * 40), "damaged"),
    "a pickle named .npy": (put("f.npy", b"\x80\x04\x95abc"), "Python"),
    "objects in .npy": (put("f.npy", npy(array=np.array([None, {}]))), "Python"),
    "half a header of numpy": (put("f.npy", HEADER[:20]), "f.npy"), "half of numpy's values": (put("f.npy", HEADER[:-9]), "f.npy"),
    "no values in .npy": (put("f.npy", npy(array=U[:0])), "0 entries"),
    "a number in .npy": (put("f.npy", npy(array=np.float64(3))), "no gridded"),
    "complex values in .npy": (put("f.npy", npy(array=U + 1j)), "no gridded"),
    "words in .npy": (put("f.npy", npy(array=np.array(["a"]))), "no gridded"),
    "dates in .npy": (put("f.npy", npy(array=np.arange(9).astype("M8[D]"))), "no gridded"),
    "more than memory in .npz": (built("f.npz", zipped(HEADER.replace(b"(20, 8, 9), }", b"(9999999999,9,9),}").replace(b"  \n", b"\n", 2))),
        "f.npz"),
    "half a member of .npz": (built("f.npz", zipped(HEADER[:-9])), "f.npz"),
    "objects in .npz": (built("f.npz", lambda p: np.savez(p, u=np.array([None]))), "no gridded"),
    "only a sparse matrix in .mat": (built("f.mat", lambda p: scipy.io.savemat(p, {"s": scipy.sparse.eye_array(4)})), r"full\(s\)"),
    "only words in .mat": (built("f.mat", lambda p: scipy.io.savemat(p, {"s": "words"})), "no gridded"),
    "a flag of complex numbers where there are none in .mat": (built("f.mat", lambda p: flagged(p)), "broken"),
    "an element of no known type in .mat": (built("f.mat", lambda p: flagged(p, 184, 11)), "broken"),
    "half a .mat": (built("f.mat", lambda p: (scipy.io.savemat(p, {"u": U}), p.write_bytes(p.read_bytes()[:999]))), "f.mat"),
    "half a TIFF": (built("f.tif", lambda p: (tifffile.imwrite(p, U), p.write_bytes(p.read_bytes()[:999]))), "damaged"),
    "HDF5 that lacks chunks": (built("f.h5", half), "lacks 10 of 20 chunks"),
    "a store without metadata": (built("f.zarr", lambda p: p.mkdir()), "not a readable zarr store"),
    "a store with broken metadata": (built("f.zarr", lambda p: (p.mkdir(), (p / "zarr.json").write_text("{"))),
        "not a readable zarr store"),
    "chunks without their array's metadata": (built("f.zarr", without_metadata), "neither zarr.json"),
    "a store that lacks chunks": (built("f.zarr", lacking), "lacks 5 of 10 chunks"),
    "no file": (lambda folder: "f.nc", "no such file"), "a folder of nothing": (built("d", Path.mkdir), "without gridded data"),
    "a folder named .nc": (built("f.nc", Path.mkdir), "without gridded data"),
    "no file of a pattern": (lambda folder: "*.nc", "no file fits"),
    "a link to itself": (built("f.nc", lambda p: p.symlink_to(p)), "no such file"),
    "a link to nothing": (built("f.nc", lambda p: p.symlink_to("g.nc")), "no such"),
    "a name of 300 letters": (lambda folder: "a" * 300 + ".nc", "too long"), "no path": (lambda folder: "", "config.data.path is empty"),
}  # fmt: skip
HANGS = {
    "a pipe": (built("f.nc", os.mkfifo), "pipe"), "a pipe named .zarr": (built("f.zarr", os.mkfifo), "pipe"),
    "a pipe among files": (lambda folder: (own().to_netcdf(folder / "a.nc"), os.mkfifo(folder / "b.nc"), "*.nc")[2], "pipe"),
    "/dev/zero": (lambda folder: "/dev/zero", "device"), "/dev/null": (lambda folder: "/dev/null", "device"),
    "more than memory in sparse HDF5": (built("f.h5", huge), "memory|never written"),
}  # fmt: skip


def flagged(path, at=145, value=8):
    """A .mat of one array, a byte of which is another: by default that of its flags."""
    scipy.io.savemat(path, {"u": U})
    content = bytearray(path.read_bytes())
    content[at] = value
    path.write_bytes(content)


HOURS = np.datetime64("2000-01-01", "ns") + np.arange(20) * np.timedelta64(6, "h")
INF = np.where(np.arange(20)[:, None, None] == 3, np.inf, U).astype("f4")
DATA = [
    data("metadata", "a dimension that may count samples", own(U.reshape(5, 4, 8, 9), ("time", "probe", "y", "x")),
        r"--config\.data\.sample_dim=probe"),
    data("metadata", "two grids", own(v=(("sample", "p", "q"), U)), r"--config\.data\.variables=u"),
    data("metadata", "no names of samples", own(dims=("a", "b", "c")), r"--config\.data\.sample_dim=a"),
    data("metadata", "four dimensions of space", own(U.reshape(10, 2, 2, 4, 9), ("sample", "w", "z", "y", "x")), r"--config\.data\.crop="),
    data("metadata", "one sample", own(U[:1]), "at least one held out"),
    data("metadata", "one point", own(U[:, :1, :1]), "dimensions of space"),
    data("metadata", "no entries", own(U[:0]), "0 entries"), data("metadata", "inf", own(INF), r"'u' is inf at index \(3, 0, 0\)"),
    data("metadata", "all missing", own(U * np.nan), "f.nc"), data("metadata", "all the same", own(U * 0 + 5), "constant"),
    data("metadata", "beyond single precision", own(1e300 * U.astype(float)), "single precision"),
    data("metadata", "complex values", own(U + 1j), "no gridded"), data("metadata", "words", own(np.full((20, 8, 9), "a")), "no gridded"),
    data("metadata", "a coordinate that is missing", own(coords={"x": np.where(np.arange(9) == 3, np.nan, np.arange(9))}),
        "'x' is nan at index 3"),
    data("metadata", "a coordinate twice", own(coords={"x": np.repeat(np.arange(5.0), 2)[1:]}), "as elsewhere"),
    data("metadata", "a missing time", own(dims=T, coords={"time": np.where(np.arange(20) == 5, np.datetime64("NaT"), HOURS)}),
        "missing at index 5",
         keys=["--config.data.window=4"]),
    data("metadata", "times twice", own(dims=T, coords={"time": np.repeat(np.arange(10.0), 2)}), "the same at index 0",
        keys=["--config.data.window=4"]),
    data("metadata", "times with a gap", own(dims=T, coords={"time": np.arange(20.0) + 100 * (np.arange(20) // 3)}),
        r"--config\.data\.window=3",
         keys=["--config.data.window=4"]),
    data("metadata", "seasons in words", own(dims=T, coords={"time": ["spring", "fall"] * 10}), r"--config\.data\.sample_dim=time",
         keys=["--config.data.window=4"]),
    data("metadata", "no times for a window", own(), r"--config\.data\.window=1", keys=["--config.data.window=4"]),
    data("metadata", "too few times", own(dims=T), r"--config\.data\.window=20", keys=["--config.data.window=99"]),
    data("metadata", "no times left", own(dims=T), r"--config\.data\.held_out=1", keys=["--config.data.held_out=0.99"]),
    data("metadata", "most of it is missing", own(np.where(RNG.random(U.shape) < 0.7, np.nan, U)), r"--config\.data\.most_missing=0\.\d+"),
]  # fmt: skip
WINDOWS = ("window=0", "window=-1", "window=1000000000", "window=2.5", "past=5", "past=-1", "stride=0", "held_out=0", "held_out=-1",
    "held_out=nan",
           "held_out=inf", "held_out=20", "held_out=1e30", "most_missing=-1", "most_missing=nan", "most_missing=2", "memory=-1",
           "memory=nan", "noise=pink",
           "variables=v", "condition=v", "static=v", "sample_dim=z", "time_dim=z", "periodic=z", "augment=z", "crop=x", "crop=x=",
           "crop=x=5:2",
           "crop=x=a:b", "crop=z=1:2", "crop=x=1:2:3", "crop=x=²:3", "crop=x=100:200", "coarsen=x=0", "coarsen=x=²", "coarsen=x=99",
           "coarsen=x=-2",
           "coarsen=x=1.5", "coarsen=sample=2", "transforms=u=foo", "transforms=v=log", "transforms=u=log(", "transforms=u=log(offset=x)",
           "vectors=(('u','w'),)", "vectors=(('u','u'),)", "path=", "windowz=3", "names.u=v", "cache=", "condition=u")  # fmt: skip
EQUATIONS = {
    "resolution=100000000": "memory", "resolution=10000": "memory", "resolution=1000000": "memory", "resolution=33": "even",
    "resolution=0": "even",
    "resolution=-32": "even", "resolution=6": "even", "resolution=32.5": "int", "count=99999999": "memory", "count=1000000000": "count",
    "count=0": "count",
    "count=-5": "count", "count=65": "batch_size", "held_out=0": "held_out", "held_out=-1": "held_out",
    "held_out=5000": "batch_size|held_out",
    "equation=wave": "wave", "equation=darcyy": "darcy", "equation=": "equation", "names.u=pp": "", "units.u=furlong": "",
}  # fmt: skip


def keyed(text) -> Case:
    """A key of config.data of a good file that means nothing."""
    key = text.split("=")[0].split(".")[0]
    return data("nonsense", f"config.data.{text}", own(coords={"y": np.arange(8)}), key, keys=[f"--config.data.{text}"])


def equation(text, words) -> Case:
    """A key of config.data of an equation; its file where names or units are said has none of them."""

    def run(folder):
        own().rename(u="a").to_netcdf(folder / "f.nc", engine="h5netcdf")
        return [*PDE, f"--config.data.{text}", *(["--config.data.path=f.nc"] if "." in text.split("=")[0] else [])]

    hangs = words == "memory"
    return refused("hang" if hangs else "nonsense", f"pde: config.data.{text}", run, words, seconds=30.0 if hangs else 60.0)


def slow(folder):
    return [*PDE, "--config.data.resolution=512", "--config.data.count=100000000", "--config.data.equation=darcy"]


NETWORK = ("patch=0", "patch=-2", "channels=(0,)", "channels=()", "channels=(-8,)", "blocks=0", "heads=0", "heads=7", "features=0",
    "width=0",
           "width=-1", "attention_levels=(9,)", "attention_levels=(-1,)", "kind=foo", "kind=space-time")  # fmt: skip


def network(domain, text) -> Case:
    """Arguments of a network that none is made of."""

    def run(folder):
        own().to_netcdf(folder / "f.nc", engine="h5netcdf")
        path = ["--config.data.path=f.nc"] if domain == "fields" else ["--config.data.count=96", "--config.data.resolution=16"]
        config = ["train", "--config", f"{domain}:smoke", "--workdir", "run", "--config.data.cache=cache"]
        return [*config, *path, f"--config.network.{text}"]

    return refused("traceback", f"{domain}: config.network.{text}", run, "network")


REFUSED = [
    *(of("traceback", name, *rest) for name, rest in FILES.items()),
    *(of("hang", name, *rest) for name, rest in HANGS.items()),
    *DATA,
    *map(keyed, WINDOWS),
    *(equation(*pair) for pair in EQUATIONS.items()),
    refused("hang", "pde: more work than a month", slow, "takes about"),
    *(network(domain, text) for domain in ("fields", "pde") for text in NETWORK if domain == "fields" or not text.startswith("width")),
]
