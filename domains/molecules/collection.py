"""Molecules by the thousand: ragged arrays of all their atoms and bonds, and one of them as an RDKit molecule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from rdkit import Chem

from sciddm.errors import UserError


@dataclass(frozen=True)
class Collection:
    """Molecules one after the other, hydrogens among their atoms.

    numbers: (A,) uint8 atomic numbers; positions: (A, 3) float32, angstrom; charges: (A,) int8, formal charges in e;
    bonds: (E, 3) int16, the two atoms counted within their molecule and the order 1, 2 or 3 (Kekule structures);
    atoms_until, bonds_until: (M + 1,) int64, atoms of molecule i are [atoms_until[i], atoms_until[i + 1]);
    names: (M,) of records, for messages; properties: name -> (M,) float32, NaN where not known; units: name -> unit.
    """

    numbers: np.ndarray
    positions: np.ndarray
    charges: np.ndarray
    bonds: np.ndarray
    atoms_until: np.ndarray
    bonds_until: np.ndarray
    names: tuple[str, ...]
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    def __len__(self):
        return len(self.atoms_until) - 1

    def atoms(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """numbers (n,), positions (n, 3) and charges (n,) of molecule i."""
        part = slice(self.atoms_until[i], self.atoms_until[i + 1])
        return self.numbers[part], self.positions[part], self.charges[part]

    def bonds_of(self, i: int) -> np.ndarray:
        """(e, 3): atom, atom, order."""
        return self.bonds[self.bonds_until[i] : self.bonds_until[i + 1]]

    def sizes(self, heavy: bool = False) -> np.ndarray:
        """(M,) numbers of atoms, or of those that are no hydrogen."""
        counted = np.concatenate([[0], np.cumsum((self.numbers > 1) | (not heavy))])
        return np.diff(counted[self.atoms_until])

    def molecule(self, i: int) -> Chem.Mol:
        """Molecule i for RDKit, with its conformer, `_Name`, and sanitised where that can be."""
        molecule = make_molecule(*self.atoms(i), self.bonds_of(i))
        Chem.SanitizeMol(molecule, catchErrors=True)
        molecule.SetProp("_Name", self.names[i])
        return molecule

    def select(self, indices) -> "Collection":
        """The molecules of these indices, in their order."""
        indices = np.asarray(indices)
        atoms, atoms_until = _gather(self.atoms_until, indices)
        bonds, bonds_until = _gather(self.bonds_until, indices)
        return Collection(
            self.numbers[atoms], self.positions[atoms], self.charges[atoms], self.bonds[bonds], atoms_until, bonds_until,
            tuple(self.names[i] for i in indices), {key: value[indices] for key, value in self.properties.items()}, self.units,
        )  # fmt: skip

    def to_dataset(self) -> xr.Dataset:
        """Arrays and attributes for `sciddm.store`."""
        variables = {
            "number": ("atom", self.numbers), "position": (("atom", "xyz"), self.positions, {"units": "angstrom"}),
            "charge": ("atom", self.charges, {"units": "e"}), "bond": (("bond_index", "end_end_order"), self.bonds),
            "atoms_until": ("edge", self.atoms_until), "bonds_until": ("edge", self.bonds_until),
            "name": ("character", np.frombuffer("\n".join(self.names).encode(), np.uint8)),
        }  # fmt: skip
        properties = {
            f"property {key}": ("molecule", value, {"units": self.units.get(key, "1")})
            for key, value in self.properties.items()
        }
        return xr.Dataset(variables | properties)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> "Collection":
        """The inverse of `to_dataset`."""
        names = dataset["name"].values.tobytes().decode().split("\n")
        properties = {key[len("property ") :]: dataset[key] for key in dataset if key.startswith("property ")}
        values = [dataset[key].values for key in ("number", "position", "charge", "bond", "atoms_until", "bonds_until")]
        return cls(
            *values, tuple(names), {key: array.values for key, array in properties.items()},
            {key: array.attrs["units"] for key, array in properties.items()},
        )  # fmt: skip

    @classmethod
    def from_molecules(cls, molecules: Iterable[Chem.Mol], properties=None, units=None) -> "Collection":
        """From RDKit molecules with explicit hydrogens and a conformer each; `_Name` names them where it is set.

        Raises: UserError if one has no three-dimensional conformer, or there is none at all.
        """
        parts, names = [], []
        for i, molecule in enumerate(molecules):
            name = molecule.GetProp("_Name") if molecule.HasProp("_Name") and molecule.GetProp("_Name") else f"{i}"
            names.append(name.replace("\n", " "))
            parts.append(_arrays(molecule, names[-1]))
        if not parts:
            raise UserError("molecules: there is none; expected at least one")
        numbers, positions, charges, bonds = (np.concatenate(column) for column in zip(*parts, strict=True))
        until = lambda column: np.cumsum([0, *(len(part[column]) for part in parts)], dtype=np.int64)  # noqa: E731
        return cls(
            numbers,
            positions,
            charges,
            bonds,
            until(0),
            until(3),
            tuple(names),
            {key: np.asarray(value, np.float32) for key, value in (properties or {}).items()},
            dict(units or {}),
        )


def make_molecule(numbers, positions, charges, bonds) -> Chem.Mol:
    """An RDKit molecule with exactly these atoms and bonds, not sanitised. bonds: (e, 3): atom, atom, order 1, 2 or 3."""
    molecule = Chem.RWMol()
    for number, charge in zip(numbers, charges, strict=True):
        atom = Chem.Atom(int(number))
        atom.SetFormalCharge(int(charge))
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    orders = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
    for a, b, order in bonds:
        molecule.AddBond(int(a), int(b), orders[int(order)])
    conformer = Chem.Conformer(len(numbers))
    conformer.SetPositions(np.asarray(positions, np.float64).reshape(-1, 3))
    molecule.AddConformer(conformer, assignId=True)
    return molecule.GetMol()


def _arrays(molecule: Chem.Mol, name: str):
    if not molecule.GetNumConformers() or not molecule.GetConformer().Is3D():
        raise UserError(f"molecule {name!r}: has no three-dimensional conformer; expected positions in angstrom")
    molecule = Chem.Mol(molecule)
    molecule.UpdatePropertyCache(strict=False)
    if any(atom.GetNumImplicitHs() + atom.GetNumExplicitHs() for atom in molecule.GetAtoms()):
        raise UserError(
            f"molecule {name!r}: has hydrogens that are no atoms; read it with removeHs=False, or add them with Chem.AddHs(addCoords=True)"
        )
    try:
        Chem.Kekulize(molecule, clearAromaticFlags=True)
    except Chem.KekulizeException as error:
        raise UserError(
            f"molecule {name!r}: its aromatic bonds have no Kekule structure ({error}); give bond orders"
        ) from error
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()], np.uint8)
    charges = np.array([atom.GetFormalCharge() for atom in molecule.GetAtoms()], np.int8)
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondTypeAsDouble())) for b in molecule.GetBonds()]
    positions = molecule.GetConformer().GetPositions().astype(np.float32)
    return numbers, positions, charges, np.array(bonds, np.int16).reshape(-1, 3)


def _gather(until, indices):
    # which rows of the ragged array, and where molecules end among them
    sizes = (until[1:] - until[:-1])[indices]
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = np.arange(ends[-1]) - np.repeat(ends[:-1] - until[:-1][indices], sizes)
    return rows, ends
