"""Odd and broken files of molecules but for XYZ: arrays, databases, molfiles, SMILES and tables of them."""

import sqlite3

import numpy as np
from case import done
from molecules_inputs import ACETATE, BLOCK, ETHANOL, FIRST, METHYL, NUMBERS, PLACES, SYMBOLS, ase, bad, good, put
from rdkit import Chem

from domains.molecules.readers import read_molecules
from domains.molecules.smiles import conformer


def arrays():
    two = {"R": np.stack([PLACES] * 2), "Z": np.stack([NUMBERS] * 2)}
    ragged = {
        "positions": np.concatenate([PLACES] * 2),
        "atomic_numbers": np.concatenate([NUMBERS] * 2),
        "n_atoms": np.array([9, 9]),
    }
    symbols = np.array([SYMBOLS] * 2)
    for name, content in (
        ("n_atoms as floats", ragged | {"n_atoms": np.array([9.0, 9.0])}),
        ("symbols", two | {"Z": symbols}),
        ("symbols as bytes", two | {"Z": symbols.astype("S")}),
        ("symbols, ragged", ragged | {"atomic_numbers": symbols.reshape(-1)}),
        ("Z as floats", two | {"Z": two["Z"].astype(float)}),
        ("R as float16's wider kin", two | {"R": two["R"].astype(">f4")}),
        ("charges in a column", two | {"charge": np.zeros((2, 1))}),
        ("a charge for all", two | {"charge": 0}),
        ("n_atoms unsigned", ragged | {"n_atoms": np.array([9, 9], np.uint64)}),
    ):
        yield good("traceback", f"npz of {name}", content, "CCO", "CCO", file="a.npz", positions=PLACES)
    sizes = lambda *values: ragged | {"n_atoms": np.array(values)}  # noqa: E731
    for name, content, word in (
        ("n_atoms of halves", sizes(8.5, 9.5), "n_atoms is 8.5 at index 0"),
        ("n_atoms nan", sizes(np.nan, 9), "n_atoms is nan"),
        ("negative n_atoms", sizes(-9, 27), "n_atoms is -9"),
        ("huge n_atoms", sizes(2**63 - 1, 2**63 - 1), "summing to 18446744073709551614"),
        ("n_atoms as texts", sizes("9", "9"), "of type <U1"),
        ("n_atoms of two axes", ragged | {"n_atoms": np.array([[9, 9]])}, r"\(1, 2\)"),
        ("one n_atoms", ragged | {"n_atoms": np.array(18)}, r"n_atoms \(\)"),
        ("complex R", two | {"R": two["R"] + 0j}, "complex128"),
        ("objects", two | {"R": two["R"].astype(object)}, "not a readable npz"),
        ("R as texts", two | {"R": two["R"].astype(str)}, "<U"),
        ("R as dates", two | {"R": two["R"].astype("M8[s]")}, "datetime64"),
        ("bool R", two | {"R": two["R"] > 0}, "of type bool"),
        ("R transposed", two | {"R": two["R"].transpose(0, 2, 1)}, r"\(2, 3, 9\)"),
        ("one Z for all", two | {"Z": NUMBERS}, r"Z \(9,\)"),
        ("unknown symbols", two | {"Z": np.where(symbols == "O", "Qq", symbols)}, "'Qq' is no element"),
        ("Z of 6.5", two | {"Z": two["Z"] + 0.5}, "its number is 6.5"),
        ("nan in Z", two | {"Z": two["Z"] * np.nan}, "its number is nan"),
        ("negative Z", two | {"Z": -two["Z"]}, "its number is -6"),
        ("Z of 300", two | {"Z": two["Z"] + 300}, "its number is 306"),
        ("nan in R", two | {"R": two["R"] * np.nan}, "are no numbers"),
        ("no molecules", {"R": np.zeros((0, 9, 3)), "Z": np.zeros((0, 9))}, "none of 0"),
        ("charges of halves", two | {"charge": np.array([0.5, 0.5])}, "charge is 0.5"),
        ("charges nan", two | {"charge": np.full(2, np.nan)}, "charge is nan"),
        ("charges of atoms", two | {"charge": np.zeros((2, 9))}, r"charge \(2, 9\)"),
        ("other names", {"coords": PLACES}, "expected R and Z"),
        ("pbc as texts", two | {"pbc": np.array("TTT")}, "pbc is of type"),
        ("a box", two | {"box": np.eye(3) * 8}, "periodic"),
        ("units of bohr", two | {"units": np.array("bohr")}, "units is bohr"),
        ("Q of all, of another charge", two | {"Q": np.array([1, 1])}, "charge 1"),
        ("two charges", two | {"charge": np.zeros(2), "total_charge": np.ones(2)}, "one array of charges"),
        ("R in bohr", two | {"R": two["R"] / 0.529177}, "bohr"),
    ):
        yield bad("traceback", f"npz of {name}", content, word, file="a.npz")
    for name, content in (
        ("cut", lambda path: cut(path, two)),
        ("empty", b""),
        ("a text", b"R Z\n"),
        ("npy", lambda path: np.save(path.open("wb"), PLACES)),
    ):
        yield bad("traceback", f"npz: {name}", content, "not a readable npz", file="a.npz")


def cut(path, content):
    np.savez(path, **content)
    path.write_bytes(path.read_bytes()[:-300])


def databases():
    def of_another_kind(path):
        with sqlite3.connect(path) as other:
            other.execute("create table cells (a int)")

    yield good(
        "metadata", "a database in JSON", ase("json"), "CCO", file="a.json", properties={"gap": [1.5]}, positions=PLACES
    )
    yield good("metadata", "a database", ase("db"), "CCO", file="a.db", properties={"gap": [1.5]}, positions=PLACES)
    yield bad(
        "metadata",
        "charges of atoms that add up to none",
        ase("json", charges=np.full(9, -1.5 / 9)),
        "charge is -1.5",
        file="a.json",
    )
    odd = {
        "positions": "x",
        "numbers": [1.5] * 9,
        "initial_charges": "x",
        "pbc": None,
        "cell": "x",
        "key_value_pairs": [1],
    }
    for key, value in odd.items():
        change = lambda row, key=key, value=value: row.__setitem__(key, value)  # noqa: E731
        yield (bad if key != "cell" else good)(
            "traceback",
            f"a database with odd {key}",
            ase("json", change),
            *(("CCO",) if key == "cell" else ()),
            file="a.json",
        )
    for key in ("positions", "numbers"):
        yield bad(
            "traceback",
            f"a database without {key}",
            ase("json", lambda row, key=key: row.pop(key)),
            "not a readable",
            file="a.json",
        )
    for name, content in (
        ("a list", "[1, 2]"),
        ("another JSON", '{"a": 1}'),
        ("cut", '{"1": {"numbers":'),
        ("empty", ""),
    ):
        yield bad("traceback", f"JSON that is {name}", content, "not a readable ASE database", file="a.json")
    for name, content in (("of another kind", of_another_kind), ("empty", b""), ("noise", bytes(range(256)) * 20)):
        yield bad("traceback", f"a database that is {name}", content, "none of 0|not a readable", file="a.db")


def blocks():
    change = lambda old, new: BLOCK.replace(old, new, 1)  # noqa: E731
    end = lambda line: change("M  END", f"{line}\nM  END")  # noqa: E731
    v3000 = Chem.MolToV3KMolBlock(ETHANOL)
    for name, content, word in (
        ("a dative bond", change("  2  3  1  0", "  2  3  9  0"), "type DATIVE"),
        ("a bond that is a query", change("  2  3  1  0", "  2  3  5  0"), "UNSPECIFIED"),
        ("aromatic bonds outside of a ring", change("  1  2  1  0", "  1  2  4  0"), "no aromatic ring"),
        (
            "a list of elements",
            change(" C  ", " L  ").replace("M  END", "M  ALS   1  2 F C   N   \nM  END"),
            "of no element",
        ),
        ("any atom", change(" C  ", " A  "), "of no element"),
        ("an R group", change(" C  ", " R# "), "of no element"),
        ("a charge of 15", end("M  CHG  1   1  15"), r"charge of \+15"),
        ("D exponents", change(FIRST[:10], " 1.000D+00"), "coordinates on line 5"),
        ("a polymer", end("M  STY  1   1 SRU\nM  SAL   1  1   1\nM  SMT   1 n"), "a polymer"),
        ("V3000, cut", v3000[:400], "line|atom"),
        ("V3000 that counts too many", v3000.replace("COUNTS 9", "COUNTS 11"), "Element"),
        ("stars for coordinates", change(FIRST[:10], "*" * 10), "line 5"),
        ("a valence of five", change("  1  2  1  0", "  1  2  2  0"), "valence"),
        ("no end", "\n".join(BLOCK.split("\n")[:8]), "EOF"),
    ):
        yield bad("nonsense", f"molfile of {name}", content, word, file="a.mol")
    for name, content in (
        ("M  ISO", end("M  ISO  1   1  13")),
        ("the old column", change(FIRST, f"{FIRST[:34]} 1{FIRST[36:]}")),
    ):
        yield good(
            "metadata",
            f"isotopes of {name} are said",
            content,
            "CCO",
            file="a.sdf",
            words=("have isotopes.*such as 13C",),
        )
    yield from isotopes()
    yield good("metadata", "charges of V3000", Chem.MolToV3KMolBlock(METHYL), "C[NH3+]", file="a.sdf", charge=1)
    yield good("metadata", "charges of M  CHG", Chem.MolToMolBlock(ACETATE), "CC(=O)[O-]", file="a.sdf", charge=-1)
    yield good("metadata", "radicals of M  RAD", Chem.MolToMolBlock(conformer("[CH3]")), "[CH3]", file="a.sdf")
    yield good("nonsense", "SDF of old Macs", BLOCK.replace("\n", "\r"), "CCO", file="a.sdf", positions=PLACES)


def isotopes():
    """Masses beside the atoms: one that is no average says an isotope."""
    average = np.array([atom.GetMass() for atom in ETHANOL.GetAtoms()])
    marked = np.where(np.arange(len(average)) == 0, 13.003, average)
    packed = {"R": PLACES[None], "Z": NUMBERS[None]}
    flat = {"positions": PLACES, "atomic_numbers": NUMBERS, "n_atoms": np.array([9])}
    said = ("have isotopes.*such as 13C",)
    for name, file, content in (
        ("masses of an ASE .db", "a.db", ase("db", masses=marked)),
        ("masses of an ASE .json", "a.json", ase("json", masses=marked)),
        ("masses of a packed ASE .json", "a.json.gz", ase("json.gz", masses=marked)),
        ("masses of an npz", "a.npz", packed | {"masses": marked[None]}),
        ("one row of masses of an npz", "a.npz", packed | {"mass": marked}),
        ("mass numbers of an npz", "a.npz", packed | {"isotopes": np.round(marked)[None].astype(int)}),
        ("isotopes of an npz, 0 for most", "a.npz", packed | {"isotopes": np.array([[13, *[0] * 8]])}),
        ("masses of a flat npz", "a.npz", flat | {"masses": marked}),
    ):
        yield good("metadata", f"{name} that is no average are said", content, "CCO", file=file, positions=PLACES, words=said)
    short = {"__ndarray__": [[3], "float64", [13.0, 12.0, 16.0]]}
    for name, value, words in (
        ("three", short, r"masses are \(3,\)"),
        ("a word", "heavy", "masses are no numbers"),
        ("a dict", {"a": 1}, "masses are no numbers"),
        ("lists", [[1, 2], [3]], "masses are no numbers"),
    ):
        change = lambda row, value=value: row.update(masses=value)  # noqa: E731
        yield bad("nonsense", f"masses of an ASE .json that are {name}", ase("json", change), words, file="a.json")
    for column in ("masses:R:1", "mass:R:1", "isotopes:I:1"):
        last = np.round(marked).astype(int)
        rows = [f"{a} {x} {y} {z} {mass}" for a, (x, y, z), mass in zip(SYMBOLS, PLACES, last, strict=True)]
        text = "\n".join(["9", f"Properties=species:S:1:pos:R:3:{column}", *rows, ""])
        yield good("metadata", f"a column {column} of an extended XYZ is said", text, "CCO", words=said)
    for name, file, content in (
        ("an ASE .db", "a.db", ase("db", masses=average)),
        ("an npz", "a.npz", packed | {"masses": average[None]}),
        ("one molecule with a property mass of an npz", "a.npz", packed | {"mass": np.array([46.07])}),
    ):
        yield good("metadata", f"average masses of {name} say nothing", content, "CCO", file=file, check=quiet)


def quiet(folder, said):
    assert "isotope" not in said, said


def tables():
    def apart(path):
        found, _ = read_molecules(put("a.smi", path))
        places, sizes = found.atoms(0)[1], Chem.GetMolFrags(found.molecule(0))
        near = min(
            np.linalg.norm(places[list(a)][:, None] - places[list(b)], axis=-1).min()
            for i, a in enumerate(sizes)
            for b in sizes[i + 1 :]
        )
        assert 1.5 < near < 6, f"pieces are {near} angstrom apart"

    for text in ("CC(=O)[O-].[Na+]", "C.C", "[Na+].[Cl-]", "O.O.O", "c1ccccc1.c1ccccc1"):
        yield done("metadata", f"pieces of {text} stand apart", lambda folder, text=text: apart(text))
    yield good(
        "metadata",
        "isotopes of SMILES are said",
        "[13CH4]\n[2H]OC\n",
        "C",
        "CO",
        file="a.smi",
        words=("2 of 2 .* have isotopes.*13C",),
    )
    yield good("metadata", "radicals behind a SMILES", "CCO |^1:0| mine\n", "[CH2]CO", file="a.smi", names=["mine"])
    table = "smiles,name,gap\nCCO,x,1.5\nCC,y,\n"
    for name, content in (
        ("plain", table),
        ("semicolons", table.replace(",", ";")),
        ("tabs", table.replace(",", "\t")),
        ("UTF-16", table.encode("utf-16")),
        ("a mark and old Macs", "\ufeff" + table.replace("\n", "\r")),
        ("a comment", "# mine\n" + table),
    ):
        yield good(
            "nonsense",
            f"table of {name}",
            content,
            "CCO",
            "CC",
            file="a.csv",
            names=["x", "y"],
            properties={"gap": [1.5, np.nan]},
        )
    yield good("traceback", "a cell of 200,000", f"smiles,note\nCCO,{'x' * 200_000}\n", "CCO", file="a.csv")
    for name, content, word in (
        ("a SMILES of 200,000", f"smiles\n{'C' * 200_000}\n", "200000 characters"),
        ("an open quote", 'smiles,gap\n"CCO,1\nCC,2\n', "line 3: .*end of data"),
        ("two SMILES in a cell", 'smiles,gap\n"CCO\nCCN",1\n', "expected one"),
        ("a column twice", "smiles,gap,gap\nCCO,1,2\n", "'gap' is there twice"),
        ("SMILES twice", "smiles,SMILES\nCCO,CC\n", "twice"),
        ("no column of SMILES", "a,b\n1,2\n", "one named 'smiles'"),
        ("nothing", "", "one named 'smiles'"),
        ("a header alone", "smiles\n", "none of 0"),
        ("a row that is short", "smiles,gap\nCCO\n", "1 cells, expected 2"),
        ("a zero", "smiles\nC\0C\n", "SMILES"),
    ):
        yield bad("traceback", f"table of {name}", content, word, file="a.csv")
    for name, content, word in (
        ("500 carbons", "C" * 500, "500 heavy atoms"),
        ("3,000 branches", "C(" * 3000 + "C" + ")" * 3000, "heavy atoms"),
        ("brackets", "[" * 9000, "SMILES"),
        ("a charge of 130", "[Na+130]", "charge of"),
        ("an aromatic bond outside of a ring", "C:C", "no aromatic ring"),
        ("a query", "C~C", "no parameters"),
        ("a letter of another alphabet at the end", "CO\u0421", r"U\+0421"),
        ("a blank without width", "CCO\u200b", r"U\+200B"),
        ("a part that is repeated", "CCO |LN:1:1.3|", "link node"),
        ("a dative bond", "[NH3]->[BH3]", "valence"),
        ("a reaction", "CC>>CO", "syntax"),
        ("names first", "ethanol CCO", "syntax"),
        ("noise", bytes(range(256)), "SMILES"),
    ):
        yield bad("nonsense", f"SMILES of {name}", content, word, file="a.smi")


FILES = [*arrays(), *databases(), *blocks(), *tables()]
