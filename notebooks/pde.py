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
# # PDE fields: from a trained run to a solved inverse problem
#
# Darcy flow, $-\nabla\cdot(a\nabla u) = 1$: permeability $a$ and pressure $u$ are learned jointly, so one model answers
# forward ($a$ seen) and inverse ($u$ seen) questions. With the run that `sciddm demo` leaves in
# `runs/demo` there is a model worth looking at. Without it a toy is trained once, for a few seconds, in `runs/notebooks/pde`, where the
# next opening finds it: it shows the way but not the quality.

# %%
import os
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np

import sciddm as sd
from sciddm.overrides import load_config
from sciddm.train import fit

ROOT = Path.cwd() if Path("configs/pde.py").exists() else Path.cwd().parent
runs = [ROOT / "runs" / name for name in ("demo", "notebooks/pde")]  # yours, or else the toy of this notebook
workdir = Path(os.environ.get("SCIDDM_WORKDIR") or next((run for run in runs if (run / "checkpoints").exists()), runs[-1]))

if not (workdir / "checkpoints").exists():
    config = load_config(f"{ROOT}/configs/pde.py:smoke", ())
    config.data.update({"resolution": 16, "count": 512})
    config.network.update({"channels": (24, 32), "attention_levels": ()})
    config.training.update({"steps": 60, "wall_minutes": None, "held_out": 0})
    for name in ("forward", "inverse", "superresolve"):
        config.tasks[name].steps = 10
    fit(config, workdir, progress=False)

model = sd.load(workdir)
print(f"step {model.step}, tasks {sorted(model.domain.tasks)}")

# %% [markdown]
# ## Samples
# `model.sample` gives the domain's own objects, an `xarray.Dataset` with coordinates and units.

# %%
fields = model.sample(0, 6)
print(fields)
model.domain.plot(fields)
plt.show()

# %% [markdown]
# ## An inverse problem
# 3 % of the points of `u` are seen; eight members recover both fields.

# %%
problem = model.problem("inverse", key=3)
members = model.solve(3, "inverse", problem, members=8)
task = model.domain.tasks["inverse"]
task.plot(members, problem, task.baseline(problem))
plt.show()
print({name: round(value, 3) for name, value in task.metrics(members, problem).items()})

# %% [markdown]
# ## Your own observation
# Anything differentiable will do as an instrument: here the mean pressure in the four quadrants, on top of plain sampling.

# %%
n = model.domain.resolution


def quadrants(x_0):
    """(B, n, n, 2) normalised -> (B, 2, 2) mean pressures."""
    return x_0[..., 1].reshape(-1, 2, n // 2, 2, n // 2).mean((2, 4))


truth = model.domain.dataset("test")[1]["x"]
seen = quadrants(model.normalizer.normalize(truth)[None])[0]
guided = sd.lookahead.mmps(model.denoiser, sd.lookahead.Observation(quadrants, seen, 0.05))
samples, info = sd.sample(jax.random.key(0), guided, (4, n, n, 2), solver="ddpm", steps=20)
print("seen\n", np.round(seen, 2), "\nmean of members\n", np.round(quadrants(samples).mean(0), 2))
plt.semilogy(info["times"][:-1], info["residual"].mean(1))
plt.xlabel("time t, from noise at 1 to data at 0 [1]")
plt.ylabel("misfit to the observation, normalised [1]")
plt.show()
