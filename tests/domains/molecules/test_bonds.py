import time

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from domains.molecules import bonds
from domains.molecules.collection import make_molecule

H, C, N, O, F, CL = 1, 6, 7, 8, 9, 17  # noqa: E741

TETRAHEDRON = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
METHANE = ([C, H, H, H, H], np.concatenate([np.zeros((1, 3)), 1.09 * TETRAHEDRON]))
ETHENE = (
    [C, C, H, H, H, H],
    [[0.67, 0, 0], [-0.67, 0, 0], [1.24, 0.93, 0], [1.24, -0.93, 0], [-1.24, 0.93, 0], [-1.24, -0.93, 0]],
)
ETHYNE = ([H, C, C, H], [[-1.66, 0, 0], [-0.60, 0, 0], [0.60, 0, 0], [1.66, 0, 0]])
CYANIDE = ([H, C, N], [[-1.065, 0, 0], [0, 0, 0], [1.156, 0, 0]])
DIOXIDE = ([O, C, O], [[-1.162, 0, 0], [0, 0, 0], [1.162, 0, 0]])


def embedded(smiles, seed=1):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=seed) == 0
    return molecule


def pair(a, b, picometres):
    return int(bonds.table_orders([a, b], [[0, 0, 0], [0, 0, picometres / 100]])[0, 1])


@pytest.mark.parametrize(
    ("molecule", "expected"),
    [
        (METHANE, {(0, 1): 1, (0, 2): 1, (0, 3): 1, (0, 4): 1}),
        (ETHENE, {(0, 1): 2, (0, 2): 1, (0, 3): 1, (1, 4): 1, (1, 5): 1}),
        (ETHYNE, {(0, 1): 1, (1, 2): 3, (2, 3): 1}),
        (CYANIDE, {(0, 1): 1, (1, 2): 3}),
        (DIOXIDE, {(0, 1): 2, (1, 2): 2}),
    ],
)
def test_table_gives_the_bonds_of_small_molecules_and_no_other(molecule, expected):
    orders = bonds.table_orders(*molecule)
    wanted = np.zeros_like(orders)
    for (a, b), order in expected.items():
        wanted[a, b] = wanted[b, a] = order
    np.testing.assert_array_equal(orders, wanted)
    assert bonds.table_stable(*molecule).all()


@pytest.mark.parametrize(
    ("a", "b", "limits"),
    # length and margin: single + 10, double + 5, triple + 3 pm
    [
        (C, C, (164, 139, 123)),
        (C, N, (157, 134, 119)),
        (C, O, (153, 125, 116)),
        (N, N, (155, 130, 113)),
        (N, O, (150, 126)),
        (O, O, (158, 126)),
        (C, H, (119,)),
        (H, H, (84,)),
        (N, H, (111,)),
        (O, H, (106,)),
        (F, H, (102,)),
        (C, F, (145,)),
        (N, F, (146,)),
        (O, F, (152,)),
        (F, F, (152,)),
    ],
)
def test_table_changes_order_at_length_plus_margin_in_picometres_either_way_round(a, b, limits):
    for order, limit in enumerate(limits, 1):
        for x, y in ((a, b), (b, a)):
            assert pair(x, y, limit - 0.01) == order
            assert pair(x, y, limit + 0.01) == order - 1
    assert pair(a, b, 40) == len(limits)


def test_table_has_no_bond_of_elements_it_does_not_know_and_calls_them_unstable():
    assert pair(C, CL, 170) == 0 and pair(CL, CL, 199) == 0
    numbers, positions = [C, H, H, H, CL], np.concatenate([METHANE[1][:4], [METHANE[1][4] * 1.6]])
    np.testing.assert_array_equal(bonds.table_stable(numbers, positions), [False, True, True, True, False])


def test_atoms_with_a_bond_too_few_or_too_many_are_unstable_by_table():
    numbers, positions = METHANE
    np.testing.assert_array_equal(bonds.table_stable(numbers[:4], positions[:4]), [False, True, True, True])
    crowded = np.concatenate([positions, [[-0.6, -0.6, -0.6]]])  # a fifth hydrogen, opposite to the first
    assert not bonds.table_stable([*numbers, H], crowded)[0]


def test_valences_depend_on_the_charge():
    def stable(number, charge, orders, order_of=1):
        count = len(orders)
        rows = [(0, i + 1, order) for i, order in enumerate(orders)]
        molecule = make_molecule([number] + [H] * count, np.zeros((count + 1, 3)), [charge] + [0] * count, rows)
        return bool(bonds.predicted_stable(molecule)[0])

    allowed = {
        (H, 0): {1}, (5, 0): {3}, (5, -1): {4}, (C, 0): {4}, (C, 1): {3}, (C, -1): {3}, (N, 0): {3}, (N, 1): {4}, (N, -1): {2},
        (O, 0): {2}, (O, 1): {3}, (O, -1): {1}, (F, 0): {1}, (F, -1): {0}, (14, 0): {4}, (15, 0): {3, 5}, (15, 1): {4},
        (16, 0): {2, 4, 6}, (16, 1): {3, 5}, (16, -1): {1}, (CL, 0): {1}, (35, 0): {1}, (53, 0): {1, 3, 5}, (C, 2): set(),
    }  # fmt: skip
    for (number, charge), sums in allowed.items():
        assert {total for total in range(8) if stable(number, charge, [1] * total)} == sums, (number, charge)
    assert stable(C, 0, [2, 2]) and stable(C, 0, [3, 1]) and not stable(C, 0, [3, 2])


@pytest.mark.parametrize(
    "smiles", ["C[N+](=O)[O-]", "c1cc[nH]c1", "c1ccccc1C(=O)[O-]", "C[S+](C)[O-]", "OS(=O)(=O)O", "C[N+]#[C-]"]
)
def test_every_atom_of_a_sound_molecule_is_stable_aromatic_or_kekulised(smiles):
    molecule = embedded(smiles)
    before = Chem.MolToSmiles(molecule)
    assert bonds.predicted_stable(molecule).all()
    assert Chem.MolToSmiles(molecule) == before
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    assert bonds.predicted_stable(molecule).all()


def test_perceive_table_replaces_the_bonds_and_keeps_atoms_positions_and_charges():
    wrong = make_molecule(*ETHENE, [0, 1, 0, 0, 0, 0], [(2, 3, 1)])
    molecule = bonds.perceive_table(wrong)
    found = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()): b.GetBondTypeAsDouble() for b in molecule.GetBonds()}
    assert found == {(0, 1): 2, (0, 2): 1, (0, 3): 1, (1, 4): 1, (1, 5): 1}
    for before, after in zip(bonds.atoms(wrong), bonds.atoms(molecule), strict=True):
        np.testing.assert_array_equal(before, after)


def test_perceive_rdkit_finds_the_graph_again_given_the_total_charge():
    for smiles in ("CC(=O)[O-]", "c1ccncc1C#N", "C[NH3+]"):
        molecule = embedded(smiles)
        numbers, positions, charges = bonds.atoms(molecule)
        found = bonds.perceive_rdkit(make_molecule(numbers, positions, charges, []))
        Chem.SanitizeMol(found)
        assert Chem.MolToSmiles(Chem.RemoveHs(found)) == Chem.CanonSmiles(smiles)
    acetate = embedded("CC(=O)[O-]")
    numbers, positions, charges = bonds.atoms(acetate)
    assert bonds.perceive_rdkit(make_molecule(numbers, positions, 0 * charges, [])) is None


def test_perceive_rdkit_gives_up_on_a_chain_of_sulphur_within_seconds():
    # Three valences each and an odd number of electrons: 3^20 ways to be tried, none of them right.
    zigzag = np.stack([1.68 * np.arange(20), 1.17 * (np.arange(20) % 2), np.zeros(20)], 1)
    began = time.process_time()
    assert bonds.perceive_rdkit(make_molecule([16] * 20, zigzag, [1] + [0] * 19, [])) is None
    assert time.process_time() - began < 10
