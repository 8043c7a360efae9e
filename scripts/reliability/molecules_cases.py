"""Odd and broken files of molecules: XYZ in all its dialects, and texts in all encodings; the rest is in `molecules_files`
and `molecules_given`."""

import gzip
import os
import re
from pathlib import Path

import numpy as np
from flips import Format
from molecules_files import FILES
from molecules_given import GIVEN
from molecules_inputs import ACETATE, BLOCK, ETHANOL, METHYL, NUMBERS, PLACES, SYMBOLS, ase, bad, frame, good, put
from rdkit import Chem

from domains.molecules.readers import read_molecules, write_molecules
from domains.molecules.smiles import conformer

# The first file of QM9 (Ramakrishnan et al. 2014), and its hydrogens' coordinates as Mathematica writes small numbers.
QM9 = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\
\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 2.150416*^-3\t-6.0313176*^-3\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 2.765748*^-4\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""


def charges():
    """Charges as they are spelled: of a molecule that is none with another charge."""
    for text in (
        "charge=-1",
        "charge=-1.0",
        "charge='-1'",
        'charge="-1"',
        "total_charge=-1",
        "Charge = -1",
        "charge: -1",
        "net charge: -1",
        "charge=1-",
        "q=-1",
        "charge=\u22121",
        "charge=-1, charge=-1",
        "charge=[-1]",
        "chg=-1",
        "q: -1",
        "charge is -1",
        "system_charge=-1",
    ):
        yield good("metadata", f"comment {text}", frame(text, ACETATE), "CC(=O)[O-]", charge=-1, names=["a 1"])
    yield good("metadata", "charge and name", frame("acetate charge=-1;", ACETATE), "CC(=O)[O-]", names=["acetate"])
    both = frame("charge=-1", ACETATE) + frame("", ETHANOL)
    yield good("metadata", "a charge of the first of two frames", both, "CC(=O)[O-]", "CCO", charge=-1)
    column = frame("Properties=species:S:1:pos:R:3:initial_charges:R:1", ACETATE, line="{a} {x} {y} {z} {n}").split(
        "\n"
    )
    column = [re.sub(r" \d+$", " -0.5" if row[:1] == "O" else " 0", row) for row in column]
    yield good(
        "metadata", "charges of atoms add up to that of the molecule", "\n".join(column), "CC(=O)[O-]", charge=-1
    )
    for text in (
        "charge=-1.5",
        "charge=",
        "charge=minus",
        "charge=nan",
        "charge=1,5",
        "charge=-1_0",
        "charge=99999999999",
    ):
        yield bad("metadata", f"comment {text}", frame(text, ACETATE), "charge is .*expected a whole number")
    yield bad(
        "metadata", "two charges", frame("charge=-1 total_charge=-2", ACETATE), "charge is -2 and -1; expected one"
    )


def ions():
    """Small ions and salts, by their places and charge alone."""
    for graph, charge, atoms in (
        ("[Cl-]", -1, "Cl 0 0 0"),
        ("[Na+]", 1, "Na 0 0 0"),
        ("[He]", 0, "He 0 0 0"),
        ("[C-]#N", -1, "C 0 0 0,N 0 0 1.18"),
        ("[C-]#[O+]", 0, "C 0 0 0,O 0 0 1.13"),
        ("N#[N+][N-2]", -1, "N 0 0 0,N 0 0 1.18,N 0 0 2.36"),
        ("N#C[S-]", -1, "S 0 0 0,C 0 0 1.65,N 0 0 2.82"),
        ("N#C[O-]", -1, "O 0 0 0,C 0 0 1.22,N 0 0 2.41"),
        ("[OH-]", -1, "O 0 0 0,H 0 0 .97"),
        ("O=C=O", 0, "O 0 0 0,C 0 0 1.16,O 0 0 2.32"),
    ):
        rows = atoms.split(",")
        text = "\n".join([f"{len(rows)}", f"charge={charge}", *rows, ""])
        yield good("metadata", f"XYZ of {graph} with its charge", text, graph, charge=charge)
    for name, atoms in (
        ("sodium cyanide", "Na 0 0 -2.6,C 0 0 0,N 0 0 1.17"),
        ("sodium azide", "Na 0 0 -3,N 0 0 0,N 0 0 1.18,N 0 0 2.36"),
        ("kitchen salt", "Na 0 0 0,Cl 0 0 3"),
    ):
        rows = atoms.split(",")
        text = "\n".join([f"{len(rows)}", "", *rows, ""])
        yield bad("metadata", f"XYZ of {name}", text, r"no bonds .*give an \.sdf")
    for graph in ("[C-]#N.[Na+]", "[N-]=[N+]=[N-].[Na+]"):
        block = Chem.MolToMolBlock(conformer(graph))
        yield good("metadata", f"a block of {graph}, as that advises", block, graph, file="a.sdf", charge=0)


def crystals():
    for text in ('pbc="T T T"', "pbc=T", "pbc='T F F'", 'pbc="1 1 0"', "pbc=[T, T, F]", 'PBC="True True True"'):
        yield bad("metadata", f"extended XYZ of {text}", frame(text), "periodic")
    for text in ('Lattice="8 0 0 0 8 0 0 0 8"', 'lattice="8 0 0 0 8 0 0 0 8" Properties=species:S:1:pos:R:3'):
        yield bad("metadata", f"extended XYZ of {text}", frame(text), "periodic .*Lattice.*pbc=")
    for text in ("pbc=F T F", "pbc: F F T", "periodic=T", 'periodic="T T T" energy=1'):
        yield bad("metadata", f"XYZ of {text}", frame(text), "periodic")
    for text in ("Lattice=0 8 0 8 0 0 0 0 8", 'Lattice=""', "cell: 8 8 8", "# CELL(abcABC): 8 8 8 90 90 90", 'box="8 8 8"'):
        yield bad("metadata", f"XYZ of {text}", frame(text), "periodic .*Lattice.*pbc=")
    cell = 'CELL(abcABC): 8 8 8 90 90 90 pbc="F F F"'
    yield good("metadata", f"XYZ of {cell}", frame(cell), "CCO", positions=PLACES)
    for text in ("units: bohr", "positions{atomic_unit}"):
        yield bad("metadata", f"XYZ of {text}", frame(text), "unit is")
    yield bad("metadata", "extended XYZ of an odd pbc", frame("pbc=maybe"), "pbc has 'maybe'")
    for text in ('Lattice="8 0 0 0 8 0 0 0 8" pbc="F F F"', 'Lattice="0 0 0 0 0 0 0 0 0"', 'pbc="F F F"'):
        yield good("metadata", f"extended XYZ of {text}", frame(text), "CCO", positions=PLACES)
    yield bad(
        "metadata",
        "an npz with pbc",
        {"R": PLACES[None], "Z": NUMBERS[None], "pbc": np.array([1, 1, 0])},
        "periodic",
        file="a.npz",
    )
    yield bad(
        "metadata",
        "an npz with a cell",
        {"R": PLACES[None], "Z": NUMBERS[None], "cell": np.eye(3)},
        "periodic",
        file="a.npz",
    )
    yield bad("metadata", "a database with pbc", ase("db", pbc=True, cell=[8, 8, 8]), "periodic", file="a.db")
    yield bad("metadata", "positions in bohr by their unit", frame("units=bohr", METHYL), "unit is bohr")


    for axis, start in ((0, 0.0), (0, 7.5), (1, 0.0), (1, 7.0), (2, 1.0), (2, 8.0)):
        places = PLACES.copy()
        places[:, axis] = (places[:, axis] + start) % 8
        rows = "".join(f"{a} {x} {y} {z}\n" for a, (x, y, z) in zip(SYMBOLS, places, strict=True))
        name = f"ethanol cut by a box at {start} along axis {axis}, which nothing says"
        yield bad("metadata", name, f"9\n\n{rows}", "pieces|no bonds")


def columns():
    for header, line in (
        ("species:S:1:id:I:1:pos:R:3", "{a} {i} {x} {y} {z}"),
        ("pos:R:3:species:S:1", "{x} {y} {z} {a}"),
        ("Z:I:1:forces:R:3:pos:R:3", "{n} .1 .2 .3 {x} {y} {z}"),
        ("species:S:1:Z:I:1:pos:R:3", "{a} {n} {x} {y} {z}"),
        ("move_mask:L:1:species:S:1:pos:R:3:tags:I:2", "T {a} {x} {y} {z} 0 1"),
        ("species:S:1:pos:R:3:magmom:R:1", "{a} {x} {y} {z} 0.0"),
    ):
        text = frame(f"Properties={header} energy=-1.5 name=mine", line=line)
        yield good("metadata", header, text, "CCO", positions=PLACES, names=["mine"], properties={"energy": [-1.5]})
    for header, word in (
        ("species:S:1", r"expected .*pos \(3\)"),
        ("pos:R:3", "expected species"),
        ("species:S:1:pos:R:2", r"pos \(2\)"),
        ("species", "expected names"),
        ("species:S:1:pos:R:3:pos:R:3", "twice"),
        ("species:S:x:pos:R:3", "expected names"),
        ("species:S:1:pos:R:3:id:I:1", "expected atom 1 of 9: 5 columns"),
    ):
        yield bad("metadata", header, frame(f"Properties={header}"), word)
    for line in ("{a} -1 {x} {y} {z}", "{a} {i} {x} {y} {z}", "{a} {n}.0 {x} {y} {z}"):
        yield bad("metadata", f"XYZ of {line} without a header", frame(line=line), "whole number between.*Properties=")
    twice = "Properties=species:S:1:pos:R:3 energy=1 energy=2"
    yield bad("metadata", "an energy that is there twice", frame(twice), "energy is there twice")
    wrong = frame("Properties=species:S:1:Z:I:1:pos:R:3", line="{a} 7 {x} {y} {z}")
    yield bad("metadata", "columns of elements that contradict each other", wrong, "of one element")


def texts():
    yield good("metadata", "the suffix .extxyz", frame("x"), "CCO", file="a.extxyz", names=["x"])
    names = ("dipole", "polarizability", "HOMO", "LUMO", "gap", "R2", "ZPVE", "U0", "U", "H", "G", "Cv")
    values = (
        0,
        13.21,
        -0.3877,
        0.1171,
        0.5048,
        35.3641,
        0.044749,
        -40.47893,
        -40.476062,
        -40.475117,
        -40.498597,
        6.469,
    )
    of_qm9 = dict(zip(names, values, strict=True))
    place = [0.002150416, -0.0060313176, 0.0019761204]
    first = [[-0.0126981359, 1.0858041578, 0.0080009958], place, [1.0117308433, 1.4637511618, 2.765748e-4]]
    rest = [[-0.540815069, 1.4475266138, -0.8766437152], [-0.5238136345, 1.4379326443, 0.9063972942]]
    yield good("nonsense", "a file of QM9", QM9, "C", names=["gdb 1"], properties=of_qm9, positions=first + rest)
    yield good("nonsense", "two files of QM9 in one", QM9 * 2, "C", "C", properties={"Cv": [6.469] * 2})
    yield bad("nonsense", "a file of QM9 without some numbers", QM9.replace("\t6.469", ""), "expected 15 numbers")
    for name, text in (
        ("Fortran", "{a} {x:.5f}D+00 {y:.5f}d0 {z:.5f}E0"),
        ("tabs", "{a}\t{x}\t{y}\t{z}"),
        ("numbers", "{n} {x} {y} {z}"),
        ("numbers as floats", "{n}.0 {x} {y} {z}"),
        ("columns behind", "{a} {x} {y} {z} 0.1 0.2"),
    ):
        yield good("nonsense", f"XYZ by {name}", frame(line=text), "CCO", positions=PLACES)
    for name, content in (
        ("UTF-16", frame("x").encode("utf-16")),
        ("old Macs", frame("x").replace("\n", "\r")),
        ("Windows, with a mark", b"\xef\xbb\xbf" + frame("x").replace("\n", "\r\n").encode()),
    ):
        yield good("nonsense", f"XYZ of {name}", content, "CCO", names=["x"], positions=PLACES)
    both = {
        "a.xyz.gz": frame("x"),
        "a.sdf.gz": BLOCK.replace("\n", "x\n", 1) if BLOCK[0] == "\n" else BLOCK,
        "a.mol.gz": BLOCK,
        "a.smi.gz": "CCO x\n",
        "a.csv.gz": "smiles,name\nCCO,x\n",
        "a.smiles.gz": "CCO x\n",
        "a.extxyz.gz": frame("x"),
    }
    for file, text in both.items():
        yield good("nonsense", f"{file}", gzip.compress(text.encode()), "CCO", file=file)
        yield bad("traceback", f"{file}, cut", gzip.compress(text.encode())[:-9], "can't be unpacked", file=file)
    yield good("nonsense", "a.json.gz", ase("json.gz"), "CCO", file="a.json.gz")
    yield bad(
        "nonsense", "a text that is not packed, called .gz and broken", "no\n", "expected the number", file="a.xyz.gz"
    )


def broken_xyz():
    for kind, name, content, word in (
        (
            "traceback",
            "a superscript digit as the number of atoms",
            frame().replace("9", "\u00b2", 1),
            "expected the number of atoms",
        ),
        (
            "traceback",
            "a superscript digit as an element",
            frame(symbols=["\u00b2", *SYMBOLS[1:]]),
            "expected atom 1 of 9",
        ),
        ("traceback", "five thousand digits", frame().replace("9", "9" * 5000, 1), "expected the number of atoms"),
        ("traceback", "Arabic digits", frame().replace("9", "\u0669", 1), "expected the number of atoms"),
        ("nonsense", "a number of atoms that lies, above", frame().replace("9", "11", 1), "expected atom 10 of 11"),
        ("nonsense", "a number of atoms that lies, below", frame().replace("9", "7", 1), "goes on behind"),
        ("nonsense", "no atoms", "0\n\n", "expected the number of atoms"),
        ("nonsense", "a negative number", "-3\n\n", "expected the number"),
        ("traceback", "a number of atoms alone", "9", "the end of the file"),
        ("traceback", "nothing", "", "none of 0"),
        ("traceback", "zeros", b"\0" * 100, "expected the number"),
        ("traceback", "noise", bytes(range(256)) * 9, "expected the number"),
        ("nonsense", "a ghost X", frame(symbols=["X", *SYMBOLS[1:]]), "expected atom 1"),
        ("nonsense", "a ghost Bq", frame(symbols=["Bq", *SYMBOLS[1:]]), "expected atom 1"),
        ("nonsense", "a place-holder", frame(symbols=["*", *SYMBOLS[1:]]), "expected atom 1"),
        ("nonsense", "element 0", frame(symbols=["0", *SYMBOLS[1:]]), "of no element"),
        ("nonsense", "element 119", frame(symbols=["119", *SYMBOLS[1:]]), "of no element"),
        ("nonsense", "element 6.5", frame(symbols=["6.5", *SYMBOLS[1:]]), "expected atom 1"),
        ("nonsense", "decimal commas", frame().replace(".", ","), "expected atom 1"),
        ("nonsense", "digits apart by _", frame(line="{a} 1_{y:.2f} {y} {z}"), "expected atom 1"),
        ("nonsense", "nan", frame(line="{a} nan {y} {z}"), "no numbers"),
        ("nonsense", "1e400", frame(line="{a} 1e400 {y} {z}"), "no numbers"),
        ("nonsense", "far from the origin", frame(shift=1e6), "from the origin"),
        ("nonsense", "in nm", frame(line="C 0.0{i} 0 0"), "nm"),
    ):
        yield bad(kind, f"XYZ: {name}", content, word)
    marked = ("1 of 1 molecules of a.xyz have isotopes.*2H",)
    yield good("metadata", "deuterium in XYZ is said", frame(symbols=[*SYMBOLS[:-1], "D"]), "CCO", words=marked)
    several = frame("one") + frame("two").replace("9", "99", 1) + frame("three")
    yield good("nonsense", "a broken frame between others", several, "CCO", "CCO", names=["one", "three"], left=1)
    yield bad("hang", "a pipe as XYZ", os.mkfifo, "is a pipe")
    yield bad("hang", "a pipe as npz", os.mkfifo, "is a pipe", file="a.npz")
    yield bad("hang", "a pipe as a database", os.mkfifo, "is a pipe", file="a.db")
    yield bad("traceback", "a folder named as a file", Path.mkdir, "a folder without molecules", file="a.sdf")


CASES = [*charges(), *ions(), *crystals(), *columns(), *texts(), *broken_xyz(), *FILES, *GIVEN]


def as_values(path):
    found, skipped = read_molecules(path, jobs=1)
    whole = {key: [round(float(value), 4) for value in values] for key, values in found.properties.items()}
    arrays = {name: getattr(found, name).tolist() for name in ("numbers", "charges", "bonds")}
    return {
        **arrays,
        "names": found.names,
        "positions": np.round(found.positions, 4).tolist(),
        "properties": whole,
        "skipped": len(skipped),
    }


def written(suffix, content):
    def write(path):
        path = path.with_suffix(suffix)
        here = Path.cwd()
        os.chdir(path.parent)
        try:
            return path.parent / put(path.name, content)
        finally:
            os.chdir(here)

    return write


def as_sdf(path):
    for molecule, gap in zip(both := [Chem.Mol(ETHANOL), Chem.Mol(ACETATE)], (1.5, -0.3), strict=True):
        molecule.SetProp("gap", str(gap))
    write_molecules(both, path)


PADDED = {"R": np.stack([PLACES] * 2), "Z": np.stack([NUMBERS] * 2), "gap": np.array([1.0, 2.0])}
EXTENDED = frame("Properties=species:S:1:id:I:1:pos:R:3 gap=1.5 name=mine", line="{a} {i} {x:.6f} {y:.6f} {z:.6f}")
FORMATS = [
    Format("molecules .xyz", written(".xyz", frame("charge=-1 acetate", ACETATE) + frame("ethanol")), as_values),
    Format(
        "molecules .extxyz",
        written(".extxyz", EXTENDED + frame('pbc="F F F" gap=2', ACETATE).replace("pbc", "charge=-1 pbc")),
        as_values,
    ),
    Format("molecules .xyz of QM9", written(".xyz", QM9 * 2), as_values),
    Format("molecules .sdf", written(".sdf", as_sdf), as_values),
    Format("molecules .mol V3000", written(".mol", Chem.MolToV3KMolBlock(METHYL)), as_values),
    Format("molecules .smi", written(".smi", "CCO ethanol\nCC(=O)[O-].[Na+] salt\n"), as_values),
    Format("molecules .csv", written(".csv", "smiles,name,gap\nCCO,ethanol,1.5\nC[NH3+],base,-2e-1\n"), as_values),
    Format("molecules .npz", written(".npz", PADDED), as_values, checked=True),
    Format("molecules .db", written(".db", ase("db")), as_values),
    Format("molecules .json", written(".json", ase("json")), as_values),
    Format("molecules .xyz.gz", written(".xyz.gz", gzip.compress(frame("ethanol").encode())), as_values, checked=True),
]
