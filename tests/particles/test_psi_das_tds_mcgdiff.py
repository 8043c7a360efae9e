"""Published particle samplers: the law of each against Gaussian chains, and each against the piece of `smc` that it is."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import PROCESS, VARIANCE, end_variance, gaussian, log_normal, populated
from gaussian_posterior import mixture_posterior

import sciddm as sd
from sciddm import particles
from sciddm.particles.mcgdiff import Followed, Through, _directions
from sciddm.particles.psi import _seeds
from sciddm.particles.twists import Plain
from sciddm.transition import GaussianTransition

EXACT = sd.solvers.DDPM(prior_variance=VARIANCE)  # for these data the kernel is exact at any number of steps
Y, TAU, STEPS = 1.3, 0.4, 8
OBSERVATION = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), np.sqrt(TAU))
LOUD = sd.GaussianProcess.edm(sigma_max=1.5)  # x_1 knows a good deal of x_0, so that where particles begin matters


def assert_means(values, expected):
    """Each row of values is an independent estimate of expected, without bias: within 3 standard errors."""
    values = np.asarray(values, float)
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(0) - expected) < 3.0 * error), (values.mean(0), expected, error)


def test_psi_begins_at_the_tilted_noise_and_ends_at_the_posterior():
    denoiser, count = gaussian(LOUD), 2000
    options = {"chains": 500, "burn_in": 20, "moves": 4, "step": 0.8, "steps": STEPS}

    def one(key):
        result = particles.psi(key, denoiser, OBSERVATION, (1,), num_particles=count, **options)
        x = result.mean(lambda x: jnp.concatenate([x, x**2], -1))
        return x, result.info["acceptance"], result.log_evidence

    moments, acceptance, evidence = eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=24)
    variance = 1.0 / (1.0 / end_variance(STEPS, LOUD) + 1.0 / TAU)
    mean = variance * Y / TAU
    assert_means(moments, [mean, variance + mean**2])
    assert np.all(np.isnan(evidence))  # the constant of the start is not known
    assert acceptance.shape == (24, 500) and 0.5 < float(acceptance.mean()) < 0.99
    # x_1 ~ N(0, sigma^2) N(y; shrink x_1, tau)
    t, sigma = jnp.asarray(1.0), 1.5
    like = jax.ShapeDtypeStruct((2000, 1), jnp.float32)
    start, _ = _seeds(
        jax.random.key(1), denoiser, Plain(OBSERVATION), None, like, t, 2000, 30, 1, jnp.asarray(0.8), True
    )
    start = np.asarray(start)
    shrink = VARIANCE / (VARIANCE + sigma**2)
    precision = 1.0 / sigma**2 + shrink**2 / TAU
    mean = shrink * Y / TAU / precision
    assert_means(np.stack([start[:, 0], (start[:, 0] - mean) ** 2], -1), [mean, 1.0 / precision])


def test_the_last_step_has_the_spread_of_x_0_under_a_unit_prior():
    result, _ = populated(
        jax.random.key(0), particles.smc, gaussian(LOUD), OBSERVATION, (1,), num_particles=4000, steps=1, twist="none",
        ess_threshold=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(np.var(result.particles), end_variance(1, LOUD), rtol=3.0 * np.sqrt(2.0 / 4000))


def test_psi_takes_every_kept_state_equally_often_and_accepts_every_move_where_nothing_is_rewarded():
    def nothing(x, t):
        return jnp.zeros(x.shape[0])

    like = jax.ShapeDtypeStruct((3, 1), jnp.float32)
    start, acceptance = _seeds(
        jax.random.key(1), gaussian(), Plain(nothing), None, like, jnp.asarray(1.0), 24, 2, 4, jnp.asarray(0.5), True
    )
    _, times = np.unique(np.asarray(start), return_counts=True)
    np.testing.assert_array_equal(times, [2] * 12)
    np.testing.assert_array_equal(acceptance, 1.0)


def test_das_lets_its_reward_in_by_steps():
    gamma, denoiser, b, t = 0.2, gaussian(), np.array([1.0, -2.0]), 0.4
    reward = lambda x, t: x @ b  # noqa: E731
    numbers = (0, 1, 3, 4, 30)

    @jax.jit
    def looks(x_t, t, numbers):
        def look(number=0, **options):
            return Plain(reward, **options).look(denoiser, x_t, t, None, number, ())[0]

        return jax.lax.map(lambda n: look(n, gamma=gamma), numbers), look(gradient=True), look(gradient=False)

    x_t = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    shares, full, model = jax.tree.map(np.asarray, looks(x_t, jnp.asarray(t), np.array(numbers)))
    # C grad, C = Cov[x_0 | x_t]
    alpha, sigma = (float(value) for value in PROCESS.level(jnp.asarray(t))[:2])
    covariance = VARIANCE * sigma**2 / (alpha**2 * VARIANCE + sigma**2)
    x0_hat = covariance * alpha / sigma**2 * x_t
    np.testing.assert_allclose(model.x0_hat, x0_hat, rtol=1e-5)
    np.testing.assert_allclose(full.log_h, x0_hat @ b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(full.steered - x0_hat, np.tile(covariance * b, (5, 1)), rtol=1e-4)
    for i, n in enumerate(numbers):
        share = min((1.0 + gamma) ** n - 1.0, 1.0)
        np.testing.assert_allclose(shares.log_h[i], share * (x0_hat @ b), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(shares.steered[i] - x0_hat, share * (full.steered - x0_hat), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(model.steered, model.x0_hat)
    np.testing.assert_allclose(model.log_h, full.log_h, rtol=1e-6)


def test_tds_and_das_are_smc_with_the_twists_of_their_papers():
    options = {"num_particles": 32, "steps": STEPS}
    twice = sd.lookahead.conjunction(OBSERVATION, weights=[2.0])
    pairs = (
        (
            lambda key: particles.tds(key, gaussian(), OBSERVATION, (1,), **options),
            lambda key: particles.smc(key, gaussian(), OBSERVATION, (1,), twist="plain", ess_threshold=1.0, **options),
        ),
        (
            lambda key: particles.das(key, gaussian(), OBSERVATION, (1,), scale=2.0, gamma=0.3, **options),
            lambda key: particles.smc(
                key, gaussian(), twice, (1,), twist=Plain(twice, gamma=0.3), resample="ssp", **options
            ),
        ),
    )
    for pair, always in zip(pairs, (True, False), strict=True):
        ours, theirs = (eqx.filter_jit(one)(jax.random.key(0)) for one in pair)
        np.testing.assert_array_equal(ours.particles, theirs.particles)
        np.testing.assert_array_equal(ours.log_weights, theirs.log_weights)
        assert np.all(ours.info["resampled"]) or not always


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
