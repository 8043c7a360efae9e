"""The one molecule that a user brings: SMILES, InChI, a record of a file, the block of a molfile, or an RDKit molecule."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rdkit import Chem, rdBase

from domains.molecules import bonds, embedding
from domains.molecules.readers import RECORDS
from domains.molecules.record import check_atoms, check_graph, check_scale, check_text, check_values, reason_of
from sciddm.data.reading import check_regular, kind_of
from sciddm.errors import UserError
from sciddm.given import Thing, say
from sciddm.named import near

CAPS = {1: 1, 2: 8, 3: 7}  # what stands in the place of an open end, a `*`, while a shape is found: H, =O, #N
SHOWN = 200  # characters of a text in messages
MOST = 2000  # heavy atoms: far more than any model is trained on, and few enough that all pairs of atoms fit into memory
TAKES = f"SMILES, InChI, a file ({' '.join(RECORDS)}; record=2 of several) or an RDKit molecule"


@dataclass(frozen=True)
class Brought:
    """molecule: all atoms, hydrogens behind, in the order given, with its stereo; orders: (n, n) int, bonds of one Kekule structure, that
    of the file where it has one; caps: atoms in the places of `*`, which are not part of it; solid: whether it has positions in angstrom;
    name: for titles; where: for messages."""

    molecule: Chem.Mol
    orders: np.ndarray
    caps: tuple[int, ...]
    solid: bool
    name: str
    where: str

    @property
    def pieces(self) -> int:
        return len(Chem.GetMolFrags(self.molecule))


def bring(thing: Thing, record: int | None = None, names: Sequence[str] = (), *, lenient: bool = False) -> Brought:
    """The molecule of a thing. lenient: bonds and valences may be impossible.

    Raises: UserError in one line: no such file, no SMILES and why, which record, several pieces of news at once.
    """
    where = str(thing) if thing.path is not None or len(str(thing)) <= SHOWN else f"{str(thing)[:SHOWN]}..."
    if record is not None and thing.path is None:
        raise UserError(f"--given record={record}: {where} is no file; leave it out")
    if thing.path is not None and thing.path.exists():
        return _of_file(thing.path, record, lenient)
    if isinstance(thing.value, Chem.Mol):
        name = thing.value.GetProp("_Name") if thing.value.HasProp("_Name") else ""
        return _made(Chem.Mol(thing.value), Chem.Mol(thing.value), name or "molecule", where, lenient)
    block = thing.text or ""
    text = (thing.text or str(thing.path or "")).strip()  # a SMILES with a * may be the pattern of some files
    if not text:
        raise UserError(f"--given {where}: is no molecule; expected {TAKES}")
    if thing.path is not None and len(found := glob.glob(text)) > 1 and Chem.MolFromSmiles(text, sanitize=False) is None:
        raise UserError(f"--given {where}: fits {len(found)} files, one is meant; give {found[0]} or another of them")
    if "M  END" in block:
        return _of_block(block, block.split("\n", 1)[0].strip() or "molecule", "the block", lenient)
    return _of_smiles(text, text, where, names, lenient)


def given_alone(brought: Brought) -> Chem.Mol:
    """Heavy atoms with their bonds, where there are any: hydrogens may have been added, at a distance of RDKit's."""
    with rdBase.BlockLogs():
        heavy = Chem.RemoveAllHs(brought.molecule, sanitize=False)
    return heavy if heavy.GetNumBonds() else brought.molecule


def solid(brought: Brought) -> Brought:
    """With a shape: its own, else by ETKDGv3 and MMFF94, which is said. Raises: UserError where its positions are no molecule's, or RDKit
    finds none."""
    molecule = brought.molecule
    if brought.solid:
        numbers, positions, _ = bonds.atoms(molecule)
        try:
            check_atoms(numbers, positions)
            check_scale(given_alone(brought))
        except ValueError as error:
            raise UserError(f"{brought.where}: {error}") from error
        return brought
    if brought.pieces > 1:
        raise UserError(
            f"{brought.where}: {brought.pieces} pieces without positions; where they are to each other is not known: give a file with "
            "positions, or a whole molecule and keep="
        )
    molecule = Chem.Mol(molecule)
    with rdBase.BlockLogs():
        if not embedding.shape(molecule, 42):
            raise UserError(f"{brought.where}: ETKDG finds no shape for it; give a file with positions")
        relaxed = embedding.relax(molecule, 5000)
    way = "ETKDG and MMFF" if relaxed is not None else "ETKDG; MMFF lacks parameters for it"
    say(f"{brought.where}: has no positions; its shape is made by {way}")
    if free := [f"{brought.molecule.GetAtomWithIdx(i).GetSymbol()}{i}" for i, tag in _centres(brought.molecule) if tag == "?"]:
        say(f"{brought.where}: {', '.join(free)} could be left or right and is not said; one of them is taken")
    return replace(brought, molecule=molecule, solid=True)


def _centres(molecule):
    return Chem.FindMolChiralCenters(Chem.Mol(molecule), includeUnassigned=True)  # which changes what it is given


def _of_file(path: Path, record, lenient):
    where = path
    if path.is_dir():
        raise UserError(f"--given {path}: is a folder; expected one file of a molecule")
    if kind_of(path) not in RECORDS:
        raise UserError(f"{path}: {path.suffix or 'no suffix'} is not read; expected one of {' '.join(RECORDS)}")
    check_regular(path)
    records = list(RECORDS[kind_of(path)](path))
    if not records:
        raise UserError(f"{path}: holds no molecule; expected one")
    if record is None and len(records) > 1:
        raise UserError(f"{path}: holds {len(records)} molecules, one is meant; say which by --given record=1 (to {len(records)})")
    if not 1 <= (record or 1) <= len(records):
        raise UserError(f"--given record={record}: {path} holds {len(records)} molecule{'s' * (len(records) > 1)}, counted from 1")
    one = records[(record or 1) - 1]
    where = f"{path} record {one.number}" if len(records) > 1 else str(path)
    if one.text and kind_of(path) in (".sdf", ".sd", ".mol"):
        return _of_block(one.text, one.name, where, lenient)
    if one.text:
        return _of_smiles(one.text, one.name, f"{where}: {one.text}", (), lenient)
    try:
        with rdBase.BlockLogs():
            molecule = one.make()
    except (ValueError, RuntimeError) as error:
        args = getattr(one.make, "args", ())
        if not lenient or len(args) < 2:
            raise UserError(f"{where}: {error}") from error
        from domains.molecules.collection import make_molecule

        try:
            check_values(args[0], args[1])
        except ValueError as wrong:
            raise UserError(f"{where}: {wrong}") from wrong
        molecule = bonds.perceive_table(make_molecule(args[0], args[1], np.zeros(len(args[0]), int), []))
        say(f"{where}: RDKit finds no bonds; taken from distances by EDM's table")
    return _made(molecule, molecule, one.name, where, lenient)


def _of_block(block, name, where, lenient):
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as log:
        plain, clean = (_parsed(block, sanitize=sanitize) for sanitize in (False, not lenient))
    if clean is None:
        raise UserError(f"{where}: {reason_of(log.messages) or 'not a block of a molfile'}")
    return _made(plain, clean, name, where, lenient)


def _parsed(block, *, sanitize):
    # By the supplier, which gives its reasons as errors that can be caught.
    supplier = Chem.SDMolSupplier()
    supplier.SetData(block, sanitize=sanitize, removeHs=False)
    return next(iter(supplier), None)


def _of_smiles(text, name, where, names, lenient):
    suffix = Path(text).suffix.lower()
    if suffix not in RECORDS:  # else it is no such file
        check_text(text)
    reader = Chem.SmilesParserParams()
    reader.removeHs, reader.sanitize = False, not lenient
    with rdBase.CaptureErrorLog() as log:
        molecule = Chem.MolFromInchi(text, removeHs=False) if text.startswith("InChI=") else Chem.MolFromSmiles(text, reader)
    if molecule is None:
        if suffix in RECORDS or re.fullmatch(r"\.[a-z][a-z0-9]{1,4}", suffix):
            raise UserError(f"--given {where}: no such file; expected {TAKES}")
        word = text.partition("=")[0]
        hint = near(word, names) if "=" in text and word.isidentifier() and len(word) > 2 else ""
        kind = "InChI" if text.startswith("InChI=") else "SMILES"
        reason = re.sub(r"^SMILES Parse Error: ", "", reason_of(log.messages))
        reason = re.sub(r" for input: .*| while parsing: .*", "", reason)
        raise UserError(f"--given {where}: is no {kind} ({reason or 'not parsed'}){hint}; expected {TAKES}")
    reader.sanitize = False  # for what sanitising drops without a word
    with rdBase.BlockLogs():
        plain = molecule if lenient or text.startswith("InChI=") else Chem.MolFromSmiles(text, reader) or molecule
    return _made(plain, molecule, name, where, lenient)


def _made(plain, clean, name, where, lenient):
    tags = _tags(plain)
    clean = Chem.Mol(clean)
    if not clean.GetNumAtoms():
        raise UserError(f"{where}: no atoms; expected a molecule")
    if clean.GetNumHeavyAtoms() > MOST:
        raise UserError(f"{where}: {clean.GetNumHeavyAtoms()} heavy atoms; expected {MOST} at most")
    flat = clean.GetNumConformers() and not clean.GetConformer().Is3D() and not np.any(clean.GetConformer().GetPositions()[:, 2])
    there = clean.GetNumConformers() > 0 and not flat
    if there and not np.isfinite(clean.GetConformer().GetPositions()).all():
        raise UserError(f"{where}: has positions that are no numbers")
    if flat and np.any(clean.GetConformer().GetPositions()):
        say(f"{where}: is flat, a drawing; its graph is taken, and stereo as drawn")
    if lenient:
        clean.UpdatePropertyCache(strict=False)
    else:
        try:
            with rdBase.BlockLogs():
                Chem.SanitizeMol(clean)
        except ValueError as error:
            raise UserError(f"{where}: {error}") from error
    try:
        check_graph(clean)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    tags |= _tags(clean)
    clean, caps = _capped(clean, where)
    if there:
        Chem.AssignStereochemistryFrom3D(clean) if not lenient else None
    else:
        clean.RemoveAllConformers()
        Chem.AssignStereochemistry(clean, cleanIt=True, force=True) if not lenient else None
    _say_oddities(clean, where, set() if there or lenient else tags - _tags(clean))
    clean = Chem.AddHs(clean, addCoords=there)
    return Brought(clean, _orders(plain, clean), caps, there, name, where)


def _capped(molecule, where):
    # `*` becomes an atom that fits, so that a shape can be found; its neighbour is where the rest may grow.
    caps = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum() == 0]
    if not caps:
        return molecule, ()
    molecule = Chem.RWMol(molecule)
    for i in caps:
        atom = molecule.GetAtomWithIdx(i)
        ends = list(atom.GetBonds())
        order = int(ends[0].GetBondTypeAsDouble()) if len(ends) == 1 else 0
        if order not in CAPS or molecule.GetAtomWithIdx(ends[0].GetOtherAtomIdx(i)).GetAtomicNum() == 0:
            what = "is bound to another *" if order in CAPS else f"has {len(ends)} bonds"
            raise UserError(f"{where}: * at {i} {what}; expected one bond, to the atom where the rest may grow")
        fitting = Chem.Atom(CAPS[order])
        fitting.SetNoImplicit(True)
        molecule.ReplaceAtom(i, fitting)
    molecule = molecule.GetMol()
    molecule.UpdatePropertyCache(strict=False)
    return molecule, tuple(caps)


def _orders(plain, clean):
    # A Kekule structure, and where atoms are aromatic the one that was given, which RDKit need not find again.
    kekule = Chem.Mol(clean)
    with rdBase.BlockLogs():
        Chem.KekulizeIfPossible(kekule, clearAromaticFlags=True)
    n = clean.GetNumAtoms()
    orders = np.zeros((n, n), int)
    for bond in kekule.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        given = plain.GetBondBetweenAtoms(a, b) if max(a, b) < plain.GetNumAtoms() else None
        aromatic = clean.GetBondBetweenAtoms(a, b).GetIsAromatic()
        bond = given if aromatic and given is not None and given.GetBondType() != Chem.BondType.AROMATIC else bond
        orders[a, b] = orders[b, a] = int(bond.GetBondTypeAsDouble())
    return orders


def _tags(molecule):
    # What is given of the stereo of atoms, (i,), and of double bonds, (i, j).
    atoms = {(atom.GetIdx(),) for atom in molecule.GetAtoms() if atom.GetChiralTag() != Chem.ChiralType.CHI_UNSPECIFIED}
    return atoms | {
        (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds() if bond.GetStereo() > Chem.BondStereo.STEREOANY
    }


def _say_oddities(molecule, where, dropped):
    if dropped:
        names = ("=".join(f"{molecule.GetAtomWithIdx(i).GetSymbol()}{i}" for i in one) for one in sorted(dropped)[:4])
        say(f"{where}: the stereo of {', '.join(names)} is left out: no stereo centre or double bond for RDKit (or an axis, or beside a *)")
    isotopes = [f"{atom.GetIsotope()}{atom.GetSymbol()} ({atom.GetIdx()})" for atom in molecule.GetAtoms() if atom.GetIsotope()]
    if isotopes:
        say(f"{where}: isotopes are not modelled and are left out: {', '.join(isotopes[:4])}")
    radicals = [f"{atom.GetSymbol()} ({atom.GetIdx()})" for atom in molecule.GetAtoms() if atom.GetNumRadicalElectrons()]
    if radicals:
        say(f"{where}: has unpaired electrons, which are kept: {', '.join(radicals[:4])}")
