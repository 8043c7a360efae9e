"""Small files of molecules for cases, written into the folder that one is in, and what is right or refused of them."""

import gzip
import json
from pathlib import Path

import numpy as np
from case import done, refused
from rdkit import Chem

from domains.molecules.readers import read_molecules
from domains.molecules.smiles import conformer

ETHANOL, ACETATE, METHYL = conformer("CCO"), conformer("CC(=O)[O-]"), conformer("C[NH3+]")
SYMBOLS = [atom.GetSymbol() for atom in ETHANOL.GetAtoms()]
NUMBERS = np.array([atom.GetAtomicNum() for atom in ETHANOL.GetAtoms()])
PLACES = ETHANOL.GetConformer().GetPositions()
BLOCK = Chem.MolToMolBlock(ETHANOL)
FIRST = BLOCK.split("\n")[4]  # the line of the first atom


def graph(molecule):
    return Chem.MolToSmiles(Chem.RemoveHs(molecule))


def frame(comment="", molecule=ETHANOL, symbols=None, line="{a} {x:.6f} {y:.6f} {z:.6f}", shift=0.0):
    """A frame of XYZ. line: of an atom a, its atomic number n and its place i."""
    atoms = list(molecule.GetAtoms())
    rows = zip(
        atoms,
        symbols or [atom.GetSymbol() for atom in atoms],
        molecule.GetConformer().GetPositions() + shift,
        strict=True,
    )
    lines = [line.format(a=a, n=atom.GetAtomicNum(), i=atom.GetIdx(), x=x, y=y, z=z) for atom, a, (x, y, z) in rows]
    return "\n".join([f"{len(lines)}", comment, *lines, ""])


def put(name, content):
    """Write a file in the folder that one is in."""
    path = Path(name)
    if isinstance(content, dict):
        np.savez(path, **content)
    elif callable(content):
        content(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def bad(kind, name, content, *words, file="a.xyz", **options):
    """A file that `train` refuses."""

    def run(folder):
        put(file, content)
        return ["train", "--config", "molecules:smoke", f"--config.data.path={file}", "--workdir", "run", "--quiet"]

    return refused(kind, name, run, *words, **options)


def good(
    kind,
    name,
    content,
    *graphs,
    file="a.xyz",
    names=None,
    properties=None,
    charge=None,
    positions=None,
    words=(),
    left=0,
    check=None,
):
    """A file whose molecules are of these graphs, and more of what is given. left: how many are skipped."""

    def run(folder):
        found, skipped = read_molecules(put(file, content))
        assert len(skipped) == left, f"{len(skipped)} skipped: {skipped[:1]}"
        there = [graph(found.molecule(i)) for i in range(len(found))]
        assert there == list(graphs), f"graphs {there}"
        assert names is None or found.names == tuple(names), f"names {found.names}"
        assert charge is None or found.charges.sum() == charge, f"charge {found.charges.sum()}"
        for key, values in (properties or {}).items():
            np.testing.assert_allclose(found.properties[key], values, rtol=1e-6, err_msg=key)
        if positions is not None:
            np.testing.assert_allclose(found.atoms(0)[1], positions, atol=1e-4)

    return done(kind, name, run, *words, check=check)


def ase(suffix, change=None, **options):
    """Writes a database of one row. change: of the row in JSON."""

    def write(path):
        import ase
        import ase.db

        plain = path.with_name(f"plain.{suffix.removesuffix('.gz')}")
        pairs = options.pop("pairs", {}) if "pairs" in options else {}
        with ase.db.connect(plain) as rows:
            rows.write(ase.Atoms(NUMBERS, PLACES, **options), gap=1.5, **pairs)
        text = plain.read_bytes()
        plain.unlink()
        if change:
            content = json.loads(text)
            change(content["1"])
            text = json.dumps(content).encode()
        path.write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)

    return write
