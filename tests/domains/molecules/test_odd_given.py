"""Odd things that are given: taken as they are meant, or refused in one line, and never taken for something else without a word."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from rdkit import Chem
from small_molecules import embedded

from domains.molecules.brought import bring, solid
from domains.molecules.given import parted
from domains.molecules.open_ends import chosen
from domains.molecules.record import check_scale
from domains.molecules.stereo import stereo_of
from sciddm.errors import UserError
from sciddm.given import things

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
NAMES = ("keep", "match", "atoms", "record", "logP")


@pytest.fixture
def model(small_model):
    return small_model("molecules")


@pytest.mark.parametrize(
    "given, said",
    [
        ("kep=c1ccccc1", "kep= is none of this task's names; did you mean keep"),
        ("Keep=0", "did you mean keep"),
        ("LOGP=3", "did you mean logP"),
        ("rings=3", "expected one of keep, match"),
        ({"kep": "0"}, "did you mean keep"),
        ({"rings": 3}, "rings= is none"),
    ],
)
def test_a_name_that_the_task_has_not_is_refused_and_never_left_out(given, said):
    with pytest.raises(UserError, match=said) as error:
        parted(things([ASPIRIN, given], NAMES), NAMES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["C=C", "N=C", "C=1CCC=1", "O=C(O)C", "InChI=1S/CH4/h1H4", "molecule=2.sdf"])
def test_a_text_with_a_double_bond_is_no_name(text):
    assert [thing.text for thing in parted(things(text, NAMES), NAMES)[0]] == [text]


@pytest.mark.parametrize("factor", [1 / 0.529177, 0.1, 100.0, 0.0])
def test_positions_in_another_unit_are_refused_without_hydrogens_too(factor):
    molecule = Chem.RemoveHs(embedded(ASPIRIN))
    check_scale(molecule)
    molecule.GetConformer().SetPositions(molecule.GetConformer().GetPositions() * factor)
    with pytest.raises(ValueError, match="times as long as expected"):
        check_scale(molecule)
    with pytest.raises(UserError, match="another unit than angstrom|are these nm"):
        solid(bring(things(molecule)[0]))


def test_a_repair_of_positions_in_bohr_is_refused(model):
    molecule = embedded("OC1CCC1O")
    molecule.GetConformer().SetPositions(molecule.GetConformer().GetPositions() / 0.529177)
    with pytest.raises(UserError, match="another unit than angstrom"):
        model.problem("repair", given=molecule)


def test_why_a_block_can_t_be_read_is_said_once(capfd, tmp_path):
    path = tmp_path / "bad.sdf"
    path.write_text("mine\n\n\n  x y z\nM  END\n$$$$\n")
    with pytest.raises(UserError, match=r"bad\.sdf: Cannot convert '  x' to unsigned int on line 4"):
        bring(things(path)[0])
    flat = Chem.MolToMolBlock(embedded("CCO")).replace("3D", "2D")
    assert bring(things(flat)[0]).solid
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "smiles, said", [("CC=[C@]=CF", "stereo of C2 is left out"), ("C[C@H](C)C", "C1 is left out"), ("*[C@H](F)Cl", "C1 is left out")]
)
def test_stereo_that_rdkit_drops_is_said(smiles, said, capsys):
    bring(things(smiles)[0])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("smiles", ["C[C@H](N)O", "C/C=C/C", "c1ccccc1", "C[C@](F)(*)N"])
def test_stereo_that_is_kept_is_not_said_to_be_left_out(smiles, capsys):
    bring(things(smiles)[0])
    assert "left out" not in capsys.readouterr().err


@pytest.mark.parametrize("smiles, free", [("CC=CC", ("C1=C2",)), ("C/C=C/C", ()), ("C1=CCCCC1", ()), ("CC(N)O", ("C1",)), ("NC(=O)C", ())])
def test_double_bonds_that_are_not_said_are_free_as_centres_are(smiles, free):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rows = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum() > 1]
    assert stereo_of(molecule, rows).free == free


def test_a_shape_that_is_made_says_which_centre_it_chose(capsys):
    solid(bring(things("CC(N)C(=O)O")[0]))
    assert "C1 could be left or right and is not said; one of them is taken" in capsys.readouterr().err


def test_a_kept_centre_whose_neighbours_are_cut_off_is_said(model, capsys):
    model.problem("scaffold", given=["C[C@H](N)C(=O)O", "keep=0-2"])
    assert "stereo of C1 is not held" in capsys.readouterr().err
    model.problem("scaffold", given="*/C=C/C")
    assert "stereo of C1=C2 is not held" in capsys.readouterr().err
    model.problem("scaffold", given=["C[C@H](N)C(=O)O", "keep=0-3"])
    assert "not held" not in capsys.readouterr().err


@pytest.mark.parametrize("keep, said", [("5-0", "5-0 runs backwards; expected 0-5"), ("[H]", "hydrogens alone")])
def test_what_keep_can_t_mean_is_said_as_it_is(keep, said):
    brought = bring(things(ASPIRIN)[0])
    with pytest.raises(UserError, match=said):
        chosen(brought, keep, None, np.arange(13), True)


@pytest.mark.parametrize(
    "task, given, said",
    [
        ("property", "logP=1e9", "logP=1e\\+09: expected -?[0-9]"),
        ("count", "rings=99", "rings=99: more than"),
        ("count", ["rings=1", "atoms=2"], "more than 2"),
        ("generate", "atoms=1000", "times the largest trained on"),
        ("conformers", "InChI=1S/x", "is no InChI"),
        ("scaffold", "**", "is bound to another"),
    ],
)
def test_what_no_molecule_can_be_is_refused_before_it_is_made(task, given, said, model):
    with pytest.raises(UserError, match=said):
        model.problem(task, given=given)


def test_a_pattern_that_fits_several_files_is_said(tmp_path):
    for name in ("a.xyz", "b.xyz"):
        (tmp_path / name).write_text("1\n\nC 0 0 0\n")
    with pytest.raises(UserError, match="fits 2 files, one is meant"):
        bring(things(str(tmp_path / "*.xyz"))[0])


def test_numbers_that_are_none_become_no_molecule_without_a_warning(model):
    x = jax.tree.map(lambda leaf: np.full((1, *leaf.shape), np.nan, np.float32), model.domain.example)
    with np.errstate(invalid="raise"):
        assert model.domain.to_native(x) == [None]


def test_a_picture_of_conformers_says_what_is_grey(model):
    problem = model.problem("conformers", given="CCO")
    answers = model.domain.from_native(problem.extras["brought"].references[:1])
    figure = model.domain.tasks["conformers"].plot(answers, problem, {})
    assert figure.get_suptitle() == "conformers of CCO" and figure.axes[0].get_title() == "RMSD 0.00 Å"
    assert figure.legends[0].get_texts()[0].get_text() == "grey: the nearest shape by ETKDG and MMFF"
    plt.close(figure)
