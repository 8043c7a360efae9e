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
# # The core on exact answers
#
# Everything is a denoiser $E[x_0 \mid x_t]$. Here it is that of a Gaussian mixture, known in closed form, so that what solvers
# and guides do can be held against the truth.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import sciddm as sd
from sciddm.metrics import sliced_wasserstein

mixture = sd.oracle.GaussianMixture([0.3, 0.4, 0.3], [[-2.0, 0.0], [0.5, 2.0], [2.0, -1.0]], 0.15)
process = sd.GaussianProcess.vp()
denoiser = mixture.denoiser(process)

# %% [markdown]
# ## Solvers: distance to the truth against network calls
# Solid: the grid found for few steps (`optimised`, the default); dotted: uniform in log-SNR.

# %%
truth = mixture.sample(jax.random.key(1), 4000)
for colour, solver in enumerate(("ddim", "dpmpp2m", "unipc2")):
    for grid, style in (("optimised", "o-"), ("logsnr", "o:")):
        calls, distances = [], []
        for steps in (5, 10, 20):
            samples, info = sd.sample(jax.random.key(0), denoiser, (4000, 2), solver=solver, steps=steps, grid=grid)
            calls.append(info["network_calls"])
            distances.append(sliced_wasserstein(samples, truth))
        plt.loglog(calls, distances, style, color=f"C{colour}", label=solver if style == "o-" else None)
plt.axhline(sliced_wasserstein(mixture.sample(jax.random.key(2), 4000), truth), color="grey", ls="--", label="floor")
plt.xlabel("network calls [1]")
plt.ylabel("sliced Wasserstein distance [1]")
plt.legend()
plt.show()

# %% [markdown]
# ## How probable is a sample?
# The probability flow gives densities in nats; here they can be held against the exact ones.

# %%
points = mixture.sample(jax.random.key(4), 200)
log_p = sd.log_prob(jax.random.key(0), denoiser, points)
plt.figure()
plt.plot(mixture.log_prob(points), log_p, ".")
plt.axline((-4, -4), slope=1, color="grey", ls="--")
plt.xlabel("exact log density [nats]")
plt.ylabel("log density by the probability flow [nats]")
plt.show()
print(f"largest error: {float(abs(log_p - mixture.log_prob(points)).max()):.1e} nats")

# %% [markdown]
# ## Steering: one coordinate is measured
# The posterior is known too. Plug-in steering squeezes its modes; `mmps`, which knows Cov$[x_0 \mid x_t]$, gives each its shape.
# None of them weighs the modes right on a mixture: exact for a Gaussian prior is not exact for this one.

# %%
obs = sd.lookahead.Observation(np.array([[1.0, 0.3]]), np.array([0.4]), 0.3)
posterior = mixture.posterior([[1.0, 0.3]], [0.4], 0.3).sample(jax.random.key(3), 2000)
guides = {
    "steer": sd.lookahead.steer(denoiser, obs),
    "pigdm": sd.lookahead.pigdm(denoiser, obs),
    "mmps": sd.lookahead.mmps(denoiser, obs),
}
fig, axes = plt.subplots(1, 4, figsize=(12, 3.4), sharex=True, sharey=True, layout="constrained")
axes[0].plot(*np.asarray(posterior).T, ".", ms=1)
axes[0].set_title("exact posterior")
for ax, (name, guided) in zip(axes[1:], guides.items(), strict=True):
    samples, _ = sd.sample(jax.random.key(0), guided, (2000, 2), steps=100)
    ax.plot(*np.asarray(samples).T, ".", ms=1)
    ax.set_title(f"{name}: {sliced_wasserstein(samples, posterior):.2f} from it")
fig.supxlabel("first coordinate [1]")
fig.supylabel("second coordinate [1]")
plt.show()
