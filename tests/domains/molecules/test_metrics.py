import sys

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from domains.molecules import bonds, metrics
from domains.molecules.collection import Collection, make_molecule
from sciddm.errors import UserError


def embedded(smiles, seed=1):
    """A sample as the domain makes them: explicit hydrogens, Kekule bonds, not sanitised."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=seed) == 0
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    rows = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondTypeAsDouble())) for b in molecule.GetBonds()]
    return make_molecule(*bonds.atoms(molecule), rows)


def moved(molecule, positions):
    molecule = Chem.Mol(molecule)
    molecule.GetConformer().SetPositions(np.asarray(positions, np.float64))
    return molecule


def positions_of(molecule):
    return bonds.atoms(molecule)[1]


@pytest.fixture(scope="module")
def ethanol():
    return embedded("CCO")


@pytest.fixture
def overloaded(ethanol):
    """Ethanol with a double bond too many at a carbon of five."""
    molecule = Chem.RWMol(ethanol)
    molecule.GetBondBetweenAtoms(0, 1).SetBondType(Chem.BondType.DOUBLE)
    return molecule.GetMol()


@pytest.fixture
def pieces():
    """Water and methane, eight angstrom apart: valid, not connected."""
    water, methane = embedded("O"), embedded("C")
    far = moved(methane, positions_of(methane) + [8.0, 0, 0])
    return Chem.CombineMols(water, far)


def test_none_and_empty_molecules_fail_every_share():
    for nothing in (None, make_molecule([], np.zeros((0, 3)), [], [])):
        result = metrics.scores([nothing, nothing], known={"C"})
        ratios = {"unique", "novel"}
        assert all(result[key] == 0 for key in result.keys() - ratios)
        assert all(np.isnan(result[key]) for key in ratios)


def test_half_of_the_samples_being_none_halves_every_share_but_uniqueness_and_novelty(ethanol):
    propane = embedded("CCC")
    whole = metrics.scores([ethanol, propane], known={"CCO"})
    half = metrics.scores([ethanol, None, propane, None], known={"CCO"})
    ratios = {"unique", "novel"}
    assert all(whole[key] == 1 for key in whole.keys() - {"novel"})
    assert whole["novel"] == half["novel"] == 0.5
    assert half["unique"] == 1
    assert all(half[key] == 0.5 for key in half.keys() - ratios)


def test_valid_connected_and_both_are_counted_apart(ethanol, overloaded, pieces):
    result = metrics.scores([ethanol, overloaded, pieces, ethanol])
    assert (result["valid"], result["connected"], result["valid and connected"]) == (0.75, 0.75, 0.5)


def test_uniqueness_and_novelty_of_lists_by_hand(ethanol, pieces):
    propane, turned = embedded("CCC"), embedded("OCC", seed=4)
    # Of the four valid and connected there are three graphs: ethanol twice, in another order of its atoms; pieces don't count.
    benzene = embedded("c1ccccc1")
    result = metrics.scores([ethanol, turned, propane, pieces, benzene], known={"CCO", "c1ccccc1", "C"})
    assert result["unique"] == pytest.approx(3 / 4)
    assert result["novel"] == pytest.approx(1 / 3)
    assert np.isnan(metrics.scores([ethanol])["novel"])


def test_canonical_forgets_hydrogens_stereo_order_and_kekule_structure_but_no_fragment(overloaded, pieces):
    for smiles in ("c1ccc(O)nc1", "C[C@H](N)C(=O)O", "C/C=C/C", "[NH3+]CC(=O)[O-]", "c1cc[nH]c1", "[CH3]"):
        flat = Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)
        assert metrics.canonical(embedded(smiles)) == flat
        assert metrics.canonical(Chem.AddHs(Chem.MolFromSmiles(smiles))) == flat  # this one has its stereo marked
    assert sorted(metrics.canonical(pieces).split(".")) == ["C", "O"]
    assert metrics.canonical(overloaded) is None and metrics.canonical(None) is None


def test_stability_counts_atoms_and_molecules_by_predicted_bonds(ethanol, overloaded):
    result = metrics.scores([ethanol, overloaded])
    assert result["atom stability"] == pytest.approx(16 / 18)  # both carbons of one of them
    assert result["molecule stability"] == 0.5
    # The table looks at positions, which are as sound as before.
    assert result["atom stability by table"] == result["molecule stability by table"] == 1


def test_heavy_leaves_hydrogens_out_of_both_stabilities(ethanol):
    # A hydrogen pulled away: it, and the oxygen that it left, have a bond too few by table; own bonds are kept.
    x = positions_of(ethanol).copy()
    oxygen, hydrogen = 2, next(n.GetIdx() for n in ethanol.GetAtomWithIdx(2).GetNeighbors() if n.GetAtomicNum() == 1)
    x[hydrogen] += 5 * (x[hydrogen] - x[oxygen])
    pulled = moved(ethanol, x)
    assert metrics.scores([pulled])["atom stability by table"] == pytest.approx(7 / 9)
    assert metrics.scores([pulled], heavy=True)["atom stability by table"] == pytest.approx(2 / 3)
    numbers, positions, charges = bonds.atoms(ethanol)
    rows = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), 1) for b in ethanol.GetBonds()]
    loose = make_molecule([*numbers, 1], [*positions, [9.0, 0, 0]], [*charges, 0], rows)  # one hydrogen without a bond
    assert metrics.scores([loose])["molecule stability"] == 0
    assert metrics.scores([loose], heavy=True)["molecule stability"] == 1


def test_valid_by_rdkit_looks_at_positions_only_and_at_200_evenly(ethanol, overloaded, monkeypatch):
    assert metrics.scores([overloaded])["valid by RDKit"] == 1
    # Acetate without its charge: an odd number of electrons, for which there are no bonds.
    numbers, positions, charges = bonds.atoms(embedded("CC(=O)[O-]"))
    neutral = make_molecule(numbers, positions, 0 * charges, [])
    assert metrics.scores([neutral])["valid by RDKit"] == 0
    monkeypatch.setattr(metrics, "SLOW", 2)
    assert metrics.scores([ethanol, neutral, neutral, ethanol])["valid by RDKit"] == 1
    assert metrics.scores([neutral, ethanol, ethanol, ethanol])["valid by RDKit"] == 0.5


def test_scores_of_nothing_is_an_error_of_the_user():
    with pytest.raises(UserError, match="samples"):
        metrics.scores([])


def test_ceiling_is_the_score_of_the_collections_molecules(ethanol):
    benzene = embedded("c1ccccc1")
    collection = Collection.from_molecules([ethanol, benzene, ethanol])
    result = metrics.ceiling(collection)
    assert result["valid and connected"] == 1 and result["unique"] == pytest.approx(2 / 3)
    assert metrics.ceiling(collection, count=2)["unique"] == 0.5  # the first and the last


def test_distances_of_stretched_molecules_are_the_stretch_and_zero_for_angles():
    water = [
        make_molecule([8, 1, 1], [[0, 0, 0], [r, 0, 0], [0, r, 0]], [0] * 3, [(0, 1, 1), (0, 2, 1)]) for r in (0.9, 1.0)
    ]
    longer = [moved(m, positions_of(m) * (r + 0.13) / r) for m, r in zip(water, (0.9, 1.0), strict=True)]
    result = metrics.distributions(longer, water)
    assert result["bond length [A]"] == pytest.approx(0.13)
    assert result["angle [deg]"] == pytest.approx(0, abs=1e-9)
    assert np.isnan(result["torsion [deg]"])
    assert result["sizes [TV]"] == result["atom kinds [TV]"] == 0


def test_an_angle_opened_by_ten_degrees_is_ten_degrees_away():
    def water(degrees):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        return make_molecule([8, 1, 1], [[0, 0, 0], [1, 0, 0], [c, s, 0]], [0] * 3, [(0, 1, 1), (0, 2, 1)])

    result = metrics.distributions([water(100), water(120)], [water(90), water(110)])
    assert result["angle [deg]"] == pytest.approx(10)
    assert result["bond length [A]"] == pytest.approx(0, abs=1e-12)


def test_torsions_are_unsigned_and_none_is_taken_about_a_straight_angle():
    def peroxide(degrees, bend=100):
        b = np.deg2rad(bend)
        first = [np.cos(b), np.sin(b), 0]
        t = np.deg2rad(degrees)
        last = [1.4 - np.cos(b), np.sin(b) * np.cos(t), np.sin(b) * np.sin(t)]
        rows = [(0, 1, 1), (1, 2, 1), (2, 3, 1)]
        return make_molecule([1, 8, 8, 1], [first, [0, 0, 0], [1.4, 0, 0], last], [0] * 4, rows)

    for degrees in (0, 35, 112, 180):
        for sign in (1, -1):
            found = metrics.geometry([peroxide(sign * degrees)])["torsion [deg]"]
            np.testing.assert_allclose(found, [degrees], atol=1e-5)
    assert len(metrics.geometry([peroxide(60, bend=178)])["torsion [deg]"]) == 0
    assert metrics.distributions([peroxide(60)], [peroxide(-90)])["torsion [deg]"] == pytest.approx(30)


def test_geometry_counts_every_bond_angle_and_torsion_of_ethane_once_and_no_invalid_molecule(overloaded):
    found = metrics.geometry([embedded("CC"), overloaded, None])
    assert [len(found[kind]) for kind in metrics.KINDS] == [7, 12, 9]


def test_total_variation_of_kinds_and_sizes_by_hand():
    water, ammonia, ammonium = embedded("O"), embedded("N"), embedded("[NH4+]")
    # Kinds: H 2/3, O 1/3 against H 3/4, N 1/4, so (1/12 + 1/3 + 1/4)/2; the charge makes another kind of nitrogen.
    result = metrics.distributions([water], [ammonia])
    assert result["atom kinds [TV]"] == pytest.approx(1 / 3)
    assert result["sizes [TV]"] == 1
    assert metrics.distributions([ammonia, water], [ammonia])["sizes [TV]"] == 0.5
    assert metrics.distributions([ammonium], [ammonia])["atom kinds [TV]"] == pytest.approx(0.25)


def test_strain_is_zero_at_a_minimum_positive_when_distorted_and_nan_without_parameters(ethanol, overloaded):
    minimum = metrics.relaxed(ethanol)
    rng = np.random.default_rng(0)
    distorted = moved(minimum, positions_of(minimum) + 0.1 * rng.standard_normal((9, 3)))
    borane = embedded("CB(C)C")
    found = metrics.strain([minimum, distorted, borane, overloaded, None])
    assert found[0] == pytest.approx(0, abs=1e-3)
    assert found[1] > 10
    assert np.isnan(found[2:]).all()


def test_pieces_within_each_other_are_strained_and_relax_apart():
    two = embedded("C.C")
    first, second = (list(piece) for piece in Chem.GetMolFrags(two))
    x = positions_of(two).copy()
    x[second] += x[first[0]] - x[second[0]] + [0.4, 0, 0]
    near = moved(two, x)
    assert metrics.strain([near])[0] > 1e3
    better = positions_of(metrics.relaxed(near))
    assert np.linalg.norm(better[first][:, None] - better[second], axis=-1).min() > 2


def test_strain_of_a_stretched_bond_is_the_energy_of_mmff(ethanol):
    # The energy of the relaxed one is that of the reference here: strain adds up along any path.
    from rdkit.Chem import rdForceFieldHelpers as helpers

    def energy(molecule):
        molecule = metrics.sanitised(molecule)
        return helpers.MMFFGetMoleculeForceField(molecule, helpers.MMFFGetMoleculeProperties(molecule)).CalcEnergy()

    minimum = metrics.relaxed(ethanol)
    x = positions_of(minimum).copy()
    x[0] += 0.05 * (x[0] - x[1])
    stretched = moved(minimum, x)
    assert metrics.strain([stretched])[0] == pytest.approx(energy(stretched) - energy(minimum), abs=1e-2)


def test_relaxed_moves_atoms_only_and_leaves_its_argument(ethanol, overloaded):
    rng = np.random.default_rng(0)
    x = positions_of(ethanol) + 0.1 * rng.standard_normal((9, 3))
    rough = moved(ethanol, x)
    better = metrics.relaxed(rough)
    np.testing.assert_array_equal(positions_of(rough), x)
    assert np.abs(positions_of(better) - x).max() > 0.01
    assert metrics.canonical(better) == "CCO"
    # UFF where MMFF has no parameters, nothing where no valence makes sense.
    borane = embedded("CB(C)C")
    shaken = moved(borane, positions_of(borane) + 0.1 * rng.standard_normal((borane.GetNumAtoms(), 3)))
    lengths = metrics.geometry([metrics.relaxed(shaken)])["bond length [A]"]
    assert np.ptp(lengths[lengths < 1.3]) < 0.02 < np.ptp(metrics.geometry([shaken])["bond length [A]"][lengths < 1.3])
    np.testing.assert_array_equal(positions_of(metrics.relaxed(overloaded)), positions_of(overloaded))


def test_posebusters_passes_a_sound_molecule_and_fails_broken_ones(ethanol, overloaded):
    pytest.importorskip("posebusters")
    good = metrics.posebusters([ethanol])
    assert set(good.values()) == {1.0} and {"all", "Bond lengths", "Internal energy", "All atoms connected"} <= set(
        good
    )
    x = positions_of(ethanol).copy()
    x[0] += 0.8 * (x[0] - x[1])
    result = metrics.posebusters([ethanol, moved(ethanol, x), overloaded, None])
    assert result["Bond lengths"] == 0.25 and result["Sanitization"] == 0.5 and result["all"] == 0.25


def test_posebusters_names_the_extra_where_it_is_absent(ethanol, monkeypatch):
    monkeypatch.setitem(sys.modules, "posebusters", None)
    with pytest.raises(UserError, match=r"sciddm\[molecules\]"):
        metrics.posebusters([ethanol])
