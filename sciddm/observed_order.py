"""At which order does a solver converge? Measured without Monte-Carlo noise, for our solvers and for your own.

Without noise: the distance of end points to the exact ones, on a mixture far from Gaussian. With noise: the error of the
variance on Gaussian data, where a sample is a linear function of the draws, so that draws which are unit vectors give it exactly:

    x = sum_k c_k e_k   has   |x|^2 = sum_k c_k^2 = Var[x under independent draws of variance one]
"""

import functools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.denoiser import FunctionDenoiser
from sciddm.noise import White
from sciddm.oracle import GaussianMixture
from sciddm.process import GaussianProcess
from sciddm.sample import sample
from sciddm.solvers import Adaptive, resolve

DRAWS, VARIANCE = 2**17, 0.3


class Impulse(White):
    """Every draw is a unit vector of its own, by its key: one of DRAWS, so that two of a few hundred hardly ever meet."""

    def sample(self, key, like):
        place = jax.random.bits(key, dtype=jnp.uint32) % DRAWS
        return (jnp.arange(DRAWS) == place).astype(like.dtype)


def observed_order(solver, coarse: int | None = None) -> float:
    """log2 of the fall of the error when steps are halved, in double precision. coarse: steps to begin with (96; 80 with noise)."""
    error = law_error if resolve(solver).draws_noise() else path_error
    coarse = coarse or (80 if error is law_error else 96)
    return float(np.log2(error(solver, coarse) / error(solver, 2 * coarse)))


def path_error(solver, steps: int) -> float:
    """Root mean square distance to the exact ends of 64 paths of the VP process between log-SNR -14 and 4, uniform in it."""
    with jax.enable_x64(True):
        return float(np.sqrt(np.mean((_ends(solver, steps) - _exact_ends()) ** 2)))


@functools.cache
def _exact_ends():
    return _ends(Adaptive(diffrax.Dopri8(), 1e-12, 1e-12), 1)


def law_error(solver, steps: int) -> float:
    """|Var x - truth| at log-SNR 4 for data N(0, 0.3) of the VP process, from log-SNR -8 in steps uniform in it."""
    with jax.enable_x64(True):
        process = GaussianProcess.vp(noise=Impulse())

        def marginal(t):
            return process.alpha(t) ** 2 * VARIANCE + process.sigma(t) ** 2

        def expected(x_t, t, cond):
            return process.alpha(t) * VARIANCE / marginal(t) * x_t

        grid = np.asarray(process.time(jnp.linspace(-8.0, 4.0, steps + 1)))
        start = jnp.zeros((1, DRAWS)).at[0, 0].set(jnp.sqrt(marginal(grid[0])))
        denoiser, like = FunctionDenoiser(expected, process), jax.ShapeDtypeStruct(start.shape, start.dtype)
        x, _ = sample(jax.random.key(3), denoiser, like, solver=solver, grid=grid, start=start)
        return abs(float(jnp.sum(x**2) - marginal(grid[-1])))


def _ends(solver, steps):
    # Wide components, so that the asymptotic stretch of order 4 lies above rounding; a process that begins at log-SNR -15.
    mixture = GaussianMixture(np.array([0.3, 0.7]), np.array([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]]), 0.6)
    process = GaussianProcess.vp(beta_max=30.0)
    start = jax.random.normal(jax.random.key(0), (64, 3), jnp.float64)
    grid = np.asarray(process.time(jnp.linspace(-14.0, 4.0, steps + 1)))
    like = jax.ShapeDtypeStruct(start.shape, start.dtype)
    return np.asarray(
        sample(jax.random.key(0), mixture.denoiser(process), like, solver=solver, grid=grid, start=start)[0]
    )
