"""Weather nowcasting as a domain: (y, x, frame) arrays of radar reflectivity, the past among them and given as a condition."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import grain
import jax
import numpy as np
import xarray as xr
from flax import nnx

from domains.weather import generate, plots, readers, verify
from domains.weather.archive import Archive
from domains.weather.baselines import filled
from domains.weather.extended import Extreme, Rollout, Wide
from domains.weather.network import Nowcaster
from domains.weather.outage import outage
from domains.weather.rewards import make_rewards
from domains.weather.tasks import Assimilate, Downscale, Fill, Interpolate, Nowcast
from domains.weather.transform import NO_ECHO, decode, encode
from sciddm.domain import Domain, Normalizer
from sciddm.errors import UserError
from sciddm.networks import SpaceTime
from sciddm.noise import White

TASKS = {
    "nowcast": Nowcast, "assimilate": Assimilate, "downscale": Downscale, "fill": Fill, "interpolate": Interpolate, "extreme": Extreme,
    "wide": Wide, "rollout": Rollout,
}  # fmt: skip


@dataclass(frozen=True)
class OnGrid(Normalizer):
    """The statistics, and of what grid: interval in minutes, spacing in km. A restored run knows them without its data."""

    interval: float = generate.INTERVAL
    spacing: float = generate.SPACING

    def to_json(self) -> dict:
        return super().to_json() | {"grid": {"interval": self.interval, "spacing": self.spacing}}

    @classmethod
    def from_json(cls, stored, example) -> "OnGrid":
        plain = Normalizer.from_json(stored, example)
        return cls(plain.mean, plain.std, plain.units, **stored.get("grid", {}))


class WeatherDomain(Domain):
    """Radar sequences. x: (size, size, past + future) float32, dBZ as `transform.encode` makes it, frames `interval` minutes apart.

    The denoiser's cond["concat"] is the normalised past, 0 where it is missing, and behind it a mask of what is there.
    """

    name = "weather"

    def __init__(self, data, seed: int, normalizer: OnGrid | None = None):
        self.size, self.past, self.future = data.size, data.past, data.future
        self.length = self.past + self.future
        for key in ("size", "past", "future", "stride"):
            if data[key] < 1:
                raise UserError(f"config.data.{key} = {data[key]}: expected at least 1")
        self.example = jax.ShapeDtypeStruct((self.size, self.size, self.length), np.float32)
        self.cond_example = {"concat": jax.ShapeDtypeStruct((self.size, self.size, 2 * self.past), np.float32)}
        self.noise, self._data, self.seed, self._archive = White(), data, seed, None
        self.normalizer = normalizer or self._measure()
        self.interval, self.spacing = self.normalizer.interval, self.normalizer.spacing
        self.rewards = make_rewards(self)
        self.tasks = {name: kind(self, data) for name, kind in TASKS.items()}

    @classmethod
    def from_config(cls, config, stored=None) -> "WeatherDomain":
        """The domain of config.data; `stored` statistics leave the data untouched."""
        return cls(config.data, config.seed, OnGrid.from_json(stored, np.zeros(1)) if stored else None)

    @property
    def archive(self) -> Archive:
        """The frames: the user's own from config.data.path, else made once and cached."""
        if self._archive is None:
            data = self._data
            if data.path:
                self._archive = readers.read_archive(
                    data.path, variable=data.variable, units=data.units, crop=tuple(data.crop) or None
                )
            else:
                self._archive = generate.ensure_archive(data.events, data.frames, self.size, self.seed, data.cache)
        return self._archive

    @cached_property
    def _places(self) -> dict[str, np.ndarray]:
        # split -> (windows, 3): first frame, y, x of the crop. Whole events are held out, and test windows don't overlap in time.
        archive, data = self.archive, self._data
        train, test = archive.split(data.held_out, self.length)
        crops = np.asarray(archive.crops(self.size))
        places = {}
        for name, part, stride in (("train", train, data.stride), ("test", test, self.length)):
            first = archive.windows(self.length, stride, part)
            # crop by crop, so that neighbours in the list are other times and not the same moment next door
            each = np.concatenate([np.tile(first, len(crops))[:, None], np.repeat(crops, len(first), 0)], 1)
            places[name] = archive.usable(each, self.length, self.size, data.most_missing, self.past)
            if not len(places[name]):
                raise UserError(
                    f"data: no {name} window of {self.length} frames has less than {data.most_missing:.0%} missing pixels; "
                    "raise config.data.most_missing, or lower config.data.held_out"
                )
        return places

    def window(self, split: str, i: int) -> np.ndarray:
        """(size, size, length) dBZ of one window, no echo 0, missing NaN."""
        first, y, x = self._places[split][i]
        frames = self.archive.dBZ(slice(first, first + self.length), slice(y, y + self.size), slice(x, x + self.size))
        return np.ascontiguousarray(np.moveaxis(frames, 0, -1))

    def windows(self, split: str) -> np.ndarray:
        """(windows, 3): first frame in the archive, y and x of the crop."""
        return self._places[split]

    def event_of(self, split: str, i: int) -> tuple[int, int]:
        """Which event of the archive, counted from 0, window i of a split lies in, and at which of its frames it begins."""
        starts, first = [start for start, _ in self.archive.events()], self._places[split][i][0]
        event = int(np.searchsorted(starts, first, side="right")) - 1
        return event, int(first - starts[event])

    def dataset(self, split):
        """Training windows come turned and mirrored in turn where config.data.augment says so; those of the test keep their NaN."""
        count = len(self._places[split])
        if split != "train":
            return grain.MapDataset.source(np.arange(count)).map(lambda i: self._test_element(int(i)))
        ways = 8 if self._data.augment else 1
        return grain.MapDataset.source(np.arange(count * ways)).map(
            lambda i: self._train_element(*divmod(int(i), ways))
        )

    def _test_element(self, i):
        x = encode(self.window("test", i))
        return {"x": x, "cond": self.condition(x)}

    def _train_element(self, i, way):
        frames = self.window("train", i)
        frames = frames.transpose(1, 0, 2) if way & 4 else frames
        frames = frames[:: -1 if way & 2 else 1, :: -1 if way & 1 else 1]
        missing = np.isnan(frames)
        x = encode(filled(np.moveaxis(frames, -1, 0)).transpose(1, 2, 0) if missing.any() else frames)
        rng = np.random.default_rng([self.seed, i, way])
        seen = x[..., : self.past]
        hole = missing[..., : self.past] | (outage(rng, seen.shape) if rng.random() < self._data.outages else False)
        return {"x": x, "cond": self.condition(np.where(hole, np.nan, seen)), "loss_weight": (~missing).astype(np.float32)}

    def condition(self, x):
        """What the denoiser is told of x (..., frames), encoded dBZ with NaN where missing: its first `past` frames and their mask."""
        seen = np.asarray(x[..., : self.past], np.float32)
        there = ~np.isnan(seen)
        normal = self.normalizer.normalize(np.where(there, seen, self.normalizer.mean)).astype(np.float32)
        return {"concat": np.concatenate([normal, there.astype(np.float32)], -1)}

    def _measure(self):
        # Strided to at most 512 windows: their mean and spread are known to a per cent from far fewer.
        count = len(self._places["train"])
        rows = encode(np.stack([self.window("train", i) for i in range(0, count, -(-count // 512))]))
        mean, std = np.nanmean(rows, dtype=np.float64), np.nanstd(rows, dtype=np.float64)
        if not std > 0:
            raise UserError("data: the training windows are constant, or all missing; expected some with rain")
        units = f"dBZ, no echo {NO_ECHO:g}"
        return OnGrid(np.float32(mean), np.float32(std), units, self.archive.interval, self.archive.spacing_km)

    def network(self, config, rngs: nnx.Rngs):
        options = dict(config)
        kind = options.pop("kind", "nowcaster")
        kinds = {
            "nowcaster": lambda: Nowcaster(self.length, past=self.past, rngs=rngs, **options),
            "space-time": lambda: SpaceTime(self.length, concat_channels=2 * self.past, rngs=rngs, **options),
        }
        if kind not in kinds:
            raise UserError(f"config.network.kind = {kind!r}: expected one of {sorted(kinds)}")
        try:
            return kinds[kind]()
        except (TypeError, ValueError) as error:
            raise UserError(f"config.network: {error}; see sciddm/networks for its arguments") from error

    def to_native(self, x, cond=None) -> xr.Dataset:
        """CF Dataset `reflectivity` (sample, time, y, x) in dBZ, 0 where there is no echo; time in minutes after the last past frame."""
        return as_dataset(decode(np.asarray(x)), self.past, self.interval, self.spacing)

    def from_native(self, native: xr.Dataset) -> np.ndarray:
        if "reflectivity" not in native:
            raise UserError(f"fields: 'reflectivity' is missing, found {sorted(native.data_vars)}")
        frames = native["reflectivity"].transpose("sample", "y", "x", "time").values
        return encode(np.asarray(frames, np.float32))

    def save(self, samples: xr.Dataset, path) -> None:
        """netCDF for a path that ends in .nc, else zarr."""
        path = Path(path)
        if path.suffix == ".nc":
            samples.to_netcdf(path, engine="h5netcdf")
        else:
            samples.to_zarr(path, mode="w-", zarr_format=3, consolidated=False)

    def plot(self, samples: xr.Dataset):
        return plots.gallery(samples)

    def metrics(self, samples, reference):
        return verify.climate(decode(np.asarray(samples)), decode(np.asarray(reference)), self.spacing)


def as_dataset(dbz, past: int, interval: float, spacing: float) -> xr.Dataset:
    """(sample, y, x, frame) dBZ with names, units and coordinates."""
    _, height, width, length = dbz.shape
    minutes = (np.arange(length) - (past - 1)) * interval
    coords = {
        "time": xr.Variable("time", minutes, {"long_name": "time after the last past frame", "units": "minutes"}),
        "y": xr.Variable(
            "y", (np.arange(height) + 0.5) * spacing, {"standard_name": "projection_y_coordinate", "units": "km"}
        ),
        "x": xr.Variable(
            "x", (np.arange(width) + 0.5) * spacing, {"standard_name": "projection_x_coordinate", "units": "km"}
        ),
    }
    about = {"units": "dBZ", "standard_name": "equivalent_reflectivity_factor", "long_name": "radar reflectivity"}
    data = xr.Variable(("sample", "time", "y", "x"), np.moveaxis(dbz, -1, 1).astype(np.float32), about)
    return xr.Dataset({"reflectivity": data}, coords, {"Conventions": "CF-1.11", "no_echo": 0.0})
