"""How good are generated molecules? A trained run against the held-out data's own scores, by steps and by time of training.

Usage: python scripts/benchmarks/molecules.py --workdir RUN [--count 1000 --pictures docs --curve 256]
Tasks have their own tables: sciddm evaluate --workdir RUN --task conformers --problems 60 --members 8, and so on.
"""

import argparse
import time
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from machine import describe
from rdkit import Chem
from tqdm import tqdm

import sciddm as sd
from domains.molecules import bonds, metrics, plots
from sciddm.evaluation import format_table, save_figure
from sciddm.train.checkpoint import Checkpoints

SETTINGS = (("unipc2", 25), ("unipc2", 50), ("ddpm", 25), ("ddpm", 50), ("ddpm", 100))
CURVE = ("valid and connected", "atom stability", "molecule stability", "unique")


def generated(model, count: int, solver: str, steps: int):
    """Molecules, and seconds a molecule with compilation left out."""
    options = {"solver": solver, "steps": steps}
    model.sample(1, min(count, model.config.sampling.batch_size), **options)
    start = time.perf_counter()
    samples = model.sample(0, count, **options)
    return samples, (time.perf_counter() - start) / count


def generation(model, count: int, pictures: Path | None) -> str:
    """A row a solver and number of steps, below the ceiling; geometry, strain and PoseBusters of the last."""
    domain = model.domain
    test = domain.molecules("test")
    chosen = np.random.default_rng(0).permutation(len(test))[:count]
    reference = domain.to_native(domain.layout.expand(domain.layout.pack(test.select(chosen), domain.size)))
    rows = {f"held-out data, {len(chosen)}": metrics.scores(reference, known=domain.known, heavy=domain.layout.heavy)}
    for solver, steps in tqdm(SETTINGS, desc="generate", unit="setting"):
        samples, seconds = generated(model, count, solver, steps)
        scores = metrics.scores(samples, known=domain.known, heavy=domain.layout.heavy)
        rows[f"{solver}, {steps} calls"] = scores | {"s a molecule": seconds}
    rows[f"held-out data, {len(chosen)}"]["s a molecule"] = np.nan
    if domain.layout.heavy:  # where the data's own hydrogens stand, and not those of RDKit's rules
        whole = [test.molecule(int(i)) for i in chosen]
        stable = [bonds.table_stable(*bonds.atoms(molecule)[:2]) for molecule in whole]
        atoms, molecules = np.concatenate(stable).mean(), np.mean([s.all() for s in stable])
        about = f"held-out data by table with their own hydrogens: atoms {atoms:.4f}, molecules {molecules:.4f}"
    else:
        about = ""
    geometry = {
        "held-out data, other half": metrics.distributions(reference[::2], reference[1::2]),
        "generated": metrics.distributions(samples, reference),
    }
    for name, molecules in (("held-out data, other half", reference), ("generated", samples)):
        strain = metrics.strain(molecules[:300])
        geometry[name]["median strain [kcal/mol]"] = float(np.nanmedian(strain))
        geometry[name]["PoseBusters all"] = metrics.posebusters(molecules, 60)["all"]
    if pictures:
        save_figure(plots.gallery(samples[:8]), pictures / "molecules_generated.png")
        save_figure(plots.grid(samples[:24]), pictures / "molecules_grid.png")
        # hydrogens that stand by rule say nothing
        shown = [[drawn(m) if domain.layout.heavy else m for m in part] for part in (samples, reference)]
        save_figure(plots.distributions(*shown), pictures / "molecules_distributions.png")
    return "\n\n".join(part for part in (format_table(rows), about, format_table(geometry)) if part)


def drawn(molecule):
    """The heavy atoms alone."""
    return molecule and Chem.RemoveAllHs(molecule, sanitize=False)


def curve(workdir, count: int, pictures: Path | None) -> str:
    """Scores of every checkpoint that is kept, against minutes of training: 50 steps of ddpm."""
    checkpoints, rows, minutes = Checkpoints(workdir, read_only=True), {}, []
    for step in tqdm(sorted(checkpoints.steps()), desc="curve", unit="checkpoint"):
        model = sd.load(workdir, step=step)
        minutes.append(checkpoints.meta(step)["elapsed"] / 60)
        samples = model.sample(0, count, solver="ddpm", steps=50)
        scores = metrics.scores(samples, heavy=model.domain.layout.heavy)
        rows[f"{minutes[-1]:.1f} minutes, step {step}"] = {name: scores[name] for name in CURVE}
    if pictures:
        figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
        for name in CURVE:
            axes.plot(minutes, [row[name] for row in rows.values()], marker="o", ms=3.5, label=name)
        axes.set(xlabel="minutes of training on 2 cores", ylabel=f"share of {count} molecules", ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        save_figure(figure, pictures / "molecules_training.png")
    return format_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--count", type=int, default=1000, help="molecules a row")
    parser.add_argument("--curve", type=int, default=256, help="molecules a checkpoint, 0 for no curve")
    parser.add_argument("--pictures", type=Path, help="folder for the README's pictures")
    arguments = parser.parse_args()
    model = sd.load(arguments.workdir)
    parts = [f"{describe()}; step {model.step}", generation(model, arguments.count, arguments.pictures)]
    if arguments.curve:
        parts.append(curve(arguments.workdir, arguments.curve, arguments.pictures))
    text = "\n\n".join(parts)
    print(text)
    (Path(__file__).parent / "results" / "molecules.md").write_text(
        f"# {__doc__.splitlines()[0]}\n\n```\n{text}\n```\n"
    )


if __name__ == "__main__":
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    main()
