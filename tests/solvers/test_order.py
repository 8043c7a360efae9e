"""Every solver converges at the order it claims: against an exact path without noise, in law with it."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from solvers.common import STOCHASTIC, Impulse

import sciddm as sd
from sciddm.solvers import AdamsBashforth, Adaptive, DPMpp2M, DPMpp2S, FromDiffrax, UniPC, resolve

DETERMINISTIC = sorted(set(sd.solvers.SOLVERS) - STOCHASTIC - {"dpmpp1", "tsit5", "dopri8"})
MORE = [UniPC(1), FromDiffrax(diffrax.Midpoint()), FromDiffrax(diffrax.Bosh3()), FromDiffrax(diffrax.Tsit5())]
NOISY = [*sorted(STOCHASTIC - {"ancestral"}), DPMpp2M(eta=1.0), DPMpp2S(eta=0.5), AdamsBashforth(3, eta=1.0)]
DIFFRAX_NOISY = {diffrax.ShARK(): 2, diffrax.SPaRK(): 2, diffrax.SEA(): 1, diffrax.EulerHeun(): 1}


def _name(value):
    return value if isinstance(value, str) else repr(value)


@pytest.fixture
def exact_path(mixture, x64):
    """ends(solver, steps) of 64 paths between two log-SNRs in double precision, and their exact ends."""
    mixture = sd.oracle.GaussianMixture(np.asarray(mixture.weights, float), np.asarray(mixture.means, float), 0.2)
    process = sd.GaussianProcess.vp()
    start = jax.random.normal(jax.random.key(0), (64, 3), jnp.float64)

    def ends(solver, steps, low=-14.0, high=4.0):
        grid = np.asarray(process.time(jnp.linspace(low, high, steps + 1)))
        like = jax.ShapeDtypeStruct(start.shape, jnp.float64)
        return sd.sample(jax.random.key(0), mixture.denoiser(process), like, solver=solver, grid=grid, start=start)[0]

    return ends, ends(Adaptive(diffrax.Dopri8(), 1e-11, 1e-11), 1)


def root_mean_square(error):
    return float(jnp.sqrt(jnp.mean(error**2)))


@pytest.mark.parametrize("solver", [*DETERMINISTIC, *MORE], ids=_name)
def test_deterministic_solver_converges_at_its_claimed_order(solver, exact_path):
    ends, truth = exact_path
    claimed = resolve(solver).order(None)
    coarse, fine = (root_mean_square(ends(solver, steps) - truth) for steps in (128, 256))
    assert np.log2(coarse / fine) == pytest.approx(claimed, abs=0.3)


@pytest.mark.parametrize("solver", ["tsit5", "dopri8"])
def test_adaptive_solver_keeps_its_tolerance(solver, exact_path):
    ends, truth = exact_path
    inner = resolve(solver).solver
    loose, tight = (root_mean_square(ends(Adaptive(inner, tol, tol), 1) - truth) for tol in (1e-4, 1e-7))
    assert loose < 1e-3 and tight < 1e-6 and tight < loose / 100


def variance_error(solver, steps, variance=0.3):
    """|Var x - truth| at log-SNR 4 for data N(0, variance), exactly: the noise is made of impulses."""
    process = sd.GaussianProcess.vp(noise=Impulse())

    def expected(x_t, t, cond):
        alpha, sigma = process.alpha(t), process.sigma(t)
        return alpha * variance / (alpha**2 * variance + sigma**2) * x_t

    def marginal(t):
        return process.alpha(t) ** 2 * variance + process.sigma(t) ** 2

    grid = np.asarray(process.time(jnp.linspace(-8.0, 4.0, steps + 1)))
    like = jax.ShapeDtypeStruct((1, process.noise.size), jnp.float64)
    start = jnp.zeros(like.shape).at[0, 0].set(jnp.sqrt(marginal(grid[0])))
    denoiser = sd.FunctionDenoiser(expected, process)
    x, _ = sd.sample(jax.random.key(3), denoiser, like, solver=solver, grid=grid, start=start)
    return abs(float(jnp.sum(x**2) - marginal(grid[-1])))


@pytest.mark.parametrize("solver", [*NOISY, *DIFFRAX_NOISY], ids=_name)
def test_stochastic_solver_converges_weakly_at_its_claimed_order(solver, x64):
    claimed = DIFFRAX_NOISY[solver] if solver in DIFFRAX_NOISY else resolve(solver).order(None)
    coarse, fine = variance_error(solver, 80), variance_error(solver, 160)
    assert np.log2(coarse / fine) == pytest.approx(claimed, abs=0.3)
