"""Molecules with geometries, made by RDKit with a seed."""

from rdkit import Chem
from rdkit.Chem import rdDistGeom


def embedded(smiles: str, seed: int = 1) -> Chem.Mol:
    """A molecule with hydrogens and one conformer."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=seed) == 0
    molecule.SetProp("_Name", smiles)
    return molecule
