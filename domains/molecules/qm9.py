"""QM9 (Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22): molecules of up to nine heavy atoms at B3LYP geometry, with properties.

Read from the tables that the package qm9pack ships; its code is never imported. Bonds and charges are those of its SMILES, whose atoms
stand in the order of the heavy atoms; hydrogens belong to the nearest of them, and must be as many there as the SMILES says.
"""

import hashlib
import importlib.util
import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas
from rdkit import Chem, rdBase

import sciddm
from domains.molecules.collection import Collection
from domains.molecules.descriptors import DESCRIPTORS
from sciddm import store
from sciddm.activity import Bar
from sciddm.data.made import made_once
from sciddm.errors import UserError, install

# Column of the tables -> our name and unit.
PROPERTIES = {
    "Dipole_debye": ("dipole", "debye"), "Polarizability_bohr3": ("polarizability", "bohr^3"), "HOMO_au": ("HOMO", "hartree"),
    "LUMO_au": ("LUMO", "hartree"), "HOMO_LUMO_gap_au": ("gap", "hartree"), "R2_bohr2": ("R2", "bohr^2"),
    "ZPVE_au": ("ZPVE", "hartree"), "InternalEnergy_0K_au": ("U0", "hartree"), "InternalEnergy_298K_au": ("U", "hartree"),
    "Enthalphy_298K_au": ("H", "hartree"), "GibbsFreeEnergy_298K_au": ("G", "hartree"), "Heatcapacity_Cv_cal_mol_K": ("Cv", "cal/mol/K"),
}  # fmt: skip
# Train, validation and all: the published sizes (arXiv:2203.17003, section 5); the rest is the test.
SPLIT, WHOLE = (100_000, 18_000), 130_831


def available(cache, count: int | None = None) -> bool:
    """Whether the package with the tables is there, or what was made of them before."""
    return importlib.util.find_spec("qm9pack") is not None or _path(cache, count).exists()


def _path(cache, count: int | None) -> Path:
    return Path(cache).expanduser() / f"molecules-qm9{'' if count is None else f'-{count}'}-v1.zarr"


def ensure_qm9(cache, *, count: int | None = None, progress: bool = True) -> Collection:
    """QM9 from the cache, made from the tables on first use (two minutes): all of it, or `count` of each table, evenly spaced.

    Raises: UserError without the package qm9pack, or if the cache can't be written or is damaged.
    """
    if not available(cache, count):
        raise UserError(
            f"QM9 needs the package qm9pack: {install('molecules')}, or take --config.data.source=smiles"
        )
    path = made_once(_path(cache, count), lambda partial: _write(partial, count, progress))
    return Collection.from_dataset(store.open_store(path))


def _write(path, count, progress):
    import joblib

    version = metadata.version("qm9pack")
    tables = sorted(_folder().glob("qm9_part*.csv"))
    jobs = []
    for table in tables:
        total = _rows(table)
        rows = np.arange(total) if count is None else np.rint(np.linspace(0, total - 1, min(count, total))).astype(int)
        jobs += [(table, part) for part in np.array_split(rows, -(-len(rows) // 5000))]
    workers = -1 if len(jobs) > len(tables) else 1
    with joblib.parallel_config("loky"), joblib.Parallel(n_jobs=workers, return_as="generator") as run:
        done = run(joblib.delayed(_part)(table, rows) for table, rows in jobs)
        with Bar(done, total=len(jobs), desc="reading QM9", unit="part", disable=not progress) as bar:
            parts = list(bar)
    collection = _joined([part for part, _ in parts])
    refused = [reason for _, reasons in parts for reason in reasons]
    source = f"QM9 by qm9pack {version}, {len(collection)} molecules, {len(refused)} left out"
    dataset = collection.to_dataset().assign_attrs(
        source=source, left_out="; ".join(refused[:20]), made_by=f"sciddm {sciddm.__version__}, rdkit {rdBase.rdkitVersion}",
        tables=json.dumps({table.name: hashlib.sha256(table.read_bytes()).hexdigest() for table in tables}),
    )  # fmt: skip
    store.write(dataset, path, chunk=1 << 18)


def split(count: int, part: str, seed: int = 0) -> np.ndarray:
    """Indices of "train", "valid" or "test" of a shuffled set, in the published shares of QM9: 99,995 to train on where six are refused."""
    order = np.random.default_rng(seed).permutation(count)
    first, second = round(SPLIT[0] * count / WHOLE), round(sum(SPLIT) * count / WHOLE)
    return {"train": order[:first], "valid": order[first:second], "test": order[second:], "all": order}[part]


def _folder() -> Path:
    return Path(importlib.util.find_spec("qm9pack").submodule_search_locations[0]) / "data"


def _rows(table: Path) -> int:
    with open(table, "rb") as file:
        return sum(1 for _ in file) - 1


def _part(table: Path, rows: np.ndarray):
    columns, first = ["XYZ_file", "SMILES", "Elements", "XYZ_Ang", *PROPERTIES], int(rows[0])
    frame = pandas.read_csv(table, usecols=columns, skiprows=range(1, first + 1), nrows=int(rows[-1]) - first + 1)
    frame = frame.iloc[rows - first].reset_index(drop=True)
    molecules, refused, kept = [], [], []
    with rdBase.BlockLogs():
        for row in range(len(frame)):
            name = frame.XYZ_file[row].removesuffix(".xyz")
            try:
                symbols = json.loads(frame.Elements[row].replace("'", '"'))
                molecules.append(build(frame.SMILES[row], symbols, _numbers(frame.XYZ_Ang[row]).reshape(-1, 3)))
                molecules[-1].SetProp("_Name", name)
                kept.append(row)
            except ValueError as error:
                refused.append(f"{name}: {error}")
        graphs = [Chem.RemoveHs(molecule) for molecule in molecules]
        computed = {name: [function(graph) for graph in graphs] for name, function in DESCRIPTORS.items()}
    properties = {name: frame[column].to_numpy()[kept] for column, (name, _) in PROPERTIES.items()}
    units = dict(PROPERTIES.values()) | dict.fromkeys(DESCRIPTORS, "1")
    return Collection.from_molecules(molecules, properties | computed, units), refused


def _numbers(text: str) -> np.ndarray:
    # "[[0.,1.5,2.*^-6], ...]": Mathematica's way of writing, which JSON does not take
    return np.array(text.replace("[", "").replace("]", "").replace("*^", "e").split(","), np.float32)


def build(smiles: str, symbols: list[str], positions: np.ndarray) -> Chem.Mol:
    """The molecule of a SMILES with the positions of a geometry, heavy atoms first in the order of the SMILES, hydrogens behind.

    positions: (n, 3) angstrom, in the order of `symbols`. Raises: ValueError where geometry and SMILES are not the same molecule.
    """
    graph = Chem.MolFromSmiles(smiles)
    if graph is None:
        raise ValueError(f"SMILES {smiles!r} can't be read")
    heavy = [i for i, symbol in enumerate(symbols) if symbol != "H"]
    hydrogens = [i for i, symbol in enumerate(symbols) if symbol == "H"]
    if [atom.GetSymbol() for atom in graph.GetAtoms()] != [symbols[i] for i in heavy]:
        raise ValueError(f"the heavy atoms of {smiles!r} are not those of its geometry")
    at = positions[heavy]
    owners = (
        np.linalg.norm(positions[hydrogens][:, None] - at[None], axis=-1).argmin(1) if hydrogens else np.array([], int)
    )
    counts = np.bincount(owners, minlength=len(heavy))
    if counts.tolist() != [atom.GetTotalNumHs() for atom in graph.GetAtoms()]:
        raise ValueError(f"its hydrogens lie elsewhere than {smiles!r} says")
    molecule = Chem.AddHs(graph)  # hydrogens behind, by the atom they belong to
    order = np.concatenate([heavy, np.array(hydrogens, int)[np.argsort(owners, kind="stable")]]).astype(int)
    conformer = Chem.Conformer(len(order))
    conformer.SetPositions(positions[order].astype(np.float64))
    molecule.AddConformer(conformer, assignId=True)
    return molecule


def _joined(parts: list[Collection]) -> Collection:
    def until(name):
        ends = np.cumsum([0, *(getattr(part, name)[-1] for part in parts)])
        return np.concatenate([[0], *(getattr(p, name)[1:] + end for p, end in zip(parts, ends, strict=False))]).astype(
            np.int64
        )

    arrays = [
        np.concatenate([getattr(part, name) for part in parts]) for name in ("numbers", "positions", "charges", "bonds")
    ]
    properties = {key: np.concatenate([part.properties[key] for part in parts]) for key in parts[0].properties}
    names = tuple(name for part in parts for name in part.names)
    return Collection(*arrays, until("atoms_until"), until("bonds_until"), names, properties, parts[0].units)
