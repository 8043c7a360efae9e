"""A few real molecules with geometries."""

import pytest
from small_molecules import embedded

from domains.molecules.collection import Collection

SMILES = ("CCO", "c1ccccc1", "C[NH3+].[O-]C=O", "N#CC", "C1CC1C(=O)N", "FC(F)F", "OC1CCC1O", "C=CC#C")


@pytest.fixture(scope="session")
def molecules():
    return [embedded(smiles) for smiles in SMILES]


@pytest.fixture(scope="session")
def collection(molecules):
    heavy = [float(molecule.GetNumHeavyAtoms()) for molecule in molecules]
    return Collection.from_molecules(molecules, {"heavy atoms": heavy}, {"heavy atoms": "1"})
