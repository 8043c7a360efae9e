"""Conformers of a graph that a user brings: kept exactly, with its stereo, beside those that ETKDG and MMFF find."""

from functools import cached_property

import numpy as np
from rdkit import Chem

from domains.molecules import answers, conformers
from domains.molecules.brought import Brought
from domains.molecules.candidates import ROUNDS
from domains.molecules.stereo import Stereo
from sciddm.given import say

REFERENCES = 16


class Graph:
    """A graph that was brought: its stereo, and the conformers of RDKit to compare with, made when they are asked for."""

    def __init__(self, brought: Brought, rows, seed: int, stereo: Stereo):
        self.brought, self.rows, self.seed, self.stereo = brought, rows, seed, stereo

    @cached_property
    def references(self) -> list[Chem.Mol]:
        """By ETKDG and MMFF, with the stereo that was given; none where RDKit finds none."""
        return conformers.relaxed_conformers(self.brought.molecule, REFERENCES, self.seed)

    def distances(self, molecules) -> np.ndarray:
        """(references, molecules) angstrom, of heavy atoms; mirror images are the same where no stereo is given. NaN: no molecule."""
        there = [m if m is not None and m.GetNumAtoms() else None for m in molecules]
        if not self.references or not any(there):
            return np.full((max(len(self.references), 1), len(there)), np.nan)
        return conformers.rmsd_matrix(self.references, there, mirror=not len(self.stereo.centres))

    def judge(self, x):
        """x mirrored where more of its stereo is right then, and how much of it is, (B,), of 1."""
        if not len(self.stereo):
            return x, np.ones(len(x["positions"]))
        positions, right = self.stereo.settled(x["positions"])
        return x | {"positions": positions}, right.mean(-1)

    def say_at_first(self) -> None:
        """What of its stereo can't be asked for, and what is left open."""
        stereo, where = self.stereo, self.brought.where
        if stereo.lost:
            say(f"{where}: the stereo of {', '.join(stereo.lost)} is lost: the atoms around it are not modelled")
        if stereo.free:
            say(f"{where}: {', '.join(stereo.free)} could be left or right, cis or trans, and is not said; answers have both")


def note(graph: Graph, molecules, positions) -> None:
    """Write into each answer its RMSD to the nearest of RDKit's conformers and what of its stereo is wrong, and say both of all."""
    there = np.array([m is not None and m.GetNumAtoms() > 0 for m in molecules])
    if not there.any():  # of nothing, which tells which numbers there will be
        for molecule in molecules:
            answers.noted(molecule, RMSD_to_MMFF=np.nan, stereo_wrong=np.nan)
        return
    nearest = graph.distances(molecules).min(0)
    right = graph.stereo.right(positions)
    for molecule, distance, fine in zip(molecules, nearest, right, strict=True):
        if molecule is None:
            continue
        molecule.SetProp("_Name", graph.brought.name)
        if np.isfinite(distance):
            answers.noted(molecule, RMSD_to_MMFF=float(distance))
        if len(graph.stereo):
            wrong = [name for name, one in zip(graph.stereo.names, fine, strict=True) if not one]
            answers.noted(molecule, stereo_wrong=len(wrong), stereo=f"wrong at {', '.join(wrong)}" if wrong else "right")
    if np.isfinite(nearest).any():
        low, middle, high = np.nanquantile(nearest, (0.0, 0.5, 1.0))
        say(
            f"RMSD of heavy atoms to the nearest of {len(graph.references)} conformers by ETKDG and MMFF: median {middle:.2f} A, "
            f"{low:.2f} to {high:.2f}"
        )
    else:
        say("RDKit finds no conformer of this graph to compare with")
    if len(graph.stereo):
        bad = ~right[there]
        each = [f"{name} in {count}" for name, count in zip(graph.stereo.names, bad.sum(0), strict=True) if count]
        names, total = ", ".join(graph.stereo.names), int(there.sum())
        fine = int((~bad.any(-1)).sum())
        more = f"; wrong at {', '.join(each)}, after {ROUNDS} candidates for each answer: see the field 'stereo' of each" if each else ""
        say(f"stereo ({names}) as given in {fine} of {total} answers{more}")
