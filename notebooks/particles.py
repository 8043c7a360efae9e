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
# # Particles: many paths, weights, evidence
#
# A guide alone is biased wherever the model has several modes. Many paths with weights are not: what a guide proposes is weighed, and
# bad paths give their place to good ones. On a Gaussian mixture all of it can be held against the exact answer.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import sciddm as sd
from sciddm import lookahead, particles
from sciddm.metrics import sliced_wasserstein

process = sd.GaussianProcess.vp()
weights, means, variance = np.array([0.3, 0.4, 0.3]), np.array([[-2.0, 0.0], [0.5, 2.0], [2.0, -1.0]]), 0.15
mixture = sd.oracle.GaussianMixture(weights, means, variance)
denoiser = mixture.denoiser(process)

# %% [markdown]
# ## One number is measured
# `smc` takes the observation itself: its default twist is the same Gaussian guess as `mmps`, and the weights mend what that guess
# gets wrong. The number above a picture is the distance to the exact posterior; the evidence is that of the observation, in nats.

# %%
A, y, noise_std = np.array([[1.0, 0.3]]), np.array([0.4]), 0.3
observation = lookahead.Observation(A, y, noise_std)
posterior = mixture.posterior(A, y, noise_std).sample(jax.random.key(3), 2000)
guided, _ = sd.sample(
    jax.random.key(0), lookahead.mmps(denoiser, observation), (2000, 2), solver="ddpm", steps=100, grid="logsnr"
)
result = particles.smc(jax.random.key(0), denoiser, observation, (2,), num_particles=2000)
shown = {
    "exact posterior": posterior,
    f"mmps: {sliced_wasserstein(guided, posterior):.2f}": guided,
}
weighted = result.resampled(jax.random.key(1))
shown[f"smc: {sliced_wasserstein(weighted, posterior):.2f}"] = weighted
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
for ax, (title, samples) in zip(axes, shown.items(), strict=True):
    ax.plot(*np.asarray(samples).T, ".", ms=1.5)
    ax.set(title=title, xlim=(-3.5, 3.5), ylim=(-2.5, 3.5))
fig.supxlabel("first coordinate [1]")
fig.supylabel("second coordinate [1]")
plt.show()
print(f"log evidence: {float(result.log_evidence):.3f}, exact {float(mixture.log_evidence(A, y, noise_std)):.3f} nats")

# %% [markdown]
# What a twist is worth shows in the effective sample size, and in the family tree: a line is a particle's way through the steps, blue
# where it has descendants at the end. That of `mmps` stays above one half, so nothing is resampled. `plain` looks at the potential of
# the expected output alone: it resamples often, and nearly all of its early particles die out. `none` weighs at the end alone.

# %%
count, steps = 32, 60
runs = {
    twist: particles.smc(jax.random.key(0), denoiser, observation, (2,), num_particles=count, steps=steps, twist=twist)
    for twist in ("mmps", "plain", "none")
}
fig, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
for name, run in runs.items():
    axes[0].plot(np.append(run.info["ess"], run.ess) / count, label=name)
axes[0].set(xlabel="step [1]", ylabel="effective sample size / K [1]", ylim=(0, 1.05))
axes[0].legend(title="twist", loc="lower left")
for ax, name in zip(axes[1:], ("mmps", "plain"), strict=True):
    parents = np.asarray(runs[name].info["ancestors"])
    family = np.vstack([particles.lineage(parents), np.arange(count)])
    # one line of many pieces: each child at step + 1 and its parent at step
    children, gap = np.broadcast_to(np.arange(count), parents.shape), np.full(parents.shape, np.nan)
    step = np.broadcast_to(np.arange(steps)[:, None], parents.shape)
    ax.plot(
        np.stack([step, step + 1, gap], -1).ravel(),
        np.stack([parents, children, gap], -1).ravel(),
        color="0.85",
        lw=0.8,
    )
    ax.plot(np.arange(steps + 1), family, color="C0", lw=0.8)
    ax.set(
        title=f"{name}: {count} particles descend from {len(np.unique(family[0]))}", xlabel="step [1]", ylabel="particle [1]"
    )
plt.show()

# %% [markdown]
# ## How probable is an extreme?
# `Exceeds` is the event that a statistic is above a threshold; the evidence is its probability. 2000 samples of the model see nothing
# below one in 2000, 2000 particles see what comes once in thirty million. The law is that of the model's own steps, which are a little
# narrower than the model: 400 steps miss a tenth of what comes once in two hundred and two fifths of what comes once in thirty
# million; with 200 steps they miss more, about twice as much in the logarithm.

# %%
thresholds = jnp.linspace(2.0, 4.0, 6)


def probability(key, threshold):
    extreme = particles.Exceeds(lambda x: x[:, 0], threshold)
    return particles.smc(key, denoiser, extreme, (2,), num_particles=2000, steps=400).log_evidence


found = np.exp(particles.for_each(jax.random.key(0), probability, thresholds))
survival = jax.scipy.stats.norm.sf((thresholds[:, None] - means[:, 0]) / np.sqrt(variance))
plain, _ = sd.sample(jax.random.key(1), denoiser, (2000, 2))
counted = np.mean(np.asarray(plain[:, 0]) > np.asarray(thresholds)[:, None], axis=1)
plt.figure(figsize=(6, 4), layout="constrained")
plt.semilogy(thresholds, survival @ weights, color="black", label="exact")
plt.semilogy(thresholds, found, "o", color="C0", label="smc, 2000 particles")
plt.semilogy(
    thresholds, np.where(counted > 0, counted, np.nan), "x", color="C1", ms=8, label="2000 samples of the model"
)
plt.axhline(1 / 2000, color="C1", ls=":", lw=1, label="one sample of 2000")
plt.xlabel("threshold c [1]")
plt.ylabel("probability that $x_1 > c$ [1]")
plt.legend()
plt.show()

# %% [markdown]
# ## Laws that no sampler points at
# Classifier-free guidance is meant to sample $q_u^{1-w} q_c^w$ and does not: the guided score is not that of any path to it. The corrector
# `guided` reports what is missing and `feynman_kac` weighs by it. `anneal`, `product` and `tilt` work the same way.

# %%
scale, centres = 4.0, [[-1.5, 0.0], [1.5, 0.0]]
unconditional = sd.oracle.GaussianMixture([0.5, 0.5], centres, 0.5)
conditional = sd.oracle.GaussianMixture([0.5, 0.5], centres, np.array([0.4, 0.2])[:, None, None] * np.eye(2))
corrector = particles.guided(conditional.denoiser(process), scale, unconditional.denoiser(process))
unweighted, _ = sd.sample(jax.random.key(0), corrector, (4000, 2), solver="ddpm", steps=200, grid="logsnr")
result = particles.feynman_kac(jax.random.key(0), corrector, (2,), num_particles=4000)
weighted = result.resampled(jax.random.key(1))
x = np.linspace(-4.0, 4.0, 321)
points = np.stack(np.meshgrid(x, x), -1).reshape(-1, 2)
density = np.exp(scale * conditional.log_prob(points) + (1.0 - scale) * unconditional.log_prob(points))
exact = points[np.random.default_rng(0).choice(len(points), 4000, p=density / density.sum())]
shown = {
    "exact density": exact,
    f"without weights: {sliced_wasserstein(unweighted, exact):.2f}": unweighted,
    f"with weights: {sliced_wasserstein(weighted, exact):.2f}": weighted,
}
fig, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
for ax, (title, samples) in zip(axes, shown.items(), strict=True):
    ax.plot(*np.asarray(samples).T, ".", ms=1.5, color="C0")
    ax.contour(
        x, x, density.reshape(len(x), -1) / density.max(), levels=[0.01, 0.1, 0.5], colors="black", linewidths=0.6
    )
    ax.set(title=title, xlim=(-3.5, 3.5), ylim=(-2.2, 2.2))
fig.supxlabel("first coordinate [1]")
fig.supylabel("second coordinate [1]")
plt.show()

# %% [markdown]
# ## What do network calls buy?
# A reward of 2 nats for each unit of $x_1$, the same network calls for all methods. `smc` and `fk_steering` aim at the tilted law
# $p(x)\,e^{2 x_1}$ (dashed; 40 steps are a little narrower than the model, and end below it). The others are searches: `best_of_n` and
# `svdd` get more reward the longer they search, and what is held out, here how probable the answer is under the model, pays for it.
# `rollover_budget` goes on at the first child that is better and so leaves most of its calls to the last step, where little noise is
# left to choose from.

# %%
slope, steps, budgets, answers = 2.0, 40, (160, 2560), 100
tilt = sd.oracle.GaussianMixture(weights * np.exp(slope * means[:, 0]), means + [slope * variance, 0.0], variance)
target = tilt.sample(jax.random.key(5), 20_000)


def reward(x_0, t=None):
    return slope * x_0[:, 0]


def answer(key, method, budget):
    result = method(key, denoiser, reward, (2,), budget=budget, steps=steps)
    return result.draw(jax.random.fold_in(key, 1))


fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for name in ("best_of_n", "svdd", "fk_steering", "rollover_budget", "smc"):
    method, keys = particles.METHODS[name], jax.random.split(jax.random.key(0), answers)
    found = [jax.lax.map(partial(answer, method=method, budget=budget), keys) for budget in budgets]
    scores = np.array([[x_0[:, 0], -mixture.log_prob(x_0)] for x_0 in found])
    for ax, values in zip(axes, np.moveaxis(scores, 1, 0), strict=True):
        ax.errorbar(budgets, values.mean(1), values.std(1) / answers**0.5, marker="o", ms=4, capsize=2, label=name)
for ax, value in zip(axes, (target[:, 0], -mixture.log_prob(target)), strict=True):
    ax.axhline(float(value.mean()), color="black", ls="--", lw=1, label="exact tilt")
    ax.set(xscale="log", xlabel="network calls an answer [1]", xticks=budgets, xticklabels=budgets)
axes[0].set(ylabel="reward: $x_1$ [1]")
ticks = (2, 3, 5, 10, 20, 40)
axes[1].set(ylabel="held out: $-\\log p(x)$ [nats]", yscale="log", yticks=ticks, yticklabels=ticks)
for ax in axes:
    ax.minorticks_off()
axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
plt.show()

# %% [markdown]
# ## Many problems
# `for_each` solves one problem after the other, or `chunk` of them at once, in one program. Here the measured value goes along a line:
# its evidence is its density, and the posterior moves from one component of the model to the next.

# %%
values = jnp.linspace(-4.0, 4.0, 33)[:, None]


def solve(key, value):
    seen = lookahead.Observation(A, value, noise_std)
    result = particles.smc(key, denoiser, seen, (2,), num_particles=256)
    return result.log_evidence, result.mean()


evidence, centre = particles.for_each(jax.random.key(0), solve, values, chunk=11)
exact_evidence = [mixture.log_evidence(A, value, noise_std) for value in values]
exact_centre = np.array([mixture.posterior(A, value, noise_std).mean for value in values])
fig, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
axes[0].plot(values, np.exp(exact_evidence), color="black", label="exact")
axes[0].plot(values, np.exp(evidence), "o", ms=4, label="smc, 256 particles")
axes[0].set(xlabel="measured value y [1]", ylabel="evidence p(y) [1]")
for i, ax in enumerate(("$x_1$", "$x_2$")):
    axes[1].plot(values, exact_centre[:, i], color="black")
    axes[1].plot(values, centre[:, i], "o", ms=4, color=f"C{i}", label=ax)
axes[1].set(xlabel="measured value y [1]", ylabel="posterior mean [1]")
for ax in axes:
    ax.legend()
plt.show()
