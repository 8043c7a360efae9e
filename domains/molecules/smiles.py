"""Molecules that are known by their graph alone: conformers by ETKDGv3 and MMFF, and a small set of them that needs no download."""

import csv
import importlib.util
import io
import math
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import rdkit
from rdkit import Chem, RDConfig, rdBase

import sciddm
from domains.molecules.collection import Collection
from domains.molecules.embedding import MANY, relax, shape
from domains.molecules.record import Record, Skipped, check_text, fail, gather, number_of, reason_of
from sciddm import store
from sciddm.data.made import made_once
from sciddm.data.reading import read_text
from sciddm.data.tables import EMPTY, LONGEST
from sciddm.errors import UserError, install

SEED = 42
ROWS = 2**16  # atoms in a chunk of the cache
SMALL = re.compile(
    r"[CNOFHcno0-9()\[\]=#+\-@/\\]{1,60}"
)  # of H, C, N, O and F, or cobalt and such: most are named by it at once
HEAVY = 9
SHOWN = 60  # characters of a SMILES in messages
EXTENSION = re.compile(r"(\|[^|]*\|)\s*(.*)")  # of CXSMILES: radicals, positions


def conformer(smiles: str, seed: int = SEED) -> Chem.Mol:
    """A molecule with hydrogens and one conformer, angstrom: ETKDGv3, then MMFF94 to convergence.

    (Wang et al. 2020, doi:10.1021/acs.jcim.0c00025; Halgren 1996, doi:10.1002/(SICI)1096-987X(199604)17:5/6<490::AID-JCC1>3.0.CO;2-P)
    Raises: UserError with the reason: SMILES that is none, no conformer found, no parameters, not converged.
    """
    check_text(smiles)
    text, smiles = smiles, smiles if len(smiles) <= SHOWN else f"{smiles[:SHOWN]}..."
    with rdBase.CaptureErrorLog() as log:
        molecule = Chem.MolFromSmiles(text)
    if molecule is None:
        raise UserError(f"SMILES {smiles!r}: {reason_of(log.messages) or 'not parsed'}")
    if not molecule.GetNumAtoms():
        raise UserError(f"SMILES {smiles!r}: no atoms")
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise UserError(f"SMILES {smiles!r}: has a place-holder atom; expected elements")
    if molecule.GetNumHeavyAtoms() > MANY:
        raise UserError(f"SMILES of {molecule.GetNumHeavyAtoms()} heavy atoms: expected {MANY} at most; give coordinates as .sdf or .xyz")
    molecule = Chem.AddHs(molecule)
    if not shape(molecule, seed):
        raise UserError(f"SMILES {smiles!r}: ETKDG finds no conformer")
    relaxed = relax(molecule, 5000)
    if relaxed is None:
        raise UserError(f"SMILES {smiles!r}: MMFF has no parameters for its atoms; give coordinates as .sdf or .xyz")
    if not relaxed:
        raise UserError(f"SMILES {smiles!r}: MMFF does not converge in 5000 steps")
    molecule.SetProp("_Name", text)
    return molecule


def make_collection(
    smiles: Iterable[str], *, seed: int = SEED, jobs=None, progress=False, what="SMILES"
) -> tuple[Collection, list[Skipped]]:
    """Conformers of all `smiles`, each by the same seed whatever the number of processes; those without one are listed.

    Args: jobs: processes, None for one a core where there are many; what: named in messages.
    Raises: UserError if none has a conformer.
    """
    records = (Record(what, i, each, partial(conformer, each, seed)) for i, each in enumerate(smiles, 1))
    return gather(records, what, jobs=jobs, progress=progress)


def smiles_records(file: Path) -> Iterator[Record]:
    """.smi, .smiles: a SMILES a line, |...| behind it with it, and, behind a blank, its name; '#' begins a comment, "smiles" a header."""
    lines = [line.split(maxsplit=1) for line in read_text(file).split("\n") if line.strip() and line.lstrip()[0] != "#"]
    if lines and lines[0][0].lower() == "smiles":
        lines = lines[1:]
    for number, (smiles, *name) in enumerate(lines, 1):
        name = name[0].strip() if name else ""
        if found := EXTENSION.match(name):
            smiles, name = f"{smiles} {found[1]}", found[2]
        yield Record(str(file), number, name or smiles, partial(conformer, smiles), text=smiles)


def csv_records(file: Path) -> Iterator[Record]:
    """.csv with a column "smiles" (any case); "name" names molecules, other columns of numbers are properties, NaN where empty.

    Cells have commas between them, semicolons or tabs, as the first line has.
    """
    text = read_text(file)
    first = next((line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")), "")
    csv.field_size_limit(LONGEST)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True, skipinitialspace=True)
    try:
        table = [row for row in rows if any(cell.strip() for cell in row) and not row[0].startswith("#")]
    except csv.Error as error:
        raise UserError(f"{file}, line {rows.line_num}: {error}; expected cells, those with quotes closed") from None
    columns = [column.strip() for column in table[0]] if table else []
    lower = [column.lower() for column in columns]
    if "smiles" not in lower:
        raise UserError(f"{file}: has columns {columns}; expected one named 'smiles'")
    if twice := next((column for i, column in enumerate(lower) if column and column in lower[:i]), None):
        raise UserError(f"{file}: column {twice!r} is there twice; rename one")
    at, names = lower.index("smiles"), lower.index("name") if "name" in lower else lower.index("smiles")
    for number, row in enumerate(table[1:], 1):
        if len(row) != len(columns):
            reason = f"{len(row)} cells, expected {len(columns)} as in the first line"
            yield Record(str(file), number, "", partial(fail, reason))
            continue
        cells = {column: _value(cell) for i, (column, cell) in enumerate(zip(columns, row, strict=True)) if i != at and column}
        properties = {column: value for column, value in cells.items() if value is not None}
        yield Record(str(file), number, row[names].strip(), partial(conformer, row[at].strip()), properties, row[at].strip())


def _value(cell):
    return math.nan if cell.strip().lower() in EMPTY else number_of(cell)


def default_smiles(count: int | None = None) -> list[str]:
    """The first `count`, None for all, of the small organic molecules that come with RDKit (421) and chemicals 1.5 (6,454 in all).

    H, C, N, O and F only, 1 to 9 heavy atoms, neutral, in one piece, no radicals or isotopes; canonical and each of them once.
    Raises: UserError if there are fewer.
    """
    found: dict[str, None] = {}
    with rdBase.BlockLogs():
        for smiles in _embedded():
            canonical = _small(smiles)
            if canonical:
                found[canonical] = None
            if len(found) == count:
                return list(found)
    if count is None:
        return list(found)
    raise UserError(
        f"{count} molecules: {len(found)} small ones come with the installed packages; "
        f"{install('molecules')} for more, or take --config.data.count={len(found)}"
    )


def _embedded():
    for line in (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").read_text().splitlines():
        yield line.split()[0]
    package = importlib.util.find_spec("chemicals")
    # Its import takes seconds, and only its tables are needed: columns id, CAS, formula, weight, SMILES, ...
    for size in ("small", "large") if package else ():
        table = Path(package.origin).parent / "Identifiers" / f"chemical identifiers pubchem {size}.tsv"
        for line in table.read_text(encoding="utf-8").splitlines():
            yield line.split("\t", 5)[4]


def _small(smiles):
    # Canonical SMILES of a molecule as `default_smiles` describes, else None.
    if not SMALL.fullmatch(smiles) or sum(letter in "CNOFcno" for letter in smiles) > HEAVY:
        return None
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or Chem.GetFormalCharge(molecule) or len(Chem.GetMolFrags(molecule)) != 1:
        return None
    atoms = list(molecule.GetAtoms())
    odd = any(atom.GetIsotope() or atom.GetNumRadicalElectrons() or atom.GetSymbol() not in "HCNOF" for atom in atoms)
    return None if odd or all(atom.GetAtomicNum() == 1 for atom in atoms) else Chem.MolToSmiles(molecule)


def ensure_smiles_set(count: int | None, seed: int, cache, *, jobs=None, progress=True) -> Collection:
    """Conformers of `default_smiles(count)`, made on the first call and read again after it; a few of them may have none.

    Args: cache: folder; jobs: processes, None for one a core.
    Raises: UserError on a count that is impossible, or if the cache can't be written or is damaged.
    """
    if (count is not None and count < 1) or seed < 0:
        raise UserError(f"config.data.count = {count}, config.seed = {seed}: expected 1 or more, and 0 or more")
    chosen = default_smiles(count)
    path = Path(cache) / f"molecules-smiles-{len(chosen)}-seed{seed}.zarr"
    path = made_once(path, lambda partial: _write(partial, chosen, seed, jobs, progress))
    return Collection.from_dataset(store.open_store(path))


def _write(path, chosen, seed, jobs, progress):
    molecules, skipped = make_collection(chosen, seed=seed, jobs=jobs, progress=progress)
    attrs = {
        "source": f"sciddm {sciddm.__version__} domains.molecules, SMILES of RDKit's NCI set and of chemicals",
        "method": "ETKDGv3, then MMFF94", "rdkit": rdkit.__version__, "seed": seed, "skipped": len(skipped),
    }  # fmt: skip
    store.write(molecules.to_dataset().assign_attrs(attrs), path, chunk=ROWS)
