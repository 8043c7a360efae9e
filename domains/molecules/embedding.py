"""Shapes of a graph by RDKit: ETKDGv3, and MMFF94 to the nearest minimum; pieces that are not bound stand beside each other."""

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

APART = 3.5  # angstrom between pieces where MMFF begins
MANY = 150  # heavy atoms: ETKDG finds nothing for a chain of a hundred, and takes minutes to say so
SECONDS = 20  # for one shape


def embed(molecule: Chem.Mol, parameters, count: int = 1) -> int:
    """Give a molecule with hydrogens `count` conformers; its pieces side by side, since each is embedded by itself, around the same place.

    parameters: of `etkdg`. Returns: how many there are.
    """
    molecule.RemoveAllConformers()
    if sum(atom.GetAtomicNum() > 1 for atom in molecule.GetAtoms()) > MANY:
        return 0
    rdDistGeom.EmbedMultipleConfs(molecule, count, parameters)
    pieces = [list(piece) for piece in Chem.GetMolFrags(molecule)]
    for conformer in molecule.GetConformers() if len(pieces) > 1 else ():
        positions, end = conformer.GetPositions(), 0.0
        for piece in pieces:
            part = positions[piece]
            part = part - part.mean(0)
            positions[piece] = part + [end - part[:, 0].min(), 0.0, 0.0]
            end = positions[piece][:, 0].max() + APART
        conformer.SetPositions(np.ascontiguousarray(positions))
    return molecule.GetNumConformers()


def etkdg(seed: int):
    """Parameters of ETKDGv3 (Wang et al. 2020, doi:10.1021/acs.jcim.0c00025) with a seed, of which RDKit takes 31 bits."""
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed, parameters.timeout = seed % 2**31, SECONDS
    return parameters


def shape(molecule: Chem.Mol, seed: int) -> bool:
    """Give a molecule with hydrogens one conformer, from random positions where distances lead to none; whether there is one."""
    parameters = etkdg(seed)
    if embed(molecule, parameters):
        return True
    parameters.useRandomCoords = True  # which cages and long chains need
    return embed(molecule, parameters) > 0


def relax(molecule: Chem.Mol, steps: int = 2000) -> bool | None:
    """Take each conformer to the nearest minimum of MMFF94, pieces by what they do to each other, too; whether all came there, None: it
    has no parameters."""
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
        return None
    found = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule, maxIters=steps, ignoreInterfragInteractions=False)
    return all(left == 0 for left, _ in found)
