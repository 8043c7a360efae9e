import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

import sciddm as sd
from sciddm.solvers import AdamsBashforth, UniPC
from sciddm.solvers.exponential import interpolation_weights, moments

five_moments = jax.jit(lambda c: moments(c, 5))


@pytest.mark.parametrize("c", [1e-6, 1e-3, 0.3, 0.99, 1.01, 4.0, 30.0])
def test_moments_are_the_integrals_in_single_precision(c):
    with jax.enable_x64(False):
        ours = np.array([float(m) for m in five_moments(jnp.float32(c))])
    exact = [
        scipy.integrate.quad(lambda v, i=i: c * np.exp(c * (v - 1)) * v**i, 0, 1, epsabs=1e-13)[0] for i in range(5)
    ]
    np.testing.assert_allclose(ours, exact, rtol=2e-5)


def test_moments_of_an_infinite_step_are_one():
    assert [float(m) for m in moments(jnp.inf, 4)] == [1.0] * 4


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_weights_integrate_polynomials_of_their_degree_exactly(order):
    nodes, c = [0.0, -0.7, -1.9, -2.5], 1.3
    weights = interpolation_weights([jnp.asarray(v) for v in nodes], jnp.asarray(c), order)
    assert all(float(w) == 0.0 for w in weights[order:])
    for degree in range(order):
        found = sum(float(w) * v**degree for w, v in zip(weights, nodes, strict=True))
        exact = scipy.integrate.quad(lambda v, i=degree: c * np.exp(c * (v - 1)) * v**i, 0, 1)[0]
        assert found == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_weights_of_unused_nodes_are_zero_whatever_stands_there():
    weights = interpolation_weights([jnp.asarray(v) for v in (0.0, -jnp.inf, 0.0)], jnp.asarray(1.0), jnp.asarray(1))
    np.testing.assert_allclose(weights, [1.0 - np.exp(-1.0), 0.0, 0.0], rtol=1e-6)


@pytest.mark.parametrize(
    "solver", [AdamsBashforth(3), AdamsBashforth(3, eta=1.0), UniPC(3)], ids=["ab", "ab-sde", "unipc"]
)
def test_a_constant_answer_is_reached_exactly_on_any_grid(solver):
    # With x0_hat constant the whole step is exact: the end is that constant, the path alpha x0 + sigma eps.
    process = sd.GaussianProcess.vp()
    constant = jnp.array([[1.0, -2.0]])
    denoiser = sd.FunctionDenoiser(lambda x, t, c: jnp.broadcast_to(constant, x.shape), process)
    grid = np.array([1.0, 0.83, 0.8, 0.31, 0.02, 0.0])
    samples, info = sd.sample(jax.random.key(0), denoiser, (5, 2), solver=solver, grid=grid, return_path=True)
    np.testing.assert_allclose(samples, jnp.broadcast_to(constant, (5, 2)), rtol=1e-5)
    if solver == AdamsBashforth(3) or isinstance(solver, UniPC):
        eps = info["path"][0] / process.sigma(1.0) - process.alpha(1.0) / process.sigma(1.0) * constant
        np.testing.assert_allclose(
            info["path"][3], process.alpha(0.31) * constant + process.sigma(0.31) * eps, rtol=1e-4, atol=1e-5
        )


def test_start_without_signal_counts_as_history_but_points_below_it_do_not(mixture):
    # From alpha = 0 the first answer stands at log-SNR -12; a grid that goes on below -12 must not divide by a wrong gap.
    denoiser = mixture.denoiser(sd.GaussianProcess.rectified())
    process = denoiser.process
    inner = np.asarray(process.time(np.array([-15.0, -13.0, -11.0, -8.0, -4.0, 0.0, 4.0])))
    fine, _ = sd.sample(jax.random.key(0), denoiser, (8, 3), solver="dpmpp2m", steps=100)
    for solver in (AdamsBashforth(4), UniPC(3), "dpmpp2m"):
        end, _ = sd.sample(jax.random.key(0), denoiser, (8, 3), solver=solver, grid=[1.0, *inner, 0.0])
        assert np.median(np.abs(end - fine)) < 0.15
