"""What the network is given of a molecule: which atoms there are, and kinds, bonds, distances of all or of a part, or a property."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from domains.molecules.layout import ORDERS, Layout
from sciddm.noise import Masked, PerLeaf, Symmetric, ZeroCentreOfMass
from sciddm.normalizer import Normalizer

WAYS = ("", "property", "graph", "part")  # what a training sample may be conditioned on
DISTANCES = np.linspace(
    0.8, 7.0, 12, dtype=np.float32
)  # angstrom, centres of the Gaussians that a given distance is spread over


@dataclass(frozen=True, eq=False)
class Conditions:
    """cond of molecules of a layout, of which `ways`, of `WAYS`, may be given.

    "mask" (n,) is there always; "concat" and "pairs" hold atoms, bonds and distances that are given, of all or of a part, and which they
    are; "embedding" is a given property, normalised, and whether there is one.
    """

    layout: Layout
    normalizer: Normalizer
    ways: tuple[str, ...]

    @property
    def of_atoms(self) -> bool:
        """Whether atoms and bonds may be given."""
        return "graph" in self.ways or "part" in self.ways

    @property
    def of_property(self) -> bool:
        """Whether a property may be given."""
        return "property" in self.ways

    def network_inputs(self) -> dict:
        """Arguments of a network that takes x of this layout, and cond."""
        atoms, f, orders = self.of_atoms, self.layout.features, ORDERS * self.layout.pairs
        return {
            "features_in": f, "pair_features": orders, "concat_channels": (f + 1) * atoms,
            "pair_concat_channels": (orders + 1 + len(DISTANCES)) * atoms, "embedding_features": 2 * self.of_property,
        }  # fmt: skip

    def __call__(self, mask, x=None, atoms=None, distances=False, scalar=None):
        """cond of one sample, or of one batch with an axis in front.

        Args: mask: (..., n); x: in physical units, of which the kinds of those `atoms`, (..., n) of 0 and 1, and the orders among them are
        given, and where `distances` how far they are apart; scalar: the property, normalised. None: nothing of the kind.
        """
        xp = np if isinstance(mask, np.ndarray) else jnp  # numpy for the threads that read data, where jax is slow
        cond, lead = {"mask": mask}, mask.shape[:-1]
        if self.of_atoms:
            atoms = xp.zeros_like(mask) if atoms is None else atoms
            blank = xp.zeros((*mask.shape, self.layout.features), np.float32)
            z = blank if x is None else self.normalizer.normalize(x)["features"]
            cond["concat"] = xp.concatenate([z * atoms[..., None], atoms[..., None]], -1)
            cond["pairs"] = self._pairs(xp, x, atoms, distances)
        if self.of_property:
            value = xp.broadcast_to(xp.asarray(0.0 if scalar is None else scalar, np.float32), lead)
            cond["embedding"] = xp.stack([value, xp.full(lead, float(scalar is not None), np.float32)], -1)
        return cond

    def _pairs(self, xp, x, atoms, distances):
        # (..., n, n, channels): orders of the bonds and whether they are given, and the distance, spread out
        n = atoms.shape[-1]
        both = (atoms[..., :, None] * atoms[..., None, :] * (1 - np.eye(n, dtype=np.float32)))[..., None]
        if x is None:
            return xp.zeros((*both.shape[:-1], ORDERS * self.layout.pairs + 1 + len(DISTANCES)), np.float32)
        orders = [self.normalizer.normalize(x)["pairs"]] if self.layout.pairs else []
        apart = x["positions"][..., :, None, :] - x["positions"][..., None, :, :]
        apart = xp.sqrt(xp.sum(xp.square(apart), -1, keepdims=True))
        spread = xp.exp(-0.5 * xp.square((apart - DISTANCES) / (DISTANCES[1] - DISTANCES[0]))) * float(distances)
        return xp.concatenate([*orders, xp.ones_like(both), spread], -1) * both


@dataclass(frozen=True)
class OfMask:
    """The noise law of molecules whose atoms cond["mask"] says, (B, n), or (1, n) for all: nothing where there is no atom."""

    size: int
    pairs: bool

    def __call__(self, cond):
        mask = jnp.asarray(cond["mask"])
        return self.law(mask[0] if mask.shape[0] == 1 else mask)

    def law(self, mask):
        column = jnp.ones((self.size, 1)) if mask is None else mask[..., None]
        laws = {"positions": ZeroCentreOfMass(mask), "features": Masked(column)}
        return PerLeaf(laws | ({"pairs": Symmetric(mask)} if self.pairs else {}))
