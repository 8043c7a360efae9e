import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from domains.molecules import embedding, smiles
from domains.molecules.smiles import conformer, default_smiles, ensure_smiles_set, make_collection
from sciddm.errors import UserError

FEW = ["O", "CCO", "C1CC1", "N#CC=O", "[NH3+]CC(=O)[O-]", "C[N+](=O)[O-]"]


def test_a_conformer_has_hydrogens_and_lies_in_a_minimum_of_the_force_field():
    molecule = conformer("CCO")
    assert molecule.GetNumAtoms() == 9 and molecule.GetConformer().Is3D()
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    slope = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties).CalcGrad()
    assert np.abs(slope).max() < 0.1  # kcal/mol/angstrom; some 50 as ETKDG leaves it
    r = molecule.GetConformer().GetPositions()
    assert np.linalg.norm(r[0] - r[1]) == pytest.approx(1.52, abs=0.02)  # C-C, in angstrom


@pytest.mark.parametrize("text", ["CC(=O)[O-].[Na+]", "C.C", "c1ccccc1.c1ccccc1"])
def test_pieces_stand_beside_each_other_and_not_within(text):
    molecule = conformer(text)
    first, second = (molecule.GetConformer().GetPositions()[list(piece)] for piece in Chem.GetMolFrags(molecule))
    assert 1.8 < np.linalg.norm(first[:, None] - second, axis=-1).min() < 4.5  # angstrom, of ions and of what is only near


def test_pieces_begin_side_by_side_so_that_none_is_caught_in_another():
    molecule = Chem.AddHs(Chem.MolFromSmiles("C1CCCCCCCCCCC1.O"))
    assert embedding.embed(molecule, embedding.etkdg(1), 2) == 2
    for shape in molecule.GetConformers():
        ring, water = (shape.GetPositions()[list(piece)] for piece in Chem.GetMolFrags(molecule))
        assert water[:, 0].min() - ring[:, 0].max() == pytest.approx(embedding.APART, abs=1e-6)


def test_the_same_seed_gives_the_same_molecules_whatever_the_number_of_jobs():
    one, _ = make_collection(FEW, seed=3, jobs=1)
    two, _ = make_collection(FEW, seed=3, jobs=2)
    other, _ = make_collection(FEW, seed=4, jobs=1)
    np.testing.assert_array_equal(one.positions, two.positions)
    np.testing.assert_array_equal(one.bonds, two.bonds)
    assert one.names == two.names == tuple(FEW)
    assert np.abs(one.positions - other.positions).max() > 0.01


def test_graphs_are_those_of_the_smiles():
    molecules, skipped = make_collection(FEW)
    assert not skipped
    for i, each in enumerate(FEW):
        assert Chem.MolToSmiles(Chem.RemoveHs(molecules.molecule(i))) == Chem.CanonSmiles(each)


@pytest.mark.parametrize(
    "bad, reason",
    [
        ("C(C", "extra open parentheses"),
        ("CC(C)(C)(C)C", "valence"),
        ("c1cccc1", "kekulize"),
        ("", "no atoms"),
        ("*C", "place-holder atom"),
        ("C" * 200, "200 heavy atoms: expected 150 at most"),
        ("C" * 20_000, "of 20000 characters"),
        ("CCO\nCCN", "expected one, without a blank"),
        ("CO\u0421", r"U\+0421"),  # a letter of another alphabet, which RDKit's parser ends at
        ("CCO\u200b", r"U\+200B"),
        ("CCO\x07", r"U\+0007"),
        ("*C.c1ccccc1 |m:0:2.3.4|", "place-holder"),
        ("C[Fe]C", "MMFF has no parameters for its atoms; give coordinates"),
    ],
)
def test_smiles_without_a_conformer_are_refused_with_the_reason(bad, reason):
    with pytest.raises(UserError, match=f"SMILES .*{reason}"):
        conformer(bad)


def test_what_has_no_conformer_is_listed_and_said(capsys):
    molecules, skipped = make_collection(["C", "C(C", "O", "*C"])
    assert molecules.names == ("C", "O") and [each.record for each in skipped] == [2, 4]
    said = capsys.readouterr().err
    assert said.startswith("2 of 4 molecules of SMILES skipped: record 2: SMILES 'C(C'") and said.count("\n") == 1
    with pytest.raises(UserError, match="SMILES: none of 1 molecules can be read.*the first, record 1: SMILES 'C\\(C'"):
        make_collection(["C(C"])


def test_default_smiles_are_small_neutral_whole_and_unique():
    found = default_smiles(421)  # all that RDKit itself ships
    assert len(set(found)) == 421 and found[:5] == default_smiles(5)
    for each in found:
        molecule = Chem.MolFromSmiles(each)
        assert Chem.MolToSmiles(molecule) == each
        assert {atom.GetSymbol() for atom in molecule.GetAtoms()} <= set("HCNOF")
        assert 1 <= molecule.GetNumHeavyAtoms() <= 9 and "." not in each and Chem.GetFormalCharge(molecule) == 0
        assert not any(atom.GetNumRadicalElectrons() or atom.GetIsotope() for atom in molecule.GetAtoms())


def test_too_many_default_smiles_are_refused(monkeypatch):
    monkeypatch.setattr(smiles.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"422 molecules: 421 small ones come.*pip install -e \S+\[molecules\]"):
        default_smiles(422)


@pytest.mark.parametrize(
    "text, small",
    [
        ("OCC", "CCO"), ("CCCCCCCCC", "CCCCCCCCC"), ("CCCCCCCCCC", None), ("[H][H]", None), ("N[Co]N", None), ("[CH3]", None),
        ("C.O", None), ("C[NH3+]", None), ("[13CH4]", None), ("C(C", None), ("O=[N+]([O-])C", "C[N+](=O)[O-]"),
    ],
)  # fmt: skip
def test_what_counts_as_a_small_molecule(text, small):
    assert smiles._small(text) == small


def test_the_set_is_made_once_and_read_again(tmp_path, monkeypatch):
    made = ensure_smiles_set(4, 1, tmp_path / "cache", progress=False)
    monkeypatch.setattr(smiles, "make_collection", lambda *_, **__: pytest.fail("made again"))
    again = ensure_smiles_set(4, 1, tmp_path / "cache", progress=False)
    assert len(again) == 4 and again.names == made.names == tuple(default_smiles(4))
    np.testing.assert_array_equal(again.positions, made.positions)
    np.testing.assert_array_equal(again.positions, make_collection(default_smiles(4), seed=1)[0].positions)
    attrs = smiles.store.open_store(tmp_path / "cache" / "molecules-smiles-4-seed1.zarr").attrs
    assert attrs["rdkit"] and attrs["seed"] == 1 and attrs["method"] == "ETKDGv3, then MMFF94" and attrs["skipped"] == 0
    with pytest.raises(UserError, match="config.data.count = 0, config.seed = 1: expected 1 or more"):
        ensure_smiles_set(0, 1, tmp_path)


def test_a_list_of_smiles_has_names_a_header_and_comments(tmp_path):
    (tmp_path / "a.smi").write_text("# mine\nsmiles name\nCCO  ethyl alcohol\n\nO\n")
    records = list(smiles.smiles_records(tmp_path / "a.smi"))
    assert [(each.number, each.name) for each in records] == [(1, "ethyl alcohol"), (2, "O")]
    assert records[0].make().GetNumAtoms() == 9


def test_columns_of_a_csv_are_properties_and_short_rows_are_named(tmp_path):
    (tmp_path / "a.csv").write_text('Name,SMILES,gap,remark\n"water, pure",O,1.5,3\nbad,C\nethane,CC,nan,x\n')
    records = list(smiles.csv_records(tmp_path / "a.csv"))
    assert [each.name for each in records] == ["water, pure", "", "ethane"]
    assert records[0].properties == {"gap": 1.5, "remark": 3.0} and set(records[2].properties) == {"gap"}
    with pytest.raises(ValueError, match="2 cells, expected 4 as in the first line"):
        records[1].make()
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    (tmp_path / "a.csv").write_text(f"# mine\nsmiles;gap;note\nO;1.5;{'x' * 200_000}\nC;;\n")
    records = list(smiles.csv_records(tmp_path / "a.csv"))
    assert [each.name for each in records] == ["O", "C"] and np.isnan(records[1].properties["gap"])
    (tmp_path / "a.csv").write_text('smiles,gap\n"O,1\nC,2\n')
    with pytest.raises(UserError, match="a.csv, line 3: unexpected end of data"):
        list(smiles.csv_records(tmp_path / "a.csv"))
    with pytest.raises(UserError, match=r"b.csv: has columns \['a', 'b'\]; expected one named 'smiles'"):
        list(smiles.csv_records(tmp_path / "b.csv"))
