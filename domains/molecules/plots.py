"""Molecules as a chemist draws them: balls and sticks in space, structures on paper, conformers over each other, histograms.

Samples are RDKit molecules with one conformer in angstrom, valid or not, or None; panels of invalid ones have a red title that
says why. Every function returns its Figure and closes nothing.
"""

import io
import re
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign
from rdkit.Chem.Draw import rdMolDraw2D
from rdkit.Chem.rdMolDescriptors import CalcMolFormula
from scipy.stats import wasserstein_distance

from domains.molecules import bonds, metrics
from domains.molecules.conformers import MATCHES, heavy_atoms
from sciddm.errors import UserError

# Corey-Pauling-Koltun, a little muted; balls in angstrom.
COLOURS = {
    1: "#f4f4f4", 5: "#f0a58f", 6: "#55585c", 7: "#3f63dd", 8: "#dd3a30", 9: "#6cc24a", 14: "#c8a06a", 15: "#f08a24",
    16: "#e8c531", 17: "#2fae4d", 34: "#e07b39", 35: "#96331f", 53: "#6f3596",
}  # fmt: skip
UNKNOWN, REFERENCE, SAMPLES, CARBON, WRONG = "#e08bd0", "#b9bec6", "#1f5f99", "#17a398", "#c0392b"
BALLS = {1: 0.23, 6: 0.35, 7: 0.34, 8: 0.33, 9: 0.32}
BALL = 0.4
STICKS = {
    1: ((0.0,), 0.1),
    2: ((-0.1, 0.1), 0.07),
    3: ((-0.15, 0.0, 0.15), 0.05),
}  # where they are and how thick, angstrom
LIGHT = np.array([-0.45, 0.6, 0.66])
PIXELS = 720  # the width of a panel, before they are averaged two by two
CELL = 2.3  # inches
ORDERS = {1: "–", 2: "=", 3: "≡"}


def gallery(samples, titles=None, columns: int = 4):
    """Balls and sticks of at most 8 molecules, all in one scale, each seen along its shortest axis; formal charges on the atoms."""
    samples = list(samples)[:8]
    views = [None if sample is None else _view(sample) for sample in samples]
    half = _half(views)
    fig, axes = _panels(len(samples), columns, half[1] / half[0])
    for ax, sample, view in zip(axes, samples, views, strict=False):
        if sample is None:
            continue
        _show(ax, _balls(sample, view), half)
        for atom, (x, y, _) in zip(sample.GetAtoms(), view, strict=True):
            if charge := atom.GetFormalCharge():
                sign = ("+" if charge > 0 else "−") + (str(abs(charge)) if abs(charge) > 1 else "")
                text = ax.text(x, y, sign, ha="center", va="center", color="white", fontsize=9, fontweight="bold")
                text.set_path_effects([patheffects.withStroke(linewidth=1.6, foreground="#222222")])
    _titles(axes, samples, titles)
    _scale_bar(axes, samples, half)
    return fig


def overlay(reference, samples, titles=None, columns: int = 4):
    """Sticks of every sample laid on the reference, which is grey, and the RMSD in angstrom. Heavy atoms only; at most 8 samples.

    Conformers of one graph, as `conformers.rmsd_matrix` asks for.
    """
    samples = list(samples)[:8]
    fixed = heavy_atoms(reference)
    centre, rotation = _centre(fixed), _rotation(fixed)
    laid = [None if sample is None else _laid(sample, fixed) for sample in samples]
    views = [None if entry is None else (entry[2] - centre) @ rotation for entry in laid]
    half = _half([_view(fixed), *views])
    fig, axes = _panels(len(samples), columns, half[1] / half[0])
    notes = []
    for ax, entry, view, title in zip(axes, laid, views, titles or [""] * len(samples), strict=False):
        if entry is not None:
            _show(ax, _sticks(fixed, _view(fixed), REFERENCE) + _sticks(entry[1], view), half)
        notes.append(", ".join(part for part in (title, entry and f"{entry[0]:.2f} Å") if part))
    _titles(axes, samples, notes)
    _scale_bar(axes, samples, half)
    return fig


def grid(samples, titles=None, columns: int = 6):
    """Structures on paper, hydrogens left out; the atoms of an impossible molecule whose bonds don't add up stand in red."""
    samples = list(samples)
    fig, axes = _panels(len(samples), columns, cell=1.9)
    for ax, sample in zip(axes, samples, strict=False):
        if sample is not None:
            ax.imshow(_structure(sample), interpolation="antialiased")
    _titles(axes, samples, titles)
    return fig


def distributions(samples, reference):
    """Histograms against the reference's: lengths of its six commonest bonds, angles, torsions and sizes, with their distances.

    Geometry is of the valid molecules, by their own bonds.  Raises: UserError if none of the reference's is valid.
    """
    ours, theirs = _lengths(samples), _lengths(reference)
    if not theirs:
        raise UserError("reference: no valid molecule with a bond; expected molecules that RDKit can sanitise")
    commonest = sorted(theirs, key=lambda kind: -len(theirs[kind]))[:6]
    panels = [(kind, " Å", ours.get(kind, []), theirs[kind]) for kind in commonest]
    of_samples, of_reference = metrics.geometry(samples), metrics.geometry(reference)
    panels += [(f"{kind.split()[0]}s", "°", of_samples[kind], of_reference[kind]) for kind in metrics.KINDS[1:]]
    sizes = [[m.GetNumAtoms() for m in molecules if m is not None] for molecules in (samples, reference)]
    panels = [panel for panel in [*panels, ("sizes", " atoms", *sizes)] if len(panel[3])]
    fig, axes = plt.subplots(-(-len(panels) // 3), 3, figsize=(9.4, 7.0), layout="constrained", squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (name, unit, a, b) in zip(axes.flat, panels, strict=False):
        edges = _edges(a, b, whole=name == "sizes")
        ax.hist(b, edges, density=True, color=REFERENCE)
        distance = "no samples"
        if len(a):
            ax.hist(a, edges, density=True, histtype="step", color=SAMPLES, lw=1.5)
            distance = f"W₁ = {wasserstein_distance(a, b):.3g}{unit}"
        ax.set_title(name, fontsize=10.5, loc="left")
        ax.set_title(distance, fontsize=9, loc="right", color="#555555")
        ax.set_xlabel("degrees" if unit == "°" else unit.strip(), fontsize=9, labelpad=1)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=name == "sizes"))
        ax.set_yticks([])
        ax.tick_params(labelsize=8.5)
        ax.spines[["top", "right", "left"]].set_visible(False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=REFERENCE), plt.Line2D([], [], color=SAMPLES, lw=1.5)]
    labels = [f"reference, {len(reference)} molecules", f"samples, {len(samples)} molecules"]
    fig.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig


def _panels(count, columns, aspect=1.0, cell=CELL):
    if not count:
        raise UserError("samples: there is none; expected a list of at least one molecule or None")
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (cell * columns, (cell * aspect + 0.3) * rows)
    fig, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    fig.get_layout_engine().set(w_pad=0.02, h_pad=0.03, wspace=0.0, hspace=0.0)
    for ax in axes.flat:
        ax.axis("off")
        ax.set_box_aspect(aspect)
    return fig, list(axes.flat)


def _titles(axes, samples, titles):
    for ax, sample, title in zip(axes, samples, titles or [""] * len(samples), strict=False):
        fault = _fault(sample)
        text = ", ".join(part for part in (title, fault) if part) or _formula(sample)
        ax.set_title(text, fontsize=9.5, color=WRONG if fault else "#222222", pad=3)
        if sample is None:
            dashed = {"fc": "none", "ec": "#c8c8c8", "ls": (0, (4, 4))}
            ax.add_patch(plt.Rectangle((0.1, 0.1), 0.8, 0.8, transform=ax.transAxes, **dashed))


def _fault(sample):
    if sample is None:
        return "no molecule"
    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(sample)
    if problems:
        return "no Kekulé structure" if "Kekul" in problems[0].GetType() else "impossible valence"
    return "in pieces" if len(Chem.GetMolFrags(sample)) > 1 else ""


def _formula(sample):
    return re.sub(r"(\d+)", r"$_{\1}$", CalcMolFormula(sample))


def _frame(molecule):
    # What the view is fitted to: the heavy atoms, if they span a plane.
    numbers, positions, _ = bonds.atoms(molecule)
    return positions[numbers > 1] if (numbers > 1).sum() > 2 else positions


def _centre(molecule):
    return _frame(molecule).mean(0)


def _rotation(molecule):
    # Columns: longest axis to the right, shortest towards the eye, never a mirror image; tilted so that no atom hides another.
    axes = np.linalg.svd(_frame(molecule) - _centre(molecule), full_matrices=True)[2].T
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    (c, s), (d, t) = ((np.cos(angle), np.sin(angle)) for angle in np.deg2rad([22, -14]))
    return axes @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) @ np.array([[d, 0, -t], [0, 1, 0], [t, 0, d]])


def _view(molecule):
    return (bonds.atoms(molecule)[1] - _centre(molecule)) @ _rotation(molecule)


def _half(views):
    # Half width and height in angstrom that all of them fit into; an atom that flew off shall not make the others small.
    extents = [np.abs(view[:, :2]).max(0) for view in views if view is not None]
    return np.clip(np.max(extents or [(2.0, 2.0)], axis=0), 1.0, 10.0) + 0.5


def _laid(sample, fixed):
    # RMSD, the heavy atoms and their positions, best aligned in any order that the graph allows.
    probe = heavy_atoms(sample)
    try:
        rmsd, transform, _ = rdMolAlign.GetBestAlignmentTransform(probe, fixed, maxMatches=MATCHES)
    except RuntimeError as error:
        raise UserError("samples: one is no conformer of the reference; compare conformers of one graph") from error
    return rmsd, probe, bonds.atoms(probe)[1] @ transform[:3, :3].T + transform[:3, 3]


def _kekule(molecule):
    molecule = Chem.Mol(molecule)
    with rdBase.BlockLogs():
        Chem.KekulizeIfPossible(molecule, clearAromaticFlags=True)
    return molecule


def _balls(molecule, x):
    # A scene: spheres (centre, None, radius, colour) and sticks (from, to, radius, colour).
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    scene = [(p, None, BALLS.get(z, BALL), COLOURS.get(z, UNKNOWN)) for z, p in zip(numbers, x, strict=True)]
    for bond in _kekule(molecule).GetBonds():
        a, b = x[bond.GetBeginAtomIdx()], x[bond.GetEndAtomIdx()]
        aside = np.cross(b - a, [0.0, 0.0, 1.0])
        aside /= max(np.linalg.norm(aside), 1e-6)
        places, radius = STICKS[max(1, int(bond.GetBondTypeAsDouble()))]
        scene += [(a + place * aside, b + place * aside, radius, "#9aa0a8") for place in places]
    return scene


def _sticks(molecule, x, colour=None):
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


def _show(ax, scene, half):
    width, height = half
    ax.imshow(_render(scene, half), extent=(-width, width, -height, height), interpolation="antialiased")


def _render(scene, half):
    # (rows, columns, 4): spheres and sticks seen from z = infinity, the nearest surface of each pixel, lit from the upper left,
    # with a dark line around what stands before something else.
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


def _scale_bar(axes, samples, half):
    width, height = half
    shown = [ax for ax, sample in zip(axes, samples, strict=False) if sample is not None]
    for ax in shown:
        ax.set(xlim=(-width, width), ylim=(-height, height))
    for ax in shown[:1]:
        ax.plot([0.1 - width, 1.1 - width], [0.15 - height] * 2, color="#333333", lw=1.6, solid_capstyle="butt")
        ax.text(0.6 - width, 0.22 - height, "1 Å", ha="center", va="bottom", fontsize=7.5, color="#333333")


def _structure(sample):
    stable = bonds.predicted_stable(sample)
    numbers = bonds.atoms(sample)[0]
    with rdBase.BlockLogs():
        valid = metrics.sanitised(sample) is not None
        flat = heavy_atoms(sample)
        Chem.RemoveStereochemistry(flat)
        flat.RemoveAllConformers()
        flat.UpdatePropertyCache(strict=False)
        drawer = rdMolDraw2D.MolDraw2DCairo(440, 440)
        options = drawer.drawOptions()
        options.bondLineWidth, options.fixedBondLength, options.minFontSize = 3, 70, 26
        options.prepareMolsBeforeDrawing = False
        options.setHighlightColour((1.0, 0.72, 0.68))
        flat = rdMolDraw2D.PrepareMolForDrawing(flat, kekulize=valid, addChiralHs=False, wavyBonds=False)
        wrong = [i for i, fine in enumerate(stable[numbers > 1]) if not fine]
        drawer.DrawMolecule(flat, highlightAtoms=wrong, highlightBonds=[])
        drawer.FinishDrawing()
    return plt.imread(io.BytesIO(drawer.GetDrawingText()), format="png")


def _lengths(molecules):
    # kind of bond, as C=O -> lengths in angstrom, over the valid molecules
    found = defaultdict(list)
    for molecule in molecules:
        if metrics.sanitised(molecule) is None:
            continue
        x = bonds.atoms(molecule)[1]
        for bond in _kekule(molecule).GetBonds():
            ends = sorted(
                (bond.GetBeginAtom(), bond.GetEndAtom()), key=lambda atom: (atom.GetAtomicNum() == 1, atom.GetSymbol())
            )
            kind = ORDERS.get(int(bond.GetBondTypeAsDouble()), "~").join(atom.GetSymbol() for atom in ends)
            found[kind].append(np.linalg.norm(x[bond.GetBeginAtomIdx()] - x[bond.GetEndAtomIdx()]))
    return found


def _edges(a, b, whole):
    values = np.concatenate([a, b])
    if whole:
        return np.arange(values.min() - 0.5, values.max() + 1)
    # Of the reference's bulk and as much again on both sides: one broken sample would else leave the rest in a single bin.
    low, high = np.quantile(b, [0.001, 0.999])
    wide = max(high - low, 0.02)
    low, high = max(low - wide, values.min()), min(high + wide, values.max())
    return np.linspace(low, max(high, low + 1e-3), 61)
