"""Swapping the noise law changes nothing downstream: the exact denoiser, every solver, the score and the guides follow Sigma."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd

FIELD = sd.SpectralField.power_law((2, 2), 3.0, 1.0, nugget=0.05)
COSINE = sd.SpectralField.power_law((2, 2), 3.0, 1.0, nugget=0.05, periodic=False)
DRIFTLESS = np.kron(np.eye(2) - 0.5, np.eye(2))  # the projector of two points in the plane
PAIR = np.zeros((4, 4))
PAIR[1:3, 1:3] = 0.5  # the projector of symmetric 2 x 2 matrices with a diagonal of zeros
LAWS = {  # law, shape of one x, projector onto its support
    "spectral": (FIELD, (2, 2, 1), np.eye(4)),
    "cosine": (COSINE, (2, 2, 1), np.eye(4)),
    "masked": (sd.Masked(jnp.array([1, 0, 1, 1])), (4,), np.diag([1, 0, 1, 1])),
    "zero centre of mass": (sd.ZeroCentreOfMass(), (2, 2), DRIFTLESS),
    "symmetric": (sd.Symmetric(), (2, 2, 1), PAIR),
}


def mixture_in(projector):
    means = np.array([[-1.0, 0.0, 1.0, 0.5], [2.0, 1.0, -1.0, -1.0]]) @ projector
    return sd.oracle.GaussianMixture([0.3, 0.7], means, projector @ np.diag([0.2, 0.1, 0.3, 0.2]) @ projector)


draw = eqx.filter_jit(lambda law, key: law.sample(key, 2000))


# ddpm asks the law for its start and at every step, dpmpp2m for its start alone
@pytest.mark.parametrize(
    ("name", "solver"), [*((name, "ddpm") for name in LAWS), ("spectral", "dpmpp2m"), ("zero centre of mass", "dpmpp2m")]
)
def test_the_same_mixture_is_sampled_under_every_law(name, solver, sliced):
    law, shape, projector = LAWS[name]
    mixture = mixture_in(projector)
    denoiser = mixture.denoiser(sd.GaussianProcess.vp(noise=law), shape)
    steps = 40 if solver == "dpmpp2m" else 150
    samples, _ = sd.sample(jax.random.key(0), denoiser, (2000, *shape), solver=solver, steps=steps)
    samples = np.asarray(samples).reshape(2000, 4)
    truth, other = draw(mixture, jax.random.key(1)), draw(mixture, jax.random.key(2))
    assert sliced(samples, truth) < sliced(other, truth) + 0.1
    np.testing.assert_allclose(samples @ projector, samples, atol=1e-4)


def dense(law, shape):
    rows = jax.jit(jax.vmap(lambda row: law.covariance(row.reshape(shape)).ravel()))(jnp.eye(int(np.prod(shape))))
    return np.asarray(rows)


@pytest.mark.parametrize("law", [FIELD, COSINE], ids=["spectral", "cosine"])
def test_score_is_the_gradient_of_the_exact_log_density(law):
    mixture, process = mixture_in(np.eye(4)), sd.GaussianProcess.vp(noise=law)
    denoiser = mixture.denoiser(process, (2, 2, 1))
    score, gradient = jax.jit(lambda x, t: denoiser.score(x, t)), eqx.filter_jit(lambda law, x: law.score(x))
    x_t, sigma = np.random.default_rng(0).normal(size=(5, 2, 2, 1)).astype(np.float32), dense(law, (2, 2, 1))
    means, spreads = np.asarray(mixture.means), np.asarray(mixture.covariances)
    for t in (0.05, 0.4, 0.9):
        alpha, variance = float(process.alpha(t)), float(process.sigma(t)) ** 2
        marginal = sd.oracle.GaussianMixture(mixture.weights, alpha * means, alpha**2 * spreads + variance * sigma)
        np.testing.assert_allclose(score(x_t, t), gradient(marginal, x_t), rtol=1e-3, atol=1e-3)


A = np.array([[1.0, 0.5, 0.0, -1.0], [0.0, -1.0, 2.0, 0.0]])
OBSERVATION = sd.lookahead.Observation(A, jnp.array([0.7, -0.4]), 0.3)


@pytest.mark.parametrize("method", ["mmps", "pigdm"])
@pytest.mark.parametrize("name", ["spectral", "zero centre of mass"])
def test_guides_are_the_exact_denoiser_of_a_gaussian_posterior_under_coloured_noise(name, method):
    law, shape, projector = LAWS[name]
    root = np.random.default_rng(0).normal(size=(4, 4)) @ projector
    sigma = dense(law, shape)
    prior = sd.oracle.GaussianMixture([1.0], [projector @ np.ones(4)], root.T @ root if method == "mmps" else 2 * sigma)
    denoiser, t = prior.denoiser(sd.GaussianProcess.vp(noise=law), shape), np.float32([0.1, 0.4, 0.7, 0.95])
    guided = (
        sd.lookahead.mmps(denoiser, OBSERVATION)
        if method == "mmps"
        else sd.lookahead.pigdm(denoiser, OBSERVATION, prior_variance=2.0)
    )
    x_t = np.random.default_rng(1).normal(size=(4, 4)) @ np.linalg.cholesky(sigma + 1e-9 * np.eye(4)).T @ projector
    x_t = x_t.reshape(4, *shape).astype(np.float32)
    posterior = prior.posterior(A, OBSERVATION.value, 0.3).denoiser(denoiser.process, shape)
    guide, exact = jax.jit(lambda x, t: (guided(x, t), posterior(x, t)))(x_t, t)
    np.testing.assert_allclose(guide, exact, rtol=2e-3, atol=2e-3)


def test_steering_adds_the_gradient_of_the_potential_to_the_score_under_coloured_noise():
    denoiser = mixture_in(np.eye(4)).denoiser(sd.GaussianProcess.vp(noise=FIELD), (2, 2, 1))
    potential = lambda x, t: -jnp.sum((x - 1.0) ** 2, (1, 2, 3))  # noqa: E731
    x_t, t = jax.random.normal(jax.random.key(0), (3, 2, 2, 1)), 0.6

    @jax.jit
    def added(x):
        plain, steered = denoiser.score(x, t), sd.lookahead.steer(denoiser, potential).score(x, t)
        return steered - plain, jax.grad(lambda v: potential(denoiser(v, t), t).sum())(x)

    np.testing.assert_allclose(*added(x_t), rtol=1e-3, atol=1e-3)


def test_a_mixture_outside_the_support_or_of_another_size_is_refused():
    process = sd.GaussianProcess.vp(noise=sd.ZeroCentreOfMass())
    with pytest.raises(ValueError, match="leaves the support of ZeroCentreOfMass"):
        mixture_in(np.eye(4)).denoiser(process, (2, 2))
    with pytest.raises(ValueError, match="mixture in 4 dimensions"):
        mixture_in(DRIFTLESS).denoiser(process, (3, 2))


def test_a_networks_output_is_brought_into_the_support():
    masks = jnp.array([[1, 1, 0], [1, 1, 1]])
    process = sd.GaussianProcess.vp(noise=sd.ZeroCentreOfMass(masks))
    denoiser = sd.NetworkDenoiser(lambda x, level, cond: jnp.cos(x) + 3.0, process)
    x_t = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    x0_hat = np.asarray(jax.jit(lambda x, t: denoiser(x, t))(x_t, np.float32([0.3, 0.6])))
    np.testing.assert_allclose(x0_hat.sum(1), 0.0, atol=1e-5)
    np.testing.assert_array_equal(x0_hat[0, 2], 0.0)
    assert np.abs(x0_hat).max() > 0.1
