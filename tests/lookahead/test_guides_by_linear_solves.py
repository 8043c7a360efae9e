"""Methods that put the measurement into x_0 or x_s without the network's Jacobian."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, gaussian_posterior, levels

import sciddm as sd
from sciddm.lookahead.nearest import noise_to_signal, pseudo_inverse, pull

A, Y = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), np.array([0.7, -0.4])


@eqx.filter_jit
def ask(denoiser, x_t, t):
    """x0_hat of any denoiser, by one program."""
    return denoiser(x_t, t)


def test_pull_and_pseudo_inverse_agree_with_dense_algebra():
    obs, rng = sd.lookahead.Observation(A, Y, 0.3), np.random.default_rng(0)
    x, u = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    pulled, back = jax.jit(lambda x, u: (pull(obs, x, 0.8, 10), pseudo_inverse(obs, x, u, 10)))(x, u)
    gain = 0.8 * A.T @ np.linalg.inv(0.09 * np.eye(2) + 0.8 * A @ A.T)
    np.testing.assert_allclose(pulled, x + (Y - x @ A.T) @ gain.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(back, u @ np.linalg.pinv(A).T, rtol=1e-4, atol=1e-5)
    process = sd.GaussianProcess.rectified()
    ends = jax.jit(lambda t: noise_to_signal(process, t))(np.array([1.0, 0.5], np.float32))
    assert ends[0] == pytest.approx(1e6, rel=1e-3) and ends[1] == pytest.approx(1.0, rel=1e-5)


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


def test_repaint_is_its_biased_recursion_and_time_travel_mends_it():
    # prior N(0, [[1, r], [r, 1]]), the first coordinate is 1: the second is N(r, 1 - r^2)
    r = 0.8
    process = sd.GaussianProcess.vp()
    covariance = np.array([[1.0, r], [r, 1.0]])
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], covariance).denoiser(process)
    obs = sd.lookahead.Observation(sd.lookahead.operators.Mask(np.array([1.0, 0.0])), np.array([1.0, 0.0]), 0.0)
    error = {}
    for repeats in (1, 6):
        guided = sd.lookahead.repaint(denoiser, obs, jump=2, repeats=repeats)
        samples, _ = sd.sample(jax.random.key(0), guided, (6000, 2), steps=16)
        samples = np.asarray(samples)
        np.testing.assert_allclose(samples[:, 0], 1.0, atol=1e-5)
        error[repeats] = abs(samples[:, 1].mean() - r)
        if repeats == 1:  # mean and covariance of the ancestral recursion with the first coordinate replaced
            _, a, s = levels(process, "t", 16)
            s2 = np.append(s[:-1] ** 2, 0.0)
            m, c = np.zeros(2), np.eye(2) * s2[0]
            for i in range(16):
                d = a[i] * covariance @ np.linalg.inv(a[i] ** 2 * covariance + s2[i] * np.eye(2))
                share = (a[i] / a[i + 1]) ** 2 * s2[i + 1] / s2[i]
                step = share * a[i + 1] / a[i] * np.eye(2) + a[i + 1] * (1 - share) * d
                m, c = step @ m, step @ c @ step.T + s2[i + 1] * (1 - share) * np.eye(2)
                m[0], c[0, :], c[:, 0] = a[i + 1], 0.0, 0.0
                c[0, 0] = s2[i + 1]
            assert samples[:, 1].mean() == pytest.approx(m[1], abs=0.03)
            assert samples[:, 1].var() == pytest.approx(c[1, 1], rel=0.06)
    assert error[1] > 0.1 and error[6] < 0.5 * error[1]


def test_diffpir_is_its_recursion_on_a_gaussian():
    # prior N(0, v), y = x + N(0, tau): with all noise fresh, x_s = a_s x0' + s_s z and x0' = balance(x0_hat(x_t), y)
    v, tau, y, steps = 0.5, 0.2, 1.0, 12
    process = sd.GaussianProcess.vp()
    denoiser = gaussian_denoiser(process, v)
    obs = sd.lookahead.Observation(lambda x: x, np.array([y]), np.sqrt(tau))
    _, a, s = levels(process, "t", steps)
    s2 = np.append(s[:-1] ** 2, 0.0)
    for weight in (1.0, 8.0):
        guided = sd.lookahead.diffpir(denoiser, obs, weight=weight)
        samples, _ = sd.sample(jax.random.key(0), guided, (40000, 1), steps=steps)
        m, c = 0.0, s2[0]
        for i in range(steps):
            guess = s2[i] / a[i] ** 2 / weight
            k, d = guess / (guess + tau), a[i] * v / (a[i] ** 2 * v + s2[i])
            m = a[i + 1] * ((1 - k) * d * m + k * y)
            c = (a[i + 1] * (1 - k) * d) ** 2 * c + s2[i + 1]
        assert np.mean(samples) == pytest.approx(m, abs=0.01)
        assert np.var(samples) == pytest.approx(c, rel=0.03)
