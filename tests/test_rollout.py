"""Window after window is the chain itself, where windows depend on their past through their condition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd

RHO, COUNT = 0.8, 4000
PROCESS = sd.GaussianProcess.vp()


def conditional(x_t, t, cond):
    """E[x_0 | x_t, last] of an AR(1) chain of unit variance, one value a window: x_0 ~ N(rho last, 1 - rho^2)."""
    alpha, sigma = PROCESS.alpha(t), PROCESS.sigma(t)
    mean, variance = RHO * cond["last"], 1 - RHO**2
    return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x_t - alpha * mean)


def test_a_markov_chain_rolled_out_keeps_its_variance_and_correlations():
    denoiser = sd.FunctionDenoiser(conditional, PROCESS)
    start = {"last": jax.random.normal(jax.random.key(1), (COUNT, 1))}
    x, info = sd.rollout(
        jax.random.key(0),
        denoiser,
        (COUNT, 1),
        cond=start,
        advance=lambda x: {"last": x},
        windows=4,
        steps=30,
        grid="logsnr",
    )
    assert x.shape == (COUNT, 4, 1) and info["network_calls"] == 120
    chain = np.concatenate([start["last"][:, None], x], 1)[..., 0]
    covariance = chain.T @ chain / COUNT
    exact = RHO ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    error = np.sqrt((1 + exact**2) / COUNT)
    assert (np.abs(covariance - exact) < 3.5 * error + 5e-3).all()


def test_first_windows_and_samples_do_not_depend_on_how_many_there_are():
    denoiser = sd.FunctionDenoiser(conditional, PROCESS)

    def run(count, windows):
        cond = {"last": jnp.arange(count, dtype=jnp.float32)[:, None]}
        return sd.rollout(
            jax.random.key(0),
            denoiser,
            (count, 1),
            cond=cond,
            advance=lambda x: {"last": x},
            windows=windows,
            solver="ddpm",
            steps=4,
        )[0]

    np.testing.assert_allclose(run(3, 3)[:2, :2], run(2, 2), rtol=1e-5)
    with pytest.raises(ValueError, match="windows = 0"):
        run(2, 0)
