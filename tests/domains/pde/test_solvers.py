import jax
import jax.numpy as jnp
import numpy as np
import pytest

from domains.pde import elliptic, evolution, fields
from domains.pde.generate import EQUATIONS, make_chunk


def grid(n):
    x = (np.arange(n) + 0.5) / n
    return np.meshgrid(x, x, indexing="ij")


@pytest.mark.parametrize("name", ["darcy", "poisson", "helmholtz"])
def test_residual_of_the_solver_is_at_machine_precision(name):
    rng = np.random.default_rng(0)
    a = np.where(fields.neumann_field(rng, 32) >= 0, 12.0, 3.0) if name == "darcy" else fields.neumann_field(rng, 32)
    u = getattr(elliptic, f"{name}_solve")(a)
    assert np.abs(getattr(elliptic, f"{name}_residual")(a, u)).max() < 1e-10
    assert np.abs(getattr(elliptic, f"{name}_residual")(a, 1.1 * u)).max() > 1e-2


def observed_order(solve, exact):
    errors = []
    for n in (16, 32, 64):
        y, x = grid(n)
        errors.append(np.abs(solve(y, x) - exact(y, x)).max())
    return np.log2(errors[0] / errors[1]), np.log2(errors[1] / errors[2])


def test_poisson_and_helmholtz_converge_at_order_two():
    exact = lambda y, x: np.sin(np.pi * y) * np.sin(2 * np.pi * x)  # noqa: E731
    for order in observed_order(lambda y, x: elliptic.poisson_solve(-5 * np.pi**2 * exact(y, x)), exact):
        assert order == pytest.approx(2, abs=0.15)
    for order in observed_order(lambda y, x: elliptic.helmholtz_solve((1 - 5 * np.pi**2) * exact(y, x)), exact):
        assert order == pytest.approx(2, abs=0.15)


def test_darcy_converges_at_order_two_to_the_series_of_a_constant_coefficient():
    def series(y, x):  # -Laplace u = 1
        odd = np.arange(1, 80, 2)
        j, k = np.meshgrid(odd, odd)
        weight = 16 / (np.pi**4 * j * k * (j**2 + k**2))
        return np.einsum(
            "jk,jab,kab->ab", weight, np.sin(np.pi * odd[:, None, None] * y), np.sin(np.pi * odd[:, None, None] * x)
        )

    for order in observed_order(
        lambda y, x: elliptic.darcy_solve(np.full_like(x, 4.0)), lambda y, x: series(y, x) / 4.0
    ):
        assert order == pytest.approx(2, abs=0.3)


def test_two_cells_conduct_like_resistances_in_series():
    # half a cell of 12 and half a cell of 3: 1 / (1/24 + 1/6) = 4.8, not the mean 7.5; the boundary is half a cell away: 2 a
    a = np.array([[12.0, 12.0], [3.0, 3.0]])
    np.testing.assert_allclose(elliptic._face_coefficients(a, -2), [[24.0, 24.0], [4.8, 4.8], [6.0, 6.0]])
    np.testing.assert_allclose(elliptic._face_coefficients(a, -1), [[24.0, 12.0, 24.0], [6.0, 3.0, 6.0]])


def test_residuals_differentiate_as_jax_functions():
    a = jnp.where(jnp.asarray(fields.neumann_field(np.random.default_rng(0), 8)) >= 0, 12.0, 3.0)
    u = jnp.asarray(elliptic.darcy_solve(np.asarray(a, np.float64)), jnp.float32)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(elliptic.darcy_residual(a, v) ** 2)))(1.5 * u)
    assert bool(jnp.all(jnp.isfinite(gradient))) and float(jnp.abs(gradient).max()) > 0
    residual = jax.jit(elliptic.darcy_residual)
    np.testing.assert_allclose(residual(np.stack([a, a]), np.stack([u, u]))[1], residual(a, u), rtol=1e-5, atol=1e-4)


def test_neumann_field_has_the_variance_of_its_series():
    samples = np.stack([fields.neumann_field(np.random.default_rng([0, i]), 32) for i in range(3000)])
    k = np.pi * np.arange(32)
    variance = 3.0**2 * (k[:, None] ** 2 + k[None] ** 2 + 9.0) ** -2.0
    variance[0, 0] = 0.0
    # averaged over the square every unit-norm mode has mean square 1
    assert np.mean(samples**2) == pytest.approx(variance.sum(), rel=0.05)


def test_burgers_conserves_its_mean_and_decays_as_heat_when_small():
    rngs = [np.random.default_rng([0, i]) for i in range(2)]
    u = evolution.burgers(rngs, 64)["u"]
    np.testing.assert_allclose(u.mean(-1), 0.0, atol=1e-5)
    x = np.arange(64) / 64
    start = 1e-3 * np.sin(2 * np.pi * x).astype(np.float32)[None, None]
    end = np.asarray(evolution._rollout("burgers", 64)(start))[0, -1]
    np.testing.assert_allclose(end, start[0, 0] * np.exp(-0.01 * 4 * np.pi**2), atol=2e-6)


def test_navier_stokes_is_second_order_in_time_and_conserves_mean_vorticity():
    start = fields.vorticity_start(np.random.default_rng(3), 32).astype(np.float32)[None, None]
    ends = {n: np.asarray(evolution._navier_stokes(32, n)(start)) for n in (4, 8, 200)}
    coarse, fine = (np.abs(ends[n] - ends[200]).max() for n in (4, 8))
    assert fine < 0.4 * coarse
    np.testing.assert_allclose(ends[200].mean(), start.mean(), atol=1e-5)


def test_forced_vorticity_grows_as_the_linear_equation_says():
    # from rest the forcing has one wavenumber and drives no self-advection: w = f (1 - exp(-nu k^2 t)) / (nu k^2)
    end = np.asarray(evolution._navier_stokes(32, 50)(np.zeros((1, 1, 32, 32), np.float32)))[0, 0]
    x, y = np.meshgrid(np.arange(32) / 32, np.arange(32) / 32, indexing="ij")
    force = 0.1 * (np.sin(2 * np.pi * (x + y)) + np.cos(2 * np.pi * (x + y)))
    rate = 1e-3 * 8 * np.pi**2
    np.testing.assert_allclose(end, force * (1 - np.exp(-rate)) / rate, atol=1e-4)


def test_vorticity_is_carried_the_way_it_turns():
    # a positive (counter-clockwise) vortex in the middle pushes what lies to its right, larger x, upwards, to larger y
    y, x = np.meshgrid((np.arange(64)) / 64, (np.arange(64)) / 64, indexing="ij")
    bump = lambda cy, cx, width: np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / width**2)  # noqa: E731
    start = 60.0 * bump(0.5, 0.5, 0.1) + 3.0 * bump(0.5, 0.75, 0.04)
    start = (start - start.mean()).astype(np.float32)[None, None]
    step = evolution.exponax.stepper.NavierStokesVorticity(2, 1.0, 64, 0.002, diffusivity=1e-4)
    later = start[0]
    for _ in range(40):
        later = np.asarray(step(later))
    strip = slice(44, 54)  # around the small one
    before, after = (
        (w[:, strip].clip(0) * np.arange(64)[:, None]).sum() / w[:, strip].clip(0).sum()
        for w in (start[0, 0], later[0])
    )
    assert after > before + 1


def test_kuramoto_sivashinsky_stays_on_its_attractor():
    u = evolution.kuramoto_sivashinsky([np.random.default_rng([1, i]) for i in range(2)], 64)["u"]
    assert np.all(np.isfinite(u)) and 1.0 < u.std() < 1.6  # the attractor's root mean square is about 1.3


@pytest.mark.parametrize("name", EQUATIONS)
def test_sample_i_depends_on_seed_and_i_alone(name):
    size = max(16, EQUATIONS[name].coarsest)
    many, one = make_chunk(name, size, 7, range(3)), make_chunk(name, size, 7, [2])
    for key in EQUATIONS[name].variables:
        np.testing.assert_allclose(many[key][2], one[key][0], rtol=1e-4, atol=1e-5)
        assert many[key].dtype == np.float32 and many[key].shape == (3, size, size)
