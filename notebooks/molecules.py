# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Molecules: make them, shape them, grow them from a part
#
# `sciddm train --config configs/molecules.py:base --workdir runs/molecules` makes a model worth looking at. Without it a toy is trained
# once, for a few seconds, in `runs/notebooks/molecules`, where the next opening finds it: it shows the way but not the quality.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rdkit import Chem

import sciddm as sd
from domains.molecules import metrics, plots, readers
from sciddm.overrides import load_config
from sciddm.train import fit

ROOT = Path.cwd() if Path("configs/molecules.py").exists() else Path.cwd().parent
runs = [ROOT / "runs" / name for name in ("molecules", "notebooks/molecules")]  # yours, or else the toy of this notebook
workdir = Path(os.environ.get("SCIDDM_WORKDIR") or next((run for run in runs if (run / "checkpoints").exists()), runs[-1]))

if not (workdir / "checkpoints").exists():
    config = load_config(f"{ROOT}/configs/molecules.py:smoke", ())
    config.data.update({"count": 400})  # of each of QM9's tables, or in all from SMILES
    config.network.update({"hidden": 32, "layers": 2})
    config.training.update({"steps": 120, "wall_minutes": None, "batch_size": 32, "held_out": 0})
    config.sampling.update({"steps": 10, "batch_size": 16})
    for options in config.tasks.values():
        options.steps = 10
    config.tasks.conformers.count = 4
    fit(config, workdir, progress=False)

model = sd.load(workdir)
domain = model.domain
print(f"step {model.step}, kinds {domain.layout.symbols}, up to {domain.size} atoms, tasks {sorted(domain.tasks)}")

# %% [markdown]
# ## Molecules out of nothing
# `sample` gives RDKit molecules with all their atoms and a conformer, just as the network made them: not sanitised, so that what is
# wrong can be seen. `None` would stand where nothing could be made of the numbers.

# %%
molecules = model.sample(0, 16)
plots.gallery(molecules[:8])
plt.show()
plots.grid(molecules)
plt.show()
for name, value in metrics.scores(molecules, heavy=domain.layout.heavy).items():
    print(f"{name:28} {value:.3f}")

# %% [markdown]
# They are yours as files, too: `readers.read_molecules` takes SDF, XYZ, SMILES, ASE databases and npz, names what it can't use, and
# `--config.data.path=FILE` trains on it.

# %%
path = workdir / "molecules.sdf"
readers.write_molecules([metrics.sanitised(molecule) for molecule in molecules], path)
print(f"{path.name}: {path.stat().st_size} bytes")

# %% [markdown]
# ## The shape of a graph
# Conditioned on a graph, the same model answers with conformers. Beside them the classical answer, ETKDG with and without MMFF, against
# the quantum-chemical geometry.

# %%
example = domain.dataset("test")[3]["x"]
problem = model.problem("conformers", example)
conformers = model.solve(1, "conformers", problem, members=4)
task = domain.tasks["conformers"]
task.plot(conformers, problem, {})
plt.show()
print("ours", task.metrics(conformers, problem))
for name, answer in task.baseline(problem).items():
    print(name, task.metrics(answer, problem))

# %% [markdown]
# ## A part is kept, the rest grows
# The kept atoms hold their distances to rounding, under any network: the constraint is projected at every step of the way.

# %%
problem = model.problem("scaffold", example)
grown = model.solve(2, "scaffold", problem, members=7)
domain.tasks["scaffold"].plot(grown, problem, {})
plt.show()
print(domain.tasks["scaffold"].metrics(grown, problem))

# %% [markdown]
# ## Your own molecule
# `given` takes what you have: SMILES, files, RDKit molecules, `name=value`. Here lactic acid, whose centre stays as it is; `sciddm info
# --workdir RUN --task conformers` says what a task takes.

# %%
own = model.sample(4, 4, task="conformers", given="C[C@H](O)C(=O)O")
print([(molecule.GetProp("stereo"), molecule.GetProp("RMSD to MMFF")) for molecule in own])

# %% [markdown]
# ## A potential of your own
# Any function of positions, kinds and orders steers. Here molecules are to be long: one nat for every angstrom of the radius of gyration
# that the expected molecule has, and the less the more is still noise. The task `repair` does the same with valences and clashes.


# %%
def long(z, t):
    known = 1.0 / (1.0 + 10.0 * model.denoiser.process.sigma(t) ** 2)
    return 30.0 * known * domain.rewards["radius of gyration"].function(domain.normalizer.denormalize(z))


guided = sd.lookahead.steer(model.denoiser, long)
plain, steered = (model.draw(3, 16, denoiser=denoiser) for denoiser in (model.denoiser, guided))
for name, some in (("plain", plain), ("steered", steered)):
    scores = metrics.scores(domain.to_native(some), heavy=domain.layout.heavy)
    size = np.mean(domain.rewards["radius of gyration"].function(some))
    print(f"{name}: radius of gyration {size:.2f} A, valid and connected {scores['valid and connected']:.2f}")

# %% [markdown]
# ## How probable is a molecule?
# Log densities live on the subspace without a centre of mass, and see neither rotation nor padding. The trace is estimated here;
# `trace="exact"`, the default, costs a backward pass a coordinate.

# %%
small = int(np.argmax(domain.collection.sizes(heavy=True) == 3))
molecule = domain.collection.molecule(small)
log_p = model.log_prob([molecule], trace="hutchinson", probes=4, rtol=1e-3, atol=1e-3)
print(f"{Chem.MolToSmiles(Chem.RemoveHs(molecule))}: {log_p[0]:.1f} nats")
