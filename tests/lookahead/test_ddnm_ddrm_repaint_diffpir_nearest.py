"""Methods that put the measurement into x_0 or x_s without the network's Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.lookahead.nearest import noise_to_signal, pseudo_inverse, pull

A, Y = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4])


def test_pull_and_pseudo_inverse_agree_with_dense_algebra():
    obs, x = sd.lookahead.Observation(A, Y, 0.3), jax.random.normal(jax.random.key(0), (5, 3))
    gain = 0.8 * A.T @ jnp.linalg.inv(0.09 * jnp.eye(2) + 0.8 * A @ A.T)
    np.testing.assert_allclose(pull(obs, x, 0.8, 10), x + (Y - x @ A.T) @ gain.T, rtol=1e-4, atol=1e-5)
    u = jax.random.normal(jax.random.key(1), (5, 2))
    np.testing.assert_allclose(pseudo_inverse(obs, x, u, 10), u @ jnp.linalg.pinv(A).T, rtol=1e-4, atol=1e-5)
    process = sd.GaussianProcess.rectified()
    assert float(noise_to_signal(process, 1.0)) == pytest.approx(1e6, rel=1e-3)
    assert float(noise_to_signal(process, 0.5)) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("solver", ["unipc2", "ddpm", None])
def test_ddnm_meets_exact_data_and_leaves_the_null_space_to_the_prior(solver):
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 0.6)
    guided = sd.lookahead.ddnm(prior.denoiser(sd.GaussianProcess.vp()), sd.lookahead.Observation(A, Y, 0.0))
    samples, info = sd.sample(jax.random.key(0), guided, (4000, 3), solver=solver, steps=60)
    assert float(jnp.abs(samples @ A.T - Y).max()) < 1e-5
    exact = prior.posterior(A, Y, 1e-4)
    np.testing.assert_allclose(samples.mean(0), exact.mean, atol=0.05)
    np.testing.assert_allclose(jnp.cov(samples.T), exact.covariance, atol=0.06)
    assert info["residual"].shape == (60, 4000)


def test_ddnm_takes_no_more_of_noisy_data_than_the_level_hides(mixture):
    denoiser, x_t = mixture.denoiser(sd.GaussianProcess.vp()), jax.random.normal(jax.random.key(0), (4, 3))
    obs = sd.lookahead.Observation(A, Y, 0.5)
    for t in (0.05, 0.8):
        ratio = float(denoiser.process.sigma(t) / denoiser.process.alpha(t))
        x0_hat = denoiser(x_t, t)
        full = (Y - x0_hat @ A.T) @ jnp.linalg.pinv(A).T
        guided = sd.lookahead.ddnm(denoiser, obs)(x_t, t)
        np.testing.assert_allclose(guided - x0_hat, min(1.0, ratio / 0.5) * full, rtol=1e-3, atol=1e-5)


def test_ddrm_meets_exact_data_and_samples_what_is_not_seen_as_if_alone():
    # the first coordinate is independent of the others: they are sampled as without an observation, with the same draws
    prior = sd.oracle.GaussianMixture([0.4, 0.6], [[0.0, 1.0, 0.0], [0.0, -1.0, 0.5]], 0.3)
    denoiser = prior.denoiser(sd.GaussianProcess.vp())
    see_first = jnp.array([[2.0, 0.0, 0.0]])
    guided = sd.lookahead.ddrm(denoiser, sd.lookahead.Observation(see_first, jnp.array([1.0]), 0.0))
    samples, info = sd.sample(jax.random.key(0), guided, (50, 3))
    plain, _ = sd.sample(jax.random.key(0), denoiser, (50, 3), solver=sd.lookahead.Renoise(0.85**2), steps=20, grid="t")
    np.testing.assert_allclose(samples[:, 0], 0.5, atol=1e-5)
    assert float(jnp.abs(plain[:, 0] - 0.5).max()) > 0.1
    assert info["residual"].shape == (20, 50)
    np.testing.assert_allclose(samples[:, 1:], plain[:, 1:], atol=2e-4)


def test_ddrm_weighs_a_noisy_direction_by_the_level():
    # one step between two levels, against the three cases by hand, eta = 0 so that only the last has noise
    process = sd.GaussianProcess.vp()
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], 1.0).denoiser(process)
    obs = sd.lookahead.Observation(jnp.array([[2.0, 0.0]]), jnp.array([1.0]), 0.4)
    x_t = jnp.array([[0.3, -0.5]])
    for t, s in ((0.3, 0.02), (0.8, 0.6)):
        solver = sd.lookahead.ddrm(denoiser, obs, eta=0.0).sampling.solver
        x_s, info = sd.sample(jax.random.key(0), denoiser, (1, 2), solver=solver, grid=[t, s], start=x_t)
        a, sigma, x0 = float(process.alpha(s)), float(process.sigma(s)), np.asarray(denoiser(x_t, t))[0]
        noise = a * 0.4 / 2.0
        plain, _ = sd.sample(jax.random.key(0), denoiser, (1, 2), solver="ddim", grid=[t, s], start=x_t)
        assert float(x_s[0, 1]) == pytest.approx(float(plain[0, 1]), abs=1e-5)
        if sigma < noise:
            expected = a * x0[0] + sigma * a * (0.5 - x0[0]) / noise
            assert float(x_s[0, 0]) == pytest.approx(expected, abs=1e-5)
        else:
            many, _ = sd.sample(
                jax.random.key(0),
                denoiser,
                (20000, 2),
                solver=solver,
                grid=[t, s],
                start=jnp.broadcast_to(x_t, (20000, 2)),
            )
            assert float(many[:, 0].mean()) == pytest.approx(a * 0.5, abs=0.02)
            assert float(many[:, 0].std()) == pytest.approx(np.sqrt(sigma**2 - noise**2), rel=0.03)
    with pytest.raises(ValueError, match="one noise_std"):
        sd.lookahead.ddrm(denoiser, sd.lookahead.Observation(jnp.eye(2), jnp.ones(2), jnp.array([0.1, 0.2])))


def test_repaint_is_its_biased_recursion_and_time_travel_mends_it():
    # prior N(0, [[1, r], [r, 1]]), the first coordinate is 1: the second is N(r, 1 - r^2)
    r = 0.8
    process = sd.GaussianProcess.vp()
    covariance = np.array([[1.0, r], [r, 1.0]])
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0]], covariance).denoiser(process)
    obs = sd.lookahead.Observation(sd.lookahead.operators.Mask(jnp.array([1.0, 0.0])), jnp.array([1.0, 0.0]), 0.0)
    error = {}
    for repeats in (1, 6):
        guided = sd.lookahead.repaint(denoiser, obs, jump=2, repeats=repeats)
        samples, _ = sd.sample(jax.random.key(0), guided, (6000, 2), steps=16)
        np.testing.assert_allclose(samples[:, 0], 1.0, atol=1e-5)
        error[repeats] = abs(float(samples[:, 1].mean()) - r)
        if repeats == 1:  # mean and covariance of the ancestral recursion with the first coordinate replaced
            times = np.asarray(sd.grids.resolve("t", process, 16))
            a, s2 = np.asarray(process.alpha(times), float), np.asarray(process.sigma(times), float) ** 2
            s2[-1] = 0.0
            m, c = np.zeros(2), np.eye(2) * s2[0]
            for i in range(16):
                d = a[i] * covariance @ np.linalg.inv(a[i] ** 2 * covariance + s2[i] * np.eye(2))
                share = (a[i] / a[i + 1]) ** 2 * s2[i + 1] / s2[i]
                step = share * a[i + 1] / a[i] * np.eye(2) + a[i + 1] * (1 - share) * d
                m, c = step @ m, step @ c @ step.T + s2[i + 1] * (1 - share) * np.eye(2)
                m[0], c[0, :], c[:, 0] = a[i + 1], 0.0, 0.0
                c[0, 0] = s2[i + 1]
            assert float(samples[:, 1].mean()) == pytest.approx(m[1], abs=0.03)
            assert float(samples[:, 1].var()) == pytest.approx(c[1, 1], rel=0.06)
    assert error[1] > 0.1 and error[6] < 0.5 * error[1]


def test_diffpir_is_its_recursion_on_a_gaussian():
    # prior N(0, v), y = x + N(0, tau): with all noise fresh, x_s = a_s x0' + s_s z and x0' = balance(x0_hat(x_t), y)
    v, tau, y, steps = 0.5, 0.2, 1.0, 30
    process = sd.GaussianProcess.vp()
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0]], v).denoiser(process)
    obs = sd.lookahead.Observation(lambda x: x, jnp.array([y]), np.sqrt(tau))
    for weight in (1.0, 8.0):
        guided = sd.lookahead.diffpir(denoiser, obs, weight=weight)
        samples, _ = sd.sample(jax.random.key(0), guided, (40000, 1), steps=steps)
        times = np.asarray(sd.grids.resolve("t", process, steps))
        a, s2 = np.asarray(process.alpha(times), float), np.asarray(process.sigma(times), float) ** 2
        s2[-1] = 0.0
        m, c = 0.0, s2[0]
        for i in range(steps):
            guess = s2[i] / a[i] ** 2 / weight
            k, d = guess / (guess + tau), a[i] * v / (a[i] ** 2 * v + s2[i])
            m = a[i + 1] * ((1 - k) * d * m + k * y)
            c = (a[i + 1] * (1 - k) * d) ** 2 * c + s2[i + 1]
        assert float(samples.mean()) == pytest.approx(m, abs=0.01)
        assert float(samples.var()) == pytest.approx(c, rel=0.03)
