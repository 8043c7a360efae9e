"""Diffusion posterior sampling: a step down the residual's norm, by a length that needs no search, or by the published one.

Published (Chung et al. 2023, algorithm 1, arXiv:2209.14687), after each step:

    x_s <- x_s - (scale / |r|) Sigma grad_{x_t} |r|^2,   r = y - A x0_hat(x_t)

Its strength is that of `scale` times the number of steps, not that of a likelihood; the released code takes the gradient of the norm,
half of this. By default the same direction has the length that the likelihood gives it, with C = Cov[x_0 | x_t], w = A^T r:

    x0_hat' = x0_hat + C w r^T r / (r^T R r + k w^T C w),   k = .1 + .9 max(s, w^T C w / (w^T Sigma w sigma_t^2/alpha_t^2)),

R the noise's covariance and s = alpha^2 / (alpha^2 + sigma^2). k = 1 is the line search of a Gaussian x_0, exact for one value. Below 1
at strong noise, where C holds the distances between modes and the Gaussian's step is too short to change from one to another.
"""

import jax
import jax.numpy as jnp

from sciddm.answer import Kick
from sciddm.arithmetic import combine, divide, expand, inner, norm, root_mean_square
from sciddm.denoiser import Denoiser, Guide, SamplingDefaults, linearize
from sciddm.lookahead.gradients import gain, guidance_norm
from sciddm.lookahead.linear_gaussian import units_of
from sciddm.lookahead.observe.observation import Observation

LEAST = 0.1  # k at strong noise: found on other draws of the ring, of law A and of 25 components than benchmarks show


def dps(denoiser: Denoiser, observation: Observation, *, scale=None) -> Denoiser:
    """`denoiser` drawn down the residual's norm: one gradient of the network, whatever the operator.

    Args: scale: zeta' of the published step (1 for images, .3 to 1), to be searched for each problem and number of steps; None: the
        length that the likelihood gives, at any number of steps of "ddpm". By a solver that draws no noise samples go beyond y, with
        too small a spread, as the direction is none of the flow's: take mmps there.
    As published it is sampled by "ddpm" in 1000 steps uniform in t, unless `sd.sample` is given others.
    """
    return DPS(denoiser, observation, None if scale is None else jnp.asarray(scale, jnp.float32))


class DPS(Guide):
    """See `dps`."""

    observation: Observation
    scale: jax.Array | None

    def defaults(self):
        return SamplingDefaults(solver="ddpm", steps=1000, grid="t")

    def evaluate(self, x_t, t, cond=None):
        answer, vjp = linearize(self.denoiser, x_t, t, cond)
        prediction, adjoint = self.observation.linearize(answer.x0_hat)
        residual = self.observation.residual_from(prediction)
        report = {"residual": root_mean_square(residual)}
        if self.scale is None:
            return self._likely(answer, vjp, prediction, adjoint, residual, x_t, t, report)
        length = divide(2.0 * self.scale, norm(residual))
        uphill = self.process.noise.each("covariance", vjp(adjoint(residual)))
        return answer.kicked(Kick(of_x_s=_times(length, uphill)), report)

    def _likely(self, answer, vjp, prediction, adjoint, residual, x_t, t, report):
        process, variance = self.process, self.observation.variance(prediction)
        variance = jax.tree.map(lambda v, leaf: jnp.broadcast_to(v, leaf.shape), variance, prediction)
        direction = residual
        if len(jax.tree.leaves(prediction)) > 1:  # measurements of several kinds, each in units of its own
            forward = self.observation.forward(answer.x0_hat)
            units = units_of(process, t, forward, adjoint, prediction, variance)
            direction = jax.tree.map(lambda leaf, unit: leaf / expand(unit**2, leaf), residual, units)
        back, multiply = adjoint(direction), lambda u: process.noise.each("covariance", u)
        shift = _times(gain(process, t), multiply(vjp(back)))  # C A^T r
        spread = inner(back, shift)
        # a noise level a frame: their mean stands for a sample
        alpha, sigma = (_of_sample(level(t)) for level in (process.alpha, process.sigma))
        signal = alpha**2 / (alpha**2 + sigma**2)
        within = divide(spread, inner(back, multiply(back)) * divide(sigma**2, alpha**2))
        share = LEAST + (1.0 - LEAST) * jnp.clip(jnp.maximum(signal, within), 0.0, 1.0)
        noise = inner(direction, jax.tree.map(jnp.multiply, variance, direction))
        # no variance is negative: a network's Jacobian that says so, at strong noise, is its own error and gives no direction
        length = jnp.where(spread > 0, divide(inner(direction, residual), noise + share * spread), 0.0)
        steered = combine(1.0, answer.x0_hat, 1.0, _times(length, shift))
        return answer.to(steered, report | {"guidance_norm": guidance_norm(process, x_t, t, answer.x0_hat, steered)})


def _times(length, tree):
    return jax.tree.map(lambda leaf: expand(length, leaf) * leaf, tree)


def _of_sample(level):
    return level if jnp.ndim(level) < 2 else jnp.mean(level, axis=tuple(range(1, jnp.ndim(level))))
