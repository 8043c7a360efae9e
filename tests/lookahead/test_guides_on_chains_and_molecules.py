"""Guides on top of others, where the answer is known: a chain seen through windows, and points without a centre of mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_posterior

import sciddm as sd

RHO, N = 0.9, 48


def chain():
    """Covariance of an AR(1) chain, (N, N)."""
    return RHO ** np.abs(np.subtract.outer(np.arange(N), np.arange(N)))


AXES = {size: np.linalg.eigh(chain()[:size, :size]) for size in (8, 16, N)}


def window_denoiser(process):
    """The exact denoiser of a stretch of the chain, of a window, an overlap or all of it."""

    def expected(x_t, t, cond):
        values, basis = AXES[x_t.shape[1]]
        alpha, sigma = (jnp.broadcast_to(v, x_t.shape[:1])[:, None] for v in (process.alpha(t), process.sigma(t)))
        shrink = alpha * values / (alpha**2 * values + sigma**2)
        return ((x_t @ jnp.asarray(basis, x_t.dtype)) * shrink) @ jnp.asarray(basis.T, x_t.dtype)

    return sd.FunctionDenoiser(expected, process)


@pytest.mark.parametrize("strategy", ["joint", "bethe", "x0"])
def test_a_chain_is_smoothed_through_its_windows(strategy):
    # position seen at every sixth step: the posterior is the Kalman smoother's
    process = sd.GaussianProcess.vp()
    seen = np.arange(0, N, 6)
    A, y = np.eye(N)[seen], np.sin(0.3 * seen)
    mean, covariance = gaussian_posterior(np.zeros(N), chain(), A, y, 0.2)
    denoiser = window_denoiser(process)
    if strategy != "joint":
        denoiser = sd.lookahead.synchronize(denoiser, sd.lookahead.windows(N, window=16, stride=8), strategy=strategy)
    guided = sd.lookahead.mmps(
        denoiser, sd.lookahead.Observation(sd.lookahead.operators.Points(seen), y, 0.2), iterations=10
    )
    # a solver without noise: samples are linear in where they start, so that zero and unit starts tell mean and covariance
    spread = float(process.sigma(1.0))
    start = spread * np.concatenate([np.zeros((1, N)), np.eye(N)]).astype(np.float32)
    samples, _ = sd.sample(jax.random.key(0), guided, (N + 1, N), steps=40, grid="logsnr", start=start)
    samples, deviation = np.asarray(samples, float), np.sqrt(np.diag(covariance))
    error = np.abs(samples[0] - mean) / deviation
    ratio = np.linalg.norm(samples[1:] - samples[0], axis=0) / deviation
    if strategy == "joint":
        assert error.max() < 0.05 and 0.95 < ratio.mean() < 1.05
    elif strategy == "bethe":
        assert error.max() < 0.26 and 0.93 < ratio.mean() < 1.05
    else:  # windows alone know nothing of what is seen beyond them, where a stretch is seen from inside they smooth all the same
        assert error.mean() < 0.3


def test_guidance_leaves_the_centre_of_mass_and_turns_with_the_molecule():
    process = sd.GaussianProcess.vp(noise=sd.ZeroCentreOfMass())

    def expected(x_t, t, cond):  # pulls each point to the others, the more the nearer they are: equivariant, not linear
        offsets = x_t[:, :, None] - x_t[:, None]
        near = jnp.exp(-jnp.sum(offsets**2, -1, keepdims=True))
        return process.alpha(t) * (x_t - 0.1 * jnp.sum(near * offsets, 2))

    def distance(x):
        return jnp.sqrt(jnp.sum((x[:, 0] - x[:, 1]) ** 2, -1))[:, None]

    denoiser = sd.FunctionDenoiser(expected, process)
    obs, rng = sd.lookahead.Observation(distance, np.array([1.5]), 0.1), np.random.default_rng(0)
    x_t = rng.normal(size=(3, 5, 3)).astype(np.float32)
    x_t -= x_t.mean(1, keepdims=True)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].astype(np.float32)
    for method in ("steer", "mmps", "pigdm", "lgd", "mpgd", "universal", "freedom", "diffpir", "ddnm"):
        guided = getattr(sd.lookahead, method)(denoiser, obs)
        move = jax.jit(lambda x, guided=guided: guided(x, 0.4) - denoiser(x, 0.4))
        shift = np.asarray(move(x_t))
        size = max(1.0, np.abs(shift).max())
        assert np.abs(shift).max() > 1e-4, method
        assert np.abs(shift.mean(1)).max() < 1e-6 * size, method
        if method != "lgd":  # its draws do not turn with the molecule
            np.testing.assert_allclose(move(x_t @ turn), shift @ turn, atol=1e-5 * size, err_msg=method)
