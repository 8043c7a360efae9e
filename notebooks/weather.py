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
# # Nowcasting rain: an ensemble from the last four radar frames
#
# `sciddm train --config configs/weather.py:base --workdir runs/weather` makes a model worth looking at. Without it a toy is trained once,
# for a few seconds, in `runs/notebooks/weather`, where the next opening finds it: it shows the way but not the quality.

# %%
import os
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import sciddm as sd
from domains.weather import animate, plots, verification_plots, verify
from domains.weather.archive import Archive, pack
from domains.weather.readers import read_archive, read_sequence
from domains.weather.transform import decode, rain_rate
from sciddm.overrides import load_config
from sciddm.train import fit

ROOT = Path.cwd() if Path("configs/weather.py").exists() else Path.cwd().parent
runs = [ROOT / "runs" / name for name in ("weather", "notebooks/weather")]  # yours, or else the toy of this notebook
workdir = Path(os.environ.get("SCIDDM_WORKDIR") or next((run for run in runs if (run / "checkpoints").exists()), runs[-1]))

if not (workdir / "checkpoints").exists():
    config = load_config(f"{ROOT}/configs/weather.py:smoke", ["--config.network.features=32"])
    config.data.update({"size": 32, "events": 64, "frames": 18, "held_out": 8})
    config.network.update({"channels": (16, 32), "attention_levels": ()})
    config.training.update({"steps": 60, "wall_minutes": None, "batch_size": 8, "held_out": 0})
    config.sampling.update({"steps": 8, "batch_size": 8})
    for name in ("assimilate", "downscale", "fill", "interpolate"):
        config.tasks[name].steps = 8
    fit(config, workdir, progress=False)

model = sd.load(workdir)
domain = model.domain
print(f"step {model.step}, tasks {sorted(domain.tasks)}")

# %% [markdown]
# ## A forecast
# One held-out window: what was seen, what came, and eight futures. `x` is (y, x, frame); `to_native` makes it an `xarray.Dataset` in
# dBZ with km and minutes as coordinates.

# %%
example = domain.dataset("test")[0]["x"]
problem = model.problem("nowcast", example)
members = model.solve(0, "nowcast", problem, members=8)
nowcast = domain.tasks["nowcast"]
nowcast.plot(members, problem, nowcast.baseline(problem))
plt.show()
print(domain.to_native(members)["reflectivity"])

# %% [markdown]
# ## What a forecaster asks
# How likely is moderate rain, where and when? How honest is the ensemble? A spread/skill of 1 is calibrated.

# %%
dbz = np.moveaxis(decode(members), -1, 1)
truth = np.moveaxis(decode(example), -1, 0)
plots.exceedance(dbz[:, domain.past :], 25.0, truth[domain.past :])
plt.show()

task = domain.tasks["nowcast"]
forecast, observed = task.as_forecast(members), task.as_forecast(example[None]).isel(member=0, drop=True)
print("CRPS by lead time, dBZ:", np.round(verify.crps(forecast, observed).values, 2))
print("spread/skill:", float(verify.spread_skill(forecast, observed, by=())))
print("mean rain rate at the end, mm/h, by member:", np.round(rain_rate(dbz[:, -1]).mean((1, 2)), 2))

verification_plots.rank_diagram({"this forecast": verify.rank_histogram(forecast, observed)})
verification_plots.reliability_diagram({"this forecast": verify.reliability(forecast, observed, 15.0)})
plt.show()
loops = {"observed": truth} | {f"member {i + 1}": member for i, member in enumerate(dbz[:2])}
print("loop:", animate.gif(loops, workdir / "loop.gif"))

# %% [markdown]
# ## Gauges enter the forecast
# 3 % of the pixels have a gauge that reports for half an hour, with an error of 2 dBZ. The same network; the path is steered.

# %%
problem = model.problem("assimilate", example, key=1)
better = model.solve(1, "assimilate", problem, members=4)
print({name: round(value, 2) for name, value in domain.tasks["assimilate"].metrics(better, problem).items()})

# %% [markdown]
# ## How likely is the unlikely?
# Particles are steered into the event that the mean rain of the last frame exceeds 2 mm/h (`config.tasks.extreme`): their evidence is its
# probability, and resampled they are examples of it. Take 128 and more for a figure to rely on: few particles find the event by luck
# only, and most populations of 32 gave half of its probability.

# %%
problem = model.problem("extreme", example)
result = domain.tasks["extreme"].run(model, jax.random.key(3), problem, num_particles=8, steps=8)
print(f"P(rain of the last frame > 2 mm/h) = {np.exp(float(result.log_evidence)):.2g}")

# %% [markdown]
# ## Three hours, window after window
# Each window is conditioned on the last four frames of the window before.

# %%
problem = model.problem("rollout", example)
hours = model.solve(2, "rollout", problem, members=2)
plots.gallery(domain.to_native(hours))
plt.show()

# %% [markdown]
# ## Your own frames
# The newest frames of any file or data set: the answer has their places, their names and the times it is valid. Here they stand for four
# frames of a radar in degrees; `sciddm sample --task nowcast --given newest.nc` does the same.

# %%
size = domain.size
newest = xr.Dataset(
    {"rain": (("time", "lat", "lon"), rain_rate(np.moveaxis(decode(example[..., : domain.past]), -1, 0)), {"units": "mm/h"})},
    {
        "time": np.datetime64("2026-06-01T12:00", "ns") + np.timedelta64(5, "m") * np.arange(domain.past),
        "lat": 52 + domain.spacing / 111.195 * np.arange(size), "lon": 5 + domain.spacing / 68.2 * np.arange(size),
    },
)  # fmt: skip
own = model.sample(4, 8, task="nowcast", given=newest)
print(own.time.values[[0, -1]], own.forecast_reference_time.values)
print("P(rain > 1 mm/h) at the end:", float((own.rain_rate[:, -1] > 1).mean()))

# %% [markdown]
# ## Your own archive
# Any zarr, netCDF, SEVIR, GRIB or ODIM radar data: `read_archive` converts to dBZ, keeps missing pixels missing and splits at gaps.
# Here an archive is written first, half an hour missing in it, and a radar that saw nothing on its left edge.

# %%
frames = np.moveaxis(decode(np.stack([domain.dataset("test")[i]["x"] for i in range(2)])), -1, 1).reshape(
    -1, *example.shape[:2]
)
frames[:, :, :4] = np.nan
minutes = np.concatenate([5 * np.arange(16), 30 + 5 * np.arange(16, 32)])
times = np.datetime64("2026-06-01T12:00", "s") + minutes.astype("timedelta64[m]")
path = workdir / "mine.zarr"
if not path.exists():
    Archive(pack(frames), times, 2.0, source="a notebook").write(path)
mine = read_archive(path)
print(
    f"{len(mine)} frames of {mine.interval:g} min, events {mine.events()}, missing {np.isnan(mine.dBZ(0)).mean():.1%}"
)

# %% [markdown]
# Fields that are no radar go through the same reader: pressure of a real storm from the Debian package `libncarg-data`, where it is
# installed.

# %%
storm = Path("/usr/share/ncarg/data/cdf/Pstorm.cdf")
if storm.exists():
    pressure = read_sequence(storm)
    print(pressure.sizes, "missing:", f"{float(pressure.isnull().mean()):.1%}")
    pressure.isel(time=[0, 20, 40]).plot(col="time")
    plt.show()

# %% [markdown]
# ## The engine underneath
# Tasks are shortcuts. Any guide and any solver work on the denoiser itself, with the past as `cond`.

# %%
cond = jax.tree.map(lambda leaf: leaf[None], domain.condition(example))
samples, info = sd.sample(jax.random.key(0), model.denoiser, (2, *example.shape), cond=cond, solver="heun", steps=5)
print("network calls a member:", info["network_calls"])
