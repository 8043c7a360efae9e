"""Solvers that remember answers: what is exact on any grid, and what counts as history."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.solvers import AdamsBashforth, UniPC


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
