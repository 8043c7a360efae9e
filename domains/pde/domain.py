"""PDE fields as a domain: (resolution, resolution, variables) arrays of jointly sampled coefficients and solutions.

Each equation is a data set of `domains.fields`, with a solver, a residual and classical answers of its own.
"""

from functools import cached_property

import jax
import numpy as np

from domains.fields.domain import FieldsDomain
from domains.fields.layout import Layout
from domains.fields.normalizer import Facts, FieldNormalizer
from domains.fields.roles import Plan
from domains.fields.source import Source
from domains.pde import generate
from domains.pde.metrics import field_metrics
from domains.pde.own import ALIASES, open_own
from domains.pde.rewards import make_rewards
from domains.pde.tasks import TASKS, migrated_tasks
from sciddm.domain import Normalizer, Outline
from sciddm.errors import UserError
from sciddm.named import near
from sciddm.networks import DiT, UNet


class PDEDomain(FieldsDomain):
    """Fields of one equation. x: (n, n, C) float32, the equation's variables in order as channels, in their units; complete, so that
    nothing is given with a sample.

    What is read, held out, saved and drawn is `FieldsDomain`'s; the statistics, networks, scores and tasks are its own.
    """

    name, networks, task_types = "pde", {"unet": UNet, "dit": DiT}, TASKS
    space_axes = (0, 1)
    renamed_keys = {  # where options of tasks stood in version 1
        "data.guidance.points": ("tasks.forward.points", "tasks.inverse.points"),
        "data.guidance.factor": ("tasks.superresolve.factor",),
        "data.guidance.iterations": ("tasks.forward.method", "tasks.inverse.method", "tasks.superresolve.method"),
        "data.guidance": ("tasks.forward", "tasks.inverse", "tasks.superresolve"),
    }

    def __init__(self, config, stored=None):
        data = config.data
        self.equation, self.resolution, self.spec = data.equation, data.resolution, generate.EQUATIONS[data.equation]
        if stored and "fields" not in stored:
            stored = _with_layout(stored, generate.layout_of(data.equation, (data.resolution,) * 2, data.get("units", {})))
        super().__init__(config, stored)
        self.network_inputs, self.rewards = self.outline(config).network_inputs, make_rewards(self)

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

    @cached_property
    def source(self) -> Source:
        """The user's own file, else the equation's data, which are made where they are not there."""
        data, grid = self._data, (self.resolution,) * 2
        if not data.path:
            made = generate.ensure_dataset(self.equation, self.resolution, data.count, self._seed, data.cache)
            fields, _ = open_own(made, self.equation)
            plan = Plan(generate.layout_of(self.equation, grid), {}, {})
        else:
            fields, plan = open_own(
                data.path, self.equation, names=dict(data.get("names", {})), units=dict(data.get("units", {}))
            )
            if (found := plan.layout.grid) != grid:
                square = found[0] == found[1]
                way_out = f"--config.data.resolution={found[0]}" if square else "--config fields:smoke trains on any grid"
                raise UserError(
                    f"{data.path}: fields have shape {found}; expected {grid}, as config.data.resolution = {self.resolution}; {way_out}"
                )
        return Source(fields, plan, data.held_out, memory=np.inf)

    def dataset(self, split):
        import grain

        fields = self.fields(split)
        return grain.MapDataset.source(np.arange(len(fields))).map(lambda i: {"x": fields[i]})

    def fields(self, split: str) -> np.ndarray:
        """(N, n, n, C) float32 of "train", "test" (the last `held_out` samples) or "all"."""
        whole = self.source.whole[:, 0]
        if split == "all":
            return whole
        rows = self.source.rows(split)[:, 0]  # one after the other, so that this is no copy
        return whole[rows[0] : rows[-1] + 1]

    @property
    def spellings(self):
        own = dict(self._data.get("names", {}))
        return {name: (*([own[name]] if name in own else []), *ALIASES.get(name, ())) for name in self.variables}

    @cached_property
    def mean_field(self) -> np.ndarray:
        """(n, n, C) mean of the training split, point by point: the least that any answer must beat."""
        return self.fields("train").mean(0, dtype=np.float64).astype(np.float32)

    def _measure(self) -> FieldNormalizer:
        # Strided to at most 2048 fields: their mean and spread are known to a per cent from far fewer.
        layout, train = self.source.plan.layout, self.fields("train")
        rows = train[:: max(len(train) // 2048, 1)].astype(np.float64)
        mean, std = rows.mean((0, 1, 2)), rows.std((0, 1, 2))
        flat = [name for name, s in zip(layout.variables, std, strict=True) if s == 0]
        if flat:
            raise UserError(
                f"data: variable {flat[0]!r} is constant over the training split; expected fields that vary"
            )
        each = (rows.mean(0) - mean) / std, rows.std(0) / std, rows.min((0, 1, 2)), rows.max((0, 1, 2))
        return _normalizer(mean.astype(np.float32), std.astype(np.float32), layout, *each)

    def metrics(self, samples, reference):
        return field_metrics(self.spec, samples, reference)

    def residual(self, x):
        """The equation's residual with the solver's own stencil. x: (..., n, n, C) physical; None where it has no stencil."""
        return None if self.spec.residual is None else self.spec.residual(x[..., 0], x[..., 1])


def _normalizer(mean, std, layout: Layout, mean_field, std_field, least, most) -> FieldNormalizer:
    none, units = np.zeros(0), ", ".join(f"{name} [{layout.units(name)}]" for name in layout.variables)
    facts = Facts(layout, mean_field, std_field, none, none, least, most, std, missing=False)
    return FieldNormalizer(mean, std, units, ("identity",) * len(std), facts)


def _with_layout(stored, layout: Layout) -> dict:
    """The JSON of a normaliser that was stored without a layout, with this one; what else was not measured then is not known."""
    plain = Normalizer.from_json(stored, jax.ShapeDtypeStruct((), np.float32))
    unknown = np.full_like(plain.std, np.nan)
    return _normalizer(plain.mean, plain.std, layout, np.zeros(layout.shape), np.ones(layout.shape), unknown, unknown).to_json()
