"""XYZ in its dialects: what stands in the comment line counts."""

import gzip

import numpy as np
import pytest
from rdkit import Chem

from domains.molecules.record import _made, gather
from domains.molecules.smiles import conformer
from domains.molecules.xyz import xyz_records

ETHANOL, ACETATE = conformer("CCO"), conformer("CC(=O)[O-]")


def frame(comment="", molecule=ETHANOL, line="{a} {x} {y} {z}"):
    rows = zip(molecule.GetAtoms(), molecule.GetConformer().GetPositions(), strict=True)
    lines = [line.format(a=a.GetSymbol(), n=a.GetAtomicNum(), i=a.GetIdx(), x=x, y=y, z=z) for a, (x, y, z) in rows]
    return "\n".join([f"{len(lines)}", comment, *lines, ""])


def read(tmp_path, content, name="a.xyz"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(xyz_records(path))


def reason(tmp_path, content):
    (record,) = read(tmp_path, content)
    return _made(record.make)[2]


@pytest.mark.parametrize(
    "said",
    [
        "charge=-1.0",
        "charge='-1'",
        "total_charge=-1",
        "Charge = -1",
        "net charge: -1",
        "chg=-1",
        "q: -1",
        "charge is -1",
        "system_charge=-1",
        "charge=1-",
        "q=-1",
        "charge=\u22121",
        "charge=-1,",
    ],
)
def test_a_charge_is_read_however_it_is_spelled_and_leaves_no_name(said, tmp_path):
    first, second = read(tmp_path, frame(said, ACETATE) + frame("ethanol"))
    assert Chem.GetFormalCharge(first.make()) == -1 and first.name == "a 1"
    assert Chem.GetFormalCharge(second.make()) == 0 and second.name == "ethanol"


@pytest.mark.parametrize(
    "said", ["charge=-1.5", "charge=", "charge=minus", "charge=1,5", "charge=-1_0", "charge=9999999999"]
)
def test_a_charge_that_is_no_whole_number_is_refused(said, tmp_path):
    assert "charge is" in reason(tmp_path, frame(said, ACETATE))


def test_charges_that_contradict_each_other_are_refused_and_those_of_atoms_add_up(tmp_path):
    assert "charge is -2 and -1; expected one" in reason(tmp_path, frame("charge=-1 total_charge=-2", ACETATE))
    header = "Properties=species:S:1:pos:R:3:initial_charges:R:1"
    rows = [
        f"{row} {-0.5 * (row[0] == 'O')}" if i > 1 else row for i, row in enumerate(frame(header, ACETATE).splitlines())
    ]
    (record,) = read(tmp_path, "\n".join(rows))
    assert Chem.GetFormalCharge(record.make()) == -1
    assert "charge is -0.5" in reason(tmp_path, "\n".join(rows).replace(" -0.5", " -0.25"))


@pytest.mark.parametrize(
    "said, periodic",
    [
        ('pbc="T T T"', True),
        ("pbc='F F T'", True),
        ("pbc=T", True),
        ('Lattice="8 0 0 0 8 0 0 0 8"', True),
        ("pbc=F T F", True),
        ("pbc: F F T", True),
        ("periodic=T", True),
        ("Lattice=0 8 0 8 0 0 0 0 8", True),
        ('Lattice=""', True),
        ("cell: 8 8 8", True),
        ("# CELL(abcABC): 8 8 8 90 90 90 cell{angstrom}", True),
        ('unit_cell="8 8 8 90 90 90"', True),
        ('CELL(abcABC): 8 8 8 90 90 90 pbc="F F F"', False),
        ("box of sweets", False),
        ('pbc="F F F"', False),
        ('Lattice="8 0 0 0 8 0 0 0 8" pbc="F F F"', False),
        ('Lattice="0 0 0 0 0 0 0 0 0"', False),
    ],
)
def test_a_crystal_is_refused_as_extended_xyz_says_that_it_is_one(said, periodic, tmp_path):
    assert reason(tmp_path, frame(said)).startswith("periodic") == periodic


@pytest.mark.parametrize("said", ["units: bohr", "positions{atomic_unit}", "unit=nm"])
def test_another_unit_is_refused_however_it_is_said(said, tmp_path):
    assert reason(tmp_path, frame(said)).startswith("its unit is")


@pytest.mark.parametrize("line", ["{a} -1 {x} {y} {z}", "{a} {i} {x} {y} {z}", "{a} {n}.0 {x} {y} {z}"])
def test_a_number_between_element_and_coordinates_is_not_taken_for_x(line, tmp_path):
    assert "whole number between" in reason(tmp_path, frame(line=line))
    assert not reason(tmp_path, frame("Properties=species:S:1:id:R:1:pos:R:3", line=line))


def test_a_number_that_is_said_twice_is_refused(tmp_path):
    header = "Properties=species:S:1:pos:R:3 energy=1"
    assert "energy is there twice" in reason(tmp_path, frame(f"{header} energy=2"))
    assert not reason(tmp_path, frame(f"{header} energy=1.0"))


@pytest.mark.parametrize(
    "header, line",
    [
        ("species:S:1:id:I:1:pos:R:3", "{a} {i} {x} {y} {z}"),
        ("pos:R:3:species:S:1", "{x} {y} {z} {a}"),
        ("Z:I:1:forces:R:3:pos:R:3", "{n} 1 2 3 {x} {y} {z}"),
    ],
)
def test_columns_are_those_of_the_header(header, line, tmp_path):
    (record,) = read(tmp_path, frame(f"Properties={header} energy=-1.5 name=mine", line=line))
    molecule = record.make()
    assert Chem.MolToSmiles(Chem.RemoveHs(molecule)) == "CCO" and (record.name, record.properties) == (
        "mine",
        {"energy": -1.5},
    )
    np.testing.assert_allclose(molecule.GetConformer().GetPositions(), ETHANOL.GetConformer().GetPositions())


@pytest.mark.parametrize(
    "header, said",
    [("species:S:1", "pos"), ("pos:R:3", "species"), ("species:S:1:pos:R:2", "pos"), ("species", "expected")],
)
def test_columns_without_elements_or_positions_are_refused(header, said, tmp_path):
    assert said in reason(tmp_path, frame(f"Properties={header}"))
    wrong = frame("Properties=species:S:1:Z:I:1:pos:R:3", line="{a} 7 {x} {y} {z}")
    assert "of one element" in reason(tmp_path, wrong)


QM9 = """3
gdb 3\t799.58812\t437.90386\t282.94545\t1.8511\t6.31\t-0.2928\t0.0687\t0.3615\t19.0002\t0.021375\
\t-76.404702\t-76.401867\t-76.400922\t-76.422349\t6.002\t
O\t-0.0343604951\t 0.9775395708\t 0.0076015923\t-0.589706
H\t 6.47664923*^-2\t 0.0205721989\t 1.5346341*^-3\t 0.294853
H\t 0.8717903737\t 1.3007924048\t 0.0006931336\t 0.294853
1671.4222\t3803.6305\t3907.698
O\tO\t
InChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2
"""


def test_files_of_qm9_are_read_with_their_properties_one_after_the_other(tmp_path):
    molecules, skipped = gather(read(tmp_path, QM9 * 2), "a.xyz")
    assert not skipped and molecules.names == ("gdb 3", "gdb 3") and molecules.sizes().tolist() == [3, 3]
    found = {name: values[1] for name, values in molecules.properties.items()}
    assert len(found) == 15
    for name, value in {
        "dipole": 1.8511,
        "gap": 0.3615,
        "U0": -76.404702,
        "Cv": 6.002,
        "rotational A": 799.58812,
    }.items():
        assert found[name] == pytest.approx(value)
    np.testing.assert_allclose(molecules.atoms(1)[1][1], [0.0647664923, 0.0205721989, 0.0015346341], rtol=1e-6)
    assert "expected 15 numbers" in reason(tmp_path, QM9.replace("\t6.002", ""))


def test_digits_that_are_none_and_coordinates_in_other_hands_are_told_apart(tmp_path):
    assert "expected the number of atoms" in reason(tmp_path, frame().replace("9", "\u00b2", 1))
    assert "expected atom 1 of 9" in reason(tmp_path, frame(line="{a} 1_0 {y} {z}"))
    (record,) = read(tmp_path, frame(line="{n}.0 {x:.6f}D+00 {y:.6f}*^0 {z:.6f}"))
    np.testing.assert_allclose(
        record.make().GetConformer().GetPositions(), ETHANOL.GetConformer().GetPositions(), atol=1e-6
    )


def test_deuterium_is_hydrogen_and_said(tmp_path, capsys):
    gather(read(tmp_path, frame()[::-1].replace("H", "D", 1)[::-1]), "a.xyz")
    said = "1 of 1 molecules of a.xyz have isotopes, which are not modelled and are left out, such as 2H (record 1)"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "encode", [gzip.compress, lambda text: text.decode().encode("utf-16"), lambda text: text.replace(b"\n", b"\r")]
)
def test_a_text_is_read_as_it_was_packed_encoded_or_ended(encode, tmp_path):
    (record,) = read(tmp_path, encode(frame().encode()), "mine.xyz.gz")
    assert record.name == "mine 1" and record.make().GetNumAtoms() == 9
