"""A record of a file of molecules, and how it becomes a molecule that is whole and in angstrom, or a reason why not."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import scipy
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

from domains.molecules.collection import Collection, make_molecule
from sciddm.activity import Bar
from sciddm.errors import UserError

ORDERS = {Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC}
ELEMENTS = {Chem.GetPeriodicTable().GetElementSymbol(number).upper(): number for number in range(1, 119)}
POLYMERS = {"SRU", "MON", "MER", "COP", "CRO", "MOD", "GRA", "ANY"}  # groups of a molfile that stand for more than is drawn
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?nan", re.ASCII | re.IGNORECASE)
CHARGED = 4  # e of one atom: what `Layout` tells apart
FARTHEST = 1e4  # angstrom from the origin: beyond, float32 has less than three decimals
LARGEST = 32_767  # atoms of a molecule: bonds are kept as int16
WORDS = 240  # characters of a reason
LONGEST = 10_000  # characters of a SMILES: RDKit's parser has no end to its own
MASSES = ("masses", "mass", "isotopes", "isotope", "mass_numbers", "mass_number")  # of atoms: u, or mass numbers
ANGSTROM = ("angstrom", "angstroms", "ang", "a", "å", "\u212b")
ORDINARY = 0.1  # u: how far averages of one element lie from each other, from table to table
OVERLAP = 0.3  # angstrom; the shortest bond, of H2, is .74
HYDROGEN_REACH = 1.75  # angstrom to the nearest atom: 1.1 in CH4, 1.61 in HI; in bohr 1.8 and more, but for H2
SHORT, LONG = 0.5, 1.5  # median over bonds, of the sum of radii; in bohr 1.89, and broken molecules keep most of theirs
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
    """A record of a file, not made yet: `make()` gives the molecule, or raises ValueError with the reason. text: the SMILES or the block
    of a molfile that it is made of, "" for one of positions."""

    file: str
    number: int
    name: str
    make: Callable[[], Chem.Mol]
    properties: dict[str, float] = field(default_factory=dict)
    text: str = ""


def gather(records: Iterable[Record], what, *, jobs=None, progress=False) -> tuple[Collection, list[Skipped]]:
    """Make the molecules of all records; those that can't be are listed, and summed up in one line on stderr.

    A property is kept if every molecule of a file has it, and is NaN for the files that have not.
    Args: what: named in messages; jobs: processes, None for one a core where there are many records.
    Raises: UserError if there is no record, or no good one.
    """
    import joblib

    records = list(records)
    workers = jobs or (os.cpu_count() if len(records) > MANY else 1)
    run = joblib.Parallel(n_jobs=workers, return_as="generator")
    results = run(joblib.delayed(_made)(record.make) for record in records)
    with Bar(results, total=len(records), desc=f"{what}", unit="molecule", disable=not progress) as bar:
        made = list(bar)
    good, molecules, skipped, grown = [], [], [], 0
    for record, (molecule, added, reason) in zip(records, made, strict=True):
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
    _summary(what, records, skipped, grown, _isotopes(good, molecules))
    return Collection.from_molecules(molecules, _common(good)), skipped


def _made(make):
    # (molecule, whether hydrogens were added, reason), in a process of its own.
    try:
        with rdBase.BlockLogs():
            molecule = make()
            check(molecule)
            check_scale(molecule)
            added = any(atom.GetTotalNumHs() for atom in molecule.GetAtoms())
            return (Chem.AddHs(molecule, addCoords=True) if added else molecule), added, ""
    except (ValueError, RuntimeError, OverflowError, UserError) as error:  # RuntimeError is how RDKit's invariants fail
        return None, False, reason_of(str(error)) or type(error).__name__


def reason_of(log: str) -> str:
    """The first line of what RDKit says that gives a reason, without its time stamp."""
    lines = (re.sub(r"^\[[\d:]+\] ?(ERROR: )?", "", line).strip() for line in log.splitlines())
    return next((line[:WORDS] for line in lines if line and not re.fullmatch(r"\*+|\w*-?\w+ Violation", line)), "")


def _isotopes(records, molecules):
    # (record, "13C") of the first isotope of each molecule that has one
    found = []
    for record, molecule in zip(records, molecules, strict=True):
        atom = next((atom for atom in molecule.GetAtoms() if atom.GetIsotope()), None)
        if atom is not None:
            found.append((record, f"{atom.GetIsotope()}{atom.GetSymbol()}"))
    return found


def _summary(what, records, skipped, grown, isotopes):
    parts = []
    if skipped:
        reasons = "; ".join(f"{_place(each, records)}: {each.reason}" for each in skipped[:3])
        more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        parts.append(f"{len(skipped)} of {len(records)} molecules of {what} skipped: {reasons}{more}")
    if grown:
        parts.append(f"{grown} of {len(records)} molecules of {what} had no explicit hydrogens, which were added")
    if isotopes:
        first, named = isotopes[0]
        where = _place(Skipped(first.file, first.number, ""), records)
        count = f"{len(isotopes)} of {len(records)} molecules of {what}"
        parts.append(f"{count} have isotopes, which are not modelled and are left out, such as {named} ({where})")
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


def check_text(smiles: str) -> None:
    """That a SMILES, with |...| of its own behind it, is one and of a length such as they have. Raises: UserError."""
    words = smiles.split(maxsplit=1)
    if odd := next((sign for sign in words[0] if not "!" <= sign <= "~"), "") if words else "":  # RDKit's parser ends there, in silence
        raise UserError(f"SMILES {smiles[:60]!r}: has the sign {odd!r} (U+{ord(odd):04X}); expected those of ASCII")
    if len(smiles.splitlines()) > 1 or (len(words) > 1 and not words[1].startswith("|")):
        raise UserError(f"SMILES {smiles[:60]!r}: expected one, without a blank in it")
    if len(smiles) > LONGEST:
        raise UserError(f"SMILES {smiles[:20]!r}... of {len(smiles)} characters: expected {LONGEST} at most; give a file with positions")


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
    check_graph(molecule)


def check_graph(molecule: Chem.Mol) -> None:
    """That bonds are of order 1 to 3 or aromatic in a ring, charges such as atoms have, no query, no polymer. Raises: as `check`."""
    for bond in molecule.GetBonds():
        if bond.GetBondType() not in ORDERS:
            raise ValueError(f"a bond of type {bond.GetBondType()}; expected single, double, triple or aromatic")
        ends = f"{bond.GetBeginAtomIdx() + 1} and {bond.GetEndAtomIdx() + 1}"
        if bond.GetBondType() == Chem.BondType.AROMATIC and not bond.GetIsAromatic():
            raise ValueError(f"an aromatic bond between atoms {ends}, which are in no aromatic ring; expected single, double or triple")
        if bond.HasProp("_MolFileBondEndPts"):
            raise ValueError(f"the bond between atoms {ends} may end at several atoms; expected a molecule")
        if bond.HasQuery():
            raise ValueError(f"the bond between atoms {ends} is a query, which several may fit; expected a molecule")
    for atom in molecule.GetAtoms():
        if atom.HasQuery() and atom.GetAtomicNum():
            raise ValueError(f"atom {atom.GetIdx() + 1} is a query, which several atoms may fit; expected a molecule")
        if abs(atom.GetFormalCharge()) > CHARGED:
            raise ValueError(f"atom {atom.GetIdx() + 1} has a charge of {atom.GetFormalCharge():+d}; expected -{CHARGED} to +{CHARGED}")
    groups = [group.GetProp("TYPE") for group in Chem.GetMolSubstanceGroups(molecule) if group.HasProp("TYPE")]
    if molecule.HasProp("_molLinkNodes"):
        raise ValueError("has a part that may be repeated (a link node); expected a molecule")
    if repeated := sorted(POLYMERS & set(groups)):
        raise ValueError(f"a polymer (a group {repeated[0]} in brackets); expected a molecule")


def check_atoms(numbers, positions) -> None:
    """That atoms are elements, in angstrom as far as the numbers show. numbers: (n,); positions: (n, 3). Raises: as `check`."""
    check_values(numbers, positions)
    numbers = np.asarray(numbers)
    if len(numbers) < 2:
        return
    distances, both = scipy.spatial.KDTree(positions).query(positions, k=2)  # of itself, first or second, and of the nearest
    distance = distances[:, 1]
    if distance.min() < OVERLAP:
        at = int(np.argmin(distance))
        first, second = sorted(both[at] + 1)
        raise ValueError(f"atoms {first} and {second} are {distance[at]:.2f} angstrom apart; are these nm?")
    reach = np.median(distance[numbers == 1]) if (numbers == 1).any() else 0.0
    if reach > HYDROGEN_REACH:
        raise ValueError(f"hydrogens are {reach:.2f} angstrom from the nearest atom, expected about 1; are these bohr?")


def check_values(numbers, positions) -> None:
    """That atoms are elements and coordinates are numbers, whatever their distances. Raises: as `check`."""
    numbers = np.asarray(numbers)
    if positions is None:
        raise ValueError("no coordinates")
    if len(numbers) > LARGEST:
        raise ValueError(f"{len(numbers)} atoms; expected {LARGEST} at most")
    if (numbers < 1).any() or (numbers > 118).any():
        at = int(np.argmax((numbers < 1) | (numbers > 118)))
        raise ValueError(f"atom {at + 1} is of no element")
    positions = np.asarray(positions)
    if not np.isfinite(positions).all():
        at = int(np.argmin(np.isfinite(positions).all(1)))
        raise ValueError(f"atom {at + 1} has coordinates {positions[at].tolist()}, which are no numbers")
    if np.abs(positions).max(initial=0.0) > FARTHEST:
        at = int(np.argmax(np.abs(positions).max(1)))
        raise ValueError(f"atom {at + 1} has coordinates {positions[at].tolist()}; expected {FARTHEST:g} angstrom from the origin at most")


def check_scale(molecule: Chem.Mol) -> None:
    """That bonds are about as long as bonds are: of positions in bohr, nm or pm none is. Raises: ValueError with what the unit may be."""
    if not molecule.GetNumBonds():
        return
    table, positions = Chem.GetPeriodicTable(), molecule.GetConformer().GetPositions()
    ends = np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()])
    radii = np.array([table.GetRcovalent(atom.GetAtomicNum()) for atom in molecule.GetAtoms()])
    ratio = np.median(np.linalg.norm(positions[ends[:, 0]] - positions[ends[:, 1]], axis=-1) / radii[ends].sum(-1))
    if not SHORT < ratio < LONG:
        raise ValueError(f"bonds are {ratio:.2g} times as long as expected; are positions in another unit than angstrom?")


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


def from_positions(numbers, positions, charge: int = 0, isotopes: Mapping[int, int] = MappingProxyType({})) -> Chem.Mol:
    """A sanitised molecule with the bonds that RDKit finds. positions: (n, 3), angstrom; isotopes: atom -> mass number.

    Raises: ValueError if it finds none.
    """
    check_atoms(numbers, positions)
    molecule = make_molecule(numbers, positions, np.zeros(len(numbers), np.int8), [])
    try:
        rdDetermineBonds.DetermineBonds(molecule, charge=charge, embedChiral=False, maxIterations=SEARCH)
        Chem.SanitizeMol(molecule)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"no bonds of a molecule of charge {charge} are found; is its charge another? "
            "(charge=-1 in the comment line of an .xyz says so); else, as of salts of metals, give an .sdf, which says its bonds"
        ) from error
    if len(numbers) == 1:  # an ion of one atom, whose charge RDKit leaves out
        molecule.GetAtomWithIdx(0).SetFormalCharge(charge)
        molecule.GetAtomWithIdx(0).SetNumRadicalElectrons(0) if charge else None
    if (found := Chem.GetFormalCharge(molecule)) != charge:
        raise ValueError(f"its bonds are those of a charge of {found}, and it has {charge}; give an .sdf, which says its bonds")
    _check_whole(molecule)
    for atom, mass in isotopes.items():
        molecule.GetAtomWithIdx(atom).SetIsotope(mass)
    return molecule


def isotope_of(number: int, mass: float) -> int:
    """The mass number that a mass in u, or a mass number, says of an element; 0 for its average or most common mass, or for none."""
    if not (1 <= number <= 118 and math.isfinite(mass)):
        return 0
    table = Chem.GetPeriodicTable()
    average, common = table.GetAtomicWeight(number), table.GetMostCommonIsotope(number)
    other = abs(mass - average) > ORDINARY and round(mass) != common
    return round(mass) if other and 0.5 * average < mass < 4.5 * average else 0  # beyond, it is in another unit


def _check_whole(molecule):
    # What a box cuts in two becomes a radical, a lone hydrogen or an ion of carbon beside another piece; salts are made of none of these.
    pieces = Chem.GetMolFrags(molecule)
    for piece in pieces if len(pieces) > 1 else ():
        atoms = [molecule.GetAtomWithIdx(i) for i in piece]
        charged = sum(atom.GetFormalCharge() for atom in atoms) != 0
        for atom in atoms:
            ion = charged and atom.GetAtomicNum() == 6 and atom.GetFormalCharge() and atom.GetDegree() > 1
            if ion or atom.GetNumRadicalElectrons() or (len(piece) == 1 and atom.GetAtomicNum() == 1):
                what = f"{len(pieces)} pieces, one of them a radical, a hydrogen or an ion of carbon at atom {atom.GetIdx() + 1}"
                raise ValueError(f"{what}; is it cut by a periodic cell?")


def charge_of(text: str) -> int:
    """The charge that a text says, in e: "-1", "-1.0", "2+". Raises: ValueError if it is no whole number."""
    plain = text.strip().replace("\u2212", "-").replace("\u2013", "-")
    plain = plain[-1] + plain[:-1] if re.fullmatch(r"\d+[+-]", plain, re.ASCII) else plain
    value = number_of(plain)
    if value is None:
        raise ValueError(f"charge is {text[:40]!r}; expected a whole number, such as charge=-1")
    return whole_charge(value, 0.0)


def whole_charge(value: float, rounding: float = 0.01) -> int:
    """A charge in e, or the sum of those of atoms, as a whole number. Raises: ValueError if it is none."""
    if not (math.isfinite(value) and abs(value) < 1000 and abs(value - round(value)) <= rounding):
        raise ValueError(f"charge is {value:g}; expected a whole number, such as charge=-1")
    return round(value)


def said_twice(pairs) -> str:
    """Why (key, number) pairs are none of one record, "" where they are: a key is there twice, with two numbers."""
    first = {}
    for key, value in pairs:
        if first.setdefault(key, value) != value and not (value != value and first[key] != first[key]):
            return f"{key} is there twice, as {first[key]:g} and {value:g}; expected one"
    return ""


def number_of(text: str) -> float | None:
    """The number that a text is, NaN among them, or None, also beyond single precision."""
    if not NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    return None if abs(value) > 1e38 else value
