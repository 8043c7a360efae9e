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
# # Your own fields: from a gridded file to posteriors in its own units
#
# `domains.fields` reads any gridded file, finds out what its dimensions are, learns the joint law of its variables, and gives samples back
# with the file's names, units, order of dimensions and direction of axes. For your own file, run
# `sciddm train --config configs/fields.py:base --workdir runs/fields --config.data.path=FILE` first. Without such a run a small file is
# made and a toy trained on it once, for a few seconds, in `runs/notebooks/fields`, where the next opening finds it: it shows the way but
# not the quality.

# %%
import os
from pathlib import Path

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter

import sciddm as sd
from domains.fields import plots
from domains.fields.instruments import block_means, interpolate
from sciddm.overrides import load_config
from sciddm.train import fit

ROOT = Path.cwd() if Path("configs/fields.py").exists() else Path.cwd().parent
runs = [ROOT / "runs" / name for name in ("fields", "notebooks/fields")]  # yours, or else the toy of this notebook
workdir = Path(os.environ.get("SCIDDM_WORKDIR") or next((run for run in runs if (run / "checkpoints").exists()), runs[-1]))

# %% [markdown]
# ## A file as it comes from the laboratory
# Dye in a water tank: 200 experiments on 24 x 40 points, `y` from the top down, samples in the middle of the dimensions, a pillar where
# nothing can be measured, and a concentration that is positive and skewed.


# %%
def tank(path, samples=200):
    """A speed u and the concentration c of a dye that it carries, (y, sample, x) in a netCDF file."""
    rng = np.random.default_rng(0)
    y, x = 2.0 * np.arange(24)[::-1], 2.5 * np.arange(40)
    smooth = 15 * gaussian_filter(rng.standard_normal((2, 24, samples, 40)), (0, 4, 0, 4), mode="wrap")
    speed, dye = 6 + 1.5 * smooth[0], np.exp(0.8 * smooth[1] - 0.6 * smooth[0])
    pillar = ((y[:, None] - 23) ** 2 + (x - 40) ** 2 < 8**2)[:, None]
    c, u = (xr.Variable(("y", "sample", "x"), np.where(pillar, np.nan, field)) for field in (dye, speed))
    c.attrs, u.attrs = {"units": "mg/L", "long_name": "concentration"}, {"units": "mm/s", "long_name": "speed"}
    places = {dim: xr.Variable(dim, values, {"units": "mm"}) for dim, values in (("y", y), ("x", x))}
    xr.Dataset({"c": c, "u": u}, places, {"title": "dye behind a pillar"}).to_netcdf(path, engine="h5netcdf")


if not (workdir / "checkpoints").exists():
    workdir.mkdir(parents=True, exist_ok=True)
    tank(workdir / "tank.nc")
    keys = [f"--config.data.path={workdir}/tank.nc", "--config.data.transforms=c=log"]
    config = load_config(f"{ROOT}/configs/fields.py:smoke", keys)
    config.network.update({"channels": (24, 32), "attention_levels": ()})
    config.training.update({"steps": 200, "wall_minutes": None, "held_out": 0})
    config.tasks.observe.steps = 20
    fit(config, workdir, progress=False)

model = sd.load(workdir)
domain, layout = model.domain, model.domain.layout
print(f"step {model.step}, tasks {sorted(domain.tasks)}")

# %% [markdown]
# ## What was found in the file
# The layout is kept in the checkpoint: sampling needs no file.

# %%
print("generated:", {name: layout.units(name) for name in layout.variables}, "by", domain.normalizer.transforms)
print("space:", layout.space, "samples:", layout.sample or layout.time, "x:", domain.example.shape, f"masked: {domain.masked.mean():.1%}")

# %% [markdown]
# ## Samples
# An `xarray.Dataset` as the file has it. It is saved as netCDF, or as zarr for any other ending, and read by xarray alone.

# %%
samples = model.sample(0, 6)
print(samples)
domain.plot(samples)
plt.show()

saved = workdir / "samples.nc"
saved.unlink(missing_ok=True)
domain.save(samples, saved)
xr.testing.assert_identical(xr.load_dataset(saved), samples)

# %% [markdown]
# ## What a few sensors say about everything
# Twelve sensors see one variable, off the grid, at places in the coordinates of the file, with an error in its units, in a table. A file is
# given by its name, here and on the command line: `sciddm sample --task observe --given sensors.csv`. Where your own
# measurements stand, a held-out sample is measured here.

# %%
rng, name = np.random.default_rng(1), domain.variables[0]
truth = domain.dataset("test")[0]["x"]
fields = domain.by_name(jnp.asarray(truth)[None])

grid = np.stack(np.meshgrid(*[layout.coordinate(dim) for dim in layout.space], indexing="ij"), -1)
free = grid[~domain.masked[..., 0]]
places = free[rng.choice(len(free), 12, replace=False)]
places += 0.02 * (grid.reshape(-1, grid.shape[-1]).mean(0) - places)

error = 0.05 * domain.scales[0]
values = np.asarray(interpolate(layout, name, places)(fields)[0]) + error * rng.standard_normal(12)
when = {layout.time: 0.0} if layout.frames else {}
table = pd.DataFrame({"variable": name, **when, **dict(zip(layout.space, places.T, strict=True)), "value": values, "error": error})
print(table.head(3))

answers = model.sample(0, 6, task="observe", given=table, steps=20)
plots.ensemble(layout, domain.from_native(answers), truth, observed={name: (places, values)} if not layout.frames else None)
plt.show()
print(answers[name].attrs, "spread:", float(answers[name].std(layout.sample or "sample").mean()))

# %% [markdown]
# ## Coarse pictures, and any instrument of your own
# Means over blocks of 4 x 4 points; and something nonlinear, the flux of the dye: the product of both variables, averaged over the first
# dimension of space. An instrument is any JAX function of fields by name in physical units, with a value and an error in its own; it leaves
# out what is masked.

# %%
blocks = block_means(layout, 4)
coarse = model.observe(blocks, blocks(fields)[0], 0.05 * domain.scales)
plots.ensemble(layout, domain.from_native(model.sample(0, 6, observe=coarse, steps=20)), truth)
plt.show()

there = jnp.asarray(~domain.masked.any(-1), jnp.float32)


def flux(fields):
    first, *_, last = (there * fields[name] for name in domain.variables)
    return (first * last).sum(-len(layout.space)) / there.sum(0)


measured = flux(fields)[0]
steered = model.sample(0, 6, observe=model.observe(flux, measured, 0.02 * float(measured.std())), steps=20)
for what, native in {"steered": steered, "plain samples": samples}.items():
    x = jnp.asarray(domain.from_native(native))
    print(f"{what}: the flux is off by {np.abs(flux(domain.by_name(x)) - measured).mean():.2g}")

# %% [markdown]
# ## How probable is a field?
# Log densities in physical units: nats per unit volume as the file's units measure it, with the Jacobian of the transforms. The trace of
# this many values is estimated by probes.

# %%
values_of_x = truth.size - domain.masked.sum() * max(layout.frames, 1)
for what, x in {"a sample": samples.isel({layout.sample or "sample": [0]}), "held out": truth[None]}.items():
    nats = model.log_prob(x, trace="hutchinson", probes=4, rtol=1e-2, atol=1e-2)
    print(f"{what}: {float(nats[0]) / values_of_x:.2f} nats a value")
