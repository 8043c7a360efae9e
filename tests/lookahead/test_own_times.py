"""Guides take a time for each sample."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from lookahead.common import A, Y

import sciddm as sd


def test_every_sample_may_have_its_own_time():
    process, obs = sd.GaussianProcess.vp(), sd.lookahead.Observation(A, Y, 0.5)
    denoiser = sd.FunctionDenoiser(lambda x, t, cond: process.alpha(t)[..., None] * jnp.tanh(x), process)
    x_t, times = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32), np.array([0.2, 0.5, 0.9], np.float32)
    guides = (
        sd.lookahead.pigdm(denoiser, obs), sd.lookahead.mmps(denoiser, obs), sd.lookahead.steer(denoiser, obs),
        sd.lookahead.steer(denoiser, obs, through="x0"), sd.lookahead.steer(denoiser, obs, depth=2),
        sd.guidance.classifier_free(denoiser, 2.0),
    )  # fmt: skip

    @eqx.filter_jit
    def asked(x_t, t):
        return [guided(x_t, t) for guided in guides]

    together = asked(x_t, times)
    for i, t in enumerate(times):
        for row, alone in zip(together, asked(x_t[i : i + 1], jnp.asarray(t)), strict=True):
            np.testing.assert_allclose(row[i], alone[0], rtol=1e-4, atol=1e-5)
