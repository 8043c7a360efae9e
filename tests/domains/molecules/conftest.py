"""A few real molecules with geometries, and a domain of QM9's first; no test changes them."""

import importlib

import pytest
from small_molecules import embedded

import sciddm as sd
from domains.molecules.collection import Collection

SMILES = ("CCO", "c1ccccc1", "C[NH3+].[O-]C=O", "N#CC", "C1CC1C(=O)N", "FC(F)F", "OC1CCC1O", "C=CC#C")


@pytest.fixture(scope="session")
def molecules():
    return [embedded(smiles) for smiles in SMILES]


@pytest.fixture(scope="session")
def collection(molecules):
    heavy = [float(molecule.GetNumHeavyAtoms()) for molecule in molecules]
    return Collection.from_molecules(molecules, {"heavy atoms": heavy}, {"heavy atoms": "1"})


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    config = importlib.import_module("configs.molecules").get_config("smoke")
    config.data.update({"source": "qm9", "count": 60, "cache": str(tmp_path_factory.mktemp("cache"))})
    return config


@pytest.fixture(scope="session")
def domain(config):
    return sd.get_domain(config)
