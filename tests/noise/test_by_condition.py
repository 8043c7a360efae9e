"""A mask that comes with the condition has one owner: whatever samples, weighs or trains is under the law of its cond."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm import particles
from sciddm.denoiser import ConditionedOn
from sciddm.noise.by_condition import ByCondition


@dataclass(frozen=True)
class OfMask:
    def __call__(self, cond):
        mask = jnp.asarray(cond["mask"])[..., None]
        return sd.Masked(mask[0] if mask.shape[0] == 1 else mask)


LAW = ByCondition(sd.White(), OfMask())
PROCESS = sd.GaussianProcess.vp(noise=LAW)
MASK = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
COND, SHAPE = {"mask": MASK}, (2, 3, 2)
DENOISER = sd.FunctionDenoiser(lambda x, t, cond: 0.5 * x, PROCESS)
FREE = np.broadcast_to(MASK[..., None] > 0, SHAPE)


def plain(mask=MASK):
    """The same denoiser under the law written out."""
    return sd.FunctionDenoiser(DENOISER.function, sd.GaussianProcess.vp(noise=sd.Masked(jnp.asarray(mask)[..., None])))


def reward(x_0, t):
    return x_0[:, 0, 0]


WAYS = {
    "sample": lambda d, cond: sd.sample(0, d, SHAPE, cond=cond, solver="ddpm", steps=3)[0],
    "rollout": lambda d, cond: sd.rollout(0, d, SHAPE, cond=cond, advance=lambda x: cond, windows=2, solver="ddpm", steps=3)[0][:, 1],
    "guided": lambda d, cond: sd.sample(0, sd.lookahead.steer(d, reward), SHAPE, cond=cond, solver="ddpm", steps=3)[0],
    "always conditioned": lambda d, cond: sd.sample(0, ConditionedOn(d.given(cond), cond), SHAPE, solver="ddpm", steps=3)[0],
    "encode": lambda d, cond: sd.encode(d, jnp.where(FREE, 0.3, 0.0), cond=cond),
    "perturb": lambda d, cond: d.given(cond).process.perturb(0, jnp.where(FREE, 0.3, 0.0), 0.5)[0],
    "smc": lambda d, cond: particles.smc(0, d, reward, SHAPE[1:], num_particles=2, cond=cond, steps=3, ess_threshold=0.0).particles,
    "search_over_paths": lambda d, cond: particles.search_over_paths(
        0, d, reward, SHAPE[1:], cond={"mask": cond["mask"][:1]}, copies=1, steps=4, forth=2, back=1).particles,
    "rollover_budget": lambda d, cond: particles.rollover_budget(
        0, d, reward, SHAPE[1:], cond={"mask": cond["mask"][:1]}, budget=9, steps=3).particles,
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_samples_are_under_the_law_of_their_condition(way):
    with_cond = np.asarray(WAYS[way](DENOISER, COND))
    one_for_all = with_cond.shape[0] != 2 or way in ("search_over_paths", "rollover_budget")
    free = np.broadcast_to(FREE[:1], with_cond.shape) if one_for_all else FREE
    assert (with_cond[~free] == 0.0).all() and (with_cond[free] != 0.0).all()
    written_out = WAYS[way](plain(MASK[0] if one_for_all else MASK), COND)
    np.testing.assert_allclose(with_cond, written_out, atol=1e-6)


def test_densities_scores_and_losses_are_under_the_law_of_their_condition():
    x = np.where(FREE, 0.3, 0.0).astype(np.float32)
    np.testing.assert_allclose(sd.log_prob(0, DENOISER, x, cond=COND), sd.log_prob(0, plain(), x), rtol=1e-5)
    np.testing.assert_allclose(DENOISER.score(x + 1.0, 0.5, COND), plain().score(x + 1.0, 0.5), rtol=1e-6)
    networks = [sd.NetworkDenoiser(lambda x, level, cond: jnp.cos(x), d.process) for d in (DENOISER, plain())]
    np.testing.assert_allclose(networks[0](x, 0.5, COND), networks[1](x, 0.5), rtol=1e-6)
    losses = [sd.Objective()(network, 0, x, COND) for network in networks]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_one_mask_for_all_and_none_at_all():
    one = np.asarray(sd.sample(0, DENOISER, SHAPE, cond={"mask": MASK[:1]}, steps=3)[0])
    assert (one[:, 2] == 0.0).all() and (one[:, :2] != 0.0).all()
    assert (np.asarray(sd.sample(0, DENOISER, SHAPE, steps=3)[0]) != 0.0).all()


def test_a_particle_takes_its_mask_along_when_it_is_resampled():
    weigh = lambda x, t: jnp.where(x[:, 1, 0] == 0.0, 50.0, 0.0)  # noqa: E731  those of one point alone
    cond = {"mask": np.tile(MASK, (4, 1))}
    found = particles.smc(0, DENOISER, weigh, (3, 2), num_particles=8, cond=cond, steps=4, twist="plain", ess_threshold=1.0)
    small = np.asarray(found.particles[:, 1:])
    assert (small == 0.0).all() and (np.asarray(found.particles[:, 0]) != 0.0).all()
