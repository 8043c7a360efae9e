import numpy as np
import pytest
from rdkit import Chem

from domains.molecules.collection import make_molecule
from domains.molecules.readers import read_molecules, write_molecules
from domains.molecules.smiles import conformer
from sciddm.errors import UserError

SMILES = ["CCO", "C[N+](=O)[O-]", "CC(=O)[O-]", "c1ccoc1", "C#N", "C.O"]
MOLECULES = [conformer(each) for each in SMILES]


@pytest.mark.parametrize("suffix, digits", [(".sdf", 4), (".xyz", 6)])
def test_what_is_written_is_read_with_the_same_graph_and_coordinates(suffix, digits, tmp_path, capsys):
    write_molecules(MOLECULES, tmp_path / f"a{suffix}")
    molecules, skipped = read_molecules(tmp_path / f"a{suffix}")
    assert not skipped and molecules.names == tuple(SMILES) and capsys.readouterr().err == ""
    for i, molecule in enumerate(MOLECULES):
        positions, charges = molecules.atoms(i)[1:]
        np.testing.assert_allclose(positions, molecule.GetConformer().GetPositions(), atol=0.51 * 10.0**-digits)
        assert charges.tolist() == [atom.GetFormalCharge() for atom in molecule.GetAtoms()]
        assert Chem.MolToSmiles(Chem.RemoveHs(molecules.molecule(i))) == Chem.CanonSmiles(SMILES[i])


def test_what_is_none_is_left_out_and_counted(tmp_path, capsys):
    write_molecules([None, MOLECULES[0], None], tmp_path / "a.xyz")
    assert capsys.readouterr().err == f"2 of 3 molecules left out of {tmp_path / 'a.xyz'}: they are none\n"
    assert len(read_molecules(tmp_path / "a.xyz")[0]) == 1


def test_an_impossible_molecule_is_written_as_it_is_and_skipped_by_its_reader(tmp_path, capsys):
    oxygen = make_molecule(
        [8, 1, 1, 1], [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], [0] * 4, [[0, i, 1] for i in (1, 2, 3)]
    )
    write_molecules([MOLECULES[0], oxygen], tmp_path / "a.sdf")
    molecules, skipped = read_molecules(tmp_path / "a.sdf")
    assert len(molecules) == 1 and skipped[0].record == 2 and "valence" in skipped[0].reason
    said = capsys.readouterr().err
    assert said.startswith(
        f"1 of 2 molecules of {tmp_path / 'a.sdf'} skipped: record 2: Explicit valence for atom # 0 O"
    )
    assert said.count("\n") == 1


def test_only_known_places_and_formats_are_written(tmp_path):
    with pytest.raises(UserError, match=r"a.pdb: format '.pdb' can't be written; expected .sdf or .xyz"):
        write_molecules(MOLECULES, tmp_path / "a.pdb")
    with pytest.raises(UserError, match="can't be written .*; give another place"):
        write_molecules(MOLECULES, tmp_path / "none" / "a.sdf")
    with pytest.raises(UserError, match="molecule 1 has no coordinates"):
        write_molecules([MOLECULES[0], Chem.MolFromSmiles("C")], tmp_path / "a.sdf")


def folder(path):
    write_molecules(MOLECULES[:2], path / "b.sdf")
    write_molecules(MOLECULES[2:3], path / "a.XYZ".lower())
    (path / "c.smi").write_text("CCN ethylamine\nC(C broken\n")
    (path / "d.csv").write_text("smiles,gap\nO,1.5\nCCN,2\n")
    (path / "e.mol").write_text(Chem.MolToMolBlock(MOLECULES[3]))
    (path / "notes.txt").write_text("not molecules")
    return path


def test_a_folder_is_read_file_by_file_in_order_of_names(tmp_path, capsys):
    molecules, skipped = read_molecules(folder(tmp_path))
    assert molecules.names == ("CC(=O)[O-]", "CCO", "C[N+](=O)[O-]", "ethylamine", "O", "CCN", "c1ccoc1")
    np.testing.assert_array_equal(molecules.properties["gap"], [np.nan] * 4 + [1.5, 2, np.nan])
    assert [(each.file, each.record) for each in skipped] == [(str(tmp_path / "c.smi"), 2)]
    assert f"1 of 8 molecules of {tmp_path} skipped: c.smi record 2: SMILES 'C(C'" in capsys.readouterr().err


def test_a_pattern_picks_files(tmp_path):
    assert read_molecules(f"{folder(tmp_path)}/*.sdf")[0].names == ("CCO", "C[N+](=O)[O-]")


def test_the_first_three_reasons_are_told_and_the_others_counted(tmp_path, capsys):
    (tmp_path / "a.smi").write_text("O\n" + "C(C\n" * 5)
    _, skipped = read_molecules(tmp_path / "a.smi")
    said = capsys.readouterr().err
    assert len(skipped) == 5 and said.count("record") == 3 and said.rstrip().endswith("; and 2 more")


def test_paths_that_are_none_are_refused_with_what_was_expected(tmp_path):
    known = r".sdf, .sd, .mol, .xyz, .extxyz, .smi, .smiles, .csv, .db, .json, .npz"
    with pytest.raises(UserError, match=f"none.sdf: no such file or folder; expected molecules as {known}"):
        read_molecules(tmp_path / "none.sdf")
    with pytest.raises(UserError, match=f"a folder without molecules; expected files {known}"):
        read_molecules(tmp_path)
    (tmp_path / "a.pdb").write_text("ATOM")
    with pytest.raises(UserError, match=f"a.pdb: format '.pdb' is not known; expected one of {known}"):
        read_molecules(tmp_path / "a.pdb")


def test_a_file_without_one_good_molecule_is_refused_with_the_first_reason(tmp_path):
    (tmp_path / "a.sdf").write_text("hello\n$$$$\n" * 2)
    with pytest.raises(UserError, match="a.sdf: none of 2 molecules can be read.*the first, record 1: "):
        read_molecules(tmp_path / "a.sdf")
    (tmp_path / "b.xyz").write_text("")
    with pytest.raises(UserError, match="b.xyz: none of 0 molecules can be read, expected at least one$"):
        read_molecules(tmp_path / "b.xyz")
