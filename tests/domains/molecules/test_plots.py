import matplotlib
import numpy as np
import pytest
from rdkit import Chem
from small_molecules import embedded

from domains.molecules import bonds, drawing, plots
from domains.molecules.collection import make_molecule
from domains.molecules.given import titled
from sciddm.errors import UserError
from sciddm.tasks import Problem

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def samples():
    """Sound, charged, impossible, in pieces, none."""
    bad = Chem.RWMol(embedded("CCO"))
    bad.GetBondBetweenAtoms(0, 1).SetBondType(Chem.BondType.TRIPLE)
    apart = Chem.CombineMols(embedded("O"), embedded("C"))
    return [embedded("c1ccccc1C#N"), embedded("C[NH3+]"), bad.GetMol(), apart, None]


def test_names_of_molecules_are_drawn_as_they_are_written():
    figure = titled(plots.gallery([embedded("CCO")], ["of $x_{^"]), Problem(extras={"title": f"conformers of $x_{{^ and $y {'n' * 500}"}))
    figure.canvas.draw()  # which fails where "$" begins a formula
    assert figure.get_suptitle().startswith("conformers of $x_{^ and $y n") and len(figure.get_suptitle()) < 130


def titles(fig):
    return [ax.get_title() for ax in fig.axes if ax.get_title()]


@pytest.mark.parametrize("draw", [plots.gallery, plots.grid])
def test_every_molecule_has_a_picture_and_a_title_that_names_its_fault(draw, samples):
    fig = draw(samples)
    shown = titles(fig)
    assert shown[0] == "C$_{7}$H$_{5}$N"
    assert shown[2:] == ["impossible valence", "in pieces", "no molecule"]
    assert [bool(ax.images) for ax in fig.axes[:5]] == [True] * 4 + [False]
    assert titles(draw(samples, [f"t{i}" for i in range(5)]))[1:3] == ["t1", "t2, impossible valence"]
    fig.canvas.draw()


def test_formula_keeps_numbers_of_two_digits_together():
    assert plots._formula(embedded("CCCCCCCCCC")) == "C$_{10}$H$_{22}$"


def test_gallery_shows_eight_at_most_and_signs_charges(samples):
    fig = plots.gallery([samples[1]] * 9)
    assert len([ax for ax in fig.axes if ax.images]) == 8
    assert [text.get_text() for text in fig.axes[1].texts] == ["+"]


def test_rings_stand_around_marked_atoms_and_the_legend_names_them(samples):
    fig = plots.gallery(samples[:2], marked=[0, 2], called="kept")
    view = drawing.view(samples[0])[[0, 2], :2]
    np.testing.assert_allclose([patch.get_center() for patch in fig.axes[0].patches], view)
    assert legend(fig) == ["ringed: kept"] and not plots.gallery(samples[:1]).legends


def legend(fig):
    return [text.get_text() for one in fig.legends for text in one.get_texts()]


def test_overlay_of_a_turned_copy_says_zero_angstrom_and_of_another_graph_is_an_error():
    reference = embedded("CCCO")
    turned = Chem.Mol(reference)
    turned.GetConformer().SetPositions(bonds.atoms(reference)[1] @ np.array([[0, 1.0, 0], [-1, 0, 0], [0, 0, 1]]) + 4.0)
    fig = plots.overlay(reference, [turned, None], ["copy", "failed"])
    assert titles(fig) == ["copy, RMSD 0.00 Å", "failed, no molecule"]
    assert legend(fig)[0] == "grey: reference" and "RMSD of heavy atoms" in legend(fig)[1]
    with pytest.raises(UserError, match="conformer"):
        plots.overlay(reference, [embedded("CCCN")])


def test_distributions_say_the_distance_of_what_they_show():
    def water(length):
        return make_molecule([8, 1, 1], [[0, 0, 0], [length, 0, 0], [0, length, 0]], [0] * 3, [(0, 1, 1), (0, 2, 1)])

    fig = plots.distributions([water(1.02), water(1.12), None], [water(0.9), water(1.0)])
    found = {ax.get_title("left"): ax.get_title("right") for ax in fig.axes if ax.get_title("left")}
    assert found == {"O–H": "W₁ = 0.12 Å", "angles": "W₁ = 0°", "sizes": "W₁ = 0 atoms"}
    fig = plots.distributions([None], [water(0.9)])
    assert fig.axes[0].get_title("right") == "no samples"
    with pytest.raises(UserError, match="reference"):
        plots.distributions([water(1.0)], [None])


def test_pictures_of_nothing_are_an_error_of_the_user():
    with pytest.raises(UserError, match="samples"):
        plots.gallery([])
