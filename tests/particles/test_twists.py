"""Twists against what they guess, log E[exp potential(x_0) | x_t] and the mean of the tilted x_0 | x_t: exact for Gaussian priors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from chain import PROCESS, VARIANCE, gaussian
from jax.tree_util import Partial
from scipy.stats import multivariate_normal, norm

import sciddm as sd
from sciddm import particles
from sciddm.particles.exceeds import Tail
from sciddm.particles.twists import KnownTwist, Look, MomentMatched, Plain, Tilted, Twist, Unknowing
from sciddm.particles.twists.moment_matched import _dense, _iterative, lanczos_log_determinant
from sciddm.transition import GaussianTransition

T = 0.45
ROOT = np.random.default_rng(1).normal(size=(4, 4))
MEAN, COVARIANCE = np.array([0.3, -0.5, 1.0, 0.2]), 0.5 * ROOT @ ROOT.T + 0.2 * np.eye(4)
X_T = np.random.default_rng(2).normal(size=(3, 4))
A, Y = np.random.default_rng(3).normal(size=(2, 4)), np.array([0.7, -1.1])
STD = np.array([0.4, 0.7])


def levels(process=PROCESS):
    return float(process.alpha(jnp.asarray(T))), float(process.sigma(jnp.asarray(T)))


def conditional(noise=None, mean=MEAN, covariance=COVARIANCE, x_t=X_T):
    """Means and covariance of x_0 | x_t under noise of this covariance, densely."""
    (alpha, sigma), noise = levels(), np.eye(len(mean)) if noise is None else noise
    gain = alpha * covariance @ np.linalg.pinv(alpha**2 * covariance + sigma**2 * noise, rcond=1e-10)
    return mean + (x_t - alpha * mean) @ gain.T, covariance - alpha * gain @ covariance


def prior(mean=MEAN, covariance=COVARIANCE):
    return sd.oracle.GaussianMixture([1.0], mean[None], covariance)


def look(twist, denoiser=None, x_t=X_T) -> Look:
    denoiser = prior().denoiser(PROCESS) if denoiser is None else denoiser
    return jax.tree.map(np.asarray, _seen(twist, denoiser, jax.tree.map(jnp.asarray, x_t)))


@eqx.filter_jit
def _seen(twist, denoiser, x_t):
    return twist.look(denoiser, x_t, jnp.asarray(T), None, jnp.asarray(0), ())[0]


def along(x):
    return x @ W


def quadratic(k, x, t):
    return -0.5 * k * (along(x) - C) ** 2


def linear(b, constant, x, t):
    return x.reshape(len(x), -1) @ b + constant


def assert_look(seen, log_h, steered, rtol=1e-7):
    np.testing.assert_allclose(seen.log_h, log_h, rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(np.asarray(seen.steered).reshape(len(steered), -1), steered, rtol=rtol, atol=1e-8)


def likelihoods(mean, spread, y=Y, matrix=A, std=STD):
    """log N(y; A mean, R + A spread A^T) for each mean."""
    s = np.diag(np.broadcast_to(std, len(y)) ** 2) + matrix @ spread @ matrix.T
    return [multivariate_normal(matrix @ m, s).logpdf(y) for m in mean], s


@pytest.mark.parametrize("dense", [16, 0])
def test_the_moment_matched_twist_is_the_likelihood_of_a_gaussian_prior(dense, x64):
    mean, covariance = conditional()
    twist = MomentMatched(sd.lookahead.Observation(A, Y, STD), dense=dense)
    seen = look(twist)
    log_h, s = likelihoods(mean, covariance)
    steered = mean + np.linalg.solve(s, (Y - mean @ A.T).T).T @ A @ covariance
    np.testing.assert_allclose(seen.x0_hat, mean, rtol=1e-6)
    if dense:
        return assert_look(seen, log_h, steered, rtol=1e-6)
    np.testing.assert_allclose(seen.steered, steered, rtol=1e-3)  # the tolerance of conjugate gradients
    # one value has no probe to be wrong about
    one = look(MomentMatched(sd.lookahead.Observation(A[:1], Y[:1], STD[:1]), dense=0))
    assert_look(one, likelihoods(mean, covariance, Y[:1], A[:1], STD[:1])[0], np.asarray(one.steered), rtol=1e-6)


def test_pigdm_s_twist_has_the_covariance_of_its_guess_and_steps_with_the_denoiser_s_own(x64):
    (alpha, sigma), v = levels(), 0.8
    mean, covariance = conditional()
    guess = v * sigma**2 / (v * alpha**2 + sigma**2) * np.eye(4)
    log_h, s = likelihoods(mean, guess)
    steered = mean + np.linalg.solve(s, (Y - mean @ A.T).T).T @ A @ covariance
    assert_look(look(MomentMatched(sd.lookahead.Observation(A, Y, STD), v)), log_h, steered, rtol=1e-6)


def test_a_pytree_is_matched_as_one_vector(x64):
    denoiser = prior().denoiser(PROCESS)

    def join(x):
        return jnp.concatenate([x["a"], x["b"]], -1)

    def split(x):
        return {"a": x[:, :1], "b": x[:, 1:]}

    trees = sd.FunctionDenoiser(lambda x, t, cond: split(denoiser(join(x), t)), PROCESS)

    def both(x):
        return {"first": join(x) @ A[0], "second": join(x) @ A[1]}

    observation = sd.lookahead.Observation(
        both, {"first": Y[0], "second": Y[1]}, {"first": np.array(STD[0]), "second": np.array(STD[1])}
    )
    flat = look(MomentMatched(sd.lookahead.Observation(A, Y, STD)))
    tree = look(MomentMatched(observation), trees, split(jnp.asarray(X_T)))
    assert_look(tree._replace(steered=np.concatenate([tree.steered["a"], tree.steered["b"]], -1)), flat.log_h, flat.steered)


LAWS = {
    "zero centre of mass": (sd.ZeroCentreOfMass(), (2, 2), np.kron(np.eye(2) - 0.5, np.eye(2))),
    "masked": (sd.Masked(jnp.array([1, 0, 1, 1])), (4,), np.diag([1.0, 0, 1, 1])),
    "coloured": (sd.SpectralField.power_law((2, 2), 3.0, 1.0, nugget=0.05), (2, 2, 1), np.eye(4)),
}


def dense_covariance(law, shape):
    return np.asarray(jax.jit(jax.vmap(lambda u: law.covariance(u.reshape(shape)).reshape(4)))(np.eye(4)))


@pytest.mark.parametrize("name", LAWS)
def test_every_noise_law_has_its_own_covariance_in_every_twist(name, x64):
    law, shape, projector = LAWS[name]
    mean, covariance = projector @ MEAN, projector @ COVARIANCE @ projector
    process = sd.GaussianProcess.vp(noise=law)
    denoiser = prior(mean, covariance).denoiser(process, shape)
    x_t, b = X_T @ projector, np.array([0.5, 1.0, -1.0, 0.3])
    centre, spread = conditional(dense_covariance(law, shape), mean, covariance, x_t)
    seen = look(MomentMatched(sd.lookahead.Observation(A, Y, STD)), denoiser, x_t.reshape(3, *shape))
    log_h, s = likelihoods(centre, spread)
    steered = centre + np.linalg.solve(s, (Y - centre @ A.T).T).T @ A @ spread
    assert_look(seen, log_h, steered, rtol=2e-5)
    tilted = look(Tilted(Partial(linear, b, 0.0)), denoiser, x_t.reshape(3, *shape))
    assert_look(tilted, centre @ b + 0.5 * b @ spread @ b, centre + spread @ b, rtol=2e-5)


def random_system(m, seed=0, count=2):
    root = np.random.default_rng(seed).normal(size=(count, m, m)) / np.sqrt(m)
    return root @ np.swapaxes(root, 1, 2)


def test_conjugate_gradients_solve_what_the_dense_system_solves(x64):
    matrix, b = random_system(12), np.random.default_rng(1).normal(size=(2, 12))

    @jax.jit
    def solved(matrix, b):
        def system(u):
            return jnp.einsum("kij,kj->ki", matrix, u)

        return _dense(system, b, None), _iterative(system, b, 12), _dense(lambda u: -0.5 * u, b, None)

    (exact, quadratic, log_determinant), (solution, other, _), negative = jax.tree.map(np.asarray, solved(matrix, b))
    full = np.eye(12) + matrix
    np.testing.assert_allclose(exact, np.linalg.solve(full, b[..., None])[..., 0], rtol=1e-9)
    np.testing.assert_allclose(quadratic, np.einsum("ki,ki->k", b, exact), rtol=1e-9)
    np.testing.assert_allclose(log_determinant, np.linalg.slogdet(full)[1], rtol=1e-9)
    np.testing.assert_allclose(solution, exact, atol=1e-3 * np.abs(exact).max())
    np.testing.assert_allclose(other, quadratic, rtol=1e-3)
    # what is negative is no covariance
    np.testing.assert_allclose(negative[0], b, rtol=1e-9)
    np.testing.assert_allclose(negative[2], 0.0, atol=1e-9)


def test_lanczos_takes_the_log_determinant_along_its_probe(x64):
    m = 40
    like, matrix, diagonal = np.zeros((2, m)), random_system(m), np.linspace(0.1, 5.0, m)
    multiples = (0.0, 3.0)

    @jax.jit
    def determinants(matrix):
        def system(u):
            return jnp.einsum("kij,kj->ki", matrix, u)

        scaled = jax.lax.map(lambda c: lanczos_log_determinant(lambda u: c * u, like, 8), jnp.array(multiples))
        whole, few = (lanczos_log_determinant(system, like, iterations) for iterations in (m, 8))
        return whole, few, scaled, lanczos_log_determinant(lambda u: diagonal * u, like, m)

    found, few, scaled, of_diagonal = determinants(matrix)
    values, vectors = np.linalg.eigh(matrix)
    log = np.einsum("kij,kj,klj->kil", vectors, np.log1p(values), vectors)
    # signs have mean zero and variance one: unbiased, with the variance of what is off the diagonal (Hutchinson)
    error = np.sqrt(2.0 * (np.sum(log**2, (1, 2)) - np.sum(np.diagonal(log, axis1=1, axis2=2) ** 2, 1)))
    exact = np.linalg.slogdet(np.eye(m) + matrix)[1]
    assert np.all(np.abs(found - exact) < 3.0 * error) and np.all(error < 0.25 * exact)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], m)
    np.testing.assert_allclose(found, np.einsum("i,kij,j->k", signs, log, signs), rtol=1e-6)
    np.testing.assert_allclose(few, found, rtol=1e-2)
    # multiples of the identity end after one vector, and diagonals have no error of the probe
    for factor, value in zip(multiples, scaled, strict=True):
        np.testing.assert_allclose(value, m * np.log1p(factor), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(of_diagonal, np.sum(np.log1p(diagonal)), rtol=1e-6)


B, W, C = np.array([0.5, 1.0, -1.0, 0.3]), np.array([0.2, -0.7, 0.4, 1.0]), 0.9


def test_a_linear_potential_is_tilted_exactly(x64):
    mean, covariance = conditional()
    seen = look(Tilted(Partial(linear, B, 0.25)))
    assert_look(seen, mean @ B + 0.25 + 0.5 * B @ covariance @ B, mean + covariance @ B, rtol=1e-6)
    # its plain twist lacks the constant
    assert_look(look(Plain(Partial(linear, B, 0.0))), mean @ B, mean + covariance @ B, rtol=1e-6)


@pytest.mark.parametrize("k", [4.0, 0.3, -0.2])
def test_a_quadratic_potential_of_one_direction_is_tilted_exactly(k, x64):
    # E exp(-k (w.x - c)^2 / 2) of w.x ~ N(m, s2); convex ones, k < 0, as long as they do not run away
    mean, covariance = conditional()
    seen = look(Tilted(Partial(quadratic, np.asarray(k))))
    m, s2 = mean @ W, W @ covariance @ W
    assert -k * s2 < 0.5
    log_h = -0.5 * np.log(1 + k * s2) - 0.5 * k * (m - C) ** 2 / (1 + k * s2)
    steered = mean - (k * (m - C) / (1 + k * s2))[:, None] * (covariance @ W)
    assert_look(seen, log_h, steered, rtol=1e-6)


def test_a_potential_that_runs_away_is_tilted_by_no_more_than_half(x64):
    mean, covariance = conditional()
    m, s2 = mean @ W, W @ covariance @ W
    k = -1.5 / s2  # no integral at all
    seen = look(Tilted(Partial(quadratic, np.asarray(k))))
    g = -k * (m - C)
    log_h = -0.5 * k * (m - C) ** 2 + 0.5 * g**2 * s2 / 0.5 - 0.5 * np.log(0.5)
    assert_look(seen, log_h, mean + (g / 0.5)[:, None] * (covariance @ W), rtol=1e-6)


def test_without_a_gradient_a_potential_is_its_value_at_the_output(x64):
    mean, _ = conditional()
    assert_look(look(Tilted(lambda x, t: jnp.round(3.0 * x[:, 0]))), np.round(3.0 * mean[:, 0]), mean)
    # a Jacobian that is no covariance: the model's own step
    backwards = sd.FunctionDenoiser(lambda x, t, cond: -0.5 * x, PROCESS)
    assert_look(look(Tilted(Partial(linear, B, 0.0)), backwards), -0.5 * X_T @ B, -0.5 * X_T)


def test_the_tail_of_a_linear_statistic_is_a_normal_one(x64):
    wide = 4.0 * COVARIANCE
    (alpha, sigma), (mean, covariance) = levels(), conditional(covariance=wide)
    m, s = mean @ W, np.sqrt(W @ covariance @ W)
    assert s**2 > (sigma**2 / (alpha**2 + sigma**2)) ** 2 * W @ W  # or it would not be believed
    for threshold in (C, C + 8.0):
        event = particles.Exceeds(along, jnp.asarray(threshold))
        seen = look(Tail(event), prior(covariance=wide).denoiser(PROCESS))
        z = (m - threshold) / s
        log_h = norm.logcdf(z)
        hazard = np.exp(norm.logpdf(z) - log_h) / s  # E[x_0 | f(x_0) > c] = m + C w hazard
        assert_look(seen, log_h, mean + hazard[:, None] * (covariance @ W), rtol=1e-5)
    event = particles.Exceeds(along, C)
    np.testing.assert_array_equal(event(X_T), np.where(X_T @ W > C, 0.0, -np.inf))


def test_the_spread_of_a_statistic_is_never_below_a_share_of_that_of_a_unit_prior(x64):
    alpha, sigma = levels()
    flat = sd.FunctionDenoiser(lambda x, t, cond: jnp.broadcast_to(jnp.asarray(MEAN), x.shape), PROCESS)
    seen = look(Tail(particles.Exceeds(along, C)), flat)
    std = sigma**2 / (alpha**2 + sigma**2) * np.sqrt(W @ W)
    np.testing.assert_allclose(seen.log_h, norm.logcdf((MEAN @ W - C) / std), rtol=1e-6)
    # nor divided by where the statistic does not depend on x
    nothing = look(Tail(particles.Exceeds(lambda x: jnp.zeros(x.shape[0]), C)))
    np.testing.assert_allclose(nothing.log_h, np.log(0.5), rtol=1e-9)


def test_particles_find_the_tail_that_no_plain_draw_sees():
    threshold, count, runs = 3.5 * np.sqrt(VARIANCE), 500, 48
    exact = norm.sf(3.5)
    event = particles.Exceeds(lambda x: x[:, 0], threshold)

    def one(key):
        solver = sd.solvers.DDPM(prior_variance=VARIANCE)  # the chain's law is the prior itself
        result = particles.smc(key, gaussian(), event, (1,), num_particles=count, steps=10, solver=solver)
        return jnp.exp(result.log_evidence), result.mean()[0]

    found, mean = (np.asarray(v) for v in eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=runs))
    error = found.std(ddof=1) / np.sqrt(runs)
    assert abs(found.mean() - exact) < 3.0 * error and error < 0.033 * exact
    np.testing.assert_allclose(found.mean(), exact, rtol=0.1)
    # E[x | x > c] of a normal
    np.testing.assert_allclose(mean.mean(), np.sqrt(VARIANCE) * norm.pdf(3.5) / exact, rtol=0.02)
    draws = np.random.default_rng(1).normal(scale=np.sqrt(VARIANCE), size=(count, 1))
    assert not np.any(np.asarray(event(draws)) == 0.0)


@pytest.mark.parametrize("name", ["white", *LAWS])
def test_a_shifted_step_weighs_by_the_ratio_of_its_densities(name, x64):
    law, shape, projector = {"white": (sd.noise.White(), (4,), np.eye(4)), **LAWS}[name]
    std, rng = 0.6, np.random.default_rng(0)
    mean, proposed = (rng.normal(size=(3, 4)) @ projector for _ in range(2))
    z = law.sample_batch(jax.random.split(jax.random.key(0), 3), jax.ShapeDtypeStruct((3, *shape), jnp.float64))
    batches = [jnp.asarray(v).reshape(3, *shape) for v in (mean, proposed)]
    keys = jax.random.split(jax.random.key(0), 3)
    step = GaussianTransition(batches[0], jnp.asarray(std), law)
    x, log_ratio = jax.jit(lambda m, p: step.to(m).weighed(step.to(p), keys))(*batches)
    np.testing.assert_allclose(x, batches[1] + std * z, rtol=1e-6)
    precision = np.linalg.pinv(std**2 * dense_covariance(law, shape), rcond=1e-10)

    def log_density(x, mean):  # constants are equal
        return -0.5 * np.einsum("ki,ij,kj->k", x - mean, precision, x - mean)

    flat = np.asarray(x).reshape(3, 4)
    np.testing.assert_allclose(log_ratio, log_density(flat, mean) - log_density(flat, proposed), rtol=1e-5)


def test_a_given_twist_is_stepped_by_its_own_gradient(x64):
    alpha, sigma = levels()
    law, _, _ = LAWS["masked"]
    process = sd.GaussianProcess.vp(noise=law)

    def log_h(x, t):
        return jnp.sin(x[:, 0]) * x[:, 2] + t * x[:, 1]

    denoiser = sd.FunctionDenoiser(lambda x, t, cond: 0.3 * x, process)
    seen = look(KnownTwist(log_h), denoiser)
    gradient = np.stack([np.cos(X_T[:, 0]) * X_T[:, 2], np.full(3, T), np.sin(X_T[:, 0]), np.zeros(3)], -1)
    steered = 0.3 * X_T + sigma**2 / alpha * gradient * np.array([1.0, 0, 1, 1])
    assert_look(seen, np.sin(X_T[:, 0]) * X_T[:, 2] + T * X_T[:, 1], steered, rtol=1e-6)


def test_who_knows_nothing_steps_as_the_model_and_weighs_at_the_end():
    twist = Unknowing()
    seen = look(twist)
    np.testing.assert_array_equal(seen.log_h, 0.0)
    np.testing.assert_array_equal(seen.steered, seen.x0_hat)
    assert twist.memory(5) == ()
    times = []
    twist.final(lambda x, t: times.append(t) or x[:, 0], jnp.ones((2, 1)), ())
    assert float(times[0]) == 0.0
    with pytest.raises(TypeError, match="abstract"):
        Twist()
