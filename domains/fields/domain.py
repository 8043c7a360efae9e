"""The user's own fields as a domain: ([frames], *space, variables) arrays of any grid, and given with them whatever the file has."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from domains.fields import metrics
from domains.fields.cuts import vectors_of
from domains.fields.given import Given, mirror
from domains.fields.layout import Layout
from domains.fields.measured import check_data, measure_source, normalizer_of, tell
from domains.fields.network import FieldSpaceTime, FieldUNet
from domains.fields.normalizer import Facts, FieldNormalizer
from domains.fields.readers import READERS, open_fields
from domains.fields.rewards import make_rewards
from domains.fields.roles import make_plan
from domains.fields.source import Source
from domains.fields.tasks import TASKS
from domains.fields.times import as_written
from sciddm import lookahead
from sciddm.data.saving import save_dataset
from sciddm.domain import Domain, Outline
from sciddm.errors import UserError
from sciddm.instruments import OfFields
from sciddm.noise import Masked, SpectralField, White


class FieldsDomain(Domain):
    """Fields of any file. x: (*space, C) float32 of C variables in their own units, or (frames, *space, C) of windows in time.

    cond["concat"], (*space, K), holds all that is given, normalised and 0 where it is not known: the first `past` frames and where they
    are known, conditions, static fields, where the grid is masked, and which values of a sample are there at all.
    """

    name, suffixes, task_types, reads = "fields", (".nc", ".zarr"), TASKS, tuple(READERS)
    networks = {"unet": FieldUNet, "space-time": FieldSpaceTime}

    def __init__(self, config, stored=None):
        data = config.data
        self._data, self._seed = data, config.seed
        if stored:
            self.normalizer = FieldNormalizer.from_json(stored, jax.ShapeDtypeStruct((), np.float32))
        else:
            self.normalizer = self._measure()
        facts, layout = self.normalizer.facts, self.normalizer.facts.layout
        self.facts, self.layout, self.variables, self.past = facts, layout, layout.variables, facts.past
        self.example = jax.ShapeDtypeStruct(layout.shape, np.float32)
        self._given = Given(self.normalizer)
        if self._given.channels:
            self.cond_example = {"concat": jax.ShapeDtypeStruct((*layout.grid, self._given.channels), np.float32)}
        first = 1 if layout.frames else 0
        self.space_axes = tuple(range(first, first + len(layout.space)))
        self.frame_axis = -2 - len(layout.space)
        self.network_inputs = {
            "variables": len(layout.variables), "space": len(layout.space), "frames": layout.frames,
            "concat_channels": self._given.channels, "periodic": tuple(dim in layout.periodic for dim in layout.space),
        }  # fmt: skip
        self.noise = _noise(facts)
        self.rewards = make_rewards(self)

    @classmethod
    def check(cls, config):
        check_data(config.data)

    @classmethod
    def outline(cls, config):
        """Of a small stand-in: what the file holds is known once it is read, and the networks take any size."""
        frames = config.data.window if config.data.window > 1 else 0
        inputs = {"variables": 1, "space": 2, "frames": frames, "concat_channels": 0, "periodic": (False, False)}
        return Outline(
            jax.ShapeDtypeStruct((*((frames,) if frames else ()), 16, 16, 1), np.float32), network_inputs=inputs
        )

    @cached_property
    def source(self) -> Source:
        """The user's own file."""
        data = self._data
        if not data.path:
            raise UserError(
                "config.data.path is empty; expected your own fields: --config.data.path=FILE (netCDF, zarr, HDF5, .mat, .npz, ...)"
            )
        trained = "normalizer" in vars(self)
        try:
            fields = open_fields(data.path)
        except UserError as error:
            if not trained:
                raise
            raise UserError(f"{error}; its data are needed here, from wherever they are by --config.data.path=FILE") from error
        units = {name: self.layout.header[name].attrs.get("units") for name in self.layout.header.data_vars} if trained else {}
        units = {name: own for name, own in units.items() if own}
        found = Source(fields, make_plan(fields, data), data.held_out, data.stride, data.memory, units)
        if trained:
            _same_layout(fields.source, found.plan.layout, self.layout)
        return found

    @cached_property
    def _statistics(self):
        return measure_source(self.source, self._data)

    def _measure(self) -> FieldNormalizer:
        found = normalizer_of(self.source, self._data, self._statistics)
        tell(self.source, found, self._statistics)
        return found

    @cached_property
    def _rows(self) -> dict[str, np.ndarray]:
        # Rows of windows that have enough values.
        share = self._statistics.missing
        fixed = 0.0 if self.layout.masked is None else self.layout.masked.mean()
        kept = {}
        for split in ("train", "test"):
            rows = self.source.rows(split)
            lacking = np.mean([share[rows[:, 0], rows[:, 1] + i] for i in range(self.source.length)], 0)
            kept[split] = rows[(lacking - fixed) <= self._data.most_missing * (1 - fixed) + 1e-6]
            if not len(kept[split]):
                least = float((lacking - fixed).min() / (1 - fixed)) if fixed < 1 else 1.0
                way_out = f"--config.data.most_missing={np.ceil(100 * least) / 100:.2f}" if least < 1 else "give data with values there"
                raise UserError(
                    f"{self.source.fields.source}: no {split} window has less than {self._data.most_missing:.0%} missing; {way_out}"
                )
        return kept

    def dataset(self, split):
        """Training samples come mirrored in turn along config.data.augment; those of the test keep their NaN, but for the mask."""
        import grain

        rows, dims = self._rows[split], tuple(self._data.augment) if split == "train" else ()
        ways = 2 ** len(dims)
        _ = self.source.whole  # once, and not by each thread that reads
        return grain.MapDataset.source(np.arange(len(rows) * ways)).map(
            lambda i: self._element(
                rows[int(i) // ways],
                [dim for bit, dim in enumerate(dims) if int(i) % ways >> bit & 1],
                split == "train",
            )
        )

    def _element(self, row, mirrored, train):
        layout = self.layout
        c = len(self.variables)
        both = mirror(self.source.window(row), self.source.names, mirrored, layout, vectors_of(self._data))
        x, conditions = both[..., :c], both[..., c:]
        there = ~np.isnan(x)
        element = {"x": self.filled(x) if train else np.where(self._given.masked, self._given.fill, x)}
        if self._given.channels:
            seen = x[: self.past] if self.past else None
            if train and self.past and np.random.default_rng([self._seed, *map(int, row)]).random() < 0.5:
                seen = None  # in turn, so that the same model also generates
            element["cond"] = self._given.of(seen, conditions, there, mirrored)
        weights = layout.weights[..., None]
        if train and (self.facts.missing or layout.masked is not None or weights.min() < weights.max()):
            element["loss_weight"] = (weights * there).astype(np.float32)
        return element

    def given(self, *, seen=None, conditions=None):
        """cond of all samples of a problem, its leaves (1, ...), or None where the model is given nothing; see `Given.of`."""
        return self._given.one(seen, conditions)

    def draw_cond(self, keys):
        if not self._given.channels:
            return None
        if not self.layout.conditions:
            return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), len(keys), 0), self.given())
        rows = self._rows["train"]
        drawn = jax.vmap(lambda key: jax.random.randint(jax.random.fold_in(key, 7), (), 0, len(rows)))(keys)
        found = [self.given(conditions=self.source.window(rows[int(i)])[..., len(self.variables) :]) for i in drawn]
        return jax.tree.map(lambda *leaves: jnp.concatenate([jnp.asarray(leaf) for leaf in leaves]), *found)

    def cond_of(self, x):
        cond = self.given()
        return None if cond is None else jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf), len(x), 0), cond)

    def condition_on(self, frames, observed):
        return self._given.frames(frames, observed) if self.past else super().condition_on(frames, observed)

    @property
    def mean_field(self) -> np.ndarray:
        """(*space, C) mean of the training samples, NaN in the mask: what any answer must beat."""
        return self.unmasked(self._given.fill)

    @property
    def mean_value(self) -> np.ndarray:
        """(C,) in physical units: what is 0 when normalised, the mean of what a transform makes of each variable."""
        return np.asarray(self.normalizer.denormalize(np.zeros(len(self.variables), np.float32)), np.float32)

    @property
    def spellings(self) -> dict[str, tuple[str, ...]]:
        """variable or condition -> other names that a file or a table may have for it."""
        return {name: () for name in (*self.variables, *self.layout.conditions)}

    @property
    def masked(self) -> np.ndarray:
        """(*space, C) bool: where no sample has a value."""
        return self._given.masked

    @property
    def scales(self) -> np.ndarray:
        """(C,) standard deviations of the variables over the training data, in their units."""
        return self.facts.scales

    @property
    def fixed_channels(self) -> int:
        """How many channels the model is given that belong to its own grid: static fields and masks."""
        return self._given.fixed.shape[-1]

    def conditions_in(self, cond) -> np.ndarray | None:
        """([frames], *space, Cc) of one element's cond, in physical units; None without."""
        found = (
            None if cond is None else self._given.conditions_in(jax.tree.map(lambda leaf: np.asarray(leaf)[None], cond))
        )
        return None if found is None else found[0]

    def filled(self, x) -> np.ndarray:
        """x with a number wherever it has none."""
        return self._given.filled(x)

    def unmasked(self, x) -> np.ndarray:
        """x with NaN in the mask."""
        return np.where(self._given.masked, np.float32(np.nan), np.asarray(x, np.float32))

    def by_name(self, x):
        """name -> (..., [frames], *space) of x in physical units."""
        return {name: x[..., i] for i, name in enumerate(self.variables)}

    def with_fields(self, x, fields):
        return jnp.stack([jnp.asarray(fields.get(name, x[..., i])) for i, name in enumerate(self.variables)], -1)

    def observation(self, instrument, value, noise_std) -> lookahead.Observation:
        """What `instrument` measured of fields by name in physical units, as the denoiser sees it: see `Model.observe`."""
        return lookahead.Observation(OfFields(instrument, self), value, noise_std)

    def quantities(self, native):
        return native.rename({self.layout.sample or "sample": "member"})

    def layout_of(self, x) -> Layout:
        """The model's, or that of a batch of wider fields."""
        grid = tuple(x.shape[axis + 1] for axis in self.space_axes)
        return self.layout if grid == self.layout.grid else self.layout.wider(grid)

    def to_native(self, x, cond=None) -> xr.Dataset:
        arrays = self.by_name(np.asarray(x))
        conditions = self._given.conditions_in(cond)
        if conditions is not None:
            whole = np.broadcast_to(conditions, (len(x), *conditions.shape[1:]))
            arrays |= {name: whole[..., i] for i, name in enumerate(self.layout.conditions)}
        return self.layout_of(x).as_dataset(arrays)

    def from_native(self, native: xr.Dataset) -> np.ndarray:
        missing = [name for name in self.variables if name not in native]
        if missing:
            raise UserError(
                f"fields: variable {missing[0]!r} is missing, found {sorted(native.data_vars)}; expected {list(self.variables)}"
            )
        return self.filled(self.layout.as_arrays(native, self.variables))

    def save(self, samples: xr.Dataset, path) -> None:
        """netCDF for a path that ends in .nc, else a checksummed zarr store."""
        save_dataset(as_written(samples, self.layout), path)

    def plot(self, samples: xr.Dataset):
        from domains.fields import plots

        return plots.gallery(self.layout, self.unmasked(self.layout.as_arrays(samples, self.variables)))

    def metrics(self, samples, reference):
        return metrics.sample_scores(self.layout, self.unmasked(samples), self.unmasked(reference))


def _noise(facts: Facts):
    layout, law = facts.layout, White()
    if facts.power is not None:
        floor = np.maximum(facts.power, 1e-4 * facts.power.mean())  # a law needs some power at every frequency
        law = SpectralField(floor, periodic=set(layout.periodic) == set(layout.space))
    if layout.masked is None:
        return law
    there = 1.0 - layout.masked.astype(np.float32)
    return Masked(jnp.asarray(there[None] if layout.frames else there), law)


def _same_layout(source, found: Layout, trained: Layout) -> None:
    for what in ("variables", "space", "frames", "conditions", "statics", "grid"):
        if getattr(found, what) != getattr(trained, what):
            raise UserError(
                f"{source}: {what} {getattr(found, what)}, but {getattr(trained, what)} of the model; give data of the same layout by "
                "--config.data.path=FILE"
            )
