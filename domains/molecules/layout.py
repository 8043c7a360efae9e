"""A molecule as the network sees it: padded arrays of positions, features of atoms and orders of bonds, and back."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from rdkit import Chem, rdBase

from domains.molecules.collection import Collection, make_molecule
from sciddm.errors import UserError

ORDERS = 4  # none, single, double, triple
HYBRIDISATION = (
    Chem.SanitizeFlags.SANITIZE_SYMMRINGS
    | Chem.SanitizeFlags.SANITIZE_SETCONJUGATION
    | Chem.SanitizeFlags.SANITIZE_SETHYBRIDIZATION
)


class Packed(NamedTuple):
    """Molecules padded to n atoms. positions: (M, n, 3) angstrom, centred; kinds: (M, n) int8, index of the kind, -1 at padding;
    charges, hydrogens: (M, n) int8; orders: (M, n, n) int8, 0 to 3. Entries of padding are 0."""

    positions: np.ndarray
    kinds: np.ndarray
    charges: np.ndarray
    hydrogens: np.ndarray
    orders: np.ndarray


@dataclass(frozen=True)
class Layout:
    """What of a molecule is modelled. Nothing here is a constant of a data set: kinds are measured.

    kinds: atomic numbers in order; heavy: hydrogens are a count of their atom and no atoms of their own; pairs: bond orders are
    modelled, else bonds are found from distances. x is {"positions": (n, 3) angstrom, "features": (n, f), "pairs": (n, n, 4)}, features
    being the kind as 0 and 1, the formal charge in e, and where `heavy` the number of hydrogens; pairs the order as 0 and 1.
    """

    kinds: tuple[int, ...]
    heavy: bool
    pairs: bool

    @property
    def features(self) -> int:
        """Channels of an atom."""
        return len(self.kinds) + 1 + self.heavy

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of the kinds."""
        return tuple(Chem.GetPeriodicTable().GetElementSymbol(kind) for kind in self.kinds)

    @classmethod
    def measured(cls, collection: Collection, heavy: bool, pairs: bool) -> "Layout":
        """The layout for the kinds of atom that a collection has."""
        return cls(tuple(int(z) for z in np.unique(collection.numbers) if z > 1 or not heavy), heavy, pairs)

    def example(self, size: int) -> dict:
        """One x padded to `size` atoms, as jax.ShapeDtypeStruct."""
        shapes = {"positions": (size, 3), "features": (size, self.features)}
        shapes |= {"pairs": (size, size, ORDERS)} if self.pairs else {}
        return {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}

    def pack(self, collection: Collection, size: int | None = None) -> Packed:
        """Padded arrays of all molecules; size: atoms to pad to, None: those of the largest.

        Raises: UserError that names the first molecule that has more atoms, an atom of another kind, or none that is modelled.
        """
        c = collection
        kept = (c.numbers > 1) | (not self.heavy)
        molecule = np.repeat(np.arange(len(c)), np.diff(c.atoms_until))
        sizes = c.sizes(self.heavy)
        size = int(sizes.max(initial=1)) if size is None else size
        kind = np.searchsorted(self.kinds, c.numbers)
        known = np.isin(c.numbers, self.kinds) | ~kept
        self._check(c, sizes, size, molecule[~known])
        place = np.cumsum(kept) - 1  # of an atom among those that are kept
        place = place - np.concatenate([[0], np.cumsum(sizes)])[molecule]
        at = molecule[kept], place[kept]
        packed = Packed(
            np.zeros((len(c), size, 3), np.float32), np.full((len(c), size), -1, np.int8),
            *(np.zeros((len(c), size), np.int8) for _ in range(2)), np.zeros((len(c), size, size), np.int8),
        )  # fmt: skip
        packed.kinds[at], packed.charges[at] = kind[kept], c.charges[kept]
        start = np.repeat(c.atoms_until[:-1], np.diff(c.bonds_until))
        of = np.repeat(np.arange(len(c)), np.diff(c.bonds_until))
        a, b = start + c.bonds[:, 0], start + c.bonds[:, 1]
        both = kept[a] & kept[b]
        for first, second in ((a, b), (b, a)):
            packed.orders[of[both], place[first[both]], place[second[both]]] = c.bonds[both, 2]
            if self.heavy:
                hydrogen = kept[first] & (c.numbers[second] == 1)
                np.add.at(packed.hydrogens, (of[hydrogen], place[first[hydrogen]]), 1)
        packed.positions[at] = c.positions[kept]
        there = (packed.kinds >= 0)[..., None]
        mean = packed.positions.sum(1, keepdims=True) / there.sum(1, keepdims=True)
        np.copyto(packed.positions, np.where(there, packed.positions - mean, 0))
        return packed

    def _check(self, c, sizes, size, unknown):
        wanted = "of " + ", ".join(self.symbols)
        for i, reason in (
            *((i, f"has an atom that is none {wanted}") for i in unknown[:1]),
            *((i, f"has {sizes[i]} atoms, expected at most {size}") for i in np.flatnonzero(sizes > size)[:1]),
            *((i, "has no atom that is modelled") for i in np.flatnonzero(sizes == 0)[:1]),
        ):
            raise UserError(f"molecule {c.names[i]!r}: {reason}; leave it out, or train on data that have such")

    def expand(self, packed: Packed) -> dict[str, np.ndarray]:
        """x in physical units from packed rows (..., n): float32, 0 at padding and on the diagonal of pairs."""
        there = (packed.kinds >= 0).astype(np.float32)
        kinds = (packed.kinds[..., None] == np.arange(len(self.kinds))).astype(np.float32)
        columns = [kinds, packed.charges[..., None].astype(np.float32)]
        if self.heavy:
            columns.append(packed.hydrogens[..., None].astype(np.float32))
        x = {"positions": packed.positions, "features": np.concatenate(columns, -1)}
        if self.pairs:
            n = there.shape[-1]
            real = there[..., :, None] * there[..., None, :] * (1 - np.eye(n, dtype=np.float32))
            x["pairs"] = (packed.orders[..., None] == np.arange(ORDERS)) * real[..., None]
        return x

    def mask_of(self, x):
        """(..., n) float32, 1 where there is an atom: padding is exactly 0, and no atom is. Numpy of numpy, jax of jax."""
        return (x["features"] != 0).any(-1).astype(np.float32)

    def read(self, x) -> Packed:
        """The nearest kinds, whole charges, hydrogens and orders of a batch of x in physical units."""
        features, count = np.asarray(x["features"], np.float32), len(self.kinds)
        there = self.mask_of(x) > 0
        whole = np.where(there[..., None], np.clip(np.rint(np.nan_to_num(features[..., count:])), -4, 4), 0).astype(np.int8)
        n = there.shape[-1]
        orders = np.asarray(x["pairs"]).argmax(-1) if self.pairs else np.zeros((*there.shape, n))
        orders = np.where(there[..., :, None] & there[..., None, :] & ~np.eye(n, dtype=bool), orders, 0)
        hydrogens = np.maximum(whole[..., 1], 0) if self.heavy else np.zeros_like(whole[..., 0])
        kinds = np.where(there, features[..., :count].argmax(-1), -1).astype(np.int8)
        return Packed(np.asarray(x["positions"], np.float32), kinds, whole[..., 0], hydrogens, orders.astype(np.int8))

    def molecules(self, x) -> list[Chem.Mol | None]:
        """A batch of x in physical units for RDKit, all atoms and a conformer each, not sanitised; None where a number is not finite.

        Where hydrogens are counts they are placed by RDKit's rules; without pairs there are no bonds yet: see bonds.py.
        """
        packed = self.read(x)
        finite = np.logical_and.reduce([np.isfinite(leaf).all(tuple(range(1, leaf.ndim))) for leaf in x.values()])
        with rdBase.BlockLogs():
            return [self._molecule(Packed(*row)) if fine else None for fine, *row in zip(finite, *packed, strict=True)]

    def _molecule(self, row: Packed) -> Chem.Mol:
        there = np.flatnonzero(row.kinds >= 0)
        orders = np.triu(row.orders[np.ix_(there, there)])
        bonds = [(a, b, orders[a, b]) for a, b in zip(*np.nonzero(orders), strict=True)]
        numbers = np.asarray(self.kinds)[row.kinds[there]]
        molecule = make_molecule(numbers, row.positions[there], row.charges[there], bonds)
        if not self.heavy:
            return molecule
        for atom, count in zip(molecule.GetAtoms(), row.hydrogens[there], strict=True):
            atom.SetNumExplicitHs(int(count))
        # Where hydrogens stand follows from hybridisation, which RDKit finds without judging the valences.
        molecule.UpdatePropertyCache(strict=False)
        Chem.SanitizeMol(molecule, HYBRIDISATION, catchErrors=True)
        return Chem.AddHs(molecule, addCoords=True)
