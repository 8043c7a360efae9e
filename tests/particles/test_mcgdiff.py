import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import EXACT, PROCESS, VARIANCE, assert_means, gaussian, log_normal
from gaussian_posterior import mixture_posterior

import sciddm as sd
from sciddm import particles
from sciddm.particles.mcgdiff import Followed, Through, _directions
from sciddm.transition import GaussianTransition

A, NOISE = np.array([[1.2, 0.9], [-0.3, 0.4]]), 0.5  # singular values 1.5 and .5, not along the axes
VALUES = np.array([1.5, -0.6])


@eqx.filter_jit
def estimates(key, matrix, y):
    """Of 200 populations: evidence, evidence times first and second moments, and the grid."""
    observation = sd.lookahead.Observation(matrix, y, NOISE)

    def one(key):
        result = particles.mcgdiff(key, gaussian(), observation, (2,), num_particles=256, steps=24, solver=EXACT)
        moments = [lambda x: 1.0, *(lambda x, i=i: x[i] for i in (0, 1))]
        moments += [lambda x, i=i, j=j: x[i] * x[j] for i, j in ((0, 0), (0, 1), (1, 1))]
        values = result.mean(jax.vmap(lambda x: jnp.stack([jnp.asarray(moment(x)) for moment in moments])))
        return jnp.exp(result.log_evidence) * values, result.info["times"]

    return particles.for_each(key, one, count=200)


@pytest.mark.parametrize(
    "matrix, y, followed",
    [
        (A, VALUES, 2),
        # sigma / alpha at t = 1 is 152 and that of the second value 250: it is seen at the end, and far out it is
        (np.diag([1.0, 2e-3]), np.array([0.8, 0.9]), 1),
    ],
    ids=["two directions", "one noisier than the start"],
)
def test_mcgdiff_has_the_posterior_and_the_evidence_of_two_directions(matrix, y, followed):
    _, means, covariance, evidence = mixture_posterior(
        np.ones(1), np.zeros((1, 2)), VARIANCE * np.eye(2), matrix, y, NOISE
    )
    values, times = (np.asarray(v) for v in estimates(jax.random.key(0), jnp.asarray(matrix), jnp.asarray(y)))
    exact, m, c = np.exp(evidence), means[0], covariance + np.outer(means[0], means[0])
    assert_means(values / exact, [1.0, *m, c[0, 0], c[0, 1], c[1, 1]])
    # its twist is narrower than the posterior on the way, so that populations differ, here by about the evidence itself
    assert np.std(values[:, 0]) / exact < 2.0
    # the grid goes through the times at which the noise of x_t is that of the values, and straight down
    alpha, sigma = (np.asarray(value) for value in PROCESS.level(times[0])[:2])
    for wanted in (NOISE / np.linalg.svd(matrix)[1])[:followed]:
        assert np.min(np.abs(np.log(sigma[1:-1] / alpha[1:-1]) - np.log(wanted))) < 1e-2
    assert times.shape == (200, 25) and np.all(np.diff(times[0]) < 0) and times[0, 0] == 1.0 and times[0, -1] == 0.0


@pytest.mark.parametrize("name", ["vp", "ve", "cosine"])
def test_no_step_of_mcgdiff_s_grid_has_no_length(name):
    # values as noisy as each other, noisier than the start, and cleaner than the end
    ratio = jnp.array([1e5, 1e5, 0.3, 0.3, 1e-5])
    times = np.asarray(jax.jit(lambda ratio: Through("logsnr", ratio)(getattr(sd.GaussianProcess, name)(), 12))(ratio))
    assert times.shape == (13,) and times[0] == 1.0 and times[-1] == 0.0 and np.all(np.diff(times) < 0)


def test_the_weights_of_mcgdiff_do_not_depend_on_the_draw():
    # p(x_s | x_t) h_s(x_s) / q(x_s | x_t) = prod_i N(alpha y_i; mean_i, std^2 + w_i), whatever x_s
    t, mean = 0.6, np.tile(np.array([[0.4, -0.2]], np.float32), (50, 1))
    basis, values, target = _directions(sd.lookahead.Observation(A, VALUES, NOISE), (2,))
    twist = Followed(basis, values, target, NOISE / values, jnp.asarray(1e-4))
    level, std = PROCESS.level(jnp.asarray(t)), 0.3

    @jax.jit
    def step(mean, keys):
        law = GaussianTransition(mean, jnp.asarray(std), PROCESS.noise)
        x_s, log_ratio = twist.propose(None, law, law, keys, level)
        return x_s, log_ratio, twist.look(gaussian(), x_s, jnp.asarray(t), None, 0, twist.memory(50))[0].log_h

    keys = jax.random.split(jax.random.key(0), 50)
    x_s, log_ratio, log_h = step(mean, keys)
    z = PROCESS.noise.sample_batch(keys, jnp.asarray(mean))
    left, values, right = np.linalg.svd(A)
    target = (left.T @ VALUES) / values
    width = float(level.sigma) ** 2 - (float(level.alpha) * NOISE / values) ** 2 + 1e-4
    assert np.all(width > 0)
    expected = sum(
        log_normal(float(level.alpha) * target[i] - right[i] @ np.asarray(mean[0]), std**2 + width[i]) for i in (0, 1)
    )
    np.testing.assert_allclose(log_ratio + log_h, expected, rtol=1e-4)
    assert np.std(x_s, 0)[0] > 0.05
    # the draw is of the product: precisions add
    middle = np.asarray(x_s) @ right.T - np.asarray(z) @ right.T * std * np.sqrt(width / (std**2 + width))
    share = std**2 / (std**2 + width)
    centre = right @ np.asarray(mean[0])
    np.testing.assert_allclose(middle, np.tile(centre + share * (float(level.alpha) * target - centre), (50, 1)), atol=1e-4)


@pytest.mark.parametrize(
    "observation, denoiser, word",
    [
        (sd.lookahead.Observation(A, VALUES, sd.lookahead.Laplace(0.5)), gaussian(), "Gaussian noise of one"),
        (sd.lookahead.Observation(A, VALUES, np.array([0.5, 0.2])), gaussian(), "Gaussian noise of one"),
        (lambda x, t: x[:, 0], gaussian(), "Gaussian noise of one"),
        (sd.lookahead.Observation(np.ones((3, 2)), np.ones(3), 0.5), gaussian(), "3 values seen of 2"),
        (
            sd.lookahead.Observation(A, VALUES, 0.5),
            gaussian(sd.GaussianProcess.vp(noise=sd.Masked(jnp.array([1, 1])))),
            "white noise",
        ),
    ],
)
def test_mcgdiff_refuses_what_is_no_gaussian_observation_in_white_noise(observation, denoiser, word):
    with pytest.raises(ValueError, match=word):
        particles.mcgdiff(jax.random.key(0), denoiser, observation, (2,), num_particles=4, steps=8)


def test_mcgdiff_needs_a_step_for_each_value():
    with pytest.raises(ValueError, match="at least 4 are needed"):
        particles.mcgdiff(
            jax.random.key(0), gaussian(), sd.lookahead.Observation(A, VALUES, 0.5), (2,), num_particles=4, steps=3
        )
