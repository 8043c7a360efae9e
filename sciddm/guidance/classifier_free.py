"""Classifier-free guidance.

    D' = D_u + w (D_c - D_u)                        (Ho & Salimans 2022, arXiv:2207.12598, their w is ours - 1)

with a noise interval (Kynkaanniemi et al. 2024, arXiv:2404.07724) and a rescaling of the result to the conditional
prediction's standard deviation, phi (D' std(D_c) / std(D')) + (1 - phi) D' (Lin et al. 2023, eq. 15-16, arXiv:2305.08891).
It does not sample p_u^(1-w) p_c^w: for Gaussians the variance is v_u^(1-w) v_c^w.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine, expand
from sciddm.denoiser import Denoiser, Guide


def classifier_free(denoiser: Denoiser, scale, *, unconditional=None, interval=None, rescale=0.0) -> Denoiser:
    """`denoiser` with its condition amplified `scale` times; 1 is plain conditional, 0 unconditional.

    Args:
        unconditional: the condition of the unconditional branch (None: the network's null condition), or a Denoiser of its own.
        interval: (low, high] of sigma/alpha within which guidance acts; outside it the prediction is plain conditional.
        rescale: phi in [0, 1]; 0.7 is the published value for large scales.
    """
    if isinstance(unconditional, Denoiser):
        unconditional.sampling.refuse("the unconditional branch has no place for", "put that guide around classifier_free")
    low, high = (0.0, jnp.inf) if interval is None else interval
    values = [jnp.asarray(value, jnp.float32) for value in (scale, low, high, rescale)]
    return ClassifierFree(denoiser, unconditional, *values)


class ClassifierFree(Guide):
    """See `classifier_free`."""

    unconditional: Any
    scale: jax.Array
    low: jax.Array
    high: jax.Array
    rescale: jax.Array

    def extra_calls(self):
        return (self.unconditional if isinstance(self.unconditional, Denoiser) else self.denoiser).calls

    def evaluate(self, x_t, t, cond=None):
        answer = self.denoiser.evaluate(x_t, t, cond)
        if isinstance(self.unconditional, Denoiser):
            other = self.unconditional.evaluate(x_t, t)
        else:
            other = self.denoiser.evaluate(x_t, t, self.unconditional)
        conditional, unconditional = answer.x0_hat, other.x0_hat
        ratio = jnp.exp(-0.5 * self.process.log_snr(t))  # sigma / alpha
        extra = jnp.where((ratio > self.low) & (ratio <= self.high), self.scale - 1.0, 0.0)
        # D_c + (w - 1)(D_c - D_u): bitwise the conditional prediction at scale 1
        guided = combine(1.0, conditional, extra, combine(1.0, conditional, -1.0, unconditional))
        ratio_std = _std(conditional) / _std(guided)
        factor = jnp.where(extra == 0, 1.0, 1.0 + self.rescale * (ratio_std - 1.0))
        guided = jax.tree.map(lambda leaf: expand(factor, leaf).astype(leaf.dtype) * leaf, guided)
        return answer.to(guided).kicked(answer.kick, share=extra).kicked(other.kick, share=-extra)


def _std(x):
    """(B,) standard deviation over all entries of each sample."""
    rows = jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(x)], axis=1)
    # bounded before the root, whose gradient at 0 (one entry a sample) is not finite
    return jnp.sqrt(jnp.maximum(jnp.var(rows, axis=1), 1e-24))
