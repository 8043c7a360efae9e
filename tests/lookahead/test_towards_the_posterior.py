"""Guides by gradients and by moments move a mixture towards its posterior."""

import jax
import numpy as np
from gaussian_posterior import mixture_draws, mixture_posterior
from lookahead.common import A, Y

import sciddm as sd


def test_all_guides_move_a_mixture_towards_its_posterior(mixture, sliced):
    obs = sd.lookahead.Observation(A, Y, 0.5)
    weights, means = np.asarray(mixture.weights, float), np.asarray(mixture.means, float)
    *posterior, _ = mixture_posterior(weights, means, 0.2 * np.eye(3), A, Y, 0.5)
    truth = mixture_draws(*posterior, 1000, 5)
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    prior = sliced(mixture_draws(weights, means, 0.2 * np.eye(3), 1000, 6), truth)
    distance = {}
    for name, guided in {
        "steer": sd.lookahead.steer(denoiser, obs), "pigdm": sd.lookahead.pigdm(denoiser, obs), "mmps": sd.lookahead.mmps(denoiser, obs),
        "dps": sd.lookahead.dps(denoiser, obs),
        "x0": sd.lookahead.steer(denoiser, obs, through="x0"), "ahead": sd.lookahead.steer(denoiser, obs, depth=2),
    }.items():  # fmt: skip
        samples, _ = sd.sample(jax.random.key(0), guided, (1000, 3), steps=50)
        distance[name] = sliced(samples, truth)
    assert max(distance.values()) < prior
    assert max(distance["mmps"], distance["dps"]) < 0.25 * prior
