import equinox as eqx
import jax
import numpy as np
import pytest
import scipy.stats

import sciddm as sd

rng = np.random.default_rng(0)
ROOT = rng.normal(size=(3, 3))
FULL = ROOT @ ROOT.T + 0.3 * np.eye(3)
COVARIANCES = {
    "scalar": 0.5, "diagonal": np.array([0.5, 1.0, 2.0]), "full": FULL, "scalar each": np.array([0.5, 1.5]),
    "diagonal each": np.array([[0.5, 1.0, 2.0], [1.0, 0.3, 0.7]]), "full each": np.stack([FULL, np.diag([0.5, 1.0, 2.0])]),
}  # fmt: skip
MEANS = np.array([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]])


def full_covariances(c):
    c = np.asarray(c)
    if c.shape in ((), (3,)):
        return np.stack([np.eye(3) * c] * 2)
    if c.shape == (3, 3):
        return np.stack([c] * 2)
    return np.stack([np.eye(3) * one if one.ndim < 2 else one for one in c])


log_prob = eqx.filter_jit(lambda mixture, x: mixture.log_prob(x))


@pytest.mark.parametrize("kind", COVARIANCES)
def test_log_prob_is_scipys(kind):
    gm = sd.oracle.GaussianMixture([1.0, 3.0], MEANS, COVARIANCES[kind])
    x = rng.normal(size=(20, 3))
    parts = [
        scipy.stats.multivariate_normal(m, c).pdf(x)
        for m, c in zip(MEANS, full_covariances(COVARIANCES[kind]), strict=True)
    ]
    np.testing.assert_allclose(
        log_prob(gm, x.astype(np.float32)), np.log(0.25 * parts[0] + 0.75 * parts[1]), rtol=1e-4, atol=1e-4
    )


draw = eqx.filter_jit(lambda mixture, key: mixture.sample(key, 40000))


@pytest.mark.parametrize("kind", COVARIANCES)
def test_samples_have_the_mixture_mean_and_covariance(kind):
    gm = sd.oracle.GaussianMixture([1.0, 3.0], MEANS, COVARIANCES[kind])
    x = np.asarray(draw(gm, jax.random.key(0)))
    np.testing.assert_allclose(x.mean(0), gm.mean, atol=0.06)
    np.testing.assert_allclose(np.cov(x.T), gm.covariance, atol=0.12)


def test_denoiser_is_the_posterior_mean_of_the_noisy_observation():
    gm = sd.oracle.GaussianMixture([1.0, 3.0], MEANS, COVARIANCES["full each"])
    process = sd.GaussianProcess.vp()
    x_t = rng.normal(size=(5, 3)).astype(np.float32)
    answer = jax.jit(lambda x_t, t: gm.denoiser(process)(x_t, t))
    for t in (0.05, 0.4, 0.9):
        rows, std = np.asarray(process.alpha(t)) * np.eye(3), float(process.sigma(t))
        means = [gm.posterior(rows, x, std).mean for x in x_t]
        np.testing.assert_allclose(answer(x_t, t), np.stack(means), rtol=2e-3, atol=2e-3)


def test_posterior_is_bayes_rule_and_evidence_its_normaliser():
    gm = sd.oracle.GaussianMixture([1.0, 3.0], MEANS, COVARIANCES["full each"])
    a, y, std = rng.normal(size=(2, 3)), np.array([0.4, -0.2]), np.array([0.5, 0.8])
    posterior = gm.posterior(a, y, std)
    x = rng.normal(size=(10, 3)).astype(np.float32)
    log_like = scipy.stats.norm(y, std).logpdf(x @ a.T).sum(1)
    np.testing.assert_allclose(
        log_prob(posterior, x), log_prob(gm, x) + log_like - gm.log_evidence(a, y, std), rtol=1e-3, atol=1e-3
    )


def test_a_covariance_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="covariance of shape"):
        sd.oracle.GaussianMixture([1.0, 1.0], MEANS, np.ones((4,)))
