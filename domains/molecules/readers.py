"""The user's own molecules: any file of `formats` or of SMILES, or a folder of them, and molecules written as files."""

import sys
from collections.abc import Iterable
from pathlib import Path

from rdkit import Chem

from domains.molecules.answers import fields
from domains.molecules.collection import Collection
from domains.molecules.formats import ase_records, npz_records, sdf_records
from domains.molecules.record import Skipped, gather
from domains.molecules.smiles import csv_records, smiles_records
from domains.molecules.xyz import xyz_records
from sciddm.data.made import replace_text
from sciddm.data.reading import files, kind_of
from sciddm.errors import UserError

RECORDS = {
    ".sdf": sdf_records, ".sd": sdf_records, ".mol": sdf_records, ".xyz": xyz_records, ".extxyz": xyz_records,
    ".smi": smiles_records, ".smiles": smiles_records,
    ".csv": csv_records, ".db": ase_records, ".json": ase_records, ".npz": npz_records,
}  # fmt: skip


def read_molecules(path, *, progress=False, jobs=None) -> tuple[Collection, list[Skipped]]:
    """The molecules of a file, or of all files of known kind in a folder or that fit a pattern, in angstrom; and the records that
    gave none.

    Bonds and formal charges are those of the file (.sdf, .mol), or found by RDKit's DetermineBonds from coordinates (.xyz, .npz, ASE),
    or of SMILES, whose conformers are made (.smi, .csv). Missing hydrogens are added. What was skipped or added is said on stderr.
    Args: jobs: processes, None for one a core where there are many records.
    Raises: UserError naming the file and what was expected; if not one record is good, naming the first.
    """
    found = files(path, RECORDS, "molecules", mixed=True)
    records = (record for file in found for record in RECORDS[kind_of(file)](file))
    return gather(records, Path(path).expanduser(), jobs=jobs, progress=progress)


def write_molecules(molecules: Iterable[Chem.Mol | None], path) -> None:
    """Write molecules with a conformer each, in angstrom: .sdf (4 digits), with their properties as data fields, or .xyz with all frames
    (6 digits, "charge=" in the comment).

    None, for what became no molecule, is left out and counted on stderr.
    Raises: UserError on another suffix, a molecule without coordinates, or a place that can't be written.
    """
    path, molecules = Path(path).expanduser(), list(molecules)
    if path.suffix.lower() not in (".sdf", ".xyz"):
        raise UserError(f"{path}: format {path.suffix!r} can't be written; expected .sdf or .xyz")
    block = _sdf_block if path.suffix.lower() == ".sdf" else _xyz_block
    there = [(i, molecule) for i, molecule in enumerate(molecules) if molecule is not None]
    for i, molecule in there:
        if not molecule.GetNumConformers():
            raise UserError(f"{path}: molecule {i} has no coordinates; expected a conformer")
    try:
        replace_text(path, "".join(block(molecule) for _, molecule in there))
    except OSError as error:
        raise UserError(f"{path}: can't be written ({error.strerror}); give another place") from error
    if len(there) < len(molecules):
        missing = len(molecules) - len(there)
        print(f"{missing} of {len(molecules)} molecules left out of {path}: they are none", file=sys.stderr)


def _name(molecule):
    return " ".join(molecule.GetProp("_Name").split()) if molecule.HasProp("_Name") else ""


def _sdf_block(molecule):
    molecule = Chem.Mol(molecule)
    molecule.SetProp("_Name", _name(molecule))
    molecule.UpdatePropertyCache(strict=False)  # what a model made may have any valence, and is to be seen as it is
    data = "".join(f">  <{name}>\n{value}\n\n" for name, value in fields(molecule).items())
    return f"{Chem.MolToMolBlock(molecule)}{data}$$$$\n"


def _xyz_block(molecule):
    rows = zip(molecule.GetAtoms(), molecule.GetConformer().GetPositions(), strict=True)
    atoms = "".join(f"{atom.GetSymbol()} {x:.6f} {y:.6f} {z:.6f}\n" for atom, (x, y, z) in rows)
    comment = f"charge={Chem.GetFormalCharge(molecule)} {_name(molecule)}".strip()
    return f"{molecule.GetNumAtoms()}\n{comment}\n{atoms}"
