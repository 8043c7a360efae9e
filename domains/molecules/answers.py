"""Answers that can be used: molecules with what made them inside, and the numbers that they are summarised by."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from rdkit import Chem
from rdkit.Chem import Descriptors, rdMolDescriptors

from domains.molecules import metrics
from domains.molecules.descriptors import DESCRIPTORS, descriptor

UNITS = {
    "logP": "1", "QED": "1", "molecular weight": "g/mol", "heavy atoms": "1", "rings": "1", "valid": "1", "connected": "1",
    "radius of gyration": "angstrom",
}  # fmt: skip
OF_TASKS = {  # what tasks write into their molecules, and its units
    "RMSD to MMFF": "angstrom", "stereo wrong": "1", "kept": "1", "RMSD to given": "angstrom", "bonds changed": "1", "atoms changed": "1"
}  # fmt: skip


def signed(molecules, about: Mapping) -> list[Chem.Mol | None]:
    """Copies that have `about` as data fields, and a name with their number."""
    found = []
    for number, molecule in enumerate(molecules, 1):
        if molecule is not None:
            molecule = Chem.Mol(molecule)
            name = molecule.GetProp("_Name") if molecule.HasProp("_Name") else str(about.get("sciddm_task", "sample"))
            molecule.SetProp("_Name", f"{name} {number}")
            for key, value in about.items():
                molecule.SetProp(key, " ".join(str(value).split()))
        found.append(molecule)
    return found


def noted(molecule: Chem.Mol | None, **values) -> None:
    """Write numbers and words into a molecule under names of `OF_TASKS` (with _ for blanks), or others."""
    for name, value in values.items():
        if molecule is not None:
            molecule.SetProp(name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))


def fields(molecule: Chem.Mol) -> dict[str, str]:
    """The data fields of a molecule, for a file."""
    names = molecule.GetPropNames(includePrivate=False, includeComputed=False)
    return {name: " ".join(molecule.GetProp(name).split()) or "-" for name in names}


def quantities(molecules) -> xr.Dataset:
    """Numbers of each molecule over "member", NaN for what is none or what RDKit refuses, logP and QED also for what is in pieces; valid
    and connected: 0 or 1."""
    rows = [_numbers(molecule) for molecule in molecules]
    units = dict(UNITS)
    for name, unit in OF_TASKS.items():
        values = [float(m.GetProp(name)) if m is not None and m.HasProp(name) else np.nan for m in molecules]
        if any(m is not None and m.HasProp(name) for m in molecules):
            units[name] = unit
            for row, value in zip(rows, values, strict=True):
                row[name] = value
    return xr.Dataset(
        {name: ("member", np.asarray([row.get(name, np.nan) for row in rows], np.float32), {"units": unit}) for name, unit in units.items()}
    )


def _numbers(molecule):
    if molecule is None or not molecule.GetNumAtoms():
        return {"valid": 0.0, "connected": 0.0}
    positions = molecule.GetConformer().GetPositions()
    heavy = np.array([atom.GetAtomicNum() > 1 for atom in molecule.GetAtoms()])
    found = {
        "heavy atoms": float(heavy.sum()), "connected": float(len(Chem.GetMolFrags(molecule)) == 1), "valid": 0.0,
        "radius of gyration": float(np.sqrt(np.var(positions[heavy] if heavy.any() else positions, axis=0).sum())),
    }  # fmt: skip
    clean = metrics.sanitised(molecule)
    if clean is None:
        return found
    if found["connected"]:
        found |= {name: descriptor(name, molecule) for name in DESCRIPTORS}
    return found | {"molecular weight": Descriptors.MolWt(clean), "rings": float(rdMolDescriptors.CalcNumRings(clean)), "valid": 1.0}


def whole_molecule(molecule: Chem.Mol | None) -> bool:
    """Whether RDKit takes it, and it is in one piece."""
    return metrics.sanitised(molecule) is not None and len(Chem.GetMolFrags(molecule)) == 1
