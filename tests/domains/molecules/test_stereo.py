import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from domains.molecules.stereo import stereo_of


def known(smiles, all_atoms=False):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    Chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
    rows = [atom.GetIdx() for atom in molecule.GetAtoms() if all_atoms or atom.GetAtomicNum() > 1]
    stereo = stereo_of(molecule, rows)
    rdDistGeom.EmbedMultipleConfs(molecule, 4, randomSeed=3)
    return stereo, np.stack([conformer.GetPositions()[rows] for conformer in molecule.GetConformers()])


@pytest.mark.parametrize("all_atoms", [False, True])
@pytest.mark.parametrize(
    "smiles, centres",
    [("C[C@H](N)C(=O)O", 1), ("F[C@](Cl)(Br)C", 1), ("OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O", 5), ("C[S@](=O)CC", 1)],
)
def test_centres_are_right_in_rdkit_s_conformers_and_wrong_in_their_mirror_images(smiles, centres, all_atoms):
    stereo, positions = known(smiles, all_atoms)
    assert len(stereo.centres) == centres and stereo.right(positions).all() and not stereo.right(-positions).any()
    settled, right = stereo.settled(-positions)
    assert right.all()
    np.testing.assert_array_equal(settled, positions)


@pytest.mark.parametrize("smiles, other", [("C/C=C/C", "C/C=C\\C"), ("F/C(Cl)=C(/C)Br", "F/C(Cl)=C(\\C)Br")])
def test_double_bonds_are_told_from_each_other_and_no_mirror_image_mends_them(smiles, other):
    stereo, positions = known(smiles)
    _, wrong = known(other)
    assert stereo.right(positions).all() and stereo.right(-positions).all()
    assert not stereo.right(wrong).any() and not stereo.settled(wrong)[1].any()


def test_of_several_centres_the_mirror_image_with_fewer_wrong_is_taken():
    stereo, positions = known("C[C@H](F)[C@@H](Cl)[C@H](O)CC")
    one_wrong = known("C[C@H](F)[C@@H](Cl)[C@@H](O)CC")[1]
    assert (stereo.right(one_wrong).sum(-1) == 2).all()
    settled, right = stereo.settled(-one_wrong)
    assert (right.sum(-1) == 2).all() and (settled == one_wrong).all()


def test_a_flat_centre_is_right_on_neither_side():
    stereo, positions = known("C[C@H](N)C(=O)O")
    flat = positions * [1, 1, 0]
    assert not stereo.right(flat).any() and not stereo.right(-flat).any()


def test_what_hydrogens_alone_tell_is_lost_and_what_is_not_said_is_free():
    molecule = Chem.MolFromSmiles("C/C=N/[H]")
    lost = stereo_of(Chem.AddHs(molecule), [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum() > 1])
    assert lost.lost == ("C1=N2",) and not len(lost)
    assert known("CC(N)O")[0].free == ("C1",)
