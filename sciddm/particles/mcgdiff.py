"""MCGDiff: particles of a linear Gaussian inverse problem follow what was measured, noised as they are, one singular direction at a time.

    A = U diag(s_i) V^T,  y_i = (U^T y)_i / s_i,  x_i = (V^T x)_i,  t_i where sigma / alpha = noise_std / s_i
    h_t = prod_i N(x_t,i; alpha_t y_i, w_i),   w_i = sigma_t^2 - alpha_t^2 (noise_std / s_i)^2 + kappa,   t >= t_i
    x_s ~ p(x_s | x_t) h_s(x_s), normalised: a product of Gaussians               (Cardoso et al. 2023, section 3, arXiv:2308.07983)

At t_i the noise of x_t,i is that of y_i, so that meeting alpha y_i there is to have measured it; below, the direction goes free. The
times t_i are points of the grid. A direction noisier than t = 1 is weighed by its likelihood at the end. No gradient of the network.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser
from sciddm.errors import Refusal
from sciddm.grids import log_snr_bounds
from sciddm.keys import whole
from sciddm.lookahead.observe.measurement import Gaussian
from sciddm.lookahead.observe.observation import Observation
from sciddm.noise import White
from sciddm.particles.budget import particles_for
from sciddm.particles.engine import Resampling, population, run
from sciddm.particles.result import Result
from sciddm.particles.twists import Look, Twist
from sciddm.sample import fill_defaults, grid_times


def mcgdiff(
    key, denoiser: Denoiser, observation: Observation, shape, *, num_particles: int | None = None, budget: int | None = None, cond=None,
    kappa: float = 1e-4, solver="ddpm", steps: int = 100, grid="logsnr", resample="multinomial", ess_threshold: float = 1.0, chunk=None,
) -> Result:  # fmt: skip
    """Weighted particles of p(x_0) p(y | x_0), and log p(y); arguments as in `smc`, and

    Args: observation: linear, of few values (its matrix is built and decomposed), Gaussian noise with one positive std for all of them;
    kappa: the variance that an exactly known direction keeps, 1e-6 to 1e-4 as published.
    Raises: ValueError on another observation or noise law, or more values than entries of x.
    """
    law = observation.noise if isinstance(observation, Observation) else None
    if not (isinstance(law, Gaussian) and jnp.ndim(law.std) == 0):
        raise ValueError("mcgdiff takes an Observation with Gaussian noise of one standard deviation for all values")
    if not isinstance(denoiser.process.noise, White):
        raise ValueError(f"mcgdiff takes white noise, not {type(denoiser.process.noise).__name__}")
    basis, values, target = _directions(observation, shape)
    ratio = law.std / jnp.maximum(values, 1e-6 * jnp.max(values))
    twist = Followed(basis, values, target, ratio, jnp.asarray(kappa, float))
    if len(values) > whole(steps, "steps") - 2:
        raise ValueError(f"steps = {steps}: with {len(values)} values seen at least {len(values) + 2} are needed")
    chosen, given, grid = fill_defaults(denoiser, solver, steps, grid)
    if getattr(chosen, "covariance", None) is not None:
        raise Refusal("mcgdiff multiplies steps of one standard deviation in all directions: take 'ddpm' without covariance")
    steps = given + len(values) if isinstance(grid, np.ndarray) else steps  # times that are given come besides
    count = particles_for(num_particles, budget, steps * denoiser.calls)
    return run(
        key, denoiser, twist, observation, shape, count, cond=cond, solver=solver, steps=steps, grid=Through(grid, ratio),
        resampling=Resampling(resample, ess_threshold), chunk=chunk,
    )  # fmt: skip


def _directions(observation, shape):
    """(m, d) right singular vectors, (m,) singular values, (m,) y_i."""
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), population(shape, 1))
    prediction, adjoint = observation.linearize(nothing)
    flat, unravel = ravel_pytree(prediction)
    rows = jax.vmap(lambda unit: ravel_pytree(adjoint(unravel(unit)))[0])(jnp.eye(flat.size, dtype=flat.dtype))
    if rows.shape[0] > rows.shape[1]:
        raise ValueError(f"mcgdiff: {rows.shape[0]} values seen of {rows.shape[1]} entries of x")
    left, values, right = jnp.linalg.svd(rows, full_matrices=False)
    y = ravel_pytree(jax.tree.map(lambda seen, p: seen.reshape(p.shape), observation.value, prediction))[0]
    return right, values, (left.T @ (y - flat)) / jnp.maximum(values, 1e-6 * jnp.max(values))


class Through(eqx.Module):
    """A grid whose inner points are those of another one and, for each ratio, the time where sigma / alpha is it."""

    inner: Any
    ratio: jax.Array

    def __call__(self, process, steps: int):
        times = grid_times(self.inner, process, steps - len(self.ratio))
        wanted = jnp.clip(-2.0 * jnp.log(self.ratio), *log_snr_bounds(process))
        log_snr = jnp.sort(jnp.concatenate([process.log_snr(times[1:-1]), wanted]))
        # no two at the same place, nor at either end: a step of no length has no density
        low, high = process.log_snr(times[0]), process.log_snr(times[-1])
        apart = 1e-3 * jnp.arange(1, len(log_snr) + 1)
        above = jax.lax.cummax(jnp.maximum(log_snr - apart, low)) + apart
        inner = process.time(jnp.minimum(above, high - apart[::-1]))
        return jnp.concatenate([times[:1], inner, times[-1:]])


class Followed(Twist):
    """See `mcgdiff`. basis: (m, d); values: s_i; target: y_i; ratio: noise_std / s_i."""

    basis: jax.Array
    values: jax.Array
    target: jax.Array
    ratio: jax.Array
    kappa: jax.Array

    def memory(self, count):
        # log h of each direction, and log alpha where it was last followed; NaN before it ever was
        return jnp.zeros((count, len(self.values))), jnp.full((count, len(self.values)), jnp.nan)

    def look(self, denoiser, x_t, t, cond, index, memory):
        answer = denoiser.evaluate(x_t, t, cond)
        x0_hat = answer.x0_hat
        level = denoiser.process.level(t)
        variance, followed = self._variance(level)
        seen = _rows(x_t) @ self.basis.T
        log_h = _log_normal(seen, level.alpha * self.target, variance)
        log_h = jnp.where(followed, log_h, memory[0])
        log_alpha = jnp.where(followed, jnp.log(level.alpha), memory[1])
        return Look(x0_hat, x0_hat, jnp.sum(log_h, -1), answer.report), (log_h, log_alpha)

    def final(self, potential, x_0, memory):
        log_h, log_alpha = memory
        # densities of y_i / s_i from those of x_t,i; what was never followed is as likely as x_0 makes it
        gap = (_rows(x_0) @ self.basis.T - self.target) / self.ratio
        free = -0.5 * (gap**2 + np.log(2.0 * np.pi)) - jnp.log(self.ratio)
        log_values = jnp.log(jnp.maximum(self.values, 1e-6 * jnp.max(self.values)))
        return jnp.sum(jnp.where(jnp.isnan(log_alpha), free, log_h + log_alpha) - log_values, -1)

    def propose(self, look, model, proposal, keys, level):
        mean, std, z = model.mean, model.std, model.noise.sample_batch(keys, model.mean)
        variance, followed = self._variance(level)
        centre, target = _rows(mean) @ self.basis.T, level.alpha * self.target
        # along a direction N(centre, std^2) N(target; x, variance): precisions add
        share = jnp.where(followed, std**2 / (std**2 + variance), 0.0)
        fresh = _rows(z) @ self.basis.T
        moved = centre + share * (target - centre) + std * jnp.sqrt(1.0 - share) * fresh
        unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], z))[1]
        shift = jax.vmap(unravel)((moved - centre - std * fresh) @ self.basis)
        log_ratio = _log_normal(moved, centre, std**2) - _log_normal(
            moved, centre + share * (target - centre), std**2 * (1.0 - share)
        )
        return combine(1.0, combine(1.0, mean, std, z), 1.0, shift), jnp.sum(log_ratio, -1)

    def _variance(self, level):
        own = level.sigma**2 - (level.alpha * self.ratio) ** 2
        return jnp.maximum(own, 0.0) + self.kappa, own > -1e-4 * level.sigma**2


def _log_normal(x, mean, variance):
    return -0.5 * ((x - mean) ** 2 / variance + jnp.log(2.0 * np.pi * variance))


def _rows(x):
    return jax.vmap(lambda one: ravel_pytree(one)[0])(x)
