import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, gaussian_posterior
from lookahead.common import A, Y, ask

import sciddm as sd


@pytest.mark.parametrize("solver", ["unipc2", "ddpm", None])
def test_ddnm_meets_exact_data_and_leaves_the_null_space_to_the_prior(solver):
    denoiser = gaussian_denoiser(sd.GaussianProcess.vp(), 0.6)
    guided = sd.lookahead.ddnm(denoiser, sd.lookahead.Observation(A, Y, 0.0))
    samples, info = sd.sample(jax.random.key(0), guided, (4000, 3), solver=solver, steps=60)
    samples = np.asarray(samples)
    assert np.abs(samples @ A.T - Y).max() < 1e-5
    mean, covariance = gaussian_posterior(np.zeros(3), 0.6 * np.eye(3), A, Y, 1e-4)
    np.testing.assert_allclose(samples.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.06)
    assert info["residual"].shape == (60, 4000)


def test_ddnm_takes_no_more_of_noisy_data_than_the_level_hides(mixture):
    denoiser = mixture.denoiser(sd.GaussianProcess.vp())
    x_t, obs = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), sd.lookahead.Observation(A, Y, 0.5)
    for t in (0.05, 0.8):
        ratio = float(denoiser.process.sigma(t) / denoiser.process.alpha(t))
        x0_hat, guided = (
            np.asarray(ask(one, x_t, jnp.asarray(t))) for one in (denoiser, sd.lookahead.ddnm(denoiser, obs))
        )
        full = (Y - x0_hat @ A.T) @ np.linalg.pinv(A).T
        np.testing.assert_allclose(guided - x0_hat, min(1.0, ratio / 0.5) * full, rtol=1e-3, atol=1e-5)
