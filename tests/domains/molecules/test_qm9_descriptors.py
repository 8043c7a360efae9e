import importlib

import numpy as np
import pytest
from rdkit import Chem

import sciddm as sd
from domains.molecules import qm9
from domains.molecules.descriptors import descriptor
from sciddm import store

METHANOL = np.array(
    [[0, 0, 0], [1.43, 0, 0], [-0.4, 1, 0], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9], [1.75, 0.9, 0]], np.float32
)
SYMBOLS = ["C", "O", "H", "H", "H", "H"]


def test_hydrogens_belong_to_the_nearest_atom_and_positions_follow():
    molecule = qm9.build("CO", SYMBOLS, METHANOL)
    assert Chem.MolToSmiles(Chem.RemoveHs(molecule)) == "CO"
    np.testing.assert_allclose(molecule.GetConformer().GetPositions(), METHANOL, atol=1e-6)
    shuffled = [0, 5, 1, 3, 2, 4]
    again = qm9.build("CO", [SYMBOLS[i] for i in shuffled], METHANOL[shuffled])
    at = again.GetConformer().GetPositions()
    for atom in again.GetAtoms():
        if atom.GetAtomicNum() == 1:
            owner = atom.GetNeighbors()[0].GetIdx()
            assert np.linalg.norm(at[atom.GetIdx()] - at[owner]) < 1.2


@pytest.mark.parametrize(
    "smiles,symbols,reason",
    [
        ("CN", SYMBOLS, "heavy atoms of 'CN' are not those of its geometry"),
        ("C=O", SYMBOLS, "hydrogens lie elsewhere than 'C=O' says"),
        ("C(", SYMBOLS, "can't be read"),
    ],
)
def test_a_geometry_of_another_molecule_is_refused(smiles, symbols, reason):
    with pytest.raises(ValueError, match=reason):
        qm9.build(smiles, symbols, METHANOL)


def test_split_has_the_published_sizes_and_no_molecule_twice():
    parts = [qm9.split(130_831, part, seed=3) for part in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [100_000, 18_000, 12_831]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(130_831))
    small = [qm9.split(100, part) for part in ("train", "valid", "test")]
    assert [len(part) for part in small] == [76, 14, 10] and len(set(np.concatenate(small))) == 100


def test_the_tables_are_read_cached_and_told_where_they_are_from(tmp_path):
    made = qm9.ensure_qm9(tmp_path, count=30, progress=False)
    path = next(tmp_path.glob("*.zarr"))
    again = qm9.ensure_qm9(tmp_path, count=30, progress=False)
    assert again.names == made.names and made.names[0] == "dsgdb9nsd_000001"
    np.testing.assert_array_equal(again.positions, made.positions)
    about = store.open_store(path).attrs
    assert len(made) == 90 and "qm9pack" in about["source"] and "0 left out" in about["source"]
    assert np.all(np.diff([int(name.split("_")[1]) for name in made.names]) > 0) and int(made.names[-1][-6:]) > 130_000
    # methane: published values
    assert made.units["HOMO"] == "hartree" and made.properties["HOMO"][0] == pytest.approx(-0.3877)
    assert made.properties["dipole"][0] == 0.0 and made.properties["Cv"][0] == pytest.approx(6.469)
    assert Chem.MolToSmiles(Chem.RemoveHs(made.molecule(0))) == "C"


def test_without_the_package_the_way_out_is_named(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "qm9pack" else find(name))
    with pytest.raises(sd.UserError, match=r"install sciddm\[molecules\]"):
        qm9.ensure_qm9(tmp_path)


def test_descriptors_are_rdkits_of_the_graph_and_nan_of_what_is_broken(molecules):
    benzene = molecules[1]
    assert descriptor("logP", benzene) == pytest.approx(
        6 * 0.1581 + 6 * 0.1230
    )  # aromatic C-H (C18) and hydrogens at carbon (H1)
    assert 0.4 < descriptor("QED", benzene) < 0.5
    assert np.isnan(descriptor("logP", None)) and np.isfinite(descriptor("logP", molecules[2]))
    broken = Chem.RWMol(benzene)
    broken.AddBond(0, 3, Chem.BondType.TRIPLE)
    assert np.isnan(descriptor("logP", broken.GetMol()))
