import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from domains.molecules import bonds, conformers
from sciddm.errors import UserError


def embedded(smiles, seed=1):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=seed) == 0
    return molecule


def moved(molecule, positions):
    molecule = Chem.Mol(molecule)
    molecule.GetConformer().SetPositions(np.asarray(positions, np.float64))
    return molecule


def turned(molecule):
    """The same conformer elsewhere: a proper rotation and a shift."""
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    return moved(molecule, bonds.atoms(molecule)[1] @ rotation + [1.0, -2.0, 3.0])


def mirrored(molecule):
    return moved(molecule, bonds.atoms(molecule)[1] * [1, 1, -1])


def kekulised(molecule):
    molecule = Chem.Mol(molecule)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    return molecule


def handedness(molecule):
    molecule = Chem.Mol(molecule)
    Chem.AssignStereochemistryFrom3D(molecule)
    return Chem.FindMolChiralCenters(molecule, useLegacyImplementation=False)


def test_rmsd_of_a_turned_and_shifted_copy_is_zero_and_leaves_it_where_it_is():
    reference = embedded("C[C@H](N)C(=O)O")
    copy = turned(reference)
    before = bonds.atoms(copy)[1].copy()
    np.testing.assert_allclose(conformers.rmsd_matrix([reference], [copy]), 0, atol=1e-4)
    np.testing.assert_array_equal(bonds.atoms(copy)[1], before)
    assert copy.GetNumAtoms() == reference.GetNumAtoms()


@pytest.mark.parametrize("kekule", [False, True])
def test_rmsd_of_a_copy_whose_equal_atoms_are_exchanged_is_zero(kekule):
    # Toluene is its own image when the ring is turned over: atoms 2 and 6, 3 and 5 change places. Its Kekule structure isn't.
    toluene = embedded("Cc1ccccc1")
    x = bonds.atoms(toluene)[1].copy()
    x[[2, 6, 3, 5]] = x[[6, 2, 5, 3]]
    exchanged = turned(moved(toluene, x))
    if kekule:
        toluene, exchanged = kekulised(toluene), kekulised(exchanged)
    np.testing.assert_allclose(conformers.rmsd_matrix([toluene], [exchanged]), 0, atol=1e-4)


def test_rmsd_of_a_mirrored_chiral_molecule_is_zero_only_with_mirror():
    reference = embedded("C[C@H](N)C(=O)O")
    image = turned(mirrored(reference))
    assert conformers.rmsd_matrix([reference], [image])[0, 0] > 0.3
    np.testing.assert_allclose(conformers.rmsd_matrix([reference], [image], mirror=True), 0, atol=1e-4)
    # The smaller of the two, so that a copy which is no image stays at zero.
    np.testing.assert_allclose(conformers.rmsd_matrix([reference], [turned(reference)], mirror=True), 0, atol=1e-4)


def test_rmsd_is_over_heavy_atoms_and_by_hand_for_a_stretched_chain():
    # Carbon dioxide stretched by .3 on both sides: sqrt(2 * .3^2 / 3) angstrom.
    molecule = embedded("O=C=O")
    short = moved(molecule, [[-1.2, 0, 0], [0, 0, 0], [1.2, 0, 0]])
    long = moved(molecule, [[-1.5, 0, 0], [0, 0, 0], [1.5, 0, 0]])
    np.testing.assert_allclose(conformers.rmsd_matrix([short], [long, short]), [[np.sqrt(0.06), 0]], atol=1e-6)
    methanol = embedded("CO")
    x = bonds.atoms(methanol)[1].copy()
    x[2:] += 0.5
    np.testing.assert_allclose(conformers.rmsd_matrix([methanol], [moved(methanol, x)]), 0, atol=1e-4)


def test_rmsd_of_another_graph_is_an_error_of_the_user_and_of_none_a_column_of_nan():
    butane = embedded("CCCC")
    for other in ("CCCO", "CC(C)C", "CCC", "C1CCC1"):
        with pytest.raises(UserError, match="samples: 1"):
            conformers.rmsd_matrix([butane], [butane, embedded(other)])
    matrix = conformers.rmsd_matrix([butane, butane], [None, butane])
    np.testing.assert_array_equal(np.isnan(matrix), [[True, False], [True, False]])


def test_coverage_matching_and_average_minimum_by_hand():
    # Three references, two samples.
    matrix = np.array([[0.1, 0.9], [0.7, 0.5], [2.0, 1.2]])
    assert conformers.coverage(matrix) == pytest.approx(1 / 3)  # .5 is not below .5
    assert conformers.coverage(matrix, 0.6) == pytest.approx(2 / 3)
    assert conformers.matching(matrix) == pytest.approx((0.1 + 0.5 + 1.2) / 3)
    assert conformers.average_minimum(matrix) == pytest.approx((0.1 + 0.5) / 2)


def test_scores_leave_samples_of_nan_out_and_of_none_at_all_are_zero_and_nan():
    matrix = np.array([[np.nan, 0.2], [np.nan, 0.8]])
    found = [score(matrix) for score in (conformers.coverage, conformers.matching, conformers.average_minimum)]
    assert found == pytest.approx([0.5, 0.5, 0.2])
    for empty in (np.zeros((2, 0)), np.full((2, 3), np.nan)):
        assert conformers.coverage(empty) == 0
        assert np.isnan(conformers.matching(empty)) and np.isnan(conformers.average_minimum(empty))


def test_etkdg_repeats_itself_for_a_seed_and_shares_no_conformer_with_another():
    chain = embedded("CCCCO")
    one, again, other = (conformers.etkdg(chain, 6, seed=seed) for seed in (0, 0, 1))
    assert len(one) == len(again) == len(other) == 6
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(bonds.atoms(a)[1], bonds.atoms(b)[1])
    positions = [bonds.atoms(m)[1].round(3).tobytes() for m in one + other]
    assert len(set(positions)) == 12
    assert all(m.GetNumConformers() == 1 for m in one)


def test_etkdg_draws_handedness_anew_unless_stereo_takes_it_from_the_positions():
    reference = embedded("C[C@H](N)C(=O)O")
    flat = {tuple(handedness(m)) for m in conformers.etkdg(reference, 20, seed=0)}
    assert len(flat) == 2
    untagged = mirrored(reference)  # its tags still say what its positions don't
    kept = {tuple(handedness(m)) for m in conformers.etkdg(untagged, 20, seed=0, stereo=True)}
    assert kept == {tuple(handedness(untagged))} != {tuple(handedness(reference))}


def test_etkdg_relaxed_conformers_are_minima_and_raw_ones_are_not():
    from domains.molecules.metrics import strain

    chain = embedded("CCCO")
    assert strain(conformers.etkdg(chain, 3, seed=0, relax=True)).max() < 0.1
    assert strain(conformers.etkdg(chain, 3, seed=0)).min() > 0.5


def test_etkdg_of_an_impossible_graph_is_empty():
    molecule = Chem.RWMol(embedded("CC"))
    molecule.GetBondBetweenAtoms(0, 1).SetBondType(Chem.BondType.TRIPLE)
    assert conformers.etkdg(molecule.GetMol(), 3, seed=0) == []
