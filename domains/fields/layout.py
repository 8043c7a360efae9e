"""What the dimensions of a file mean, and how samples of a model become fields of that file again: its names, order, direction, units."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import xarray as xr

from sciddm.data.units import convert

LATITUDES = ("lat", "latitude", "nav_lat", "xlat", "rlat_true")
DEGREES_NORTH = ("degrees_north", "degree_north", "degrees_n", "degree_n", "degreesn", "degreen")
DEGREES_EAST = ("degrees_east", "degree_east", "degrees_e", "degree_e", "degreese", "degreee")
DIRECTIONS = {
    "X": ("x", "xc", "nx", "ni", "i", "col", "cols", "column", "west_east", "easting", "rlon"),
    "Y": ("y", "yc", "ny", "nj", "j", "row", "rows", "south_north", "northing", "rlat"),
    "Z": ("z", "zc", "nz", "nk", "k", "lev", "level", "levels", "height", "altitude", "depth", "plev", "bottom_top"),
}


@dataclass(frozen=True, eq=False)
class Layout:
    """The structure of the user's fields, which a checkpoint keeps.

    header: the file's coordinates, scalar variables, static fields and attributes, and of each variable its dimensions in order, its type
    and its attributes, but none of its values: its sample and time dimensions have size 0.
    variables: what is generated; conditions: what is given with every sample; statics: fields that all samples share.
    sample, time: dimensions of the file, "" for none; frames: of a window in time, 0 where a sample is one time; step: between frames,
    in time_units. space: dimensions along which x extends, in the file's order; a dimension of one point is none of them.
    dates: (units, calendar) as the file writes its times, () where they are no dates.
    periodic: those of space that wrap around. masked: (*space, variables) bool, where no sample has a value, or None.
    """

    header: xr.Dataset
    variables: tuple[str, ...]
    space: tuple[str, ...]
    sample: str = ""
    time: str = ""
    frames: int = 0
    step: float = 1.0
    time_units: str = ""
    conditions: tuple[str, ...] = ()
    statics: tuple[str, ...] = ()
    periodic: tuple[str, ...] = ()
    masked: np.ndarray | None = field(default=None)
    dates: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one x: (*space, variables), or (frames, *space, variables)."""
        frames = (self.frames,) if self.frames else ()
        return (*frames, *self.grid, len(self.variables))

    @property
    def grid(self) -> tuple[int, ...]:
        """Points along each dimension of space."""
        return tuple(self.header.sizes[dim] for dim in self.space)

    @property
    def dims(self) -> tuple[str, ...]:
        """Of fields (..., frames, *space) as the model has them."""
        return (*(("time_in_window",) if self.frames else ()), *self.space)

    @property
    def directions(self) -> tuple[str, ...]:
        """Dimensions of space along which the components (u, v, w) of a vector lie: x, y, z by name or CF axis; where the names don't say,
        the last dimension, the second last and the third last."""
        ways = {dim: _direction(dim, self.header[dim].attrs if dim in self.header.coords else {}) for dim in self.space}
        if "" in ways.values() or len({*ways.values()}) < len(ways):
            return self.space[::-1]
        return tuple(sorted(self.space, key=ways.get))

    def units(self, name: str) -> str:
        """As the file states them; "1" where it says nothing."""
        return str(self.header[name].attrs.get("units", "1"))

    def label(self, name: str) -> str:
        """A variable or coordinate for an axis of a picture: its long name where it is short, and its units."""
        attrs = self.header[name].attrs if name in self.header.variables else {}
        long = str(attrs.get("long_name", ""))
        shown = long if 0 < len(long) <= 24 else name
        return f"{shown} [{attrs['units']}]" if attrs.get("units") else shown

    def coordinate(self, dim: str) -> np.ndarray:
        """(n,) float64 of a dimension, the file's values or 0, 1, 2, ... where it has none."""
        n = self.header.sizes[dim]
        if dim in self.header.coords and self.header[dim].dtype.kind in "iuf":
            return self.header[dim].values.astype(float)
        return np.arange(n, dtype=float)

    @cached_property
    def weights(self) -> np.ndarray:
        """(*space) float64 of mean 1: areas, by the cosine of the latitude where the grid has latitudes, else all the same."""
        latitudes = [
            array for name, array in self.header.coords.items()
            if array.dims and set(array.dims) <= set(self.space) and is_latitude(name, array.attrs)
        ]  # fmt: skip
        if not latitudes:
            return np.ones(self.grid)
        latitude = max(latitudes, key=lambda array: array.ndim)
        cosine = np.cos(np.deg2rad(latitude.astype(float))).clip(0.0)
        cosine = cosine.fillna(cosine.mean()).fillna(1.0)  # curvilinear grids often say nothing on land
        template = xr.DataArray(np.ones(self.grid), dims=self.space)
        whole = (template * cosine.drop_vars(list(cosine.coords))).transpose(*self.space).values
        return whole / whole.mean()

    def as_arrays(self, dataset: xr.Dataset, names) -> np.ndarray:
        """(N, [frames], *space, len(names)) float32 of variables of a dataset as `as_dataset` makes it.

        Values in other units of the same kind are converted, axes that run the other way are turned. Raises: UserError on other units.
        """
        first = self.sample or "sample"
        order = (first, *((self.time,) if self.frames else ()), *self.space)
        columns = []
        for name in names:
            array = dataset[name]
            array = array.squeeze([dim for dim in array.dims if dim not in order], drop=True)
            array = array.isel({dim: slice(None, None, -1) for dim in self.space if self._runs_backwards(array, dim)})
            stated, own = array.attrs.get("units"), self.header[name].attrs.get("units")
            if stated and own:
                array = array.copy(data=convert(array.values, stated, own, f"fields: variable {name!r}"))
            columns.append(array.transpose(*order).values.astype(np.float32))
        return np.stack(columns, -1)

    def _runs_backwards(self, array, dim) -> bool:
        if dim not in array.coords or array[dim].dtype.kind not in "iuf" or array.sizes[dim] != self.header.sizes[dim]:
            return False
        here, own = array[dim].values.astype(float), self.coordinate(dim)
        return np.allclose(here[::-1], own) and not np.allclose(here, own)

    def as_dataset(self, arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
        """name -> (N, [frames], *space) as the file has its variables: dimensions in its order, coordinates, attributes, NaN in the mask.

        Samples lie along the file's sample dimension where it has one. A file with times alone gets a dimension "sample" in front, or in
        the place of its times where a sample is a single one; times count from the first frame.
        """
        sample, count = self.sample or "sample", len(next(iter(arrays.values())))
        data = {}
        for name, values in arrays.items():
            array = self.header[name]
            order = [sample if dim == self.sample else dim for dim in array.dims]
            if not self.frames and self.time in order:
                order = (
                    [dim for dim in order if dim != self.time]
                    if self.sample
                    else [sample if d == self.time else d for d in order]
                )
            if sample not in order:
                order.insert(0, sample)
            values = np.asarray(values, np.float32)
            if self.masked is not None and name in self.variables:
                values = np.where(self.masked[..., self.variables.index(name)], np.float32(np.nan), values)
            own = (sample, *((self.time,) if self.frames else ()), *self.space)
            single = [dim for dim in order if dim not in own]
            whole = xr.DataArray(values, dims=own).expand_dims(single).transpose(*order)
            data[name] = xr.Variable(order, whole.values, dict(array.attrs))
        kept = self.header.drop_vars([name for name in (*self.variables, *self.conditions) if name in self.header])
        gone = [dim for dim in (self.sample, self.time) if dim and dim in kept.dims]
        kept = kept.drop_vars([name for name, array in kept.variables.items() if set(array.dims) & set(gone)])
        if self.frames:
            about = {"long_name": "time after the first frame"} | (
                {"units": self.time_units} if self.time_units else {}
            )
            frames = next(iter(arrays.values())).shape[1]  # more than a window's of a rollout
            kept = kept.assign_coords({self.time: xr.Variable(self.time, self.step * np.arange(frames), about)})
        if self.sample and self.sample in self.header.coords:
            about = {key: value for key, value in self.header[self.sample].attrs.items() if key != "units"}
            kept = kept.assign_coords({self.sample: xr.Variable(self.sample, np.arange(count), about)})
        names = [name for name in self.header.data_vars if name in kept or name in data]
        return kept.assign(data)[names].assign_attrs(self.header.attrs)

    def wider(self, grid, places: Mapping[str, np.ndarray] | None = None) -> "Layout":
        """The same with another number of points along each dimension of space; the rest is left out.

        places: coordinates of its dimensions, those that are not there go on in even steps.
        """
        sizes = dict(zip(self.space, grid, strict=True))
        names = [*self.variables, *self.conditions]
        data = {
            name: xr.Variable(
                self.header[name].dims, np.zeros([sizes.get(dim, n) for dim, n in self.header[name].sizes.items()], np.float32),
                self.header[name].attrs,
            ) for name in names
        }  # fmt: skip
        coords = {}
        for dim, n in sizes.items():
            if dim in self.header.coords and self.header.sizes[dim] > 1:
                values = self.coordinate(dim)
                step = (values[-1] - values[0]) / (len(values) - 1)
                there = (places or {}).get(dim, values[0] + step * np.arange(n))
                coords[dim] = xr.Variable(dim, there, self.header[dim].attrs)
        header = xr.Dataset(data, coords, self.header.attrs)
        return replace(self, header=header, statics=(), masked=None)

    def to_json(self) -> dict:
        """For the checkpoint: words and numbers, and the header as a small netCDF file in base64."""
        plain = {
            name: getattr(self, name)
            for name in (
                "variables",
                "space",
                "sample",
                "time",
                "frames",
                "step",
                "time_units",
                "conditions",
                "statics",
                "periodic",
                "dates",
            )
        }
        masked = None if self.masked is None else _text(np.packbits(self.masked).tobytes())
        return plain | {"masked": masked, "header": _text(bytes(self.header.to_netcdf(engine="h5netcdf")))}

    @classmethod
    def from_json(cls, stored: Mapping) -> "Layout":
        """The inverse of `to_json`."""
        data = base64.b64decode(stored["header"])
        try:
            header = _loaded(data)
        except ValueError:
            header = _loaded(data, decode_times=False)  # of units that are no date, as the reader leaves them
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
        del plain["header"], plain["masked"]
        found = cls(header, **plain)
        if stored["masked"] is None:
            return found
        shape = (*found.grid, len(found.variables))
        bits = np.unpackbits(np.frombuffer(base64.b64decode(stored["masked"]), np.uint8), count=int(np.prod(shape)))
        return cls(header, **plain, masked=bits.reshape(shape).astype(bool))


def _loaded(data: bytes, **options) -> xr.Dataset:
    with xr.open_dataset(io.BytesIO(data), engine="h5netcdf", decode_timedelta=False, **options) as file:
        return file.load()


def _direction(dim: str, attrs: Mapping) -> str:
    # "X", "Y" or "Z" of a dimension, "" where neither its name nor its attributes say
    if attrs.get("axis") in ("X", "Y", "Z"):
        return attrs["axis"]
    if is_longitude(dim, attrs) or is_latitude(dim, attrs):
        return "X" if is_longitude(dim, attrs) else "Y"
    return next((way for way, names in DIRECTIONS.items() if str(dim).lower() in names), "")


def is_latitude(name: str, attrs: Mapping) -> bool:
    """Whether a coordinate is a latitude, by its CF name, its units, or its name."""
    units = str(attrs.get("units", "")).lower()
    if attrs.get("standard_name") == "latitude" or units in DEGREES_NORTH:
        return True
    return str(name).lower() in LATITUDES and units in ("", "degrees", "degree", "deg")


def is_longitude(name: str, attrs: Mapping) -> bool:
    """Whether a coordinate is a longitude, by its CF name, its units, or its name."""
    units = str(attrs.get("units", "")).lower()
    if attrs.get("standard_name") == "longitude" or units in DEGREES_EAST:
        return True
    return str(name).lower() in ("lon", "long", "longitude", "nav_lon", "xlong") and units in (
        "",
        "degrees",
        "degree",
        "deg",
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
