"""Properties that RDKit computes from the graph: of data when they are read, and of samples to see whether they have the wanted value."""

import math

from rdkit import Chem, rdBase
from rdkit.Chem import QED, Crippen

from domains.molecules.metrics import sanitised

DESCRIPTORS = {"logP": Crippen.MolLogP, "QED": QED.qed}  # (Wildman & Crippen 1999; Bickerton et al. 2012), no units


def descriptor(name: str, molecule: Chem.Mol | None) -> float:
    """The property of a molecule with all its atoms, NaN where RDKit can't sanitise it."""
    clean = sanitised(molecule)
    if clean is None:
        return math.nan
    with rdBase.BlockLogs():
        return float(DESCRIPTORS[name](Chem.RemoveHs(clean)))
