"""Files as a scientist brings them, made on the spot, which no reader was written for: to train on, and to try the way there and back.

python scripts/benchmarks/own_fields.py gray_scott FOLDER      # netCDF, (y, sample, x), y descending, mm, u and v
python scripts/benchmarks/own_fields.py waves FOLDER           # zarr, one long run (time, x) of the Kuramoto-Sivashinsky equation
python scripts/benchmarks/own_fields.py phases FOLDER          # netCDF, (sample, z, y, x), two phases that part
python scripts/benchmarks/own_fields.py large FOLDER --gigabytes 20     # zarr, (time, y, x), larger than memory
"""

import argparse
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tensorstore
import xarray as xr
import zarr
from tqdm import tqdm


def gray_scott(path: Path, count: int = 2560, height: int = 48, width: int = 80) -> None:
    """u_t = Du lap u - u v^2 + F (1 - u), v_t = Dv lap v + u v^2 - (F + k) v, periodic, from two to five drops (Pearson 1993)."""
    feed, kill, steps = 0.0545, 0.062, 1500

    def lap(f):
        return sum(jnp.roll(f, shift, axis) for axis in (-2, -1) for shift in (-1, 1)) - 4 * f

    def step(_, state):
        u, v = state
        reaction = u * v**2
        return u + 0.16 * lap(u) - reaction + feed * (1 - u), v + 0.08 * lap(v) + reaction - (feed + kill) * v

    @jax.jit
    def run(u, v):
        return jax.lax.fori_loop(0, steps, step, (u, v))

    rng, parts = np.random.default_rng(0), []
    y, x = np.mgrid[:height, :width]
    for _ in tqdm(range(0, count, 256), desc="gray-scott", unit="batch"):
        drops = np.zeros((256, height, width))
        for one in drops:
            for _ in range(rng.integers(2, 6)):
                dy, dx = ((c - rng.uniform(0, n) + n / 2) % n - n / 2 for c, n in ((y, height), (x, width)))
                one[dy**2 + dx**2 < rng.uniform(2, 4) ** 2] = 1
        u, v = run(jnp.asarray(1 - 0.5 * drops, jnp.float32), jnp.asarray(0.25 * drops, jnp.float32))
        parts.append(np.stack([u, v]))
    u, v = np.concatenate(parts, 1)[:, :count]
    about = {"units": "mol m-3", "cell_methods": "area: mean"}
    dataset = xr.Dataset(
        {
            "u": (("y", "sample", "x"), u.transpose(1, 0, 2)[::-1], about | {"long_name": "substrate"}),
            "v": (("y", "sample", "x"), v.transpose(1, 0, 2)[::-1], about | {"long_name": "activator"}),
        },
        {
            "y": (
                "y",
                (np.arange(height)[::-1] + 0.5) * 0.25,
                {"units": "mm", "long_name": "distance from the lower edge"},
            ),
            "x": ("x", (np.arange(width) + 0.5) * 0.25, {"units": "mm", "long_name": "distance from the left edge"}),
        },
        {"title": "Gray-Scott", "feed": feed, "kill": kill, "institution": "own laboratory"},
    )
    dataset.to_netcdf(path / "gray_scott.nc", engine="h5netcdf")


def waves(path: Path, count: int = 6000, points: int = 96) -> None:
    """h_t + h h_x + h_xx + h_xxxx = 0 on (0, 60) um, one long run, a frame a second."""
    import exponax as ex

    stepper = ex.stepper.KuramotoSivashinskyConservative(1, 60.0, points, 0.25)
    start = jax.random.normal(jax.random.key(0), (1, points)) * 0.1

    @jax.jit
    def frame(h, _):
        h = jax.lax.fori_loop(0, 4, lambda _, h: stepper(h), h)
        return h, h[0]

    _, frames = jax.lax.scan(frame, start, None, length=count + 200)
    frames = np.asarray(frames[200:], np.float32)
    times = np.datetime64("2026-03-01T08:00:00", "ns") + np.arange(count) * np.timedelta64(1, "s")
    dataset = xr.Dataset(
        {
            "h": (
                ("time", "x"),
                frames,
                {"units": "um", "long_name": "film thickness anomaly", "standard_name": "height"},
            )
        },
        {"time": times, "x": ("x", np.arange(points) * 60.0 / points, {"units": "um", "axis": "X"})},
        {"title": "falling film"},
    )
    dataset.to_zarr(path / "waves.zarr", mode="w", consolidated=False)


def phases(path: Path, count: int = 640, shape=(12, 20, 24)) -> None:
    """c_t = e^2 lap c + c - c^3 from noise, no flux at the walls (Allen & Cahn 1979)."""

    def lap(c):
        padded = jnp.pad(c, [(0, 0)] + [(1, 1)] * 3, mode="edge")
        inner = (slice(None),) + (slice(1, -1),) * 3
        sides = [
            padded[(slice(None), *(slice(1 + s * (a == i), padded.shape[a + 1] - 1 + s * (a == i)) for a in range(3)))]
            for i in range(3)
            for s in (-1, 1)
        ]
        return sum(sides) - 6 * padded[inner]

    @jax.jit
    def run(c):
        return jax.lax.fori_loop(0, 60, lambda _, c: c + 0.1 * (0.8 * lap(c) + c - c**3), c)

    c = np.asarray(run(0.3 * jax.random.normal(jax.random.key(1), (count, *shape))))
    coords = {
        dim: (dim, (np.arange(n) + 0.5) * step, {"units": "nm", "positive": "up"} if dim == "z" else {"units": "nm"})
        for (dim, step), n in zip((("z", 2.0), ("y", 1.0), ("x", 1.0)), shape, strict=True)
    }
    about = {"units": "1", "long_name": "order parameter", "valid_range": np.float32([-2, 2])}
    dataset = xr.Dataset(
        {"c": (("sample", "z", "y", "x"), c.astype(np.float32), about)},
        coords, {"title": "two phases"},
    )  # fmt: skip
    dataset.to_netcdf(path / "phases.nc", engine="h5netcdf")


def large(path: Path, gigabytes: float = 20.0, size: int = 256) -> None:
    """Random smooth fields of temperature that drift, of `gigabytes`, a time a chunk: int16 would be kinder, float32 is usual."""
    count = int(gigabytes * 1e9 / (4 * size**2))
    group = zarr.open_group(path / "large.zarr", mode="w", zarr_format=3)
    group.create_array(
        "temperature", shape=(count, size, size), chunks=(1, size, size), shards=(64, size, size), dtype="float32",
        dimension_names=("time", "y", "x"), attributes={"units": "K", "long_name": "temperature"}, compressors=None,
    )  # fmt: skip
    for dim in ("y", "x"):
        axis = group.create_array(
            dim, shape=(size,), dtype="float64", dimension_names=(dim,), attributes={"units": "km"}
        )
        axis[:] = np.arange(size) * 2.0
    time = group.create_array(
        "time", shape=(count,), dtype="int64", dimension_names=("time",), attributes={"units": "hours since 2000-01-01"}
    )
    time[:] = np.arange(count)
    rng = np.random.default_rng(0)
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(size, 1 / size), np.fft.rfftfreq(size, 1 / size), indexing="ij"))
    basis = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((48, size, size))) / (1 + (wave / 4) ** 2), s=(size, size))
    basis = (basis / basis.std((1, 2), keepdims=True)).astype(np.float32)
    noise, shard = 0.1 * rng.standard_normal((128, size, size), np.float32), np.empty((64, size, size), np.float32)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str((path / "large.zarr" / "temperature").absolute())}}
    store = tensorstore.open(spec).result()
    for first in tqdm(range(0, count, 64), desc="large", unit="shard"):
        n = min(64, count - first)
        weights = 8 * rng.standard_normal((n, 48)).astype(np.float32) / np.sqrt(48, dtype=np.float32)
        np.matmul(weights, basis.reshape(48, -1), out=shard[:n].reshape(n, -1))
        shard[:n] += noise[rng.integers(0, 64) :][:n] + 285
        store[first : first + n].write(shard[:n]).result()


MADE = {"gray_scott": gray_scott, "waves": waves, "phases": phases, "large": large}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(MADE))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    make = partial(large, gigabytes=arguments.gigabytes) if arguments.what == "large" else MADE[arguments.what]
    make(arguments.folder)


if __name__ == "__main__":
    main()
