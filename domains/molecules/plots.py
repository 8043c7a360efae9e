"""Molecules as a chemist draws them: balls and sticks in space, structures on paper, conformers over each other, histograms.

Samples are RDKit molecules with one conformer in angstrom, valid or not, or None; panels of invalid ones have a red title that
says why. Every function returns its Figure and closes nothing.
"""

import io
import re
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
import scipy
from matplotlib import patheffects
from matplotlib.ticker import MaxNLocator
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign
from rdkit.Chem.Draw import rdMolDraw2D
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from domains.molecules import bonds, drawing, metrics
from domains.molecules.conformers import MATCHES, heavy_atoms
from sciddm.errors import UserError

REFERENCE, SAMPLES, WRONG = "#b9bec6", "#1f5f99", "#c0392b"
CELL = 2.3  # inches
ORDERS = {1: "–", 2: "=", 3: "≡"}


def gallery(samples, titles=None, columns: int = 4, marked=(), called: str = "kept"):
    """Balls and sticks of at most 8 molecules, all in one scale, each seen along its shortest axis; formal charges on the atoms, and rings
    around those that are `marked`, indices, which the legend calls `called`."""
    samples = list(samples)[:8]
    views = [None if sample is None else drawing.view(sample) for sample in samples]
    half = drawing.half_size(views)
    fig, axes = _panels(len(samples), columns, half[1] / half[0])
    for ax, sample, view in zip(axes, samples, views, strict=False):
        if sample is None:
            continue
        drawing.show(ax, drawing.balls(sample, view), half)
        for atom, (x, y, _) in zip(sample.GetAtoms(), view, strict=True):
            if charge := atom.GetFormalCharge():
                sign = ("+" if charge > 0 else "−") + (str(abs(charge)) if abs(charge) > 1 else "")
                text = ax.text(x, y, sign, ha="center", va="center", color="white", fontsize=9, fontweight="bold")
                text.set_path_effects([patheffects.withStroke(linewidth=1.6, foreground="#222222")])
        for i in marked:
            if i < len(view):
                ax.add_patch(plt.Circle(view[i, :2], 0.5, fc="none", ec=drawing.CARBON, lw=1.4))
    _titles(axes, samples, titles)
    _scale_bar(axes, samples, half)
    if len(marked):
        ring = {"color": "none", "marker": "o", "mfc": "none", "mec": drawing.CARBON, "mew": 1.4, "ms": 9}
        _legend(fig, [plt.Line2D([], [], label=f"ringed: {called}", **ring)])
    return fig


def overlay(reference, samples, titles=None, columns: int = 4, called: str = "reference"):
    """Sticks of every sample laid on the reference, or on its own one of a list, which is grey, and their RMSD in angstrom. Heavy atoms
    only; at most 8 samples.

    Conformers of one graph, as `conformers.rmsd_matrix` asks for. called: what the legend says of the grey ones.
    """
    samples = list(samples)[:8]
    references = reference if isinstance(reference, (list, tuple)) else [reference] * len(samples)
    fixed = [heavy_atoms(one) for one in references]
    laid = [None if sample is None else _laid(sample, one) for sample, one in zip(samples, fixed, strict=False)]
    views = [
        None if entry is None else (entry[2] - drawing.centre(one)) @ drawing.rotation(one)
        for entry, one in zip(laid, fixed, strict=False)
    ]
    half = drawing.half_size([*map(drawing.view, fixed), *views])
    fig, axes = _panels(len(samples), columns, half[1] / half[0])
    notes = []
    for ax, one, entry, view, title in zip(axes, fixed, laid, views, titles or [""] * len(samples), strict=False):
        if entry is not None:
            drawing.show(ax, drawing.sticks(one, drawing.view(one), REFERENCE) + drawing.sticks(entry[1], view), half)
        notes.append(", ".join(part for part in (title, entry and f"RMSD {entry[0]:.2f} Å") if part))
    _titles(axes, samples, notes)
    _scale_bar(axes, samples, half)
    colours = {f"grey: {called}": REFERENCE, "coloured: answer laid on it, by RMSD of heavy atoms": drawing.CARBON}
    _legend(fig, [plt.Line2D([], [], color=colour, lw=4, label=label) for label, colour in colours.items()])
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
            distance = f"W₁ = {scipy.stats.wasserstein_distance(a, b):.3g}{unit}"
        ax.set_title(name, fontsize=10.5, loc="left", parse_math=False)
        ax.set_title(distance, fontsize=9, loc="right", color="#555555")
        ax.set_xlabel("degrees" if unit == "°" else unit.strip(), fontsize=9, labelpad=1)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=name == "sizes"))
        ax.set_yticks([])
        if ax in axes[:, 0]:
            ax.set_ylabel("density", fontsize=9)
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
        ax.set_title(text, fontsize=9.5, color=WRONG if fault else "#222222", pad=3, parse_math=False)
        if sample is None:
            dashed = {"fc": "none", "ec": "#c8c8c8", "ls": (0, (4, 4))}
            ax.add_patch(plt.Rectangle((0.1, 0.1), 0.8, 0.8, transform=ax.transAxes, **dashed))


def _legend(fig, handles):
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9.5)


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


def _laid(sample, fixed):
    # RMSD, the heavy atoms and their positions, best aligned in any order that the graph allows.
    probe = heavy_atoms(sample)
    try:
        rmsd, transform, _ = rdMolAlign.GetBestAlignmentTransform(probe, fixed, maxMatches=MATCHES)
    except RuntimeError as error:
        raise UserError("samples: one is no conformer of the reference; compare conformers of one graph") from error
    return rmsd, probe, bonds.atoms(probe)[1] @ transform[:3, :3].T + transform[:3, 3]


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
        for bond in drawing.kekule(molecule).GetBonds():
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
