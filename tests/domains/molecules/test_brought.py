import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDepictor
from small_molecules import embedded

from domains.molecules.brought import bring, solid
from sciddm.errors import UserError
from sciddm.given import things


def brought(given, record=None, **options):
    return bring(things(given)[0], record, **options)


def numbers(molecule):
    return [atom.GetAtomicNum() for atom in molecule.GetAtoms()]


@pytest.mark.parametrize(
    "text, said",
    [
        ("CC(", "is no SMILES"),
        ("c1cccc1", "kekulize"),
        ("C(C)(C)(C)(C)C", "valence for atom # 0 C, 5"),
        ("molecule.sdf", "no such file"),
        ("folder/molecule.xyz", "no such file"),
        ("", "is no molecule"),
        ("CCO\nCCN", "expected one, without a blank"),
        ("C:C", "in no aromatic ring"),
        ("logp=3", "did you mean logP"),
    ],
)
def test_what_is_no_molecule_is_said_in_one_line(text, said):
    with pytest.raises(UserError, match=said) as error:
        bring(things(text)[0], names=("logP", "atoms"))
    assert "\n" not in str(error.value)


def test_one_molecule_of_several_is_asked_for_by_its_record(tmp_path):
    path = tmp_path / "some.sdf"
    path.write_text("".join(f"{Chem.MolToMolBlock(embedded(smiles))}$$$$\n" for smiles in ("CCO", "CCN")))
    with pytest.raises(UserError, match=r"holds 2 molecules.*record=1 \(to 2\)"):
        brought(path)
    assert 7 in numbers(brought(path, 2).molecule)
    with pytest.raises(UserError, match="holds 2 molecules, counted from 1"):
        brought(path, 3)
    (tmp_path / "empty.sdf").write_text("")
    with pytest.raises(UserError, match=r"empty\.sdf: holds no molecule|empty\.sdf: .*empty"):
        brought(tmp_path / "empty.sdf")
    (tmp_path / "a.pdb").write_text("ATOM")
    with pytest.raises(UserError, match=r"\.pdb is not read"):
        brought(tmp_path / "a.pdb")
    with pytest.raises(UserError, match="is no file"):
        brought("CCO", 2)


def test_the_kekule_structure_of_a_file_is_kept():
    block = Chem.MolToMolBlock(embedded("c1ccccc1C"), kekulize=True)
    lines = block.split("\n")
    shifted = []
    for line in lines:  # single and double bonds of the ring change places
        words = line.split()
        ring = len(words) == 4 and int(words[0]) <= 6 and int(words[1]) <= 6
        shifted.append(f"{int(words[0]):3d}{int(words[1]):3d}{3 - int(words[2]):3d}  0" if ring else line)
    one, other = (brought(text).orders[:6, :6] for text in (block, "\n".join(shifted)))
    assert (np.where(one > 0, 3 - one, 0) == other).all() and (one != other).any()


def test_a_drawing_gets_a_shape_and_both_are_said(capsys):
    flat = Chem.MolFromSmiles("C[C@H](N)C(=O)O")
    rdDepictor.Compute2DCoords(flat)
    Chem.WedgeMolBonds(flat, flat.GetConformer())
    found = brought(Chem.MolToMolBlock(flat))
    assert not found.solid and "is flat" in capsys.readouterr().err
    assert Chem.FindMolChiralCenters(found.molecule) == Chem.FindMolChiralCenters(Chem.AddHs(Chem.MolFromSmiles("C[C@H](N)C(=O)O")))
    made = solid(found)
    assert made.solid and np.ptp(made.molecule.GetConformer().GetPositions()[:, 2]) > 0.5
    assert "made by ETKDG and MMFF" in capsys.readouterr().err


def test_an_open_end_leaves_its_atom_a_hydrogen_short_and_needs_one_bond():
    found = brought("*c1ccccc1")
    assert found.caps == (0,) and numbers(found.molecule).count(6) == 6
    assert sum(n.GetAtomicNum() == 1 and n.GetIdx() not in found.caps for n in found.molecule.GetAtomWithIdx(1).GetNeighbors()) == 0
    assert solid(brought("*=C1CCCC1")).solid
    with pytest.raises(UserError, match=r"\* at 1 has 2 bonds"):
        brought("C*C")


def test_isotopes_radicals_and_charges_are_kept_or_said(capsys):
    assert brought("C[NH3+]").molecule.GetAtomWithIdx(1).GetFormalCharge() == 1
    brought("[13CH4]")
    brought("[CH3]")
    said = capsys.readouterr().err
    assert "13C (0)" in said and "unpaired electrons, which are kept: C (0)" in said


def test_a_wrong_valence_is_refused_unless_it_is_to_be_repaired():
    block = Chem.MolToMolBlock(embedded("CCO")).replace("  1  2  1  0", "  1  2  3  0")
    with pytest.raises(UserError, match="valence"):
        brought(block)
    assert brought(block, lenient=True).orders[0, 1] == 3


def test_pieces_without_positions_have_no_shape_together():
    with pytest.raises(UserError, match="2 pieces without positions"):
        solid(brought("CCO.CCN"))
