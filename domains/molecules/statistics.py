"""What a run knows of the molecules that it was trained on: scales, kinds of atom, sizes, and the property of each."""

from dataclasses import dataclass, replace

import jax
import numpy as np

from domains.molecules.collection import Collection
from domains.molecules.descriptors import DESCRIPTORS, descriptor
from domains.molecules.layout import Layout
from sciddm.domain import Normalizer
from sciddm.errors import UserError
from sciddm.memory import check_memory

LOOKED_AT, BYTES = 4096, 48  # molecules that scales are measured of, and bytes of a pair of atoms meanwhile


@dataclass(frozen=True)
class OfAtoms(Normalizer):
    """The statistics, and of what molecules: a restored run knows them without its data.

    layout: what x is; sizes: (n + 1,) how many of the training molecules have 0, 1, ... n atoms; size: n, of the padded arrays;
    scalar: mean and standard deviation of the property that samples may be conditioned on.
    """

    layout: Layout
    sizes: np.ndarray
    scalar: tuple[float, float]

    def with_statistics(self, other):
        if unknown := set(self.layout.kinds) - set(other.layout.kinds):
            raise ValueError(f"it knows no atoms of the numbers {sorted(unknown)}, which are in these data")
        return replace(self, mean=other.mean, std=other.std, layout=other.layout, scalar=other.scalar)

    @property
    def size(self) -> int:
        return len(self.sizes) - 1

    def to_json(self) -> dict:
        atoms = {"kinds": list(self.layout.kinds), "heavy": self.layout.heavy, "pairs": self.layout.pairs}
        return super().to_json() | {"atoms": atoms | {"sizes": self.sizes.tolist(), "scalar": list(self.scalar)}}

    @classmethod
    def from_json(cls, stored, example=None) -> "OfAtoms":
        atoms = stored.get("atoms")
        if atoms is None:
            raise UserError("normalizer: has no kinds of atom; is this checkpoint of another domain?")
        layout = Layout(tuple(atoms["kinds"]), atoms["heavy"], atoms["pairs"])
        plain = Normalizer.from_json(stored, layout.example(1))
        return cls(plain.mean, plain.std, plain.units, layout, np.asarray(atoms["sizes"]), tuple(atoms["scalar"]))


def measured(collection: Collection, train: np.ndarray, data) -> OfAtoms:
    """All that a run must know of its molecules, with config.data. Kinds, sizes and properties of those held out must fit, too: said
    before it starts. train: places of those that are trained on."""
    part = collection.select(train)
    layout = Layout.measured(collection, data.heavy, data.pairs)
    sizes = part.sizes(data.heavy)
    whole = collection.sizes(data.heavy).max()  # those of the test must fit too
    looked = min(len(part), LOOKED_AT)
    largest = f"config.data.path: {len(collection)} molecules, the largest of {whole} atoms,"
    usual = int(np.median(collection.sizes()))
    need = float(whole) ** 2 * (BYTES * looked + len(part))  # pairs, as float32 and as they are kept
    check_memory(need, largest, f"leave out the largest by --config.data.most_atoms={usual}")
    x = layout.expand(layout.pack(part.select(np.arange(0, len(part), -(-len(part) // LOOKED_AT)))))
    there = layout.mask_of(x) > 0
    positions = float(np.sqrt(np.mean(np.square(x["positions"][there]))))
    if not positions > 0:
        raise UserError("data: all molecules are single atoms; expected some with two or more")
    # Kinds and orders are 0 or 1: one scale for all channels, so that rare ones are not blown up, and a half for counts.
    features = np.full(layout.features, data.scales.features, np.float32)
    features[len(layout.kinds) + 1 :] *= 2.0
    std = {"positions": np.float32(positions), "features": features}
    units = {"positions": "angstrom", "features": "kinds 1, charge e, hydrogens 1"}
    if layout.pairs:
        std["pairs"], units["pairs"] = np.float32(data.scales.pairs), "1"
    mean = jax.tree.map(lambda s: np.zeros_like(s), std)
    scalar = scalar_of(collection, data.property)[train]
    spread = float(scalar.std()) or 1.0
    counts = np.bincount(sizes, minlength=int(whole) + 1)
    return OfAtoms(mean, std, units, layout, counts, (float(scalar.mean()), spread))


def scalar_of(collection: Collection, name: str) -> np.ndarray:
    """(M,) the property `name`, of config.data.property: of the data, else RDKit's where it computes one of this name.

    Raises: UserError if there is none of this name, or it is not known of every molecule.
    """
    known = collection.properties
    if not name:
        return np.zeros(len(collection), np.float32)
    if name not in known and name not in DESCRIPTORS:
        raise UserError(
            f"config.data.property = {name!r}: expected one of {sorted({*known, *DESCRIPTORS})}, such as --config.data.property=logP"
        )
    computed = (descriptor(name, collection.molecule(i)) for i in range(len(collection)))
    values = known[name] if name in known else np.fromiter(computed, np.float32, len(collection))
    unknown = np.flatnonzero(~np.isfinite(values))
    if len(unknown):
        raise UserError(
            f"config.data.property = {name!r}: is not known of {len(unknown)} molecules, such as {collection.names[unknown[0]]!r}; "
            "leave those out, or take another, such as --config.data.property=logP"
        )
    return np.asarray(values, np.float32)
