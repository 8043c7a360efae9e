"""A few real molecules with geometries, made by RDKit with a seed."""

import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from domains.molecules.collection import Collection

SMILES = ("CCO", "c1ccccc1", "C[NH3+].[O-]C=O", "N#CC", "C1CC1C(=O)N", "FC(F)F", "OC1CCC1O", "C=CC#C")


def embedded(smiles: str, seed: int = 1) -> Chem.Mol:
    """A molecule with hydrogens and one conformer."""
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=seed) == 0
    molecule.SetProp("_Name", smiles)
    return molecule


@pytest.fixture(scope="session")
def molecules():
    return [embedded(smiles) for smiles in SMILES]


@pytest.fixture(scope="session")
def collection(molecules):
    heavy = [float(molecule.GetNumHeavyAtoms()) for molecule in molecules]
    return Collection.from_molecules(molecules, {"heavy atoms": heavy}, {"heavy atoms": "1"})
