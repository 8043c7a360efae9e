"""Bonds from geometry, and which atoms have as many of them as their element and charge allow.

Two ways of perceiving bonds from positions, EDM's table of distances and RDKit's, beside the bonds that a molecule has itself.
"""

from functools import cache

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from domains.molecules.collection import make_molecule

# Sums of bond orders, hydrogens among the neighbours, by atomic number and formal charge.
VALENCES = {
    (1, 0): (1,), (1, 1): (0,), (1, -1): (0,),
    (5, 0): (3,), (5, -1): (4,),
    (6, 0): (4,), (6, 1): (3,), (6, -1): (3,),
    (7, 0): (3,), (7, 1): (4,), (7, -1): (2,),
    (8, 0): (2,), (8, 1): (3,), (8, -1): (1,),
    (9, 0): (1,), (9, -1): (0,),
    (14, 0): (4,), (14, -1): (5,),
    (15, 0): (3, 5), (15, 1): (4,), (15, -1): (2, 6),
    (16, 0): (2, 4, 6), (16, 1): (3, 5), (16, -1): (1,),
    (17, 0): (1,), (17, -1): (0,),
    (34, 0): (2, 4, 6), (34, 1): (3, 5), (34, -1): (1,),
    (35, 0): (1,), (35, -1): (0,),
    (53, 0): (1, 3, 5), (53, 1): (2,), (53, -1): (0,),
}  # fmt: skip

# Bond lengths in pm of single, double and triple bonds, and how much longer one may be (EDM, arXiv:2203.17003, appendix).
LENGTHS = (
    {"HH": 74, "CH": 109, "NH": 101, "OH": 96, "FH": 92, "CC": 154, "CN": 147, "CO": 143, "CF": 135, "NN": 145}
    | {"NO": 140, "NF": 136, "OO": 148, "OF": 142, "FF": 142},
    {"CC": 134, "CN": 129, "CO": 120, "NN": 125, "NO": 121, "OO": 121},
    {"CC": 120, "CN": 116, "CO": 113, "NN": 110},
)
MARGINS = (10, 5, 3)
TABLE_VALENCES = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1}  # no charges: the table knows none

# A molecule of 30 atoms needs some hundreds; a heap of atoms would search until the heat death.
ITERATIONS = 5000


def table_orders(numbers, positions) -> np.ndarray:
    """Bond orders by distance: triple within double within single, each if d < its length + its margin. 0 for pairs not in the table.

    Args: numbers: (n,) atomic numbers; positions: (n, 3) angstrom.  Returns: (n, n) int, symmetric, diagonal 0.
    (EDM, arXiv:2203.17003)
    """
    numbers, positions = np.asarray(numbers), np.asarray(positions, np.float64).reshape(-1, 3)
    distance = 100 * np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    element = np.where(numbers < 10, numbers, 0)
    single, double, triple = distance < _limits()[:, element[:, None], element[None]]
    return np.where(single, np.where(double, np.where(triple, 3, 2), 1), 0)


def table_stable(numbers, positions) -> np.ndarray:
    """(n,) bool: whether the orders by table sum to H 1, C 4, N 3, O 2, F 1; False for any other element."""
    allowed = np.array([TABLE_VALENCES.get(int(number), -1) for number in numbers])
    return table_orders(numbers, positions).sum(1) == allowed


def predicted_stable(molecule: Chem.Mol) -> np.ndarray:
    """(n,) bool: whether the orders of the molecule's own bonds sum to what VALENCES allows the element at its charge."""
    if any(bond.GetIsAromatic() for bond in molecule.GetBonds()):
        # 3/2 is no order of a bond: the nitrogen of a pyrrole would have four. Where there is no Kekule structure it stays.
        molecule = Chem.Mol(molecule)
        with rdBase.BlockLogs():
            Chem.KekulizeIfPossible(molecule, clearAromaticFlags=True)
    sums = np.zeros(molecule.GetNumAtoms())
    for bond in molecule.GetBonds():
        sums[[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]] += bond.GetBondTypeAsDouble()
    kinds = [(atom.GetAtomicNum(), atom.GetFormalCharge()) for atom in molecule.GetAtoms()]
    return np.array([total in VALENCES.get(kind, ()) for kind, total in zip(kinds, sums, strict=True)], bool)


def perceive_table(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule with the bonds of `table_orders` in place of its own; formal charges stay, which the table knows nothing of."""
    numbers, positions, charges = atoms(molecule)
    orders = np.triu(table_orders(numbers, positions))
    return make_molecule(numbers, positions, charges, [(a, b, orders[a, b]) for a, b in np.argwhere(orders)])


def perceive_rdkit(molecule: Chem.Mol) -> Chem.Mol | None:
    """The molecule with bonds and formal charges by RDKit's `DetermineBonds`, given its total charge; None where that fails.

    Neighbours by connecting the dots, orders by xyz2mol (Kim & Kim 2015, doi:10.1002/bkcs.10334). Not sanitised.
    """
    numbers, positions, charges = atoms(molecule)
    bare = make_molecule(numbers, positions, np.zeros_like(charges), [])
    settings = {"charge": int(charges.sum()), "embedChiral": False, "maxIterations": ITERATIONS}
    with rdBase.BlockLogs():
        try:
            rdDetermineBonds.DetermineBonds(bare, **settings)
        except (ValueError, RuntimeError):  # which RDKit raises for every reason there is
            return None
    return bare


def atoms(molecule: Chem.Mol) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """numbers (n,), positions (n, 3) in angstrom and formal charges (n,) of a molecule."""
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()], int)
    charges = np.array([atom.GetFormalCharge() for atom in molecule.GetAtoms()], int)
    return numbers, molecule.GetConformer().GetPositions(), charges


@cache
def _limits():
    # (3, 10, 10): length + margin in pm by order and the two atomic numbers, -inf where the table has no such bond
    number = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
    limits = np.full((3, 10, 10), -np.inf)
    for limit, lengths, margin in zip(limits, LENGTHS, MARGINS, strict=True):
        for (a, b), length in lengths.items():
            limit[number[a], number[b]] = limit[number[b], number[a]] = length + margin
    return limits
