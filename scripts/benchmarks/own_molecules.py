"""What a user's own molecules get of a trained run, as a table: conformers of two known drugs, indole kept, and molecules repaired.

python scripts/benchmarks/own_molecules.py RUN --count 16      # writes results/own_molecules.md; RUN knows C, N, O, H
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from machine import describe
from rdkit import Chem

import sciddm as sd
from domains.molecules.answers import whole_molecule
from domains.molecules.smiles import conformer

DRUGS = {"aspirin": "CC(=O)Oc1ccccc1C(=O)O", "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O"}
INDOLE = "c1ccc2[nH]ccc2c1"
BROKEN = ("CC(=O)NCC", "OCC1CCCO1", "Cc1ccncc1", "NC(=O)C1CC1", "CCOC(C)=O", "CN1CCCC1", "OCc1ccco1", "CC#CCN")
LEVELS = (0.1, 0.2, 0.35, 0.5, 0.8, 1.2)
RESULTS = Path(__file__).parent / "results" / "own_molecules.md"


def same_graph(molecule, smiles: str) -> bool:
    """Whether a molecule has the heavy atoms, the bonds and the hydrogens of a SMILES."""
    clean = Chem.Mol(molecule)
    if Chem.SanitizeMol(clean, catchErrors=True):
        return False
    return Chem.MolToSmiles(Chem.RemoveHs(clean), isomericSmiles=False) == Chem.CanonSmiles(smiles)


def shapes(model, count: int):
    """Rows of conformers: name, right graphs, RMSD to the nearest of 16 by ETKDG and MMFF."""
    for steps in (50, 200):
        for name, smiles in DRUGS.items():
            answers = model.sample(0, count, task="conformers", given=smiles, steps=steps)
            off = np.array([float(answer.GetProp("RMSD to MMFF")) for answer in answers])
            right = sum(same_graph(answer, smiles) for answer in answers)
            spread = f"{off.min():.2f} | {np.median(off):.2f} | {off.max():.2f}"
            yield f"| {name}, {steps} steps | {right} of {count} | {spread} |"


def kept(model, count: int):
    """Rows of molecules grown from indole and between two rings: whether it is there, and whether they are molecules in one piece."""
    cases = {
        "indole, anywhere": ("scaffold", [INDOLE, f"keep={INDOLE}"]),
        "indole, at one carbon": ("scaffold", ["*c1ccc2[nH]ccc2c1", "atoms=13"]),
        "phenyl and pyridyl, joined": ("linker", ["c1ccccc1CCc1ccncc1", "keep=0-5,8-13", "atoms=15"]),
    }
    for name, (task, given) in cases.items():
        answers = model.sample(0, count, task=task, given=given)
        held = sum(answer is not None and answer.GetProp("kept") == "1" for answer in answers)
        yield f"| {name} | {held} of {count} | {sum(map(whole_molecule, answers))} of {count} |"


def repaired(model, count: int):
    """Rows a noise level: molecules with one wrong bond and positions moved by 0.2 A, some answers of each."""
    domain, rng = model.domain, np.random.default_rng(0)
    broken = []
    for molecule in map(conformer, BROKEN):
        x = jax.tree.map(lambda leaf: np.array(leaf[0]), domain.from_native([molecule]))
        there = np.flatnonzero(domain.layout.mask_of(x))
        a, b = np.argwhere(np.triu(x["pairs"][..., 1:].sum(-1) > 0))[0]
        order = 1 + x["pairs"][a, b].argmax() % 3  # another one
        x["pairs"][a, b] = x["pairs"][b, a] = np.arange(4) == order
        x["positions"][there] += 0.2 * rng.standard_normal((len(there), 3)).astype(np.float32)
        broken.append(domain.to_native(jax.tree.map(lambda leaf: leaf[None], x))[0])
    yield f"| as given | {np.mean([whole_molecule(m) for m in broken]):.2f} | 0 | 0 | 0 |"
    for noise in LEVELS:
        each = count // len(broken) or 1
        answers = [a for m in broken for a in model.sample(1, each, task="repair", given=[m, f"noise={noise}"])]
        whole = np.mean([whole_molecule(m) for m in answers])
        names = ("RMSD to given", "bonds changed", "atoms changed")
        off, bonds, atoms = ([float(m.GetProp(name)) for m in answers if m is not None] for name in names)
        yield f"| {noise} | {whole:.2f} | {np.median(off):.2f} | {np.mean(bonds):.1f} | {np.mean(atoms):.1f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=16)
    arguments = parser.parse_args()
    model = sd.load(arguments.run)
    sections = {
        "| conformers | graph right | nearest RMSD [A] | median | largest |\n| --- | --- | --- | --- | --- |": shapes,
        "| kept | kept exactly | valid and in one piece |\n| --- | --- | --- |": kept,
        "| repaired, noise | valid and in one piece | RMSD to given [A] | bonds changed | atoms changed |\n"
        "| --- | --- | --- | --- | --- |": repaired,
    }  # fmt: skip
    sizes = np.flatnonzero(model.domain.normalizer.sizes)
    about = f"step {model.step}, {', '.join(model.domain.layout.symbols)}, {sizes.min()} to {sizes.max()} atoms trained on"
    lines = [f"# A user's own molecules\n\n{about}; {arguments.count} answers each. RMSD: less is better. {describe()}"]
    for head, rows in sections.items():
        lines.append("\n".join([head, *rows(model, arguments.count)]))
        print(lines[-1], flush=True)
    RESULTS.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
