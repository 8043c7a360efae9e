"""Conformers of a graph by RDKit's ETKDG, the baseline of any model of them, and how well a set covers the reference's.

Scores: recall asks of every reference whether a sample is near it, precision of every sample whether a reference is.
(GEOM, doi:10.1038/s41597-022-01288-4; COV and MAT of Xu et al., arXiv:2102.10240)
"""

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdMolAlign

from domains.molecules import embedding
from domains.molecules.metrics import sanitised
from sciddm.errors import UserError

MATCHES = 10_000  # of the graph with itself: three tert-butyl groups on a benzene have 1,296


def etkdg(molecule: Chem.Mol, count: int, *, seed: int, relax: bool = False, stereo: bool = False) -> list[Chem.Mol]:
    """At most `count` conformers of the molecule's graph by ETKDGv3, a molecule each, sanitised; fewer or none where it fails.

    The graph is flat: what is left or right, cis or trans is drawn anew, unless `stereo` takes it from the molecule's positions.
    relax: to the nearest minimum of MMFF94, where that has parameters.   (Riniker & Landrum 2015, doi:10.1021/acs.jcim.5b00654)
    """
    graph = sanitised(molecule)
    if graph is None:
        return []
    with rdBase.BlockLogs():
        Chem.RemoveStereochemistry(graph)
        if stereo:
            Chem.AssignStereochemistryFrom3D(graph)
        if _embedded(graph, count, seed) and relax:
            embedding.relax(graph)
    return [Chem.Mol(graph, confId=conformer.GetId()) for conformer in graph.GetConformers()]


def relaxed_conformers(molecule: Chem.Mol, count: int, seed: int) -> list[Chem.Mol]:
    """At most `count` conformers by ETKDGv3 of a sanitised molecule with all its atoms, with the stereo that it has, each at the nearest
    minimum of MMFF94 where that has parameters, a molecule each."""
    graph = Chem.Mol(molecule)
    with rdBase.BlockLogs():
        if _embedded(graph, count, seed):
            embedding.relax(graph)
    return [Chem.Mol(graph, confId=conformer.GetId()) for conformer in graph.GetConformers()]


def _embedded(graph, count, seed) -> int:
    # RDKit gives conformer i the seed i + 1 times this one: small seeds share conformers, and 0 makes all of them the same.
    return embedding.embed(graph, embedding.etkdg(int(np.random.default_rng(seed).integers(1, 2**20))), count)


def rmsd_matrix(references, samples, *, mirror: bool = False) -> np.ndarray:
    """(R, S) angstrom: the least RMSD over heavy atoms of every sample laid on every reference, of all ways the graph maps on itself.

    All of them are conformers of one graph, in any order of atoms; a sample that is None has a column of NaN.
    mirror: the smaller one of it and that of the sample's mirror image, for models that can't tell left from right.

    Raises: UserError if a sample is of another graph.
    """
    references = [heavy_atoms(molecule) for molecule in references]
    matrix = np.full((len(references), len(samples)), np.nan)
    for j, sample in enumerate(samples):
        if sample is None:
            continue
        probes = [heavy_atoms(sample)] + ([_reflected(heavy_atoms(sample))] if mirror else [])
        for i, reference in enumerate(references):
            if _counts(reference) != _counts(probes[0]):
                raise UserError(_other_graph(j, i))
            try:
                matrix[i, j] = min(rdMolAlign.GetBestRMS(probe, reference, maxMatches=MATCHES) for probe in probes)
            except RuntimeError as error:  # no match of the one within the other
                raise UserError(_other_graph(j, i)) from error
    return matrix


def coverage(matrix, threshold: float = 0.5) -> float:
    """COV, recall: share of the references with a sample nearer than `threshold` angstrom. 0 without samples.

    Args: matrix: (R, S) of `rmsd_matrix`; samples of NaN are left out, here and below.
    """
    matrix = _measured(matrix)
    return float((matrix < threshold).any(1).mean())


def matching(matrix) -> float:
    """MAT, recall: mean over references of the RMSD of the nearest sample, angstrom. NaN without samples."""
    matrix = _measured(matrix)
    return float(matrix.min(1).mean()) if matrix.size else np.nan


def average_minimum(matrix) -> float:
    """AMR, precision: mean over samples of the RMSD to the nearest reference, angstrom. NaN without samples."""
    matrix = _measured(matrix)
    return float(matrix.min(0).mean()) if matrix.size else np.nan


def heavy_atoms(molecule: Chem.Mol) -> Chem.Mol:
    """A copy without hydrogens, in the order of its atoms, sanitised where that can be."""
    # Aromatic bonds where RDKit sees them: the Kekule structure of a benzene has half of its symmetries.
    with rdBase.BlockLogs():
        return Chem.RemoveAllHs(sanitised(molecule) or Chem.Mol(molecule), sanitize=False)


def _reflected(molecule):
    molecule.GetConformer().SetPositions(-molecule.GetConformer().GetPositions())
    return molecule


def _counts(molecule):
    # A graph with a bond less would match, as a part of the other.
    return molecule.GetNumAtoms(), molecule.GetNumBonds()


def _measured(matrix):
    matrix = np.asarray(matrix, np.float64)
    return matrix[:, ~np.isnan(matrix).all(0)]


def _other_graph(j, i):
    return f"samples: {j} is no conformer of reference {i}, its heavy atoms or bonds differ; compare conformers of one graph"
