"""Data sets made by the solvers: once, deterministic by seed, in parallel over cores, cached with their provenance."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

import sciddm
from domains.fields.layout import Layout
from domains.pde import elliptic
from domains.pde.fields import neumann_field
from sciddm import store
from sciddm.activity import Bar, duration
from sciddm.data.made import made_once
from sciddm.errors import UserError
from sciddm.memory import check_memory

CHUNK = 64  # samples made and stored together; fixed, so that the bits never depend on the number of workers
SAID, MOST = 60.0, 30 * 86400.0  # seconds of work from which on it is said, and refused
LITTLE = 2_000_000  # values that are made in this process: starting others takes longer


def _darcy(rngs, size):
    a = np.stack([np.where(neumann_field(rng, size) >= 0, 12.0, 3.0) for rng in rngs])
    return {"a": a, "u": np.stack([elliptic.darcy_solve(one) for one in a])}


def _poisson(rngs, size):
    a = np.stack([neumann_field(rng, size) for rng in rngs])
    return {"a": a, "u": elliptic.poisson_solve(a)}


def _helmholtz(rngs, size):
    a = np.stack([neumann_field(rng, size) for rng in rngs])
    return {"a": a, "u": elliptic.helmholtz_solve(a)}


def _evolution(name):
    def make(rngs, size):
        from domains.pde import evolution  # exponax is loaded only where it is needed

        return getattr(evolution, name)(rngs, size)

    return make


@dataclass(frozen=True)
class Equation:
    """What an equation's data look like: name -> description of each variable, names and extents of the two axes, how to make it."""

    variables: dict[str, str]
    dims: tuple[str, str]
    extents: tuple[float, float]
    make: Callable
    parallel: bool  # over processes; jax uses the cores by itself
    periodic: bool = False
    residual: Callable | None = None
    about: str = ""
    coarsest: int = 8  # points a side
    seconds: Callable[[int], float] = lambda n: 6e-8 * n**2  # of a sample on one core, measured on 2-GHz cores
    memory: Callable[[int], float] = lambda n: 32.0 * CHUNK * n**2  # bytes of making a chunk, about


SQUARE = {"dims": ("y", "x"), "extents": (1.0, 1.0)}
_COEFFICIENT = {"a": "permeability", "u": "pressure"}
_SOURCE = {"a": "source", "u": "solution"}
EQUATIONS = {
    "darcy": Equation(_COEFFICIENT, **SQUARE, make=_darcy, parallel=True, residual=elliptic.darcy_residual,
                      about="-div(a grad u) = 1, u = 0 on the boundary, a in {3, 12}",
                      seconds=lambda n: 1e-10 * n**4, memory=lambda n: 32.0 * CHUNK * n**2 + 16.0 * n**3),
    "poisson": Equation(_SOURCE, **SQUARE, make=_poisson, parallel=True, residual=elliptic.poisson_residual,
                        about="Laplace u = a, u = 0 on the boundary"),
    "helmholtz": Equation(_SOURCE, **SQUARE, make=_helmholtz, parallel=True, residual=elliptic.helmholtz_residual,
                          about="Laplace u + u = a, u = 0 on the boundary"),
    "burgers": Equation({"u": "velocity"}, ("t", "x"), (1.0, 1.0), _evolution("burgers"), False, about="u_t + u u_x = 0.01 u_xx",
                        seconds=lambda n: 4e-7 * n**2),
    "kuramoto-sivashinsky": Equation({"u": "velocity"}, ("t", "x"), (64.0, 64.0), _evolution("kuramoto_sivashinsky"), False,
                                     about="u_t + u u_x + u_xx + u_xxxx = 0 on (0, 64)", coarsest=64,
                                     seconds=lambda n: 1.3e-7 * n * max(n, 1024)),
    "navier-stokes": Equation({"w0": "vorticity at t = 0", "wT": "vorticity at t = 1"}, **SQUARE, make=_evolution("navier_stokes"),
                              parallel=False, periodic=True, about="2-D, nu = 1e-3, forced, unit torus",
                              seconds=lambda n: 5e-6 * n**2),
}  # fmt: skip


def make_chunk(equation: str, resolution: int, seed: int, indices) -> dict[str, np.ndarray]:
    """Samples `indices` of a data set: sample i depends on (seed, i) alone. name -> (n, resolution, resolution) float32."""
    rngs = [np.random.default_rng([seed, int(i)]) for i in indices]
    return {name: np.asarray(value, np.float32) for name, value in EQUATIONS[equation].make(rngs, resolution).items()}


def ensure_dataset(
    equation: str, resolution: int, count: int, seed: int, cache, *, progress: bool = True, workers=None
) -> Path:
    """The path of the data set, made on the first call and found again after it.

    Args: cache: folder; workers: processes, None for one a core.
    Raises: UserError on an unknown equation or resolution, on more than the machine holds or makes in a month, or if the cache can't be
    written.
    """
    check(equation, resolution, count, seed)
    path = Path(cache) / f"{equation}-{resolution}-n{count}-seed{seed}.zarr"
    if not path.expanduser().exists():
        estimate(equation, resolution, count, workers)
    return made_once(path, lambda partial: _write(partial, equation, resolution, count, seed, progress, workers))


def estimate(equation: str, resolution: int, count: int, workers: int | None = None) -> None:
    """What making a data set takes, on stderr where it is more than a minute.

    Raises: UserError where it is more memory than is free, or more than a month.
    """
    spec = EQUATIONS[equation]
    cores = (workers or os.cpu_count() or 1) if spec.parallel else 1
    asked = f"making {equation} of config.data.resolution = {resolution}, config.data.count = {count}"
    way_out = f"take less, such as --config.data.{f'resolution={max(spec.coarsest, 32)}' if resolution > 128 else 'count=1000'}"
    need = 8.0 * count * len(spec.variables) * resolution**2 + cores * spec.memory(resolution)
    check_memory(need, asked, way_out)
    seconds = spec.seconds(resolution) * count / cores
    if seconds > MOST:
        raise UserError(f"{asked}: takes about {duration(seconds)} on this machine; {way_out}")
    if seconds > SAID:
        print(f"{asked}: takes about {duration(seconds)}", file=sys.stderr)


def check(equation: str, resolution: int, count: int, seed: int) -> None:
    """Raises: UserError on an unknown equation or a resolution, count or seed that no data set has."""
    if equation not in EQUATIONS:
        raise UserError(f"config.data.equation = {equation!r}: expected one of {sorted(EQUATIONS)}")
    if not 2 <= count <= 10**8 or seed < 0:
        raise UserError(
            f"config.data.count = {count}, config.seed = {seed}: expected 2 to 100 million samples and a seed of 0 or more"
        )
    if resolution < (least := EQUATIONS[equation].coarsest) or resolution % 2:
        raise UserError(
            f"config.data.resolution = {resolution}: expected an even number of at least {least} for {equation}, such as 64 or 128"
        )


def _write(path, equation, resolution, count, seed, progress, workers):
    import joblib

    jobs = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    spec = EQUATIONS[equation]
    many = spec.parallel and count * resolution**2 > LITTLE
    run = joblib.Parallel(n_jobs=(workers or os.cpu_count()) if many else 1, return_as="generator")
    parts = run(joblib.delayed(make_chunk)(equation, resolution, seed, job) for job in jobs)
    with Bar(parts, total=len(jobs), desc=f"{equation} {resolution}x{resolution}", unit="chunk", disable=not progress) as bar:
        chunks = list(bar)
    arrays = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in spec.variables}
    store.write(as_dataset(equation, arrays, seed=seed), path, chunk=CHUNK)


def as_dataset(equation: str, arrays: dict[str, np.ndarray], seed: int | None = None) -> xr.Dataset:
    """Named fields with coordinates, units and provenance. arrays: name -> (sample, *grid)."""
    spec = EQUATIONS[equation]
    size = next(iter(arrays.values())).shape[1:]
    coords = {}
    for dim, extent, n in zip(spec.dims, spec.extents, size, strict=True):
        centred = not spec.periodic and spec.dims == ("y", "x")
        start = 0.5 if centred else (1.0 if dim == "t" else 0.0)
        coords[dim] = xr.Variable(dim, (np.arange(n) + start) * extent / n, {"units": "1"})
    data = {
        name: xr.Variable(("sample", *spec.dims), value, {"units": "1", "long_name": spec.variables[name]})
        for name, value in arrays.items()
    }
    provenance = {"equation": equation, "about": spec.about, "source": f"sciddm {sciddm.__version__} domains.pde"}
    return xr.Dataset(data, coords, provenance | ({} if seed is None else {"seed": seed}))


def layout_of(equation: str, grid, units=None) -> Layout:
    """Of an equation's own data, and of all that says nothing else of its grid.

    Args: grid: points of each axis; units: by variable, "1" without.
    """
    spec = EQUATIONS[equation]
    header = as_dataset(equation, {name: np.zeros((0, *grid), np.float32) for name in spec.variables})
    for name in spec.variables:
        header[name].attrs["units"] = (units or {}).get(name, "1")
    return Layout(header, tuple(spec.variables), spec.dims, "sample", periodic=spec.dims if spec.periodic else ())
