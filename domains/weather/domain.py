"""Weather nowcasting as a domain: (y, x, frame) arrays of radar reflectivity, the past among them and given as a condition."""

from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from domains.weather import formats, generate, mean_rates, output, readers, verify
from domains.weather.archive import Archive
from domains.weather.assimilate import Assimilate
from domains.weather.baselines import filled
from domains.weather.coded import Said
from domains.weather.extended import Extreme, RainRollout, WideRain
from domains.weather.network import Nowcaster
from domains.weather.outage import outage
from domains.weather.rewards import make_rewards
from domains.weather.tasks import Downscale, Fill, Interpolate, Nowcast
from domains.weather.transform import NO_ECHO, decode, encode
from sciddm.data.saving import save_dataset
from sciddm.domain import Domain, Normalizer, Outline
from sciddm.errors import UserError
from sciddm.given import say
from sciddm.memory import check_memory
from sciddm.networks import SpaceTime
from sciddm.noise import White
from sciddm.tasks.steered import steered_options

TASKS = {
    "nowcast": Nowcast, "assimilate": Assimilate, "downscale": Downscale, "fill": Fill, "interpolate": Interpolate,
    "extreme": Extreme, "wide": WideRain, "rollout": RainRollout,
}  # fmt: skip
# Where options of tasks stood in version 1.
OBSERVED = ("assimilate", "downscale", "fill", "interpolate")
RENAMED = {
    **{
        f"data.guidance.{key}": tuple(f"tasks.{task}.{key}" for task in OBSERVED)
        for key in ("method", "solver", "steps", "grid")
    },
    "data.guidance.iterations": tuple(f"tasks.{task}.method" for task in OBSERVED),
    "data.guidance.noise_dbz": tuple(f"tasks.{task}.noise_dbz" for task in OBSERVED[1:]),
    **{f"data.guidance.{key}": (f"tasks.assimilate.{key}",) for key in ("gauges", "gauge_dbz", "gauge_frames")},
    "data.guidance.factor": ("tasks.downscale.factor",),
    "data.guidance.every": ("tasks.interpolate.every",),
    "data.guidance": tuple(f"tasks.{task}" for task in OBSERVED),
    "data.extreme": ("tasks.extreme",),
    "data.wide": ("tasks.wide.size",),
    "data.periodic": ("tasks.wide.periodic",),
    "data.windows": ("tasks.rollout.windows",),
}


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

    name, task_types, renamed_keys, reads = "weather", TASKS, RENAMED, tuple(formats.READERS)
    suffixes = (".nc", ".zarr")
    networks = {"nowcaster": Nowcaster, "space-time": SpaceTime}
    frame_axis, space_axes = -1, (0, 1)

    def __init__(self, config, stored=None):
        data, outline = config.data, self.outline(config)
        self.size, self.past, self.future = data.size, data.past, data.future
        self.length = self.past + self.future
        self.example, self.cond_example = outline.example, outline.cond_example
        self.network_inputs, self.noise = outline.network_inputs, White()
        self.data, self.seed, self._archive = data, config.seed, None
        self.normalizer = OnGrid.from_json(stored, self.example) if stored else self._measure()
        self.interval, self.spacing = self.normalizer.interval, self.normalizer.spacing
        self.rewards = make_rewards(self)

    @classmethod
    def check(cls, config):
        data = config.data
        for key in ("size", "past", "future", "stride"):
            if data[key] < 1:
                raise UserError(f"config.data.{key} = {data[key]}: expected at least 1")
        window = 4.0 * data.size**2 * (data.past + data.future)
        check_memory(window, f"config.data.size = {data.size}, past = {data.past} and future = {data.future}", "make the window smaller")
        for key, least in (("events", 2), ("frames", data.past + data.future)):
            if not data.path and data[key] < least:
                raise UserError(f"config.data.{key} = {data[key]}: expected at least {least}")
        for key in ("most_missing", "outages"):
            if not 0 <= data[key] <= 1:
                raise UserError(f"config.data.{key} = {data[key]}: expected a share, 0 to 1")
        if not (0 < data.held_out < 1 or float(data.held_out).is_integer() and data.held_out > 0):
            raise UserError(
                f"config.data.held_out = {data.held_out}: expected a whole number of events, or below 1 their share"
            )
        if not data.path and data.held_out >= data.events:
            raise UserError(
                f"config.data.held_out = {data.held_out}: expected fewer than config.data.events = {data.events}"
            )
        Said.of(data).checked()
        if not all(isinstance(one, int) and not isinstance(one, bool) for one in data.crop):
            raise UserError(f"config.data.crop = {tuple(data.crop)}: expected whole numbers (y0, x0, height, width)")
        if data.crop and (len(data.crop) != 4 or min(data.crop) < 0 or min(data.crop[2:]) < data.size):
            raise UserError(
                f"config.data.crop = {tuple(data.crop)}: expected (y0, x0, height, width) in pixels, at least "
                f"config.data.size = {data.size} a side, or () for all"
            )

    @classmethod
    def outline(cls, config):
        data = config.data
        side, length = (data.size, data.size), data.past + data.future
        cond = {"concat": jax.ShapeDtypeStruct((*side, 2 * data.past), np.float32)}
        inputs = {"frames": length, "past": data.past, "concat_channels": 2 * data.past}
        return Outline(jax.ShapeDtypeStruct((*side, length), np.float32), cond, inputs)

    @classmethod
    def migrate(cls, stored, version):
        data, tasks = dict(stored["data"]), {}
        if guidance := data.pop("guidance", None):
            shared = steered_options(guidance)
            own = {
                "assimilate": ("gauges", "gauge_dbz", "gauge_frames"), "downscale": ("factor", "noise_dbz"), "fill": ("noise_dbz",),
                "interpolate": ("every", "noise_dbz"),
            }  # fmt: skip
            tasks |= {task: shared | {key: guidance[key] for key in keys} for task, keys in own.items()}
        for key, task, option in (
            ("wide", "wide", "size"), ("periodic", "wide", "periodic"), ("windows", "rollout", "windows"),
        ):  # fmt: skip
            if key in data:
                tasks[task] = tasks.get(task, {}) | {option: data.pop(key)}
        tasks["extreme"] = dict(data.pop("extreme", {}))
        return stored | {"data": data, "tasks": tasks}

    @property
    def from_files(self) -> bool:
        """Whether the frames are the user's own, and not made."""
        return bool(self.data.path)

    @property
    def archive(self) -> Archive:
        """The frames: the user's own from config.data.path, else made once and cached."""
        if self._archive is None:
            data = self.data
            if data.path:
                said = Said.of(data)._asdict()
                self._archive = readers.read_archive(data.path, units=data.units, crop=tuple(data.crop) or None, **said)
            else:
                what = f"config.data: {data.events} events of {data.frames} frames of {self.size} x {self.size} pixels"
                check_memory(2.0 * data.events * data.frames * self.size**2, what, "take fewer, such as --config.data.events=200")
                self._archive = generate.ensure_archive(data.events, data.frames, self.size, self.seed, data.cache)
        return self._archive

    @cached_property
    def _places(self) -> dict[str, np.ndarray]:
        # split -> (windows, 3): first frame, y, x of the crop. Whole events are held out, and test windows don't overlap in time.
        archive, data = self.archive, self.data
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
                    "take more by --config.data.most_missing=1.0, or hold out fewer, such as --config.data.held_out=0.1"
                )
        if lost := archive.left_out(self.length):
            say(f"{archive.source}: {lost}")
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
        import grain

        count = len(self._places[split])
        if split != "train":
            return grain.MapDataset.source(np.arange(count)).map(lambda i: self._test_element(int(i)))
        ways = 8 if self.data.augment else 1
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
        hole = missing[..., : self.past] | (outage(rng, seen.shape) if rng.random() < self.data.outages else False)
        return {
            "x": x,
            "cond": self.condition(np.where(hole, np.nan, seen)),
            "loss_weight": (~missing).astype(np.float32),
        }

    def condition(self, x):
        """cond of x (..., frames), encoded dBZ with NaN where missing: its first `past` frames and their mask."""
        seen = np.asarray(x[..., : self.past], np.float32)
        return self.condition_on(seen, ~np.isnan(seen))

    def condition_on(self, frames, observed):
        xp = np if isinstance(frames, np.ndarray) else jnp  # numpy for the threads that read data, where jax is slow
        normal = self.normalizer.normalize(xp.where(observed, frames, self.normalizer.mean)).astype(np.float32)
        return {"concat": xp.concatenate([normal, xp.asarray(observed, np.float32)], -1)}

    def _measure(self):
        # Strided to at most 512 windows: their mean and spread are known to a per cent from far fewer.
        count = len(self._places["train"])
        rows = encode(np.stack([self.window("train", i) for i in range(0, count, -(-count // 512))]))
        mean, std = np.nanmean(rows, dtype=np.float64), np.nanstd(rows, dtype=np.float64)
        if not std > 0:
            raise UserError("data: the training windows are constant, or all missing; expected some with rain")
        units = f"dBZ, no echo {NO_ECHO:g}"
        return OnGrid(np.float32(mean), np.float32(std), units, self.archive.interval, self.archive.spacing_km)

    def to_native(self, x, cond=None) -> xr.Dataset:
        """CF Dataset `reflectivity` (sample, time, y, x) in dBZ, 0 where there is no echo; time in minutes after the last past frame."""
        return as_dataset(decode(np.asarray(x)), self.past, self.interval, self.spacing)

    def from_native(self, native: xr.Dataset) -> np.ndarray:
        return output.as_frames(native)

    def by_name(self, x):
        """reflectivity [dBZ] and rain [mm/h], (B, frame, y, x); see `mean_rates.fields_of`."""
        return mean_rates.fields_of(x)

    def with_fields(self, x, fields):
        return mean_rates.with_fields(x, fields)

    def quantities(self, native):
        return output.quantities(native)

    def save(self, samples: xr.Dataset, path) -> None:
        """netCDF for a path that ends in .nc, else zarr."""
        save_dataset(samples, path)

    def plot(self, samples: xr.Dataset):
        from domains.weather import plots

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
