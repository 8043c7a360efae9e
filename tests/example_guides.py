"""Guides that do one thing beyond a shift of x0_hat, for tests."""

import jax.numpy as jnp

import sciddm as sd
from sciddm.answer import Kick
from sciddm.arithmetic import batch_size, combine
from sciddm.denoiser import Draws, SamplingDefaults


class Jitter(sd.Guide):
    """x0_hat plus a standard draw."""

    denoiser: sd.Denoiser
    draws: Draws = Draws()

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        z = self.process.noise.sample_batch(self.draws(batch_size(x_t)), x_t)
        return answer.to(combine(1.0, answer.x0_hat, 0.1, z), {"draw": z[:, 0]})


class Push(sd.Guide):
    """A constant kick of each kind."""

    denoiser: sd.Denoiser

    def defaults(self):
        return SamplingDefaults(solver="ddim", steps=4, grid="logsnr")

    def evaluate(self, x_t, t, cond=None):
        one = jnp.ones_like(x_t)
        return self.denoiser.evaluate(x_t, t, cond).kicked(Kick(of_x_s=one, of_x_t=2.0 * one, of_x_0=3.0 * one))
