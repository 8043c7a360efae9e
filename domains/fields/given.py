"""What a network of fields is given beside a noisy sample, as channels on its grid: earlier frames, conditions, static fields, masks."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from domains.fields.layout import Layout
from domains.fields.normalizer import FieldNormalizer
from sciddm.errors import UserError
from sciddm.transforms import transform


class Given:
    """cond["concat"] (*space, channels), normalised, 0 where a value is not known. In this order, as far as a model has them:

    the first `past` frames, and 1 where they are known; the conditions; the static fields; 1 where the grid is not masked; 1 where a
    sample has a value at all, for data of which some is missing.
    """

    def __init__(self, normalizer: FieldNormalizer):
        self.normalizer, self.facts, self.layout = normalizer, normalizer.facts, normalizer.facts.layout
        layout, frames, c = self.layout, max(self.layout.frames, 1), len(self.layout.variables)
        masks = 0 if layout.masked is None else self._masks.shape[-1]
        self.seen = 2 * self.facts.past * c  # channels of the first frames
        self.varying = frames * len(layout.conditions)
        self.channels = (
            self.seen + self.varying + len(layout.statics) + masks + (frames * c if self.facts.missing else 0)
        )

    @cached_property
    def masked(self) -> np.ndarray:
        """(*space, C) bool."""
        layout = self.layout
        return np.zeros((*layout.grid, len(layout.variables)), bool) if layout.masked is None else layout.masked

    @cached_property
    def _masks(self) -> np.ndarray:
        # (*space, 1) where all variables have the same mask, else (*space, C): 1 where there are values
        masked = self.layout.masked
        same = (masked == masked[..., :1]).all()
        return 1.0 - (masked[..., :1] if same else masked)

    @cached_property
    def fill(self) -> np.ndarray:
        """(*space, C) in physical units: what stands where there is no value, the mean over the training samples."""
        mean = np.where(self.masked, 0.0, self.facts.mean_field).astype(np.float32)
        return np.asarray(self.normalizer.denormalize(mean), np.float32)

    def filled(self, x) -> np.ndarray:
        """x in physical units with a number wherever it has none."""
        return np.where(np.isnan(x) | self.masked, self.fill, x).astype(np.float32)

    def of(self, seen, conditions, there=None, mirrored=()) -> dict | None:
        """cond of one sample, or None where the model is given nothing.

        seen: (past, *space, C) in physical units, NaN where not known, None for nothing; conditions: ([frames], *space, Cc), physical;
        there: which entries of x have a value, None for all; mirrored: dimensions along which the static fields are mirrored.
        Raises: UserError where the model wants conditions and there are none.
        """
        layout, facts, parts = self.layout, self.facts, []
        if not self.channels:
            return None
        if facts.past:
            if seen is None:
                seen = np.full((facts.past, *layout.shape[1:]), np.nan, np.float32)
            known = ~np.isnan(seen) & ~self.masked
            parts += [self.fold(np.where(known, self.normalizer.normalize(self.filled(seen)), 0.0)), self.fold(known)]
        if layout.conditions:
            if conditions is None:
                raise UserError(
                    f"the model is conditioned on {', '.join(layout.conditions)}: give them, by --given FILE on all of its grid"
                )
            n = len(layout.conditions)
            y = np.stack([transform(name).forward(conditions[..., i]) for i, name in enumerate(facts.transforms)], -1)
            parts.append(self.fold(np.nan_to_num((y - facts.given_mean[:n]) / facts.given_std[:n])))
        fixed = self.fixed
        parts.append(mirror(fixed, ("",) * fixed.shape[-1], mirrored, layout, ()))
        if facts.missing:
            parts.append(self.fold(np.ones(layout.shape, bool) if there is None else there))
        return {"concat": np.concatenate(parts, -1).astype(np.float32)}

    def one(self, seen=None, conditions=None):
        """The same for all samples of a problem, its leaves (1, ...)."""
        found = self.of(seen, conditions)
        return None if found is None else jax.tree.map(lambda leaf: leaf[None], found)

    @cached_property
    def fixed(self) -> np.ndarray:
        """(*space, S) normalised static fields, 0 where they are missing, and the mask."""
        layout, facts, first, columns = self.layout, self.facts, len(self.layout.conditions), []
        for i, name in enumerate(layout.statics):
            array = layout.header[name]
            array = array.squeeze([dim for dim in array.dims if dim not in layout.space], drop=True)
            array = array.expand_dims({dim: layout.header.sizes[dim] for dim in layout.space if dim not in array.dims})
            values = array.transpose(*layout.space).values
            columns.append(
                np.nan_to_num((values - facts.given_mean[first + i]) / facts.given_std[first + i])[..., None]
            )
        columns += [] if layout.masked is None else [self._masks]
        return np.concatenate(columns, -1).astype(np.float32) if columns else np.zeros((*layout.grid, 0), np.float32)

    def frames(self, frames, observed) -> dict:
        """cond of samples whose first frames are given.

        frames: (B, past, *space, C) in physical units, of numpy or traced; observed: like it, where they are known.
        """
        xp = np if isinstance(frames, np.ndarray) else jnp
        known = xp.asarray(observed, bool) & ~self.masked
        normal = xp.where(known, self.normalizer.normalize(xp.where(known, frames, self.fill)), 0.0)
        parts = [self.fold(normal), self.fold(known)]
        rest = xp.asarray(self.one()["concat"][..., self.seen :])
        parts.append(xp.broadcast_to(rest, (len(frames), *rest.shape[1:])))
        return {"concat": xp.concatenate([part.astype(np.float32) for part in parts], -1)}

    def conditions_in(self, cond) -> np.ndarray | None:
        """(B, [frames], *space, Cc) conditions in physical units that a cond (B, *space, channels) holds; None without."""
        layout, facts = self.layout, self.facts
        if cond is None or not layout.conditions:
            return None
        n = len(layout.conditions)
        found = np.asarray(cond["concat"])[..., self.seen : self.seen + self.varying]
        if layout.frames:
            found = np.moveaxis(found.reshape(*found.shape[:-1], layout.frames, n), -2, 1)
        found = found * facts.given_std[:n] + facts.given_mean[:n]
        return np.stack([transform(name).inverse(found[..., i]) for i, name in enumerate(facts.transforms)], -1)

    def fold(self, x):
        """(..., frames, *space, C) -> (..., *space, frames C); x without frames stays."""
        if not self.layout.frames:
            return x
        xp = np if isinstance(x, np.ndarray) else jnp
        x = xp.moveaxis(x, -2 - len(self.layout.space), -2)
        return x.reshape(*x.shape[:-2], -1)


def mirror(x, names, mirrored, layout: Layout, vectors) -> np.ndarray:
    """x (..., *space, len(names)) mirrored along dimensions; components of vectors along them turn their sign.

    The components of a vector, (u, v) or (u, v, w), lie along `layout.directions`.
    """
    for dim in mirrored:
        place = layout.directions.index(dim)
        turned = {vector[place] for vector in vectors if place < len(vector)}
        axis = x.ndim - 1 - len(layout.space) + layout.space.index(dim)
        x = np.flip(x, axis) * np.array([-1.0 if name in turned else 1.0 for name in names], x.dtype)
    return np.ascontiguousarray(x)
