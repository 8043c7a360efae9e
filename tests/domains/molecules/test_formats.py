import re

import numpy as np
import pytest
from rdkit import Chem

from domains.molecules import formats
from domains.molecules.formats import npz_records, sdf_records
from domains.molecules.readers import RECORDS
from domains.molecules.record import _made, check, check_graph, from_block, from_positions, gather, isotope_of
from domains.molecules.smiles import conformer
from domains.molecules.xyz import xyz_records
from sciddm.errors import UserError

ETHANOL, NITRO = conformer("CCO"), conformer("C[N+](=O)[O-]")
BLOCK = Chem.MolToMolBlock(ETHANOL)
FIRST = BLOCK.split("\n")[4]  # the line of the first atom


def numbers_of(molecule):
    return np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])


def positions_of(molecule):
    return molecule.GetConformer().GetPositions()


def frame(molecule, comment=""):
    rows = zip(molecule.GetAtoms(), positions_of(molecule), strict=True)
    return f"{molecule.GetNumAtoms()}\n{comment}\n" + "".join(f"{a.GetSymbol()} {x} {y} {z}\n" for a, (x, y, z) in rows)


def smiles_of(molecule):
    return Chem.MolToSmiles(Chem.RemoveHs(molecule))


def reasons(records):
    """record number -> reason, None for a good one."""
    found = {}
    for record in records:
        _, _, reason = _made(record.make)
        found[record.number] = reason or None
    return found


def test_a_block_keeps_graph_charges_and_coordinates():
    molecule = from_block(Chem.MolToMolBlock(NITRO))
    assert smiles_of(molecule) == "C[N+](=O)[O-]"
    np.testing.assert_allclose(positions_of(molecule), positions_of(NITRO), atol=5e-5)
    assert [a.GetFormalCharge() for a in molecule.GetAtoms()] == [a.GetFormalCharge() for a in NITRO.GetAtoms()]


EXTENDED = 'Properties=species:S:1:pos:R:3 energy=-1.5 pbc="F F F"'
FLAT = Chem.MolToMolBlock(Chem.AddHs(Chem.MolFromSmiles("CCO")))
DAMAGED = {
    "truncated": ("\n".join(BLOCK.split("\n")[:7]), "EOF hit while reading atoms"),
    "nan": (BLOCK.replace(FIRST[:10], "       nan", 1), "Cannot process coordinates on line 5"),
    "flat": (FLAT, "no three-dimensional coordinates: z is 0 everywhere"),
    "valence": (BLOCK.replace("  1  2  1  0", "  1  2  3  0"), "Explicit valence for atom # . C, ., is greater than permitted"),
    "too many atoms stated": (BLOCK.replace("  9  8", " 10  8", 1), "on line 14"),
    "too few atoms stated": (BLOCK.replace("  9  8", "  8  8", 1), "line 13"),
    "no element": (BLOCK.replace(" C  ", " Qq ", 1), "Element 'Qq' not found"),
    "place-holder": (BLOCK.replace(" O  ", " *  ", 1), "atom 3 is of no element"),
    "one place": (BLOCK.replace(BLOCK.split("\n")[5][:30], FIRST[:30]), "atoms 1 and 2 are 0.00 angstrom apart"),
    "dative": (BLOCK.replace("  2  3  1  0", "  2  3  9  0"), "a bond of type DATIVE"),
    "aromatic outside of a ring": (BLOCK.replace("  2  3  1  0", "  2  3  4  0"), "aromatic bond between atoms 2 and 3"),
    "query": (BLOCK.replace("M  END", "M  SUB  1   1   2\nM  END"), "atom 1 is a query"),
    "charge": (BLOCK.replace("M  END", "M  CHG  1   1  15\nM  END"), r"a charge of \+15"),
    "polymer": (BLOCK.replace("M  END", "M  STY  1   1 SRU\nM  SAL   1  1   1\nM  SMT   1 n\nM  END"), "a polymer"),
    "no block": ("hello\n", "."),
    "empty": (BLOCK.split("\n")[0] + "\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "no atoms"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_block_is_refused_with_the_reason(kind):
    block, reason = DAMAGED[kind]
    assert kind == "no block" or block != BLOCK
    with pytest.raises(ValueError, match=reason):
        molecule = from_block(block)
        check(molecule)


def test_a_damaged_block_does_not_take_its_neighbours_with_it(tmp_path):
    blocks = [BLOCK, *(block for block, _ in DAMAGED.values()), Chem.MolToMolBlock(NITRO)]
    (tmp_path / "a.sdf").write_text("$$$$\n".join(block.rstrip("\n") + "\n" for block in blocks))
    found = reasons(sdf_records(tmp_path / "a.sdf"))
    assert len(found) == len(blocks) and [number for number, why in found.items() if why is None] == [1, len(blocks)]


def test_data_fields_that_are_numbers_in_every_record_are_properties(tmp_path):
    fields = "> <gap>\n{}\n\n>  25  <note>\n{}\n\n> <two lines>\n1\nx\n\n"
    text = "".join(f"{BLOCK}{fields.format(gap, note)}$$$$\n" for gap, note in ((1.5, 2), ("-3e-1", "none")))
    (tmp_path / "a.sdf").write_text(text.replace("\n", "\r\n"))
    molecules, _ = gather(sdf_records(tmp_path / "a.sdf"), "a.sdf")
    assert set(molecules.properties) == {"gap", "two lines"}
    np.testing.assert_allclose(molecules.properties["gap"], [1.5, -0.3])


def test_a_data_field_that_is_there_twice_with_two_numbers_is_refused(tmp_path):
    (tmp_path / "a.sdf").write_text(f"{BLOCK}> <gap>\n1.5\n\n> <gap>\n2.5\n\n$$$$\n")
    assert "gap is there twice, as 1.5 and 2.5" in reasons(sdf_records(tmp_path / "a.sdf"))[1]


def test_bonds_and_parts_that_stand_for_several_are_refused():
    for smiles, words in (("CC.c1ccccc1 |m:0:2.3.4|", "may end at several atoms"), ("CCO |LN:1:1.3|", "may be repeated")):
        with pytest.raises(ValueError, match=words):
            check_graph(Chem.MolFromSmiles(smiles))


def test_missing_hydrogens_are_added_with_coordinates_and_said(tmp_path, capsys):
    (tmp_path / "a.sdf").write_text(f"{Chem.MolToMolBlock(Chem.RemoveHs(ETHANOL))}$$$$\n{BLOCK}$$$$\n")
    molecules, _ = gather(sdf_records(tmp_path / "a.sdf"), "a.sdf")
    assert molecules.sizes().tolist() == [9, 9]
    numbers, positions, _ = molecules.atoms(0)
    nearest = np.linalg.norm(positions[numbers == 1][:, None] - positions[numbers > 1], axis=-1).min(1)
    assert (np.abs(nearest - 1.05) < 0.1).all()
    assert capsys.readouterr().err == "1 of 2 molecules of a.sdf had no explicit hydrogens, which were added\n"


def test_isotopes_of_blocks_are_said_to_be_left_out(tmp_path, capsys):
    (tmp_path / "a.sdf").write_text(f"{BLOCK}$$$$\n{BLOCK.replace('M  END', 'M  ISO  1   1  13' + chr(10) + 'M  END')}$$$$\n")
    gather(sdf_records(tmp_path / "a.sdf"), "a.sdf")
    said = "1 of 2 molecules of a.sdf have isotopes, which are not modelled and are left out, such as 13C (record 2)\n"
    assert capsys.readouterr().err == said


def masses(**other):
    """(9,) of ethanol, in u, those of `other` changed: C0=13.003."""
    found = np.array([atom.GetMass() for atom in ETHANOL.GetAtoms()])
    for atom, mass in other.items():
        found[int(atom[1:])] = mass
    return found


@pytest.mark.parametrize("suffix", ["db", "json", "xyz", "npz", "flat.npz"])
def test_isotopes_by_masses_are_said_to_be_left_out_and_average_masses_are_none(suffix, tmp_path, capsys):
    ase, db, io = (pytest.importorskip(name) for name in ("ase", "ase.db", "ase.io"))
    numbers, positions = numbers_of(ETHANOL), positions_of(ETHANOL)
    for marked, place in ((masses(), tmp_path / f"plain.{suffix}"), (masses(C0=13.003), tmp_path / f"marked.{suffix}")):
        if suffix.endswith("npz"):
            alone = {"R": positions[None], "Z": numbers[None], "masses": marked[None]}
            flat = {"positions": positions, "atomic_numbers": numbers, "n_atoms": [9], "isotopes": np.round(marked)}
            np.savez(place, **(flat if suffix == "flat.npz" else alone))
        elif suffix == "xyz":
            io.write(place, ase.Atoms(numbers, positions, masses=marked), format="extxyz")
        else:
            db.connect(place).write(ase.Atoms(numbers, positions, masses=marked))
        gather(RECORDS[f".{suffix.split('.')[-1]}"](place), place.name)
    said = "have isotopes, which are not modelled and are left out, such as 13C (record 1)\n"
    assert capsys.readouterr().err == f"1 of 1 molecules of marked.{suffix} {said}"


@pytest.mark.parametrize("odd", [[13.0, 12.0], "heavy", {"a": 1}, [[1], [2, 3]]])
def test_masses_that_are_not_one_an_atom_are_refused(odd):
    with pytest.raises(ValueError, match="its masses are .*; expected one an atom, or none"):
        formats._isotopes(numbers_of(ETHANOL), odd)


def test_a_mass_is_of_an_isotope_where_it_is_no_average_and_not_that_of_the_commonest():
    ordinary = [(1, 1.00783), (1, 1.0), (17, 34.969), (35, 78.918), (34, 79.917), (50, 118.71), (6, 0), (6, np.nan), (6, 21894.2)]
    marked = [(1, 2.014, 2), (6, 14, 14), (17, 36.966, 37), (8, 18, 18)]
    for number, mass, isotope in [*((*one, 0) for one in ordinary), *marked]:
        assert isotope_of(number, mass) == isotope, (number, mass)


def test_bonds_are_found_from_coordinates_with_the_charge_that_is_stated():
    acetate = conformer("CC(=O)[O-]")
    for molecule, charge in ((ETHANOL, 0), (NITRO, 0), (acetate, -1), (conformer("C[NH3+]"), 1), (conformer("C.O"), 0)):
        found = from_positions(numbers_of(molecule), positions_of(molecule), charge)
        assert smiles_of(found) == smiles_of(molecule)
    with pytest.raises(ValueError, match="no bonds of a molecule of charge 3 are found"):
        from_positions(numbers_of(ETHANOL), positions_of(ETHANOL), 3)


@pytest.mark.parametrize(
    "symbols, places, charge, graph",
    [
        (["Cl"], [0], -1, "[Cl-]"),
        (["Na"], [0], 1, "[Na+]"),
        (["He"], [0], 0, "[He]"),
        (["C", "N"], [0, 1.18], -1, "[C-]#N"),
        (["C", "O"], [0, 1.13], 0, "[C-]#[O+]"),
        (["S", "C", "N"], [0, 1.65, 2.82], -1, "N#C[S-]"),
        (["N", "N", "O"], [0, 1.13, 2.31], 0, "N#[N+][O-]"),
    ],
)
def test_small_ions_have_the_charge_that_is_stated(symbols, places, charge, graph):
    numbers = [Chem.GetPeriodicTable().GetAtomicNumber(symbol) for symbol in symbols]
    assert smiles_of(from_positions(numbers, np.outer(places, [1.0, 0.0, 0.0]), charge)) == graph


def test_the_salt_of_a_metal_whose_bonds_are_not_found_is_read_from_the_block_that_is_advised():
    salt = conformer("[C-]#N.[Na+]")
    with pytest.raises(ValueError, match="no bonds of a molecule of charge 0 .* give an .sdf, which says its bonds"):
        from_positions(numbers_of(salt), positions_of(salt))
    assert smiles_of(from_block(Chem.MolToMolBlock(salt))) == "[C-]#N.[Na+]"


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda r: r / 0.529177, r"hydrogens are 2\.\d+ angstrom from the nearest atom.*are these bohr"),
        (lambda r: r / 10, r"are 0\.10 angstrom apart; are these nm"),
        (lambda r: np.where(np.arange(9)[:, None] == 4, np.inf, r), r"atom 5 has coordinates \[inf, inf, inf\]"),
    ],
    ids=["bohr", "nanometres", "infinite"],
)
def test_coordinates_that_are_not_in_angstrom_are_refused(change, reason):
    with pytest.raises(ValueError, match=reason):
        from_positions(numbers_of(ETHANOL), change(positions_of(ETHANOL)))


def test_frames_of_xyz_have_names_and_charges(tmp_path):
    text = (
        frame(ETHANOL, "ethanol")
        + "\n"
        + frame(conformer("CC(=O)[O-]"), "charge=-1 acetate")
        + frame(ETHANOL, EXTENDED)
    )
    (tmp_path / "a.xyz").write_text(text.replace("C ", "6 ", 1).replace("\n", "\r\n"))
    molecules, skipped = gather(xyz_records(tmp_path / "a.xyz"), "a.xyz")
    assert not skipped and molecules.names == ("ethanol", "acetate", "a 3")  # the last is extended XYZ
    assert [smiles_of(molecules.molecule(i)) for i in range(3)] == ["CCO", "CC(=O)[O-]", "CCO"]
    np.testing.assert_allclose(molecules.atoms(0)[1], positions_of(ETHANOL), atol=1e-6)


def test_a_damaged_frame_is_named_and_the_next_is_found(tmp_path):
    good, lines = frame(ETHANOL), frame(ETHANOL).splitlines(keepends=True)
    frames = [
        ("", good),
        ("line 14 is '9'; expected atom 1", "".join(lines[:2])),  # no atoms at all: the next count stands there
        ("", good),
        (r"line \d+ is '7'; expected atom 6 of 9", "".join(lines[:7])),
        (r"line \d+ goes on behind the 7 atoms", good.replace("9", "7", 1)),
        (r"expected atom 10 of 11", good.replace("9", "11", 1)),
        (r"expected atom 1 of 9: an element and three coordinates", good.replace("C ", "Qq ", 1)),
        ("has coordinates .*nan", re.sub(r"(?m)^O \S+", "O nan", good)),
        ("'nine'; expected the number of atoms", good.replace("9", "nine", 1)),
        ("no bonds of a molecule of charge 1 are found", good.replace("\n\n", "\ncharge=1\n")),
        ("", good),
        ("'the end of the file'; expected atom 9 of 9", "".join(lines[:-1])),
    ]
    (tmp_path / "a.xyz").write_text("".join(text for _, text in frames))
    found = reasons(xyz_records(tmp_path / "a.xyz"))
    assert list(found) == list(range(1, len(frames) + 1))
    for number, (expected, _) in enumerate(frames, 1):
        assert re.search(expected, found[number]) if expected else found[number] is None, (number, found[number])


def arrays(layout):
    parts = [(numbers_of(each), positions_of(each)) for each in (ETHANOL, NITRO, conformer("C[NH3+]"))]
    extra = {"charge": np.array([0, 0, 1]), "gap": np.array([1.0, 2.0, 3.0]), "name": np.array(["a", "b", "c"])}
    if layout == "ragged":
        numbers, positions = (np.concatenate(column) for column in zip(*parts, strict=True))
        return extra | {
            "atomic_numbers": numbers,
            "positions": positions,
            "n_atoms": np.array([len(z) for z, _ in parts]),
        }
    R, Z = np.full((3, 12, 3), np.nan), np.zeros((3, 12), np.uint8)
    for i, (z, r) in enumerate(parts):
        Z[i, : len(z)], R[i, : len(z)] = z, r
    return extra | {"R": R, "Z": Z}


@pytest.mark.parametrize("layout", ["ragged", "padded"])
def test_both_layouts_of_npz_are_read_with_their_properties(layout, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays(layout))
    molecules, skipped = gather(npz_records(tmp_path / "a.npz"), "a.npz")
    assert not skipped and [smiles_of(molecules.molecule(i)) for i in range(3)] == ["CCO", "C[N+](=O)[O-]", "C[NH3+]"]
    assert set(molecules.properties) == {"charge", "gap"} and molecules.properties["gap"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(molecules.atoms(1)[1], positions_of(NITRO), atol=1e-6)


def test_damaged_records_of_npz_are_named(tmp_path):
    data = arrays("padded")
    data["R"][0, 2], data["Z"][1, 0], data["Z"][2] = np.nan, 200, 0
    np.savez(tmp_path / "a.npz", **data)
    found = reasons(npz_records(tmp_path / "a.npz"))
    assert [found[i].split(" ")[0:3] for i in (1, 2)] == [["atom", "3", "has"], ["atom", "1", "is"]]
    assert found[3] == "no atoms"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d | {"n_atoms": d["n_atoms"] + 1}, r".*n_atoms summing to 27; expected \(A,\), \(A, 3\) and a sum of A"),
        (lambda d: {"R": np.zeros((3, 4, 2)), "Z": np.zeros((3, 4), int)}, r"R \(3, 4, 2\) and Z \(3, 4\); expected"),
        (lambda d: {"positions": d["positions"]}, r"has arrays \['positions'\]; expected R and Z"),
        (lambda d: d | {"gap": np.array([{}], object)}, "not a readable npz file .*allow_pickle"),
        (lambda d: d | {"n_atoms": d["n_atoms"] + 0.5}, "n_atoms is 9.5 at index 0; expected whole numbers"),
        (lambda d: d | {"n_atoms": -d["n_atoms"]}, "n_atoms is -9 at index 0"),
        (lambda d: d | {"n_atoms": np.full(3, 2**63 - 1)}, ".*n_atoms summing to 27670116110564327421"),
        (lambda d: d | {"positions": d["positions"] + 0j}, "positions is of type complex128"),
        (lambda d: d | {"pbc": np.array([True, False, False])}, r"is periodic \(pbc\)"),
        (lambda d: d | {"pbc": np.array("TTT")}, "pbc is of type <U3"),
        (lambda d: d | {"box": np.eye(3)}, r"is periodic \(a cell\)"),
        (lambda d: d | {"units": np.array("bohr")}, "units is bohr; expected positions in angstrom"),
        (lambda d: d | {"charge": np.zeros(3), "Q": np.ones(3)}, "Q is not charge; expected one array of charges"),
        (lambda d: d | {"charge": np.zeros((3, 9))}, r"charge \(3, 9\) is of type float64; expected \(3,\)"),
    ],
    ids=["counts", "shapes", "names", "pickle", "halves", "negative", "huge", "complex", "pbc", "pbc of texts", "box", "bohr",
         "two charges", "charges of atoms"],
)  # fmt: skip
def test_npz_files_of_another_layout_are_refused_and_pickle_is_never_read(change, message, tmp_path):
    np.savez(tmp_path / "a.npz", **change(arrays("ragged")))
    with pytest.raises(UserError, match=f"a.npz: {message}"):
        list(npz_records(tmp_path / "a.npz"))


def test_symbols_and_whole_floats_of_npz_are_read(tmp_path):
    table, data = Chem.GetPeriodicTable(), arrays("ragged")
    data["n_atoms"] = data["n_atoms"].astype(float)
    data["atomic_numbers"] = np.array([table.GetElementSymbol(int(number)) for number in data["atomic_numbers"]])
    np.savez(tmp_path / "a.npz", **data)
    molecules, _ = gather(npz_records(tmp_path / "a.npz"), "a.npz")
    assert [smiles_of(molecules.molecule(i)) for i in range(3)] == ["CCO", "C[N+](=O)[O-]", "C[NH3+]"]


def test_a_header_of_npz_that_was_changed_is_noticed(tmp_path):
    np.savez(tmp_path / "a.npz", **arrays("padded"))
    data = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(data.replace(b"'shape': (3, 12)", b"'shape': (2, 12)"))
    with pytest.raises(UserError, match="not a readable npz file .*CRC"):
        list(npz_records(tmp_path / "a.npz"))


@pytest.mark.parametrize("suffix", ["db", "json"])
def test_rows_of_an_ase_database_are_read_with_their_numbers(suffix, tmp_path):
    ase, db = pytest.importorskip("ase"), pytest.importorskip("ase.db")
    file = tmp_path / f"a.{suffix}"
    atoms = lambda each, **more: ase.Atoms(numbers_of(each), positions_of(each), **more)  # noqa: E731
    with db.connect(file) as rows:
        rows.write(atoms(ETHANOL), gap=1.5, kind="alcohol", name="ethanol")
        rows.write(atoms(conformer("C[NH3+]"), charges=[1, *[0] * 7]), gap=2)
        rows.write(atoms(ETHANOL, cell=[9, 9, 9], pbc=True), gap=3)
        rows.write(atoms(NITRO), gap=4)
        rows.write(atoms(ETHANOL, charges=[-1.5 / 9] * 9), gap=5)
    before = sorted(tmp_path.iterdir())
    molecules, skipped = gather(formats.ase_records(file), file.name)
    assert sorted(tmp_path.iterdir()) == before
    assert molecules.names == ("ethanol", "a 2", "a 4") and molecules.properties["gap"].tolist() == [1.5, 2, 4]
    assert [smiles_of(molecules.molecule(i)) for i in range(3)] == ["CCO", "C[NH3+]", "C[N+](=O)[O-]"]
    assert [each.record for each in skipped] == [3, 5] and "periodic (pbc = [True, True, True])" in skipped[0].reason
    assert "charge is -1.5; expected a whole number" in skipped[1].reason
    file.write_bytes(b"no such thing")
    with pytest.raises(UserError, match=f"a.{suffix}: not a readable ASE database"):
        list(formats.ase_records(file))


def test_a_property_is_missing_where_a_file_has_none(tmp_path):
    for name, data in (("a", "> <gap>\n1\n\n"), ("b", ""), ("c", "> <gap>\nnone\n\n> <mu>\n2\n\n")):
        (tmp_path / f"{name}.sdf").write_text(f"{BLOCK}{data}$$$$\n")
    records = [record for name in "abc" for record in sdf_records(tmp_path / f"{name}.sdf")]
    molecules, _ = gather(records, "abc")
    np.testing.assert_array_equal(molecules.properties["gap"], [1, np.nan, np.nan])
    np.testing.assert_array_equal(molecules.properties["mu"], [np.nan, np.nan, 2])
