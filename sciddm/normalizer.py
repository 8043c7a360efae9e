"""Physical units <-> what the denoiser sees."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sciddm.errors import UserError
from sciddm.noise import Noise
from sciddm.traces import TRACES


@dataclass(frozen=True)
class Normalizer:
    """Physical units <-> zero mean and unit variance, leaf by leaf: z = (x - mean) / std.

    mean, std: pytrees like one x, each leaf broadcastable to x without its batch axis; units: the same pytree of strings.
    """

    mean: Any
    std: Any
    units: Any

    def with_statistics(self, other: "Normalizer") -> "Normalizer":
        """These data normalised as those of `other` are. Raises: ValueError if their layouts differ."""
        shapes = [jax.tree.map(np.shape, (one.mean, one.std)) for one in (self, other)]
        if shapes[0] != shapes[1] or self.units != other.units:
            raise ValueError(f"statistics of shapes and units {shapes[1]}, {other.units} don't fit these data of {shapes[0]}, {self.units}")
        return replace(self, mean=other.mean, std=other.std)

    def normalize(self, x):
        """(B, ...) in physical units -> (B, ...) normalised."""
        return jax.tree.map(lambda leaf, m, s: (leaf - m) / s, x, self.mean, self.std)

    def denormalize(self, z):
        """(B, ...) normalised -> (B, ...) in physical units."""
        return jax.tree.map(lambda leaf, m, s: leaf * s + m, z, self.mean, self.std)

    def log_scale(self, x):
        """log |dx / dz| of each entry of (B, ...) x in physical units, nats."""
        return jax.tree.map(lambda leaf, s: jnp.broadcast_to(jnp.log(jnp.asarray(s, leaf.dtype)), leaf.shape), x, self.std)

    def log_abs_det(self, x, noise: Noise):
        """log |d x / d z| on the noise law's support: what a log density of x is smaller by than that of z = normalize(x).

        tr(P L P), P the projection and L the diagonal of `log_scale`: the sum over the entries that are free, for masks and centred points
        too, whose std must not lead out of the support. x: (B, ...). Returns (B,), nats.
        """
        logs = self.log_scale(x)
        size = sum(leaf[0].size for leaf in jax.tree.leaves(x))

        def every_entry():
            return sum(jnp.sum(leaf, axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(logs))

        def support():
            scale = lambda v: jax.tree.map(jnp.multiply, logs, v)  # noqa: E731
            return TRACES["exact"].estimate(scale, lambda v: noise.each("project", v), None, x, None)

        return jax.lax.cond(jnp.all(noise.each("dimension", x) == size), every_entry, support)

    def to_json(self) -> dict:
        """Lists of numbers by leaf path, for the checkpoint."""
        leaves = jax.tree_util.tree_flatten_with_path(self.mean)[0]
        stds, units = jax.tree.leaves(self.std), jax.tree.leaves(self.units)
        return {
            jax.tree_util.keystr(path): {"mean": np.asarray(m).tolist(), "std": np.asarray(s).tolist(), "units": u}
            for (path, m), s, u in zip(leaves, stds, units, strict=True)
        }

    @classmethod
    def from_json(cls, stored: Mapping, example) -> "Normalizer":
        """The inverse of `to_json`; `example` is one x, whose tree structure names the leaves.

        Raises: UserError if a leaf of the example has no stored statistics.
        """
        paths, structure = jax.tree_util.tree_flatten_with_path(example)
        names = [jax.tree_util.keystr(path) for path, _ in paths]
        missing = [name for name in names if name not in stored]
        if missing:
            raise UserError(
                f"normalizer: no statistics for leaf {missing[0]!r}, found {sorted(stored)}; is this checkpoint of another domain?"
            )
        rows = [stored[name] for name in names]
        return cls(
            structure.unflatten([np.asarray(row["mean"], np.float32) for row in rows]),
            structure.unflatten([np.asarray(row["std"], np.float32) for row in rows]),
            structure.unflatten([row["units"] for row in rows]),
        )
