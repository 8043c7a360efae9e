"""Every solver converges at the order it claims: against an exact path without noise, in law with it."""

import diffrax
import pytest

import sciddm as sd
from sciddm.observed_order import law_error, observed_order, path_error
from sciddm.solvers import AdamsBashforth, Adaptive, FromDiffrax, resolve

ALIASES, ADAPTIVE = {"dpmpp1", "ancestral"}, {"tsit5", "dopri8"}
OURS = [*sorted(set(sd.solvers.SOLVERS) - ALIASES - ADAPTIVE), AdamsBashforth(3, eta=1.0)]
DIFFRAX = [(FromDiffrax(diffrax.Bosh3()), 3)]
DIFFRAX_NOISY = [(diffrax.ShARK(), 2), (diffrax.SEA(), 1)]


def _name(value):
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, FromDiffrax):
        value = value.solver
    return (
        type(value).__name__
        if isinstance(value, diffrax.AbstractSolver) and "diffrax" in type(value).__module__
        else repr(value)
    )


@pytest.mark.parametrize("solver", OURS, ids=_name)
def test_solver_converges_at_its_claimed_order(solver):
    assert observed_order(solver) == pytest.approx(resolve(solver).order(None), abs=0.3)


@pytest.mark.parametrize(("solver", "claimed"), [*DIFFRAX, *DIFFRAX_NOISY], ids=_name)
def test_diffrax_solver_keeps_its_order_in_our_place(solver, claimed):
    assert observed_order(solver) == pytest.approx(claimed, abs=0.3)


@pytest.mark.parametrize("solver", sorted(ADAPTIVE))
def test_adaptive_solver_keeps_its_tolerance(solver):
    inner = resolve(solver).solver
    loose, tight = (path_error(Adaptive(inner, tol, tol), 1) for tol in (1e-4, 1e-7))
    assert loose < 30 * 1e-4 and tight < 30 * 1e-7


def test_the_law_s_error_is_that_of_the_known_recursion():
    # DDIM with all noise on N(0, v) is v_s = (a_s c + k (1 - a_t c) / sigma_t)^2 v_t + std^2: one step by hand.
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        process, v = sd.GaussianProcess.vp(), 0.3
        t, s = process.time(-8.0), process.time(4.0)
        level_t, level_s = process.level(t), process.level(s)
        marginal = lambda level: level.alpha**2 * v + level.sigma**2  # noqa: E731
        at_mean, std = process.step_kernel(
            jnp.array([[level_t.alpha * v / marginal(level_t)]]), jnp.array([[1.0]]), t, s
        )
        by_hand = at_mean[0, 0] ** 2 * marginal(level_t) + std**2 - marginal(level_s)
    assert law_error("ddpm", 1) == pytest.approx(abs(float(by_hand)), rel=1e-9)
