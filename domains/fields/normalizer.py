"""Physical units <-> what the denoiser sees, and all else that a restored model knows of its fields without the file."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import jax.numpy as jnp
import numpy as np

from domains.fields.layout import Layout
from sciddm.normalizer import Normalizer
from sciddm.transforms import Transform, transform


@dataclass(frozen=True, eq=False)
class Facts:
    """What was measured of the fields that a model is trained on.

    mean_field, std_field: (*space, C) of normalised fields over the training samples; given_mean, given_std: of conditions after their
    transforms, then of statics; least, most, scales: (C,) in physical units, the last the standard deviation; missing: whether values
    are missing that are not masked always; power: (*space) mean power of normalised fields, or None; transforms: of the
    conditions; past: frames that may be given.
    """

    layout: Layout
    mean_field: np.ndarray
    std_field: np.ndarray
    given_mean: np.ndarray
    given_std: np.ndarray
    least: np.ndarray
    most: np.ndarray
    scales: np.ndarray
    missing: bool
    power: np.ndarray | None = None
    transforms: tuple[str, ...] = ()
    past: int = 0

    ARRAYS = ("mean_field", "std_field", "given_mean", "given_std", "least", "most", "scales")

    def to_json(self) -> dict:
        """For the checkpoint; arrays as base64 of float32."""
        found = {name: _pack(getattr(self, name)) for name in self.ARRAYS}
        found |= {"missing": bool(self.missing), "transforms": self.transforms, "past": self.past}
        return found | {"power": None if self.power is None else _pack(self.power), "layout": self.layout.to_json()}

    @classmethod
    def from_json(cls, stored: Mapping) -> "Facts":
        """The inverse of `to_json`."""
        arrays = {name: _unpack(stored[name]) for name in cls.ARRAYS}
        power = None if stored["power"] is None else _unpack(stored["power"])
        about = {"missing": stored["missing"], "transforms": tuple(stored["transforms"]), "past": stored["past"]}
        return cls(Layout.from_json(stored["layout"]), **arrays, power=power, **about)


@dataclass(frozen=True)
class FieldNormalizer(Normalizer):
    """z = (T(x) - mean) / std, channel by channel; T by `sciddm.transforms`. x: (B, [frames], *space, C)."""

    transforms: tuple[str, ...] = ()
    facts: Facts = field(default=None)

    @cached_property
    def _each(self) -> list[Transform]:
        return [transform(name) for name in self.transforms]

    @cached_property
    def _plain(self) -> bool:
        return all(name == "identity" for name in self.transforms)

    def with_statistics(self, other):
        if (self.transforms, self.facts.transforms) != (other.transforms, other.facts.transforms):
            raise ValueError(f"its transforms {other.transforms} are not those of these data, {self.transforms}")
        if (self.facts.power is None) != (other.facts.power is None):
            raise ValueError("only one of the two has the fields' own noise law")
        plain, own = super().with_statistics(other), self.facts
        kept = {name: getattr(other.facts, name) for name in ("given_mean", "given_std", "power")}
        scale = np.asarray(self.std) / np.asarray(other.std)
        kept["mean_field"] = own.mean_field * scale + (np.asarray(self.mean) - np.asarray(other.mean)) / np.asarray(other.std)
        return replace(plain, facts=replace(own, std_field=own.std_field * scale, **kept))

    def normalize(self, x):
        return super().normalize(x if self._plain else self._map(x, [one.forward for one in self._each]))

    def denormalize(self, z):
        y = super().denormalize(z)
        return y if self._plain else self._map(y, [one.inverse for one in self._each])

    def log_scale(self, x):
        return super().log_scale(x) + (0.0 if self._plain else self._map(x, [one.log_slope for one in self._each]))

    def log_abs_det(self, x, noise):
        # Masks are diagonal: no trace to be taken entry by entry.
        there = noise.each("project", jnp.ones_like(x))
        return jnp.sum(jnp.where(there > 0.5, self.log_scale(x), 0.0), tuple(range(1, x.ndim)))

    def to_json(self) -> dict:
        return super().to_json() | {"fields": {"transforms": self.transforms, "facts": self.facts.to_json()}}

    @classmethod
    def from_json(cls, stored, example) -> "FieldNormalizer":
        plain, own = Normalizer.from_json(stored, example), stored["fields"]
        return cls(plain.mean, plain.std, plain.units, tuple(own["transforms"]), Facts.from_json(own["facts"]))

    @staticmethod
    def _map(x, functions):
        xp = np if isinstance(x, np.ndarray) else jnp
        return xp.stack([function(x[..., c]) for c, function in enumerate(functions)], -1)


def _pack(values) -> dict:
    values = np.asarray(values, np.float32)
    return {"shape": list(values.shape), "float32": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _unpack(stored) -> np.ndarray:
    return np.frombuffer(base64.b64decode(stored["float32"]), "<f4").reshape(stored["shape"]).astype(np.float32)
