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
# # Sounds restored: gaps, clipping, and whatever was measured
#
# `sciddm train --config configs/audio.py:base --workdir runs/audio` makes a model worth listening to. Without it a toy is trained once,
# in less than a minute, in `runs/notebooks/audio`, where the next opening finds it: it shows the way but not the quality.

# %%
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import sciddm as sd
from domains.audio import metrics, page, plots
from domains.audio.mdct import imdct, mdct
from domains.audio.sound import Sound
from sciddm.overrides import load_config
from sciddm.train import fit

ROOT = Path.cwd() if Path("configs/audio.py").exists() else Path.cwd().parent
runs = [ROOT / "runs" / name for name in ("audio", "notebooks/audio")]  # yours, or else the toy of this notebook
workdir = Path(os.environ.get("SCIDDM_WORKDIR") or next((run for run in runs if (run / "checkpoints").exists()), runs[-1]))

if not (workdir / "checkpoints").exists():
    config = load_config(f"{ROOT}/configs/audio.py:smoke", ["--config.network.features=32"])
    config.data.update({"bins": 64, "frames": 32, "clip": 1.0})
    config.network.update({"channels": (16, 32), "attention_levels": ()})
    config.training.update({"steps": 60, "wall_minutes": None, "batch_size": 8, "held_out": 0})
    config.sampling.update({"steps": 8, "batch_size": 4})
    fit(config, workdir, progress=False)

model = sd.load(workdir)
domain, rate = model.domain, model.domain.rate
print(f"step {model.step}, {rate} Hz, {domain.samples / rate:.2f} s at once, tasks {sorted(domain.tasks)}")

# %% [markdown]
# ## A clip
# Held out: the model has never heard it. `x` is (frames, bins, 1), coefficients of a transform; all clips are brought to one level,
# with a root mean square of 0.1 of full scale where something sounds. Where there is IPython, `listen` plays a sound.


# %%
def listen(wave, rate=rate):
    """A player of a sound (n,), at the loudness that it has. Nothing outside of notebooks."""
    try:
        from IPython.display import Audio, display
    except ImportError:
        return
    display(Audio(np.clip(wave, -1, 1), rate=rate, normalize=False))


example = domain.clips[0]["x"]
clip = imdct(example[..., 0].astype(np.float64))
plots.gallery([clip], rate, ["a held-out clip"], columns=1)
plt.show()
listen(clip)

# %% [markdown]
# ## The transform
# As many coefficients as samples, and a turn of the space: lengths and angles stay, so white noise of the samples is white noise of the
# coefficients, and what is likely of one is likely of the other. A short-time Fourier transform is not like that.

# %%
noise = np.random.default_rng(0).normal(size=clip.shape)
turned, back = mdct(noise, domain.bins), imdct(mdct(clip, domain.bins))
print("there and back, largest difference:", np.abs(back - clip).max())
print("inner product of two sounds, as samples and as coefficients:", noise @ clip, np.sum(turned * mdct(clip, domain.bins)))
print("standard deviation of white noise, as samples and as coefficients:", noise.std(), turned.std())

# %% [markdown]
# ## Five gaps
# Four answers, beside linear interpolation and two kinds of autoregression, which fade in the middle of a long gap. All samples outside
# of gaps are those that were heard: they are put back at every step.

# %%
inpaint = domain.tasks["inpaint"]
problem = model.problem("inpaint", example)
answers = model.solve(0, "inpaint", problem, members=4)
inpaint.plot(answers, problem, inpaint.baseline(problem))
plt.show()

gap, waves, truth = inpaint.where(problem), inpaint.waves(answers), inpaint.waves(problem.truth)
print(f"gaps {gap.mean():.1%} of the clip; elsewhere answers differ from it by {np.abs(waves - truth)[:, ~gap].max():.1e}")
for name, found in {"model": answers, **{name: one[None] for name, one in inpaint.baseline(problem).items()}}.items():
    print(f"{name:16}", {key: round(value, 2) for key, value in inpaint.metrics(found, problem).items()})

# %% [markdown]
# The log-spectral distance (LSD, less is better) wants a sound that is possible, SI-SDR (more is better) the mean of all that are.
# Listen to what was given and to two answers:

# %%
for wave in (inpaint.heard(problem), *waves[:2]):
    listen(wave)

# %% [markdown]
# ## Clipping undone
# What is clipped lies beyond the level, on a side that is known: answers keep to it.

# %%
declip = domain.tasks["declip"]
problem = model.problem("declip", example)
answers = model.solve(1, "declip", problem, members=2)
declip.plot(answers, problem, declip.baseline(problem))
plt.show()
listen(declip.heard(problem))
listen(declip.waves(answers)[0])

# %% [markdown]
# ## A recording of your own
# Any file, or a `Sound`, of any rate, length and channels: `sciddm sample --task inpaint --given interview.wav --given gaps.txt` does
# the same. Here the clip stands for it, in stereo, louder and at 11,025 Hz. It comes back at its own rate and level, its own samples
# where nothing was missing; `changed` says where they are not.

# %%
own = Sound(1.5 * clip[:, None] * [1.0, 0.6], rate, source="a clip in stereo").resampled(11025)
middle = 0.5 * own.seconds
filled = model.sample(2, 2, task="inpaint", given=[own, {"gaps": [(middle, middle + 0.03)]}])
print(filled)
same = filled.changed.values == 0
print("largest difference outside of the gap:", np.abs(filled.waveform.values - own.samples.astype(np.float32))[:, same].max())

# %% [markdown]
# ## An instrument of your own
# A meter said nothing but the mean power between 1 and 2 kHz: 3 dB more than new sounds have on average, give or take a tenth of a dB.
# Which sounds are likely then? Any function of `waveform`, (batch, sample), in jax.numpy is an instrument. The less precise it is, the
# more the model's own expectation counts, and a toy expects nearly the same of all sounds.


# %%
def decibels(f):
    spectrum = jnp.abs(jnp.fft.rfft(f["waveform"])) ** 2
    hertz = jnp.linspace(0, rate / 2, spectrum.shape[1])
    band = jnp.where((hertz >= 1000) & (hertz < 2000), spectrum, 0).sum(1)
    return 10 * jnp.log10(2 * band / f["waveform"].shape[1] ** 2 + 1e-9)


free = model.sample(3, 4)
level = np.asarray(decibels({"waveform": jnp.asarray(free.waveform.values)}))
said = float(level.mean()) + 3.0
steered = model.sample(3, 4, observe=model.observe(decibels, said, 0.1), steps=20)
print("new sounds:", np.round(level, 1), "dB")
print(f"the meter said {said:.1f} dB:", np.round(decibels({"waveform": jnp.asarray(steered.waveform.values)}), 1), "dB")
domain.plot(steered)
plt.show()

# %% [markdown]
# ## A page to listen at
# One HTML file that any browser opens without a network: all sounds run together, and one switches between them, blind if one likes. It
# is what `--page` writes.

# %%
problem = model.problem("inpaint", example)
text = inpaint.page(model.solve(0, "inpaint", problem, members=2), problem, {"made by": "notebooks/audio.py", "step": model.step})
file = workdir / "listen.html"
file.unlink(missing_ok=True)
page.write_page(text, file)
print(file, f"{file.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## The engine underneath
# Tasks are shortcuts. Any guide and any solver work on the denoiser itself; without a condition it knows of no damage.

# %%
samples, info = sd.sample(jax.random.key(0), model.denoiser, (2, *domain.example.shape), solver="heun", steps=5)
sounds = imdct(np.asarray(domain.normalizer.denormalize(samples))[..., 0])
hertz, voiced = metrics.pitch(sounds, rate)
print("network calls a sound:", info["network_calls"], "voiced:", f"{voiced.mean():.0%}")
