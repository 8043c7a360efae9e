"""Guides on top of others, where the answer is known: a chain seen through windows, and points without a centre of mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd

RHO, N = 0.9, 48


def chain():
    """Covariance of an AR(1) chain, (N, N)."""
    return RHO ** np.abs(np.subtract.outer(np.arange(N), np.arange(N)))


def window_denoiser(process):
    """The exact denoiser of a stretch of the chain of any length."""

    def expected(x_t, t, cond):
        covariance = jnp.asarray(chain()[: x_t.shape[1], : x_t.shape[1]], x_t.dtype)
        alpha, sigma = (jnp.broadcast_to(v, x_t.shape[:1]) for v in (process.alpha(t), process.sigma(t)))
        values, basis = np.linalg.eigh(np.asarray(chain()[: x_t.shape[1], : x_t.shape[1]]))
        shrink = alpha[:, None] * values / (alpha[:, None] ** 2 * values + sigma[:, None] ** 2)
        return ((x_t @ jnp.asarray(basis, covariance.dtype)) * shrink) @ jnp.asarray(basis.T, covariance.dtype)

    return sd.FunctionDenoiser(expected, process)


@pytest.mark.parametrize("strategy", ["joint", "bethe", "x0"])
def test_a_chain_is_smoothed_through_its_windows(strategy):
    # position seen at every sixth step: the posterior is the Kalman smoother's
    process = sd.GaussianProcess.vp()
    seen = np.arange(0, N, 6)
    A, y = np.eye(N)[seen], np.sin(0.3 * seen)
    exact = sd.oracle.GaussianMixture([1.0], np.zeros((1, N)), chain()).posterior(A, y, 0.2)
    denoiser = window_denoiser(process)
    if strategy != "joint":
        denoiser = sd.lookahead.synchronize(denoiser, sd.lookahead.windows(N, window=16, stride=8), strategy=strategy)
    guided = sd.lookahead.mmps(
        denoiser, sd.lookahead.Observation(sd.lookahead.operators.Points(seen), y, 0.2), iterations=10
    )
    samples, _ = sd.sample(jax.random.key(0), guided, (2000, N), steps=40, grid="logsnr")
    deviation = np.sqrt(np.diag(exact.covariance))
    error = np.abs(np.asarray(samples.mean(0) - exact.mean)) / deviation
    ratio = np.asarray(samples.std(0)) / deviation
    sampling = 3 / np.sqrt(2000)  # three standard errors of a mean, in standard deviations
    if strategy == "joint":
        assert error.max() < 0.05 + sampling and 0.95 < ratio.mean() < 1.05
    elif strategy == "bethe":
        assert error.max() < 0.2 + sampling and 0.93 < ratio.mean() < 1.05
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
    obs = sd.lookahead.Observation(distance, jnp.array([1.5]), 0.1)
    x_t = process.noise.sample_batch(jax.random.split(jax.random.key(0), 3), jnp.zeros((3, 5, 3)))
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0], jnp.float32)
    for method in ("steer", "mmps", "pigdm", "lgd", "mpgd", "universal", "freedom", "diffpir", "ddnm"):
        guided = getattr(sd.lookahead, method)(denoiser, obs)
        move = jax.jit(lambda x, guided=guided: guided(x, 0.4) - denoiser(x, 0.4))
        shift = move(x_t)
        assert float(jnp.abs(shift).max()) > 1e-4, method
        assert float(jnp.abs(shift.mean(1)).max()) < 1e-6 * max(1.0, float(jnp.abs(shift).max())), method
        if method != "lgd":  # its draws do not turn with the molecule
            np.testing.assert_allclose(
                move(x_t @ turn), shift @ turn, atol=1e-5 * max(1.0, float(jnp.abs(shift).max())), err_msg=method
            )
