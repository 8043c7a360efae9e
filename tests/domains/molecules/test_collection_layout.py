import numpy as np
import pytest
from rdkit import Chem

import sciddm as sd
from domains.molecules.collection import Collection, make_molecule
from domains.molecules.layout import Layout
from sciddm import store


def smiles(molecule):
    molecule = Chem.Mol(molecule)
    Chem.SanitizeMol(molecule)
    return Chem.MolToSmiles(Chem.RemoveHs(molecule), isomericSmiles=False)


def test_a_collection_gives_back_the_molecules_it_was_made_of(molecules, collection):
    for i, molecule in enumerate(molecules):
        again = collection.molecule(i)
        assert smiles(again) == smiles(molecule) and again.GetProp("_Name") == molecule.GetProp("_Name")
        np.testing.assert_allclose(
            again.GetConformer().GetPositions(), molecule.GetConformer().GetPositions(), atol=1e-6
        )
    assert collection.sizes().tolist() == [m.GetNumAtoms() for m in molecules]
    assert collection.sizes(heavy=True).tolist() == [m.GetNumHeavyAtoms() for m in molecules]


def test_a_collection_survives_the_disk_with_names_properties_and_units(collection, tmp_path):
    store.write(collection.to_dataset(), tmp_path / "molecules.zarr")
    again = Collection.from_dataset(store.open_store(tmp_path / "molecules.zarr"))
    assert again.names == collection.names and again.units == {"heavy atoms": "1"}
    np.testing.assert_array_equal(again.properties["heavy atoms"], collection.properties["heavy atoms"])
    for i in range(len(collection)):
        assert smiles(again.molecule(i)) == smiles(collection.molecule(i))


def test_selecting_is_taking_molecules_one_by_one(collection):
    chosen = collection.select([5, 0, 5])
    assert [smiles(chosen.molecule(i)) for i in range(3)] == [smiles(collection.molecule(i)) for i in (5, 0, 5)]
    assert chosen.names == tuple(collection.names[i] for i in (5, 0, 5))
    assert chosen.properties["heavy atoms"].tolist() == [4.0, 3.0, 4.0]


def test_a_molecule_without_a_conformer_is_named():
    flat = Chem.MolFromSmiles("CCO")
    flat.SetProp("_Name", "ethanol")
    with pytest.raises(sd.UserError, match="'ethanol': has no three-dimensional conformer"):
        Collection.from_molecules([flat])
    with pytest.raises(sd.UserError, match="there is none"):
        Collection.from_molecules([])


@pytest.mark.parametrize("heavy", [True, False], ids=["heavy atoms", "all atoms"])
def test_arrays_and_back_is_the_same_molecule(heavy, molecules, collection):
    layout = Layout.measured(collection, heavy, pairs=True)
    assert layout.kinds == ((6, 7, 8, 9) if heavy else (1, 6, 7, 8, 9))
    x = layout.expand(layout.pack(collection, 20))
    for molecule, again in zip(molecules, layout.molecules(x), strict=True):
        assert smiles(again) == smiles(molecule)
        counted = [a.GetIdx() for a in molecule.GetAtoms() if not heavy or a.GetAtomicNum() > 1]
        ours = again.GetConformer().GetPositions()[: len(counted)]
        theirs = molecule.GetConformer().GetPositions()[counted]
        np.testing.assert_allclose(ours - ours.mean(0), theirs - theirs.mean(0), atol=1e-5)


def test_x_is_centred_one_hot_symmetric_and_zero_at_padding(collection):
    layout = Layout.measured(collection, True, True)
    x = layout.expand(layout.pack(collection, 9))
    there = layout.mask_of(x)
    np.testing.assert_array_equal(there.sum(1), collection.sizes(heavy=True))
    np.testing.assert_allclose(x["positions"].sum(1), 0.0, atol=1e-4)
    np.testing.assert_array_equal(x["features"][..., :4].sum(-1), there)
    pairs = there[:, :, None] * there[:, None] * (1 - np.eye(9))
    np.testing.assert_array_equal(x["pairs"].sum(-1), pairs)
    np.testing.assert_array_equal(x["pairs"], x["pairs"].swapaxes(1, 2))
    assert not any(leaf[there == 0].any() for leaf in (x["positions"], x["features"]))
    # methyl ammonium and formate: charges and hydrogens stand where they belong
    row = layout.pack(collection, 9)
    assert row.charges[2, :5].tolist() == [0, 1, -1, 0, 0] and row.hydrogens[2, :5].tolist() == [3, 3, 0, 1, 0]


def test_noise_on_arrays_is_rounded_away_and_what_is_not_finite_is_none(collection):
    layout = Layout.measured(collection, True, True)
    x = layout.expand(layout.pack(collection))
    there = layout.mask_of(x)
    rng = np.random.default_rng(0)
    noisy = x | {
        "features": x["features"] + there[..., None] * rng.uniform(-0.3, 0.3, x["features"].shape).astype(np.float32)
    }
    for a, b in zip(layout.molecules(noisy), layout.molecules(x), strict=True):
        assert smiles(a) == smiles(b)
    x["positions"][1, 0, 0] = np.nan
    made = layout.molecules(x)
    assert made[1] is None and sum(molecule is None for molecule in made) == 1


def test_what_does_not_fit_is_named(collection):
    layout = Layout((6, 7, 8), True, True)
    with pytest.raises(sd.UserError, match="'FC\\(F\\)F': has an atom that is none of C, N, O"):
        layout.pack(collection)
    with pytest.raises(sd.UserError, match="'c1ccccc1': has 6 atoms, expected at most 5"):
        Layout((6, 7, 8, 9), True, True).pack(collection, 5)
    hydrogen = Collection.from_molecules([make_molecule([1, 1], [[0, 0, 0], [0, 0, 0.74]], [0, 0], [(0, 1, 1)])])
    with pytest.raises(sd.UserError, match="has no atom that is modelled"):
        layout.pack(hydrogen)


def test_hydrogens_that_are_missing_stay_missing(collection):
    layout = Layout.measured(collection, True, True)
    x = layout.expand(layout.pack(collection))
    x["features"][0, 0, 5] = 1.0  # the methyl group of ethanol
    assert smiles(layout.molecules(x)[0]) == "[CH]CO"
