"""Where the pixels of a user's frames lie: names, directions, coordinates and projection, as the file has them, for answers to be like it.

Inside, rows go from south to north and columns from west to east (`readers.canonical`); indices here are of those.
"""

import importlib
import importlib.util
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy
import xarray as xr

from domains.weather.readers import axes_of, canonical, in_degrees, of_length, spacing_of
from sciddm.errors import UserError

METRES = {"m": 1.0, "km": 1e-3}  # of a coordinate's unit in a metre


@dataclass(frozen=True, eq=False)
class Header:
    """Rows and columns of a grid as a file has them.

    y, x: variables along their own dimensions, in the file's order; spacing: km a pixel; flipped: of (y, x), whether the file's order is
    north-down, or east-left; mapping: name and attributes of the grid mapping, "" and {} where there is none; places: name -> variable
    (y, x), such as longitudes; time: name and attributes of the time.
    """

    y: xr.Variable
    x: xr.Variable
    spacing: float
    flipped: tuple[bool, bool] = (False, False)
    mapping: str = ""
    mapping_attrs: dict = field(default_factory=dict)
    places: dict[str, xr.Variable] = field(default_factory=dict)
    time: str = "time"

    @classmethod
    def of(cls, file, array: xr.DataArray) -> "Header":
        """That of a field as its file has it. Raises: UserError as `readers.canonical` and `readers.spacing_of`."""
        array, (t, y, x) = axes_of(file, array)
        plain = canonical(file, array)
        units = [array[dim].attrs.get("units", "") for dim in (y, x)]
        if not in_degrees(plain["x"]) and of_length(units[0]) != of_length(units[1]):
            raise UserError(f"{file}: coordinate {str(y)!r} is in {units[0]!r} and {str(x)!r} in {units[1]!r}; expected both in one unit")
        falling = [np.sum(np.diff(array[dim].values.astype(float)) < 0) > array.sizes[dim] / 2 for dim in (y, x)]
        name = str(array.attrs.get("grid_mapping", ""))
        attrs = dict(array[name].attrs) if name in array.coords else {}
        places = {
            str(other): array[other].transpose(y, x).variable for other in array.coords if set(array[other].dims) == {y, x}
        }  # fmt: skip
        return cls(
            array[y].variable.load(), array[x].variable.load(), spacing_of(file, plain), tuple(map(bool, falling)), name if attrs else "",
            attrs, {key: variable.load() for key, variable in places.items()}, str(t),
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.y), len(self.x)

    @cached_property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """y and x of rows from the south and columns from the west, longitudes rising without a jump."""
        y, x = (v.values.astype(float)[:: -1 if turned else 1] for v, turned in zip((self.y, self.x), self.flipped, strict=True))
        return y, x[0] + (x - x[0]) % 360 if self.degrees else x

    @property
    def degrees(self) -> bool:
        """Whether rows and columns are latitudes and longitudes, of the globe or of a rotated one."""
        return in_degrees(xr.DataArray(self.x, attrs={"name": self.x.dims[0]} | self.x.attrs))

    @property
    def projected(self) -> bool:
        """Whether it takes a projection to know where on the Earth a pixel lies, and one is known."""
        return bool(self.mapping_attrs) and self.mapping_attrs.get("grid_mapping_name") != "latitude_longitude" and (
            not self.degrees or "grid_north_pole_latitude" in self.mapping_attrs
        )  # fmt: skip

    def lies_where(self, other: "Header") -> bool:
        """Whether its pixels are those of another of the same shape, to a tenth of a pixel, in the same projection."""
        names = {attrs["grid_mapping_name"] for attrs in (self.mapping_attrs, other.mapping_attrs) if "grid_mapping_name" in attrs}
        if self.degrees != other.degrees or len(names) > 1:
            return False
        scale = other._scale / self._scale
        ends = [other.pixels_at(scale * self.axes[1][i], scale * self.axes[0][i])[0] for i in (0, -1)]
        if self.degrees:  # the globe begins anew
            around = 360 / ((other.axes[1][-1] - other.axes[1][0]) / max(len(other.axes[1]) - 1, 1))
            ends = [end - [0, around * np.rint(end[1] / around)] for end in ends]
        return bool(np.abs(ends - np.array([[0, 0], [n - 1 for n in other.shape]])).max() <= 0.1)

    def cut(self, row: int, column: int, height: int, width: int) -> "Header":
        """A window of it."""
        starts = [n - first - size if turned else first for n, first, size, turned in
                  zip(self.shape, (row, column), (height, width), self.flipped, strict=True)]  # fmt: skip
        rows, columns = slice(starts[0], starts[0] + height), slice(starts[1], starts[1] + width)
        places = {name: v[rows, columns] for name, v in self.places.items()}
        return replace(self, y=self.y[rows], x=self.x[columns], places=places)

    def finer(self, factor: int) -> "Header":
        """The grid of which each pixel is a block of factor x factor."""

        def between(variable):
            values = variable.values.astype(float)
            step = (values[-1] - values[0]) / max(len(values) - 1, 1)
            inside = (np.arange(factor) + 0.5) / factor - 0.5
            return xr.Variable(variable.dims, (values[:, None] + step * inside).ravel(), variable.attrs)

        return replace(self, y=between(self.y), x=between(self.x), spacing=self.spacing / factor, places={})

    def lonlat(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Longitude and latitude (Y, X) of every pixel in the file's order; None where they can't be known."""
        named = {v.attrs.get("standard_name"): v.values for v in self.places.values()}
        if {"longitude", "latitude"} <= set(named):
            return named["longitude"], named["latitude"]
        x, y = np.meshgrid(self.x.values.astype(float), self.y.values.astype(float))
        if self.projected:
            found = self._transformer
            return found.transform(x / self._scale, y / self._scale, direction="INVERSE") if found else None
        return (x, y) if self.degrees else None

    def pixels(self, lon, lat) -> np.ndarray | None:
        """(n, 2) rows and columns, broken ones, of places on the Earth; NaN far outside; None where they can't be known."""
        lon, lat = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
        if self.projected and self._transformer:
            x, y = self._transformer.transform(lon, lat)
            return self.pixels_at(np.asarray(x) * self._scale, np.asarray(y) * self._scale)
        if self.degrees and not self.projected:
            middle = self.axes[1].mean()
            return self.pixels_at(middle + (lon - middle + 180) % 360 - 180, lat)
        known = self.lonlat()
        if known is None:
            return None
        distance, nearest = scipy.spatial.cKDTree(_sphere(*(each.ravel() for each in known))).query(_sphere(lon, lat))
        rows, columns = np.divmod(nearest, self.shape[1])
        inside = distance * 6371 <= 0.75 * self.spacing
        found = np.stack([n - 1 - i if turned else i for i, n, turned in zip((rows, columns), self.shape, self.flipped, strict=True)], -1)
        return np.where(inside[:, None], found, np.nan)

    def pixels_at(self, x, y) -> np.ndarray:
        """(n, 2) rows and columns, broken ones, of coordinates as the file has them."""
        found = []
        for values, axis in zip((y, x), self.axes, strict=True):
            step = (axis[-1] - axis[0]) / max(len(axis) - 1, 1)
            found.append((np.atleast_1d(np.asarray(values, float)) - axis[0]) / step)
        return np.stack(found, -1)

    def inside(self, pixels) -> np.ndarray:
        """(n,) whether rows and columns lie on one of the pixels."""
        return ((pixels >= -0.5) & (pixels <= np.asarray(self.shape) - 0.5)).all(-1)

    def nearest(self, pixels) -> np.ndarray:
        """(n, 2) int, the pixels that broken rows and columns inside lie on; the outer edges are of the outermost."""
        return np.clip(np.rint(pixels), 0, np.asarray(self.shape) - 1).astype(int)

    def corners(self, coordinates: bool = False) -> str:
        """Both ends of the grid for a message; coordinates: in those of the file, also where longitudes and latitudes are known."""
        return " to ".join(self.in_words(row, column, coordinates) for row, column in ((0, 0), (self.shape[0] - 1, self.shape[1] - 1)))

    def in_words(self, row: float, column: float, coordinates: bool = False) -> str:
        """A place for a message: "52.10 N 5.20 E", or in the coordinates of the file."""
        known = None if coordinates else self.lonlat()
        at = tuple(int(n - 1 - round(i) if turned else round(i)) for i, n, turned in
                   zip((row, column), self.shape, self.flipped, strict=True))  # fmt: skip
        if known is not None:
            lon, lat = (float(each[at]) for each in known)
            lon = (lon + 180) % 360 - 180
            return f"{abs(lat):.2f} {'N' if lat >= 0 else 'S'} {abs(lon):.2f} {'E' if lon >= 0 else 'W'}"
        unit = self.x.attrs.get("units", "")
        return f"{self.x.dims[0]} = {float(self.x.values[at[1]]):g}, {self.y.dims[0]} = {float(self.y.values[at[0]]):g} {unit}".strip()

    @property
    def _scale(self):
        # of the file's coordinate in what pyproj calls it
        return 1.0 if self.degrees else METRES[of_length(self.x.attrs.get("units", "m")) or "m"]

    @cached_property
    def _transformer(self):
        # From longitude and latitude to the projection's x and y; None without pyproj, and of what it does not know.
        if importlib.util.find_spec("pyproj") is None:
            return None
        pyproj = importlib.import_module("pyproj")
        try:
            return pyproj.Transformer.from_crs(4326, pyproj.CRS.from_cf(self.mapping_attrs), always_xy=True)
        except (pyproj.exceptions.ProjError, KeyError, ValueError, TypeError):  # as pyproj has it of a mapping that lacks something
            return None

    @property
    def unknown(self) -> bool:
        """Whether its projection is stated in a way that can't be read."""
        return self.projected and self._transformer is None and importlib.util.find_spec("pyproj") is not None


def _sphere(lon, lat):
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
