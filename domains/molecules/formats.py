"""Files of molecules: the records of each format, SMILES but for `smiles`."""

import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rdkit import Chem

from domains.molecules.record import Record, fail, from_block, from_positions, number_of
from sciddm.data.reading import need, read_text, reading
from sciddm.errors import UserError

ELEMENTS = {Chem.GetPeriodicTable().GetElementSymbol(number).upper(): number for number in range(1, 119)}


def sdf_records(file: Path) -> Iterator[Record]:
    """.sdf, .sd, .mol: data fields that are numbers are properties."""
    blocks = re.split(r"^\$\$\$\$.*\n?", read_text(file), flags=re.MULTILINE)
    if not blocks[-1].strip():
        blocks.pop()
    for number, block in enumerate(blocks, 1):
        title = block.split("\n", 1)[0].strip()
        found = re.findall(r"^>[^<\n]*<([^>\n]+)>[^\n]*\n([^\n]*)", block, flags=re.MULTILINE)
        properties = {key: value for key, text in found if (value := number_of(text)) is not None}
        # RDKit's supplier drops the carriage return of Windows itself, but not in the title.
        yield Record(str(file), number, title or f"{file.stem} {number}", partial(from_block, block), properties, block)


def xyz_records(file: Path) -> Iterator[Record]:
    """.xyz, one frame or many; "charge=-1" in the comment line is the charge of the molecule, which is neutral else."""
    lines, at, number = read_text(file).splitlines(), 0, 0
    while True:
        while at < len(lines) and not lines[at].strip():
            at += 1
        if at >= len(lines):
            return
        number += 1
        try:
            atoms, end = _frame(lines, at)
        except _Broken as broken:
            yield Record(str(file), number, "", partial(fail, str(broken)))
            at = broken.resume
            while at < len(lines) and not lines[at].strip().isdigit():
                at += 1
            continue
        comment = lines[at + 1].strip()
        charge = re.search(r"\bcharge\s*=\s*\"?([+-]?\d+)\b", comment)
        rest = comment.replace(charge[0], "").strip() if charge else comment
        extended = re.search(r"\b(Properties|Lattice)=", rest)  # keys and values, which name nothing
        name = f"{file.stem} {number}" if extended or not rest else rest
        numbers, positions = [atom[0] for atom in atoms], np.array([atom[1:] for atom in atoms])
        make = partial(from_positions, numbers, positions, int(charge[1]) if charge else 0)
        yield Record(str(file), number, name, make)
        at = end


class _Broken(ValueError):
    """A frame that isn't whole; resume: the line where the search for the next one begins."""

    def __init__(self, reason, resume):
        super().__init__(reason)
        self.resume = resume


def _frame(lines, at):
    # ([(number, x, y, z)], the line behind the frame that begins at line `at`)
    stated = lines[at].strip()
    if not stated.isdigit() or not int(stated):
        raise _Broken(f"line {at + 1} is {stated[:40]!r}; expected the number of atoms", at + 1)
    first, end, atoms = at + 2, at + 2 + int(stated), []
    for i in range(first, end):
        line = lines[i] if i < len(lines) else "the end of the file"
        atom = _atom(line.split()) if i < len(lines) else None
        if atom is None:
            reason = f"line {i + 1} is {line.strip()[:40]!r}; expected atom {i - first + 1} of {stated}"
            raise _Broken(f"{reason}: an element and three coordinates", i)
        atoms.append(atom)
    if end < len(lines) and _atom(lines[end].split()):
        raise _Broken(f"line {end + 1} goes on behind the {stated} atoms that line {at + 1} states", end)
    return atoms, end


def _atom(words):
    if len(words) < 4:
        return None
    number = int(words[0]) if words[0].isdigit() else ELEMENTS.get(words[0].upper())
    try:
        return None if number is None else (number, *(float(word) for word in words[1:4]))
    except ValueError:
        return None


def ase_records(file: Path) -> Iterator[Record]:
    """.db, .json of ASE: key-value pairs that are numbers are properties; the charge is the sum of the initial charges."""
    ase_db = need("ase.db", file, "molecules")
    with reading(file, "not a readable ASE database", way_out="write it again by ase.db"):
        rows = list(ase_db.connect(file, use_lock_file=False).select())
    for number, row in enumerate(rows, 1):
        pairs = row.key_value_pairs
        properties = {key: float(value) for key, value in pairs.items() if isinstance(value, (int, float))}
        charge = round(float(np.sum(row.get("initial_charges", 0))))
        make = partial(from_positions, row.numbers, row.positions, charge)
        if any(row.pbc):
            make = partial(fail, f"periodic (pbc = {np.asarray(row.pbc).tolist()}); expected a molecule")
        yield Record(str(file), number, str(pairs.get("name", f"{file.stem} {number}")), make, properties)


def npz_records(file: Path) -> Iterator[Record]:
    """.npz: R (M, n, 3) and Z (M, n), 0 for padding; or positions (A, 3), atomic_numbers (A,) and n_atoms (M,); angstrom.

    Further arrays (M,) of numbers are properties; "charge" is the charge of the molecule too.
    """
    with reading(file, "not a readable npz file", way_out="expected arrays of numbers"):
        with np.load(file, allow_pickle=False) as opened:
            arrays = {key: opened[key] for key in opened.files}
    if {"R", "Z"} <= set(arrays):
        R, Z = arrays["R"], arrays["Z"]
        if Z.ndim != 2 or R.shape != (*Z.shape, 3):
            raise UserError(f"{file}: R {R.shape} and Z {Z.shape}; expected (M, n, 3) and (M, n)")
        parts = [(z[z > 0], r[z > 0]) for z, r in zip(Z, R, strict=True)]
    elif {"atomic_numbers", "positions", "n_atoms"} <= set(arrays):
        numbers, positions, sizes = (arrays[key] for key in ("atomic_numbers", "positions", "n_atoms"))
        total = (int(sizes.sum()),)
        if sizes.ndim != 1 or (sizes < 0).any() or numbers.shape != total or positions.shape != (*total, 3):
            found = f"atomic_numbers {numbers.shape}, positions {positions.shape}, n_atoms summing to {total[0]}"
            raise UserError(f"{file}: {found}; expected (A,), (A, 3) and a sum of A")
        ends = np.cumsum(sizes)[:-1]
        parts = list(zip(np.split(numbers, ends), np.split(positions, ends), strict=True))
    else:
        raise UserError(
            f"{file}: has arrays {sorted(arrays)}; expected R and Z, or atomic_numbers, positions and n_atoms"
        )
    layout = {"R", "Z", "atomic_numbers", "positions", "n_atoms"}
    extra = {
        key: a for key, a in arrays.items() if a.shape == (len(parts),) and a.dtype.kind in "biuf" and key not in layout
    }
    for i, (numbers, positions) in enumerate(parts):
        properties = {key: float(array[i]) for key, array in extra.items()}
        charge = properties.get("charge", 0.0)
        if not len(numbers):
            make = partial(fail, "no atoms")
        elif charge != round(charge) if math.isfinite(charge) else True:
            make = partial(fail, f"charge is {charge:g}, expected a whole number")
        else:
            make = partial(from_positions, numbers, positions, int(charge))
        yield Record(str(file), i + 1, f"{file.stem} {i + 1}", make, properties)
