"""Files of molecules: the records of each format, XYZ but for `xyz` and SMILES but for `smiles`."""

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from domains.molecules.record import (
    ANGSTROM,
    ELEMENTS,
    MASSES,
    Record,
    charge_of,
    fail,
    from_block,
    from_positions,
    isotope_of,
    number_of,
    said_twice,
    whole_charge,
)
from sciddm.data.reading import GZIP, check_regular, kind_of, need, read_bytes, read_text, reading, stem_of
from sciddm.errors import UserError

CHARGES = ("charge", "total_charge", "net_charge")
OF_MOLECULES = (*CHARGES, "charges", "q")  # of arrays; those of one number an atom, such as partial charges, are none of the molecule
CELLS = ("cell", "lattice", "box", "unit_cell", "unitcell", "cells", "box_vectors")
UNITS = ("units", "unit", "r_units", "r_unit", "length_unit", "length_units", "positions_units", "position_units", "coordinate_units")


def sdf_records(file: Path) -> Iterator[Record]:
    """.sdf, .sd, .mol: data fields that are numbers are properties."""
    blocks = re.split(r"^\$\$\$\$.*\n?", read_text(file), flags=re.MULTILINE)
    if not blocks[-1].strip():
        blocks.pop()
    for number, block in enumerate(blocks, 1):
        title = block.split("\n", 1)[0].strip()
        found = re.findall(r"^>[^<\n]*<([^>\n]+)>[^\n]*\n([^\n]*)", block, flags=re.MULTILINE)
        pairs = [(key, value) for key, text in found if (value := number_of(text)) is not None]
        make = partial(fail, twice) if (twice := said_twice(pairs)) else partial(from_block, block)
        yield Record(str(file), number, title or f"{stem_of(file)} {number}", make, dict(pairs), block)


def ase_records(file: Path) -> Iterator[Record]:
    """.db, .json of ASE: key-value pairs that are numbers are properties; the charge is the sum of the initial charges."""
    ase_db = need("ase.db", file, "molecules")
    check_regular(file)
    with reading(file, "not a readable ASE database", way_out="write it again by ase.db"), tempfile.TemporaryDirectory() as folder:
        with open(file, "rb") as opened:
            start = opened.read(len(GZIP))
        if not start:  # which SQLite takes for a new database
            raise ValueError("the file is empty")
        place = Path(folder) / f"unpacked{kind_of(file)}" if start == GZIP else file
        if start == GZIP:
            place.write_bytes(read_bytes(file))
        rows = [_of_row(file, number, row) for number, row in enumerate(ase_db.connect(place, use_lock_file=False).select(), 1)]
    yield from rows


def _of_row(file, number, row):
    # A pair that is named as something the row computes, "charge", would be given as that.
    pairs = row.key_value_pairs | {key: vars(row)[key] for key in CHARGES if key in row.key_value_pairs and key in vars(row)}
    properties = {key: float(value) for key, value in pairs.items() if isinstance(value, (int, float)) and not abs(value) > 1e38}
    if isinstance(energy := vars(row).get("energy"), (int, float)):  # of its calculator, eV
        properties.setdefault("energy", float(energy))
    name = " ".join(str(pairs.get("name", f"{stem_of(file)} {number}")).split())
    try:
        if any(row.pbc):
            raise ValueError(f"periodic (pbc = {np.asarray(row.pbc).tolist()}); expected a molecule")
        stated = {charge_of(str(pairs[key])) for key in CHARGES if key in pairs}
        of_atoms = row.get("initial_charges")
        if of_atoms is not None:
            stated.add(whole_charge(float(np.sum(of_atoms))))
        if len(stated) > 1:
            raise ValueError(f"its charge is {' and '.join(map(str, sorted(stated)))}; expected one")
        numbers, positions = _atoms(row.numbers, row.positions)
        make = partial(from_positions, numbers, positions, stated.pop() if stated else 0, _isotopes(numbers, row.get("masses")))
    except ValueError as error:
        make = partial(fail, str(error))
    return Record(str(file), number, name, make, properties)


def _isotopes(numbers, masses):
    # atom -> mass number, where masses (n,) say another than that of the element; masses: None for none
    if masses is None:
        return {}
    try:
        masses = np.asarray(masses, float)
    except (TypeError, ValueError):
        raise ValueError("its masses are no numbers; expected one an atom, or none") from None
    if masses.shape != numbers.shape:
        raise ValueError(f"its masses are {masses.shape} and its atoms {numbers.shape}; expected one an atom, or none")
    found = {i: isotope_of(int(number), float(mass)) for i, (number, mass) in enumerate(zip(numbers, masses, strict=True))}
    return {i: isotope for i, isotope in found.items() if isotope}


def _atoms(numbers, positions):
    # Atomic numbers (n,) as integers, and positions (n, 3) as float64. Raises: ValueError where they are none.
    numbers, positions = np.asarray(numbers), np.asarray(positions)
    if numbers.dtype.kind in "US":
        symbols = [str(symbol, "ascii", "replace") if isinstance(symbol, bytes) else str(symbol) for symbol in numbers.tolist()]
        unknown = next((symbol for symbol in symbols if symbol.strip().upper() not in ELEMENTS), None)
        if unknown is not None:
            raise ValueError(f"{unknown!r} is no element")
        numbers = np.array([ELEMENTS[symbol.strip().upper()] for symbol in symbols], int)
    if numbers.dtype.kind not in "iuf" or positions.dtype.kind not in "iuf":
        raise ValueError(f"atomic numbers and positions are {numbers.dtype} and {positions.dtype}; expected numbers")
    if numbers.ndim != 1 or positions.shape != (len(numbers), 3):
        raise ValueError(f"atomic numbers {numbers.shape} and positions {positions.shape}; expected (n,) and (n, 3)")
    if not len(numbers):
        raise ValueError("no atoms")
    odd = ~np.isfinite(numbers) | (numbers != np.round(numbers)) | (numbers < 1) | (numbers > 118)
    if odd.any():
        at = int(np.argmax(odd))
        raise ValueError(f"atom {at + 1} is of no element (its number is {numbers[at]})")
    return numbers.astype(int), positions.astype(np.float64)


def npz_records(file: Path) -> Iterator[Record]:
    """.npz: R (M, n, 3) and Z (M, n), 0 for padding; or positions (A, 3), atomic_numbers (A,) and n_atoms (M,); angstrom.

    Atomic numbers may be symbols, and masses stand beside them. Further arrays (M,) of numbers are properties; "charge" is the charge of
    the molecule too. What has a periodic cell is refused.
    """
    arrays = _arrays_of(file)
    _check_no_crystal(file, arrays)
    if {"R", "Z"} <= set(arrays):
        R, Z = _numeric(file, "R", arrays["R"]), _numeric(file, "Z", arrays["Z"], "iufUS")
        if Z.ndim != 2 or R.shape != (*Z.shape, 3):
            raise UserError(f"{file}: R {R.shape} and Z {Z.shape}; expected (M, n, 3) and (M, n)")
        there = (Z != 0) if Z.dtype.kind in "iuf" else ~np.isin(Z, np.array(["", "0"], Z.dtype))
        parts = [(z[is_there], r[is_there]) for z, r, is_there in zip(Z, R, there, strict=True)]
        masses = [mass[is_there] for mass, is_there in zip(_masses(arrays, Z.shape), there, strict=True)]
    elif {"atomic_numbers", "positions", "n_atoms"} <= set(arrays):
        numbers = _numeric(file, "atomic_numbers", arrays["atomic_numbers"], "iufUS")
        positions = _numeric(file, "positions", arrays["positions"])
        sizes = _sizes(file, arrays["n_atoms"])
        total = (sum(sizes),)
        if numbers.shape != total or positions.shape != (*total, 3):
            found = f"atomic_numbers {numbers.shape}, positions {positions.shape}, n_atoms summing to {total[0]}"
            raise UserError(f"{file}: {found}; expected (A,), (A, 3) and a sum of A")
        ends = np.cumsum(sizes)[:-1].astype(int)
        parts = list(zip(np.split(numbers, ends), np.split(positions, ends), strict=True)) if sizes else []
        masses = np.split(_masses(arrays, total), ends)
    else:
        raise UserError(f"{file}: has arrays {sorted(arrays)}; expected R and Z, or atomic_numbers, positions and n_atoms")
    layout, count = {"R", "Z", "atomic_numbers", "positions", "n_atoms"}, len(parts)
    extra = {key: a for key, a in arrays.items() if a.shape == (count,) and a.dtype.kind in "biuf" and key not in layout}
    charges = _charges(file, arrays, count)
    for i, (numbers, positions) in enumerate(parts):
        properties = {key: float(array[i]) for key, array in extra.items() if not abs(array[i]) > 1e38}
        try:
            charge = 0 if charges is None else whole_charge(float(charges[i]), 0.0)
            numbers, positions = _atoms(numbers, positions)
            make = partial(from_positions, numbers, positions, charge, _isotopes(numbers, masses[i]))
        except ValueError as error:
            make = partial(fail, str(error))
        yield Record(str(file), i + 1, f"{stem_of(file)} {i + 1}", make, properties)


def _masses(arrays, shape):
    # of all atoms, as Z or atomic_numbers is laid out; NaN where no array says them
    found = (array for name, array in arrays.items() if name.lower() in MASSES and array.dtype.kind in "iuf")
    alike = () if len(shape) == 1 or shape[0] == shape[1] else shape[1:]  # one row for all molecules, and no number of each
    fits = (array for array in found if array.shape and array.shape in (shape, alike))
    return np.broadcast_to(next(fits, np.array(np.nan)), shape).astype(float)


def _arrays_of(file):
    # Each is unpacked whole, so that its checksum is compared: numpy by itself stops reading where the header says that the array ends.
    check_regular(file)
    with reading(file, "not a readable npz file", way_out="expected arrays of numbers"), zipfile.ZipFile(file) as opened:
        found = {}
        for name in opened.namelist():
            data = io.BytesIO(opened.read(name))
            try:
                found[name.removesuffix(".npy")] = np.lib.format.read_array(data, allow_pickle=False)
            except MemoryError:
                raise ValueError(f"{name}: its header asks for more memory than there is") from None
            if data.read(1):
                raise ValueError(f"{name}: goes on behind the array that its header describes")
        return found


def _numeric(file, name, array, kinds="iuf"):
    if array.dtype.kind not in kinds:
        raise UserError(f"{file}: {name} is of type {array.dtype}; expected numbers{' or symbols' if 'U' in kinds else ', in angstrom'}")
    return array


def _sizes(file, array):
    # n_atoms as a list of int
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        raise UserError(f"{file}: n_atoms {array.shape} is of type {array.dtype}; expected whole numbers (M,)")
    odd = ~np.isfinite(array) | (array < 0) | (array != np.round(array))
    if odd.any():
        at = int(np.argmax(odd))
        raise UserError(f"{file}: n_atoms is {array[at]} at index {at}; expected whole numbers, 0 or more")
    return [int(size) for size in array]


def _charges(file, arrays, count):
    # (M,) of numbers, or None; one number is that of all
    found = {}
    for name in arrays:
        if name.lower() not in OF_MOLECULES or (name.lower() not in CHARGES and arrays[name].shape not in ((count,), (count, 1))):
            continue
        array = arrays[name]
        if array.dtype.kind not in "biuf" or array.shape not in ((count,), (count, 1), ()):
            raise UserError(f"{file}: {name} {array.shape} is of type {array.dtype}; expected ({count},), the charge of each molecule")
        found[name] = np.broadcast_to(array.reshape(-1), (count,))
    first = next(iter(found.values()), None)
    if unlike := [name for name, array in found.items() if not np.array_equal(array, first, equal_nan=True)]:
        raise UserError(f"{file}: {unlike[0]} is not {next(iter(found))}; expected one array of charges")
    return first


def _check_no_crystal(file, arrays):
    found = {key.lower(): array for key, array in arrays.items()}
    pbc = found.get("pbc")
    if pbc is not None and pbc.dtype.kind not in "biuf":
        raise UserError(f"{file}: pbc is of type {pbc.dtype}; expected True or False, or 1 or 0")
    periodic = pbc is not None and bool(np.any(pbc))
    cells = [found[key] for key in CELLS if key in found and found[key].dtype.kind in "iuf"]
    if periodic or (pbc is None and any(np.any(cell) for cell in cells)):
        raise UserError(f"{file}: is periodic ({'pbc' if periodic else 'a cell'}); expected molecules, or pbc of zeros beside it")
    for key in UNITS:
        text = found[key].reshape(-1)[0] if key in found and found[key].size else b""
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if text and text.strip().lower() not in ANGSTROM:
            raise UserError(f"{file}: {key} is {text[:40]}; expected positions in angstrom, and {key}=angstrom or none")
