import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser
from lookahead.common import ask

import sciddm as sd


def test_ddrm_meets_exact_data_and_samples_what_is_not_seen_as_if_alone():
    # the first coordinate is independent of the others: they are sampled as without an observation, with the same draws
    prior = sd.oracle.GaussianMixture([0.4, 0.6], [[0.0, 1.0, 0.0], [0.0, -1.0, 0.5]], 0.3)
    denoiser = prior.denoiser(sd.GaussianProcess.vp())
    see_first = np.array([[2.0, 0.0, 0.0]])
    guided = sd.lookahead.ddrm(denoiser, sd.lookahead.Observation(see_first, np.array([1.0]), 0.0))
    samples, info = sd.sample(jax.random.key(0), guided, (50, 3))
    plain, _ = sd.sample(jax.random.key(0), denoiser, (50, 3), solver=sd.lookahead.Renoise(0.85**2), steps=20, grid="t")
    samples, plain = np.asarray(samples), np.asarray(plain)
    np.testing.assert_allclose(samples[:, 0], 0.5, atol=1e-5)
    assert np.abs(plain[:, 0] - 0.5).max() > 0.1
    assert info["residual"].shape == (20, 50)
    np.testing.assert_allclose(samples[:, 1:], plain[:, 1:], atol=2e-4)


def test_ddrm_weighs_a_noisy_direction_by_the_level():
    # one step between two levels, against the three cases by hand, eta = 0 so that only the last has noise
    process = sd.GaussianProcess.vp()
    denoiser = gaussian_denoiser(process, 1.0)
    obs = sd.lookahead.Observation(np.array([[2.0, 0.0]]), np.array([1.0]), 0.4)
    x_t = np.tile(np.array([[0.3, -0.5]], np.float32), (20000, 1))
    solver = sd.lookahead.ddrm(denoiser, obs, eta=0.0).sampling.solver
    for t, s in ((0.3, 0.02), (0.8, 0.6)):
        options = {"grid": np.array([t, s]), "start": x_t}
        x_s, _ = sd.sample(jax.random.key(0), denoiser, (20000, 2), solver=solver, **options)
        plain, _ = sd.sample(jax.random.key(0), denoiser, (20000, 2), solver="ddim", **options)
        x_s, plain = np.asarray(x_s), np.asarray(plain)
        a, sigma = float(process.alpha(s)), float(process.sigma(s))
        x0, noise = float(ask(denoiser, x_t[:1], jnp.asarray(t))[0, 0]), a * 0.4 / 2.0
        np.testing.assert_allclose(x_s[:, 1], plain[0, 1], atol=1e-5)
        if sigma < noise:
            np.testing.assert_allclose(x_s[:, 0], a * x0 + sigma * a * (0.5 - x0) / noise, atol=1e-5)
        else:
            assert x_s[:, 0].mean() == pytest.approx(a * 0.5, abs=0.02)
            assert x_s[:, 0].std() == pytest.approx(np.sqrt(sigma**2 - noise**2), rel=0.03)
    with pytest.raises(ValueError, match="one noise_std"):
        sd.lookahead.ddrm(denoiser, sd.lookahead.Observation(np.eye(2), np.ones(2), np.array([0.1, 0.2])))
