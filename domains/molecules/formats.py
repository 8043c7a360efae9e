"""Files of molecules: each format's records, and how a record becomes a molecule that is whole and in angstrom, or a reason why not."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import joblib
import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds
from scipy.spatial import KDTree
from tqdm import tqdm

from domains.molecules.collection import Collection, make_molecule
from sciddm.errors import UserError

ELEMENTS = {Chem.GetPeriodicTable().GetElementSymbol(number).upper(): number for number in range(1, 119)}
ORDERS = {Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC}
OVERLAP = 0.3  # angstrom; the shortest bond, of H2, is .74
HYDROGEN_REACH = 1.75  # angstrom to the nearest atom: 1.1 in CH4, 1.61 in HI; in bohr 1.8 and more, but for H2
SEARCH = 20_000  # steps of the search for bond orders, which else never ends on some molecules of a hundred atoms
MANY = 1000  # records; starting processes takes longer than making fewer


@dataclass(frozen=True)
class Skipped:
    """A record that gave no molecule. record: counted from 1 within its file."""

    file: str
    record: int
    reason: str


@dataclass(frozen=True)
class Record:
    """A record of a file, not made yet: `make()` gives the molecule, or raises ValueError with the reason."""

    file: str
    number: int
    name: str
    make: Callable[[], Chem.Mol]
    properties: dict[str, float] = field(default_factory=dict)


def gather(records: Iterable[Record], what, *, jobs=None, progress=False) -> tuple[Collection, list[Skipped]]:
    """Make the molecules of all records; those that can't be are listed, and summed up in one line on stderr.

    A property is kept if every molecule of a file has it, and is NaN for the files that have not.
    Args: what: named in messages; jobs: processes, None for one a core where there are many records.
    Raises: UserError if there is no record, or no good one.
    """
    records = list(records)
    workers = jobs or (os.cpu_count() if len(records) > MANY else 1)
    run = joblib.Parallel(n_jobs=workers, return_as="generator")
    results = run(joblib.delayed(_made)(record.make) for record in records)
    bar = tqdm(results, total=len(records), desc=f"{what}", unit="molecule", disable=not progress)
    good, molecules, skipped, grown = [], [], [], 0
    for record, (molecule, added, reason) in zip(records, bar, strict=True):
        if molecule is None:
            skipped.append(Skipped(record.file, record.number, reason))
            continue
        molecule.SetProp("_Name", record.name)
        good.append(record)
        molecules.append(molecule)
        grown += added
    if not molecules:
        first = f"; the first, {_place(skipped[0], records)}: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{what}: none of {len(records)} molecules can be read, expected at least one{first}")
    _summary(what, records, skipped, grown)
    return Collection.from_molecules(molecules, _common(good)), skipped


def _made(make):
    # (molecule, whether hydrogens were added, reason), in a process of its own.
    try:
        with rdBase.BlockLogs():
            molecule = make()
            check(molecule)
            added = any(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
            return (Chem.AddHs(molecule, addCoords=True) if added else molecule), added, ""
    except (ValueError, RuntimeError, UserError) as error:  # RuntimeError is how RDKit's invariants fail
        return None, False, reason_of(str(error)) or type(error).__name__


def reason_of(log: str) -> str:
    """The first line of what RDKit says that tells a reason, without its time stamp."""
    lines = (re.sub(r"^\[[\d:]+\] ?(ERROR: )?", "", line).strip() for line in log.splitlines())
    return next((line for line in lines if line and not re.fullmatch(r"\*+|\w*-?\w+ Violation", line)), "")


def _summary(what, records, skipped, grown):
    parts = []
    if skipped:
        reasons = "; ".join(f"{_place(each, records)}: {each.reason}" for each in skipped[:3])
        more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        parts.append(f"{len(skipped)} of {len(records)} molecules of {what} skipped: {reasons}{more}")
    if grown:
        parts.append(f"{grown} of {len(records)} molecules of {what} had no explicit hydrogens, which were added")
    if parts:
        print(". ".join(parts), file=sys.stderr)


def _place(skipped, records):
    several = len({record.file for record in records}) > 1
    return f"{Path(skipped.file).name} record {skipped.record}" if several else f"record {skipped.record}"


def _common(records):
    kept: dict[str, set] = {}
    for record in records:
        kept[record.file] = kept.get(record.file, set(record.properties)) & set(record.properties)
    names = sorted(set().union(*kept.values()))
    here = lambda record, name: record.properties[name] if name in kept[record.file] else math.nan  # noqa: E731
    return {name: np.array([here(record, name) for record in records], np.float32) for name in names}


def check(molecule: Chem.Mol) -> None:
    """That a molecule has elements, bonds of order 1 to 3, and three-dimensional coordinates in angstrom.

    Raises: ValueError that names the atom and the reason.
    """
    if not molecule.GetNumAtoms():
        raise ValueError("no atoms")
    check_atoms(
        [atom.GetAtomicNum() for atom in molecule.GetAtoms()],
        molecule.GetConformer().GetPositions() if molecule.GetNumConformers() else None,
    )
    for bond in molecule.GetBonds():
        if bond.GetBondType() not in ORDERS:
            raise ValueError(f"a bond of type {bond.GetBondType()}; expected single, double, triple or aromatic")


def check_atoms(numbers, positions) -> None:
    """That atoms are elements, in angstrom as far as can be told. numbers: (n,); positions: (n, 3). Raises: as `check`."""
    numbers = np.asarray(numbers)
    if positions is None:
        raise ValueError("no coordinates")
    if (numbers < 1).any() or (numbers > 118).any():
        at = int(np.argmax((numbers < 1) | (numbers > 118)))
        raise ValueError(f"atom {at + 1} is of no element")
    if not np.isfinite(positions).all():
        at = int(np.argmin(np.isfinite(positions).all(1)))
        raise ValueError(f"atom {at + 1} has coordinates {positions[at].tolist()}, which are no numbers")
    if len(numbers) < 2:
        return
    distances, both = KDTree(positions).query(positions, k=2)  # of itself, first or second, and of the nearest
    distance = distances[:, 1]
    if distance.min() < OVERLAP:
        at = int(np.argmin(distance))
        first, second = sorted(both[at] + 1)
        raise ValueError(f"atoms {first} and {second} are {distance[at]:.2f} angstrom apart; are these nm?")
    reach = np.median(distance[numbers == 1]) if (numbers == 1).any() else 0.0
    if reach > HYDROGEN_REACH:
        raise ValueError(f"hydrogens are {reach:.2f} angstrom from the nearest atom, expected about 1; are these bohr?")


def fail(reason: str):
    """`make` of a record that can't be read."""
    raise ValueError(reason)


def from_block(block: str) -> Chem.Mol:
    """A sanitised molecule of a molfile or SDF block. Raises: ValueError with RDKit's reason."""
    supplier = Chem.SDMolSupplier()
    with rdBase.CaptureErrorLog() as log:
        supplier.SetData(block, sanitize=False, removeHs=False)
        molecule = next(iter(supplier), None)
    if molecule is None:
        raise ValueError(reason_of(log.messages) or "not a block of a molfile")
    if not molecule.GetNumAtoms():
        raise ValueError("no atoms")
    if not molecule.GetNumConformers() or not molecule.GetConformer().Is3D():
        raise ValueError("no three-dimensional coordinates: z is 0 everywhere and the header doesn't say 3D")
    Chem.SanitizeMol(molecule)
    return molecule


def from_positions(numbers, positions, charge: int = 0) -> Chem.Mol:
    """A sanitised molecule with the bonds that RDKit finds. positions: (n, 3), angstrom. Raises: ValueError if it finds none."""
    check_atoms(numbers, positions)
    molecule = make_molecule(numbers, positions, np.zeros(len(numbers), np.int8), [])
    try:
        rdDetermineBonds.DetermineBonds(molecule, charge=charge, embedChiral=False, maxIterations=SEARCH)
        Chem.SanitizeMol(molecule)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"no bonds of a molecule of charge {charge} are found; is its charge another? ({type(error).__name__})"
        ) from error
    return molecule


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
        yield Record(str(file), number, title or f"{file.stem} {number}", partial(from_block, block), properties)


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
    try:
        import ase.db  # an extra
    except ImportError as error:
        raise UserError(f"{file}: reading it needs ase: pip install 'sciddm[molecules]'") from error
    try:
        rows = list(ase.db.connect(file, use_lock_file=False).select())
    except Exception as error:  # sqlite, json and ase each have their own ways to fail
        raise UserError(f"{file}: not a readable ASE database ({_first(error)}); write it again by ase.db") from error
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
    try:
        with np.load(file, allow_pickle=False) as opened:
            arrays = {key: opened[key] for key in opened.files}
    except Exception as error:  # zipfile, zlib and numpy each have their own ways to fail
        raise UserError(f"{file}: not a readable npz file ({_first(error)}); expected arrays of numbers") from error
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


def read_text(file: Path) -> str:
    """The text of a file, of any encoding: only its ASCII part matters. Raises: UserError if it can't be read."""
    try:
        return file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{file}: can't be read ({error.strerror}); check its permissions") from error


def number_of(text: str) -> float | None:
    """The number that a text is, NaN among them, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isinf(value) else value


def _first(error):
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
