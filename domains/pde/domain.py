"""PDE fields as a domain: (resolution, resolution, variables) arrays of jointly sampled coefficients and solutions."""

from functools import cached_property

import grain
import jax
import numpy as np
import xarray as xr

from domains.pde import generate, plots, readers
from domains.pde.metrics import field_metrics
from domains.pde.rewards import make_rewards
from domains.pde.tasks import TASKS, migrated_tasks
from sciddm import store
from sciddm.data.saving import save_dataset
from sciddm.domain import Domain, Normalizer, Outline
from sciddm.errors import UserError
from sciddm.named import near
from sciddm.networks import DiT, UNet
from sciddm.noise import White


class PDEDomain(Domain):
    """Fields of one equation. x: (n, n, C) float32, the equation's variables in order as channels; dimensionless units."""

    name, networks, task_types = "pde", {"unet": UNet, "dit": DiT}, TASKS
    space_axes = (0, 1)
    renamed_keys = {  # where options of tasks stood in version 1
        "data.guidance.points": ("tasks.forward.points", "tasks.inverse.points"),
        "data.guidance.factor": ("tasks.superresolve.factor",),
        "data.guidance.iterations": ("tasks.forward.method", "tasks.inverse.method", "tasks.superresolve.method"),
        "data.guidance": ("tasks.forward", "tasks.inverse", "tasks.superresolve"),
    }

    def __init__(self, config, stored=None):
        data, outline = config.data, self.outline(config)
        self.equation, self.resolution, self.spec = data.equation, data.resolution, generate.EQUATIONS[data.equation]
        self.variables = tuple(self.spec.variables)
        self.example, self.network_inputs = outline.example, outline.network_inputs
        self.noise, self._data, self._seed, self._fields = White(), data, config.seed, None
        self.normalizer = Normalizer.from_json(stored, self.example) if stored else self._measure()
        self.rewards = make_rewards(self)

    @classmethod
    def check(cls, config):
        data = config.data
        if data.equation not in generate.EQUATIONS:
            known = generate.EQUATIONS
            raise UserError(
                f"config.data.equation = {data.equation!r}: expected one of {sorted(known)}{near(data.equation, known)}"
            )
        if data.held_out < 1:
            raise UserError(f"config.data.held_out = {data.held_out}: expected at least 1")
        if not data.path:
            generate.check(data.equation, data.resolution, data.count, config.seed)
            left = data.count - data.held_out
            if left < config.training.batch_size:
                raise UserError(
                    f"config.training.batch_size = {config.training.batch_size}: config.data.count = {data.count} without the "
                    f"{data.held_out} held out leaves {left} training samples; take fewer"
                )

    @classmethod
    def outline(cls, config):
        spec, n = generate.EQUATIONS[config.data.equation], config.data.resolution
        channels = len(spec.variables)
        inputs = {"channels_in": channels, "ndim": 2, "periodic": spec.periodic}
        inputs |= {"concat_channels": 0, "embedding_features": 0, "token_features": 0}  # nothing is given
        return Outline(jax.ShapeDtypeStruct((n, n, channels), np.float32), network_inputs=inputs)

    @classmethod
    def migrate(cls, stored, version):
        guidance = stored["data"].get("guidance", {})
        data = {key: value for key, value in stored["data"].items() if key != "guidance"}
        network = {"kind": "unet"} | stored["network"]
        return stored | {"data": data, "network": network, "tasks": migrated_tasks(guidance, data["equation"])}

    def dataset(self, split):
        fields = self.fields(split)
        return grain.MapDataset.source(np.arange(len(fields))).map(lambda i: {"x": fields[i]})

    def fields(self, split: str) -> np.ndarray:
        """(N, n, n, C) float32 of "train", "test" (the last `held_out` samples) or "all"."""
        if self._fields is None:
            self._fields = self._load()
        held_out = self._data.held_out
        if not 0 < held_out < len(self._fields):
            raise UserError(
                f"config.data.held_out = {held_out}: expected fewer than the {len(self._fields)} samples, and at least 1"
            )
        return {"train": self._fields[:-held_out], "test": self._fields[-held_out:], "all": self._fields}[split]

    @cached_property
    def mean_field(self) -> np.ndarray:
        """(n, n, C) mean of the training split, point by point: the least that any answer must beat."""
        return self.fields("train").mean(0, dtype=np.float64).astype(np.float32)

    def _load(self):
        data = self._data
        if data.path:
            units = {name: "1" for name in self.variables} | dict(data.get("units", {}))
            dataset = readers.read_fields(data.path, self.variables, names=dict(data.get("names", {})), units=units)
            shape = dataset[self.variables[0]].shape[1:]
            if shape != self.example.shape[:2]:
                raise UserError(
                    f"{data.path}: fields have shape {shape}; expected {self.example.shape[:2]}, "
                    f"as config.data.resolution = {self.resolution}"
                )
        else:
            path = generate.ensure_dataset(self.equation, self.resolution, data.count, self._seed, data.cache)
            dataset = store.open_store(path)
            readers.check(path, {name: dataset[name].load() for name in self.variables}, {})
        return self.from_native(dataset)

    def _measure(self):
        # Strided to at most 2048 fields: their mean and spread are known to a per cent from far fewer.
        train = self.fields("train")
        rows = train[:: max(len(train) // 2048, 1)].astype(np.float64)
        mean, std = rows.mean((0, 1, 2)), rows.std((0, 1, 2))
        flat = [name for name, s in zip(self.variables, std, strict=True) if s == 0]
        if flat:
            raise UserError(
                f"data: variable {flat[0]!r} is constant over the training split; expected fields that vary"
            )
        return Normalizer(
            mean.astype(np.float32), std.astype(np.float32), ", ".join(f"{name} [1]" for name in self.variables)
        )

    def to_native(self, x, cond=None) -> xr.Dataset:
        x = np.asarray(x)
        return generate.as_dataset(self.equation, {name: x[..., i] for i, name in enumerate(self.variables)})

    def from_native(self, native: xr.Dataset) -> np.ndarray:
        missing = [name for name in self.variables if name not in native]
        if missing:
            raise UserError(
                f"fields: variable {missing[0]!r} is missing, found {sorted(native.data_vars)}; expected {list(self.variables)}"
            )
        return np.stack([np.asarray(native[name].values, np.float32) for name in self.variables], axis=-1)

    def save(self, samples: xr.Dataset, path) -> None:
        """netCDF for a path that ends in .nc, else a checksummed zarr store."""
        save_dataset(samples, path)

    def plot(self, samples: xr.Dataset):
        return plots.gallery(self.from_native(samples), self.variables)

    def metrics(self, samples, reference):
        return field_metrics(self.spec, samples, reference)

    def residual(self, x):
        """The equation's residual with the solver's own stencil. x: (..., n, n, C) physical; None where it has no stencil."""
        return None if self.spec.residual is None else self.spec.residual(x[..., 0], x[..., 1])
