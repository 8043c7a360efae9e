"""Different noise for different leaves: positions that may not drift beside features that may."""

from typing import Any

import jax

from sciddm.arithmetic import as_structs
from sciddm.noise.base import Noise


class PerLeaf(Noise):
    """Independent laws of the parts of x: Sigma is block diagonal.

    laws: a pytree prefix of x with a Noise at every leaf, e.g. {"positions": ZeroCentreOfMass(mask), "features": White()}.
    Raises: ValueError (by jax) where x does not have that structure.
    """

    laws: Any

    def per_sample(self, like):
        structure, laws = self._laws()
        parts = [law.per_sample(part) for law, part in zip(laws, structure.flatten_up_to(like), strict=True)]
        return PerLeaf(structure.unflatten(parts))

    def sample(self, key, like):
        structure, laws = self._laws()
        parts = structure.flatten_up_to(as_structs(like))
        keys = jax.random.split(key, len(laws))
        return structure.unflatten([law.sample(k, part) for law, k, part in zip(laws, keys, parts, strict=True)])

    def log_prob(self, eps):
        return sum(self._parts("log_prob", eps))

    def project(self, x):
        return self._joined("project", x)

    def covariance(self, u):
        return self._joined("covariance", u)

    def precision(self, u):
        return self._joined("precision", u)

    def dimension(self, like):
        return sum(self._parts("dimension", as_structs(like)))

    def _laws(self):
        laws, structure = jax.tree.flatten(self.laws, is_leaf=lambda node: isinstance(node, Noise))
        return structure, laws

    def _parts(self, name, x):
        structure, laws = self._laws()
        return [getattr(law, name)(part) for law, part in zip(laws, structure.flatten_up_to(x), strict=True)]

    def _joined(self, name, x):
        return self._laws()[0].unflatten(self._parts(name, x))
