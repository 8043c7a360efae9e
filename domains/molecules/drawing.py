"""Atoms and bonds in space as balls and sticks: where one looks at them from, and how they are shaded."""

import numpy as np
from matplotlib.colors import to_rgb
from rdkit import Chem, rdBase

from domains.molecules import bonds

# Corey-Pauling-Koltun, a little muted; balls in angstrom.
COLOURS = {
    1: "#f4f4f4", 5: "#f0a58f", 6: "#55585c", 7: "#3f63dd", 8: "#dd3a30", 9: "#6cc24a", 14: "#c8a06a", 15: "#f08a24",
    16: "#e8c531", 17: "#2fae4d", 34: "#e07b39", 35: "#96331f", 53: "#6f3596",
}  # fmt: skip
UNKNOWN, CARBON = "#e08bd0", "#17a398"
BALLS = {1: 0.23, 6: 0.35, 7: 0.34, 8: 0.33, 9: 0.32}
BALL = 0.4
STICKS = {
    1: ((0.0,), 0.1),
    2: ((-0.1, 0.1), 0.07),
    3: ((-0.15, 0.0, 0.15), 0.05),
}  # where they are and how thick, angstrom
LIGHT = np.array([-0.45, 0.6, 0.66])
PIXELS = 720  # the width of a panel, before they are averaged two by two


def _frame(molecule):
    # What the view is fitted to: the heavy atoms, if they span a plane.
    numbers, positions, _ = bonds.atoms(molecule)
    return positions[numbers > 1] if (numbers > 1).sum() > 2 else positions


def centre(molecule):
    """(3,) angstrom: of the atoms that the view is fitted to."""
    return _frame(molecule).mean(0)


def rotation(molecule):
    """Columns: longest axis to the right, shortest towards the eye, never a mirror image; tilted so that no atom hides another."""
    axes = np.linalg.svd(_frame(molecule) - centre(molecule), full_matrices=True)[2].T
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    (c, s), (d, t) = ((np.cos(angle), np.sin(angle)) for angle in np.deg2rad([22, -14]))
    return axes @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ np.array([[d, 0, -t], [0, 1, 0], [t, 0, d]])


def view(molecule):
    """(n, 3) angstrom: right, up and towards the eye."""
    return (bonds.atoms(molecule)[1] - centre(molecule)) @ rotation(molecule)


def half_size(views):
    """Half width and height in angstrom that all of them fit into; an atom that flew off shall not make the others small."""
    extents = [np.abs(view[:, :2]).max(0) for view in views if view is not None]
    return np.clip(np.max(extents or [(2.0, 2.0)], axis=0), 1.0, 10.0) + 0.5


def kekule(molecule):
    """A copy with single and double bonds where it has aromatic ones, as far as that goes."""
    molecule = Chem.Mol(molecule)
    with rdBase.BlockLogs():
        Chem.KekulizeIfPossible(molecule, clearAromaticFlags=True)
    return molecule


def balls(molecule, x):
    """A scene: spheres (centre, None, radius, colour) and sticks (from, to, radius, colour)."""
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    scene = [(p, None, BALLS.get(z, BALL), COLOURS.get(z, UNKNOWN)) for z, p in zip(numbers, x, strict=True)]
    for bond in kekule(molecule).GetBonds():
        a, b = x[bond.GetBeginAtomIdx()], x[bond.GetEndAtomIdx()]
        aside = np.cross(b - a, [0.0, 0.0, 1.0])
        aside /= max(np.linalg.norm(aside), 1e-6)
        places, radius = STICKS[max(1, int(bond.GetBondTypeAsDouble()))]
        scene += [(a + place * aside, b + place * aside, radius, "#9aa0a8") for place in places]
    return scene


def sticks(molecule, x, colour=None):
    """A scene of bonds as thick as atoms; in one colour that of a reference."""
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    colours = [colour or (COLOURS | {6: CARBON}).get(z, UNKNOWN) for z in numbers]
    # The reference is thinner: where they agree one sees the sample.
    thick = 0.085 if colour else 0.1
    scene = [(p, None, thick, c) for p, c in zip(x, colours, strict=True)]
    for bond in molecule.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        middle = (x[i] + x[j]) / 2
        scene += [(x[i], middle, thick, colours[i]), (middle, x[j], thick, colours[j])]
    return scene


def show(ax, scene, half):
    """The scene in an Axes whose half width and height are `half` angstrom."""
    width, height = half
    ax.imshow(render(scene, half), extent=(-width, width, -height, height), interpolation="antialiased")


def render(scene, half):
    """(rows, columns, 4): spheres and sticks seen from z = infinity, the nearest surface of each pixel, lit from the upper left,
    with a dark line around what stands before something else."""
    width = PIXELS
    height = 2 * int(PIXELS * half[1] / half[0] / 2)
    across, up = (
        (np.arange(n) + 0.5) / n * 2 * extent - extent for n, extent in zip((width, height), half, strict=True)
    )
    depth, normal = np.full((height, width), -np.inf), np.zeros((height, width, 3))
    colour = np.ones((height, width, 3))
    for a, b, radius, name in scene:
        low, high = np.minimum(a, a if b is None else b) - radius, np.maximum(a, a if b is None else b) + radius
        columns, rows = (slice(*np.searchsorted(g, (low[i], high[i]))) for i, g in enumerate((across, up)))
        m = np.stack([*np.meshgrid(across[columns], up[rows]), np.zeros((len(up[rows]), len(across[columns])))], -1) - a
        z, direction, hit = _sphere(m, radius) if b is None else _cylinder(m, b - a, radius)
        seen = hit & (z > depth[rows, columns])
        depth[rows, columns][seen], normal[rows, columns][seen] = z[seen], direction[seen]
        colour[rows, columns][seen] = to_rgb(name)
    covered = np.isfinite(depth)
    light = LIGHT / np.linalg.norm(LIGHT)
    diffuse = np.clip(normal @ light, 0, 1)
    halfway = (light + [0, 0, 1]) / np.linalg.norm(light + [0, 0, 1])
    shine = np.clip(normal @ halfway, 0, 1) ** 45
    shaded = colour * (0.5 + 0.55 * diffuse)[..., None] + 0.38 * shine[..., None]
    # What lies behind fades to white.
    far = np.where(covered, np.clip((np.max(depth, initial=0.0) - depth) / 6.0, 0, 1), 0)[..., None]
    shaded = shaded * (1 - 0.35 * far) + 0.35 * far
    floor = np.where(covered, depth, -20.0)
    jump = np.zeros((height, width), bool)
    for axis in (0, 1):
        for step in (-2, -1, 1, 2):
            jump |= np.roll(floor, step, axis) - floor > 0.22
    shaded = np.where((jump & covered)[..., None], shaded * 0.35, shaded)
    edge = jump & ~covered
    shaded[edge] = 0.22
    image = np.concatenate([np.clip(shaded, 0, 1), (covered | edge)[..., None]], -1)[::-1]
    image[..., :3] *= image[..., 3:]
    image = image.reshape(height // 2, 2, width // 2, 2, 4).mean((1, 3))
    image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    return np.clip(image, 0, 1)


def _sphere(m, radius):
    # m: (..., 3) from the centre to the pixel, whose z is free
    inside = radius**2 - (m[..., :2] ** 2).sum(-1)
    height = np.sqrt(np.maximum(inside, 0))
    direction = np.concatenate([m[..., :2], height[..., None]], -1) / radius
    return height - m[..., 2], direction, inside > 0


def _cylinder(m, along, radius):
    # |m + z e_z - its part along the axis| = radius, the larger z: a quadratic equation a pixel
    length = np.linalg.norm(along)
    axis = along / max(length, 1e-9)
    e = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    m_across = m - (m @ axis)[..., None] * axis
    A, B, C = max(float(e @ e), 1e-9), m_across @ e, (m_across**2).sum(-1) - radius**2
    inside = B**2 - A * C
    z = (-B + np.sqrt(np.maximum(inside, 0))) / A
    place = m @ axis + z * axis[2]
    return z, (m_across + z[..., None] * e) / radius, (inside > 0) & (place >= 0) & (place <= length)
