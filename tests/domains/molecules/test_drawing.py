import numpy as np
import pytest
from small_molecules import embedded

from domains.molecules import bonds, drawing


def test_nearer_spheres_hide_farther_ones_and_lie_where_their_centre_is():
    half = np.array([3.0, 2.0])
    near, far = np.array([1.0, 0.5, 1.0]), np.array([1.0, 0.5, -1.0])
    for scene in (
        [(near, None, 0.5, "#ff0000"), (far, None, 0.5, "#0000ff")],
        [(far, None, 0.5, "#0000ff"), (near, None, 0.5, "#ff0000")],
    ):
        image = drawing.render(scene, half)
        rows, columns = np.nonzero(image[..., 3] > 0.5)
        height, width = image.shape[:2]
        # Row 0 is on top.
        assert (columns.mean() + 0.5) / width * 6 - 3 == pytest.approx(1.0, abs=0.02)
        assert 2 - (rows.mean() + 0.5) / height * 4 == pytest.approx(0.5, abs=0.02)
        centre = image[int(rows.mean()), int(columns.mean())]
        assert centre[0] > 2 * centre[2]


def test_a_stick_covers_its_length_times_its_thickness():
    half = np.array([3.0, 3.0])
    image = drawing.render([(np.array([-1.0, 0, 0.3]), np.array([1.0, 0, -0.2]), 0.2, "#00ff00")], half)
    area = image[..., 3].mean() * 36
    outline = 2 * (2 + 0.4) * 2 * 6 / drawing.PIXELS  # two pixels all around
    assert 0.8 <= area <= 0.8 + outline + 0.05


def test_views_turn_molecules_and_never_mirror_them():
    molecule = embedded("C[C@H](N)C(=O)O")
    view = drawing.view(molecule)
    x = bonds.atoms(molecule)[1]
    volume = [np.linalg.det(y[1:4] - y[0]) for y in (x, view)]
    assert volume[1] == pytest.approx(volume[0])
