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
# # Lookahead: steering from where a path will end
#
# At every step the expected final output is known, so a path can be corrected by it. A guide takes a denoiser and gives a denoiser,
# and guides nest. All of it is held here against answers that are known in closed form.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import sciddm as sd
from sciddm import lookahead
from sciddm.metrics import sliced_wasserstein

mixture = sd.oracle.GaussianMixture([0.3, 0.4, 0.3], [[-2.0, 0.0], [0.5, 2.0], [2.0, -1.0]], 0.15)
denoiser = mixture.denoiser(sd.GaussianProcess.vp())

# %% [markdown]
# ## Inverse problems: one number is measured
# `Observation(operator, value, noise_std)`. A method samples the way it was published unless other options are given: `dps` in 1000
# steps, `daps` over 200 noise levels of five calls. The number above a picture is the distance to the exact posterior.

# %%
A, y, noise_std = np.array([[1.0, 0.3]]), np.array([0.4]), 0.3
observation = lookahead.Observation(A, y, noise_std)
posterior = mixture.posterior(A, y, noise_std).sample(jax.random.key(3), 2000)
guides = {
    "mmps": lookahead.mmps(denoiser, observation),
    "pigdm": lookahead.pigdm(denoiser, observation),
    "daps": lookahead.daps(denoiser, observation),
    "diffpir": lookahead.diffpir(denoiser, observation),
    "dps": lookahead.dps(denoiser, observation),
    "ddnm": lookahead.ddnm(denoiser, observation),
    "mpgd": lookahead.mpgd(denoiser, observation),
}
fig, axes = plt.subplots(2, 4, figsize=(12, 6), sharex=True, sharey=True, layout="constrained")
axes.flat[0].plot(*np.asarray(posterior).T, ".", ms=1)
axes.flat[0].set(title="exact posterior", xlim=(-4, 4), ylim=(-3, 4))
for ax, (name, guided) in zip(axes.flat[1:], guides.items(), strict=True):
    samples, info = sd.sample(jax.random.key(0), guided, (2000, 2))
    ax.plot(*np.asarray(samples).T, ".", ms=1)
    ax.set_title(f"{name}: {sliced_wasserstein(samples, posterior):.2f}, {int(info['network_calls'])} calls")
fig.supxlabel("first coordinate [1]")
fig.supylabel("second coordinate [1]")
plt.show()

# %% [markdown]
# ## What an instrument does to a number
# Counts, outliers, a lattice, saturation: each is a law with a normalised density, and an Observation is a potential.

# %%
kinds = {
    "Gaussian, 0.3": (0.4, 0.3),
    "outliers": (0.4, lookahead.Laplace(0.3)),
    "saturates at 0.4": (0.4, lookahead.Clipped(0.3, high=0.4)),
    "rounded to 1": (0.0, lookahead.Quantised(0.1, 1.0)),
}
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for name, (value, law) in kinds.items():
    seen = lookahead.Observation(lambda x: x[:, :1], jnp.array([value]), law)
    samples, info = sd.sample(jax.random.key(0), lookahead.mmps(denoiser, seen), (2000, 2), steps=40, grid="logsnr")
    ax.hist(np.asarray(samples[:, 0]), bins=80, range=(-3, 3), histtype="step", label=name, density=True)
ax.set(xlabel="first coordinate [1]", ylabel="density [1]")
ax.legend()
plt.show()

# %% [markdown]
# ## Rewards, and looking further ahead
# Any function of the final output steers. The plug-in looks at the expected output; `depth=4` at where four solver steps end.


# %%
def reward(x_0, t):
    """High on a circle of radius 1."""
    return -4.0 * (jnp.linalg.norm(x_0, axis=-1) - 1.0) ** 2


fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
for ax, depth in zip(axes, (0, 4), strict=True):
    samples, info = sd.sample(jax.random.key(0), lookahead.steer(denoiser, reward, depth=depth), (2000, 2), steps=40)
    ax.plot(*np.asarray(samples).T, ".", ms=1)
    ax.set(title=f"depth {depth}: mean reward {float(reward(samples, 0).mean()):.2f}", xlim=(-4, 4), ylim=(-3, 4))
fig.supxlabel("first coordinate [1]")
fig.supylabel("second coordinate [1]")
plt.show()

# %% [markdown]
# ## Hard constraints and time travel
# `constrain` projects what the path is drawn to, and the samples themselves. `TimeTravel` is a grid that goes back and down again.

# %%
on_line = lookahead.constraints.Linear(np.array([[1.0, 1.0]]), np.array([1.0]))
samples, _ = sd.sample(
    jax.random.key(0),
    lookahead.constrain(denoiser, on_line),
    (2000, 2),
    solver="ddpm",
    steps=40,
    grid=sd.TimeTravel("logsnr", jump=4, repeats=3, window=(0.3, 0.9)),
)
print(f"largest violation of x + y = 1: {float(jnp.abs(samples.sum(1) - 1).max()):.1e}")

# %% [markdown]
# ## A long chain from a model of 16 points
# The model knows windows of an AR(1) chain. Averaging windows loses variance where they overlap; subtracting the overlaps' answers
# ("bethe") loses least. The covariances are exact: the exact denoiser is linear, so unit vectors sample them.

# %%
rho, length, window = 0.9, 64, 16
process = sd.GaussianProcess.ve(0.01, 100.0)


def chain(size):
    return rho ** np.abs(np.subtract.outer(np.arange(size), np.arange(size)))


def expected(x_t, t, cond):
    values, basis = np.linalg.eigh(chain(x_t.shape[1]))
    variance = jnp.reshape(process.sigma(t) ** 2, (-1, 1))
    return ((x_t @ basis) * values / (values + variance)) @ basis.T


model = sd.FunctionDenoiser(expected, process)
views = lookahead.windows(length, window=window, stride=8)
fig, axes = plt.subplots(1, 4, figsize=(12, 3.2), sharey=True, layout="constrained")
for ax, strategy in zip(axes, ("joint", "bethe", "centre", "x0"), strict=True):
    whole = model if strategy == "joint" else lookahead.synchronize(model, views, strategy=strategy)
    root, _ = sd.sample(
        jax.random.key(0),
        whole,
        (length, length),
        solver="ddim",
        steps=200,
        grid="logsnr",
        start=100.0 * jnp.eye(length),
    )
    covariance = np.asarray(root.T @ root)
    image = ax.imshow(covariance, vmin=0, vmax=1)
    ax.set_xlabel("place in the chain [1]")
    error = np.linalg.norm(covariance - chain(length)) / np.linalg.norm(chain(length))
    ax.set_title(f"{strategy}: variance {np.diag(covariance).mean():.3f}\nrelative error {error:.2f}")
axes[0].set_ylabel("place in the chain [1]")
fig.colorbar(image, ax=axes, label="covariance [1]")
plt.show()
