"""Classifier guidance: a second network, trained on noisy x_t, says how likely the condition is.

    D' = D + w (sigma_t^2 / alpha_t) Sigma grad_{x_t} log p(c | x_t, t)         (Dhariwal & Nichol 2021, eq. 10, arXiv:2105.05233)

With the exact p(c | x_t, t) and w = 1 this is the exact conditional denoiser.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser, Guide
from sciddm.lookahead.gradients import gain, guidance_norm, value_and_gradient


def classifier(denoiser: Denoiser, log_prob: Callable, scale=1.0) -> Denoiser:
    """`denoiser` drawn towards what the classifier is sure of; scale 1 is plain conditional, 0 unconditional.

    Args: log_prob: (x_t, t) -> (B,), log p(c | x_t, t) in nats of the wanted c: at x_t, unlike a `steer` potential. Where alpha = 0
    and x_t holds nothing of x_0 it does not act.
    """
    return Classifier(denoiser, log_prob, jnp.asarray(scale, jnp.float32))


class Classifier(Guide):
    """See `classifier`."""

    log_prob: Callable
    scale: jax.Array

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        value, gradient = value_and_gradient(self.log_prob, x_t, t)
        score = self.process.noise.each("covariance", gradient)
        guided = combine(1.0, x0_hat, self.scale * gain(self.process, t), score)
        norm = guidance_norm(self.process, x_t, t, x0_hat, guided)
        return answer.to(guided, {"potential": value, "guidance_norm": norm})
