"""XYZ: plain; extended, with keys and names of columns in the comment line; and QM9's own files, with their properties in it."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rdkit import Chem

from domains.molecules.qm9 import PROPERTIES, build
from domains.molecules.record import (
    ANGSTROM,
    ELEMENTS,
    MASSES,
    Record,
    charge_of,
    fail,
    from_positions,
    isotope_of,
    number_of,
    said_twice,
    whole_charge,
)
from sciddm.data.reading import read_text, stem_of

LONGEST = 100_000  # characters of a comment line
COUNT = re.compile(r"\d{1,9}", re.ASCII)
# As Fortran and Mathematica write it, too: 1.0D-05, 1.0*^-5
COORDINATE = re.compile(r"(?P<digits>[+-]?(?:\d+\.?\d*|\.\d+))(?:(?:[eEdD]|\*\^)(?P<power>[+-]?\d+))?|[+-]?(?:nan|inf)", re.ASCII | re.I)
VALUE = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|\{[^}]*\}|\[[^\]]*\]+|(?:[^\s,;)\]}]|[,;](?![A-Za-z_\s]|$))*"
PAIR = re.compile(rf"(?<![\w.\-])([A-Za-z_][\w.\-]*)\s*=\s*({VALUE})")
CHARGE = re.compile(
    rf"(?<![\w.])(?:(?:(?:total|net|formal|overall|molecular|molecule|mol|system|ion|ionic)[ _-]?)?(?:charge|chg|chrg)[\"']?"
    rf"\s*(?:[=:]\s*({VALUE})|\s(?:is )?([+-]?\d\S*))|q\s*[=:]\s*({VALUE}))",
    re.IGNORECASE,
)
# What says that a frame is periodic or in another unit, under any of its names: pbc="T T T", cell: 8 8 8, CELL(abcABC): 8 8 8 90 90 90.
LOGICAL = r"(?:[tf01]|true|false|\.true\.|\.false\.)(?![\w.])"
PERIODIC = re.compile(rf"(?<![\w.\-])(?:pbc|periodic|periodicity)[\"']?\s*[=:]\s*({LOGICAL}(?:[\s,]+{LOGICAL})*|{VALUE})", re.IGNORECASE)
NUMERAL = r"[+-]?[\d.][^\s,]*"
CELL = re.compile(
    rf"(?<![\w.\-])(?:lattice|cell|unit_?cell|box)[\"']?(?:\(\w*\))?\s*[=:]\s*({NUMERAL}(?:[\s,]+{NUMERAL})*|{VALUE})", re.IGNORECASE
)
UNIT = re.compile(
    rf"(?<![\w.\-])(?:(?:length_?)?units?[\"']?\s*[=:]\s*({VALUE})|positions\s*\{{(\w+)\}})", re.IGNORECASE
)
TRUE, FALSE = {"t", "true", ".true.", "1"}, {"f", "false", ".false.", "0"}
SPECIES, NUMBERS, POSITIONS = ("species", "element", "elements", "symbols"), ("z", "numbers", "atomic_numbers"), ("pos", "positions")
# Rotational constants, and then as the tables have them (Ramakrishnan et al. 2014, table 3).
OF_QM9 = ("rotational A", "rotational B", "rotational C", *(name for name, _ in PROPERTIES.values()))


class _Broken(ValueError):
    """A frame that isn't whole; resume: the line where the search for the next one begins."""

    def __init__(self, reason, resume):
        super().__init__(reason)
        self.resume = resume


def xyz_records(file: Path) -> Iterator[Record]:
    """.xyz, .extxyz, one frame or many. "charge=-1" in the comment line is the charge of the molecule, which is neutral else.

    Extended: columns by `Properties=`; `pbc` and `Lattice` are refused, since a molecule has none; other numbers are properties, and `name`
    is the name. QM9's: properties by name, bonds by its SMILES where that fits the geometry.
    """
    lines, at, number = read_text(file).removesuffix("\n").split("\n"), 0, 0
    while True:
        while at < len(lines) and not lines[at].strip():
            at += 1
        if at >= len(lines):
            return
        number += 1
        called = f"{stem_of(file)} {number}"
        try:
            comment = Comment(lines[at + 1] if at + 1 < len(lines) else "")
            if len(comment.line) > LONGEST:
                raise _Broken(f"line {at + 2} has {len(comment.line)} characters; expected {LONGEST} at most", at + 2)
            atoms, end = _frame(lines, at, comment)
        except _Broken as broken:
            yield Record(str(file), number, called, partial(fail, str(broken)))
            at = broken.resume
            while at < len(lines) and not COUNT.fullmatch(lines[at].strip()):
                at += 1
            continue
        smiles, at = _behind(lines, end, len(atoms)) if comment.of_qm9 else ((), end)
        try:
            make, properties = comment.made(atoms, smiles)
        except ValueError as error:
            make, properties = partial(fail, str(error)), {}
        yield Record(str(file), number, comment.name or called, make, properties)


class Comment:
    """What the second line of a frame says. pairs: keys in small letters -> texts; name: "" where it says none; columns: of an atom's line,
    (places of the element, of x, of the charge or None, number of columns or None, place of the mass or None)."""

    def __init__(self, line: str):
        self.line = line.strip()
        self.pairs = {key.lower(): _bare(value) for key, value in PAIR.findall(self.line[:LONGEST])}
        self.of_qm9 = re.match(r"gdb\s+\d+(\s|$)", self.line) is not None
        extended = self.pairs.keys() & {"properties", "lattice", "pbc", "cell"}
        rest = CHARGE.sub("", self.line[:LONGEST]).strip(" \t,;")
        self.name = " ".join(self.line.split()[:2]) if self.of_qm9 else self.pairs.get("name", "") if extended else rest
        self.extended = bool(extended)

    @property
    def columns(self):
        """Raises: ValueError where Properties has no columns of elements and positions, or is none."""
        if "properties" not in self.pairs:
            return (0,), 1, None, None, None
        words, at, places = self.pairs["properties"].split(":"), 0, {}
        whole = len(words) % 3 == 0 and all(COUNT.fullmatch(n) for n in words[2::3])
        if not whole or not all(kind.upper() in "SRIL" and kind for kind in words[1::3]):
            raise ValueError(f"Properties is {self.pairs['properties'][:60]!r}; expected names, types and columns: species:S:1:pos:R:3")
        for name, count in zip(words[::3], map(int, words[2::3]), strict=True):
            if name.lower() in places:
                raise ValueError(f"Properties names {name} twice")
            places[name.lower()], at = (at, count), at + count
        elements = [places[name] for name in (*SPECIES, *NUMBERS) if name in places]
        position = next((places[name] for name in POSITIONS if name in places), None)
        if position is None or position[1] != 3 or not elements or any(count != 1 for _, count in elements):
            there = ", ".join(f"{name} ({count})" for name, (_, count) in places.items())
            raise ValueError(f"Properties has columns {there}; expected species (1) and pos (3)")
        charges = places.get("initial_charges")
        mass = next((places[name][0] for name in MASSES if places.get(name, (0, 0))[1] == 1), None)
        return tuple(place for place, _ in elements), position[0], charges[0] if charges else None, at, mass

    def charge(self, of_atoms) -> int:
        """That of the molecule, else the sum of the charges of its atoms. Raises: ValueError where it is no whole number, or said twice."""
        found = {charge_of(_bare(next(filter(None, match.groups()), ""))) for match in CHARGE.finditer(self.line)}
        if of_atoms:
            found.add(whole_charge(sum(of_atoms)))
        if len(found) > 1:
            raise ValueError(f"its charge is {' and '.join(map(str, sorted(found)))}; expected one")
        return found.pop() if found else 0

    def check_no_crystal(self):
        """Raises: ValueError of a frame that is periodic: with `Lattice` it is, unless pbc="F F F" says that it isn't."""
        line = self.line[:LONGEST]
        said = [_bare(text).strip("[]{}()\"' ") for text in PERIODIC.findall(line)]
        words = [word for text in said for word in re.split(r"[\s,]+", text.lower()) if word]
        if unknown := [word for word in words if word not in TRUE | FALSE]:
            raise ValueError(f"pbc has {unknown[0]!r}; expected T or F three times")
        if any(word in TRUE for word in words):
            raise ValueError(f"periodic (pbc = {said[0]}); expected a molecule")
        if said and len(words) not in (1, 3):
            raise ValueError(f"pbc is {said[0]!r}; expected T or F three times")
        cells = [re.findall(r"[^\s,\[\]{}()]+", _bare(text)) for text in CELL.findall(line)]
        if not words and any(len(cell) not in (3, 6, 9) or any(number_of(word) != 0 for word in cell) for cell in cells):
            raise ValueError('periodic (it has a Lattice); expected a molecule, or pbc="F F F" beside it')
        units = [_bare(next(filter(None, match.groups()), "")) for match in UNIT.finditer(line)]
        if other := [unit for unit in units if unit.lower() not in ANGSTROM]:
            raise ValueError(f"its unit is {other[0]}; expected angstrom")

    def made(self, atoms, smiles):
        """(make, properties) of a frame. atoms: of `_frame`; smiles: of QM9's, of the geometry first."""
        self.check_no_crystal()
        numbers, positions = [atom[0] for atom in atoms], np.array([atom[2:5] for atom in atoms])
        isotopes = {i: atom[1] for i, atom in enumerate(atoms) if atom[1]}
        charge = self.charge([atom[5] for atom in atoms if atom[5] is not None])
        if self.of_qm9:
            return partial(_of_qm9, numbers, positions, smiles), self._properties_of_qm9()
        found = [(key, value) for key, text in PAIR.findall(self.line) if (value := number_of(_bare(text))) is not None]
        skip = ("charge", "total_charge", "net_charge", "q", "pbc", "name", "lattice", "cell")
        if self.extended and (twice := said_twice(pair for pair in found if pair[0].lower() not in skip)):
            raise ValueError(twice)
        properties = {key: value for key, value in found if self.extended and key.lower() not in skip}
        return partial(from_positions, numbers, positions, charge, isotopes), properties

    def _properties_of_qm9(self):
        words = self.line.split()[2:]
        values = [_coordinate(word) for word in words]
        if len(words) != len(OF_QM9) or not all(value is not None and np.isfinite(value) for value in values):
            raise ValueError(f"its second line begins as in QM9, and {len(words)} words follow; expected {len(OF_QM9)} numbers")
        return dict(zip(OF_QM9, values, strict=True))


def _frame(lines, at, comment):
    # ([(number, isotope, x, y, z, charge or None)], the line behind the frame that begins at line `at`)
    stated = lines[at].strip()
    if not COUNT.fullmatch(stated) or not int(stated):
        raise _Broken(f"line {at + 1} is {stated[:40]!r}; expected the number of atoms", at + 1)
    try:
        columns = comment.columns
    except ValueError as error:
        raise _Broken(f"line {at + 2}: {error}", at + 2) from error
    first, end, atoms = at + 2, at + 2 + int(stated), []
    for i in range(first, end):
        line = lines[i] if i < len(lines) else "the end of the file"
        atom = _atom(line.split(), columns) if i < len(lines) else None
        if atom is None:
            reason = f"line {i + 1} is {line.strip()[:40]!r}; expected atom {i - first + 1} of {stated}"
            what = "an element and three coordinates" if columns[3] is None else f"{columns[3]} columns, as Properties says, of one element"
            raise _Broken(f"{reason}: {what}", i)
        atoms.append(atom)
    if columns[3] is None and _is_shifted([lines[i].split() for i in range(first, end)], atoms):
        reason = "a whole number between its element and coordinates; name columns above, as Properties=species:S:1:id:I:1:pos:R:3"
        raise _Broken(f"line {first + 1} has {reason}", end)
    if end < len(lines) and _atom(lines[end].split(), columns):
        raise _Broken(f"line {end + 1} goes on behind the {stated} atoms that line {at + 1} states", end)
    return atoms, end


def _is_shifted(rows, atoms) -> bool:
    # Whether a number stands between each element and its coordinates: an index, a code that freezes an atom, or the atomic number.
    if any(len(row) < 5 or not all("." in word for word in row[2:5]) for row in rows):
        return False
    return all("." not in row[1] for row in rows) or all(_coordinate(row[1]) == atom[0] for row, atom in zip(rows, atoms, strict=True))


def _atom(words, columns):
    elements, x, charge, count, mass = columns
    if len(words) < x + 3 or (count is not None and len(words) != count):
        return None
    kinds = {_element(words[place]) for place in elements}
    values = [_coordinate(word) for word in words[x : x + 3]]
    own = _coordinate(words[charge]) if charge is not None else None
    if len(kinds) > 1 or None in kinds or None in values or (charge is not None and own is None):
        return None
    number, isotope = kinds.pop()
    if mass is not None and (said := _coordinate(words[mass])) is not None:
        isotope = isotope or isotope_of(number, said)
    return number, isotope, *values, own


def _element(word: str) -> tuple[int, int] | None:
    # (atomic number, isotope or 0) of a symbol or a number
    if re.fullmatch(r"\d{1,3}(\.0*)?", word, re.ASCII):
        return int(float(word)), 0
    if word.upper() in ("D", "T"):
        return 1, 2 if word.upper() == "D" else 3
    number = ELEMENTS.get(word.upper())
    return None if number is None else (number, 0)


def _coordinate(word: str) -> float | None:
    found = COORDINATE.fullmatch(word)
    if not found:
        return None
    return float(f"{found['digits']}e{found['power'] or 0}") if found["digits"] else float(word)


def _behind(lines, at, count):
    # ((SMILES of the geometry, of the graph that it began with), the line behind) of a frame of QM9: frequencies, SMILES, InChI
    if at < len(lines) and len(words := lines[at].split()) in (3 * count - 6, 3 * count - 5) and all(map(_coordinate, words)):
        at += 1
    smiles = ()
    if at < len(lines) and lines[at].strip() and not COUNT.fullmatch(lines[at].strip()) and not lines[at].startswith("InChI="):
        smiles, at = tuple(dict.fromkeys(reversed(lines[at].split()))), at + 1
    return smiles, at + 1 if at < len(lines) and lines[at].startswith("InChI=") else at


def _of_qm9(numbers, positions, smiles) -> Chem.Mol:
    # As in `qm9`: bonds of the SMILES; where none of them is of this geometry, those that RDKit finds.
    symbols = [Chem.GetPeriodicTable().GetElementSymbol(number) for number in numbers]
    for one in smiles:
        try:
            return build(one, symbols, positions)
        except ValueError:
            continue
    return from_positions(numbers, positions)


def _bare(value: str) -> str:
    value = value.strip().rstrip(",;")
    return value[1:-1].strip() if len(value) > 1 and value[0] + value[-1] in ('""', "''", "{}", "[]") else value
