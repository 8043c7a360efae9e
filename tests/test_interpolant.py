import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

import sciddm as sd

PATHS = {"linear": sd.Interpolant.linear, "trigonometric": sd.Interpolant.trigonometric}
# Jointly Gaussian pairs in the plane: x_1 ~ N(M1, C1), x_0 = M0 + K (x_1 - M1) + N(0, R)
M0, M1 = np.array([1.0, -0.5], np.float32), np.array([-0.7, 0.3], np.float32)
C1, K = np.array([[1.0, 0.4], [0.4, 0.6]], np.float32), np.array([[0.8, -0.3], [0.2, 0.5]], np.float32)
R = np.array([[0.3, 0.1], [0.1, 0.2]], np.float32)
C0, C01 = K @ C1 @ K.T + R, K @ C1


def pairs(seed, n):
    rng = np.random.default_rng(seed)
    x_1 = M1 + rng.normal(size=(n, 2)) @ np.linalg.cholesky(C1).T
    x_0 = M0 + (x_1 - M1) @ K.T + rng.normal(size=(n, 2)) @ np.linalg.cholesky(R).T
    return x_0.astype(np.float32), x_1.astype(np.float32)


# With Gaussian pairs a deterministic solver is an affine map, so a few points say what it makes of a whole law.
UNITS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 2.0]], np.float32)


def law_of(images):
    """Mean and covariance of an affine map's image of N(0, I), from the images of UNITS."""
    centre, columns = images[0], (images[1:3] - images[0]).T
    np.testing.assert_allclose(images[3], centre + columns @ UNITS[3], rtol=1e-3, atol=1e-3)
    return centre, columns @ columns.T


def solve(matrix, vector):
    """matrix^-1 vector of two rows; compiles in a tenth of the time of jnp.linalg.solve."""
    (a, b), (c, d) = (matrix[..., 0, 0], matrix[..., 0, 1]), (matrix[..., 1, 0], matrix[..., 1, 1])
    x, y = vector[..., 0], vector[..., 1]
    return jnp.stack([d * x - b * y, a * y - c * x], -1) / (a * d - b * c)[..., None]


def unconditional(path):
    """E[x_0 | x_t] of x_t = a x_0 + b x_1."""

    def function(x_t, t, cond):
        assert cond is None, "without noise the source is not given"
        a, b, _ = path.coefficients(jnp.broadcast_to(t, x_t.shape[:1]))
        a, b = a[:, None, None], b[:, None, None]
        variance = a**2 * C0 + a * b * (C01 + C01.T) + b**2 * C1
        offset = x_t - a[..., 0] * M0 - b[..., 0] * M1
        return M0 + jnp.einsum("bij,bj->bi", a * C0 + b * C01, solve(variance, offset))

    return sd.FunctionDenoiser(function, path.process())


def conditional(path, key="concat"):
    """E[x_0 | x_t, x_1] of x_t = a x_0 + b x_1 + gamma eps."""

    def function(x_t, t, cond):
        x_1 = cond[key]
        a, b, gamma = (v[:, None] for v in path.coefficients(jnp.broadcast_to(t, x_t.shape[:1])))
        mean = M0 + (x_1 - M1) @ K.T
        # At t = 1 both a and gamma are 0, and x_t says nothing: a gain of R (R a^2 + gamma^2)^-1 a by way of a / gamma.
        ratio = jnp.where(gamma > 0, a / jnp.where(gamma > 0, gamma, 1.0), jnp.where(a > 0, 1e6, 0.0))
        y = jnp.where(gamma > 0, (x_t - b * x_1) / jnp.where(gamma > 0, gamma, 1.0), ratio * (x_t - b * x_1))
        variance = ratio[..., None] ** 2 * R + jnp.eye(2)
        return mean + ratio * (solve(variance, y - ratio * mean) @ R)

    return sd.FunctionDenoiser(function, path.process())


@pytest.mark.parametrize(("name", "solver"), [("linear", "ddim"), ("linear", "heun"), ("trigonometric", "unipc2")])
def test_without_noise_the_flow_carries_the_law_of_the_source_to_that_of_the_target(name, solver):
    path = PATHS[name]()
    x_1 = M1 + UNITS @ np.linalg.cholesky(C1).T
    denoiser = path.wrap(unconditional(path), x_1)
    samples, _ = sd.sample(jax.random.key(1), denoiser, x_1.shape, solver=solver, steps=100)
    mean, covariance = law_of(np.asarray(samples))
    np.testing.assert_allclose(mean, M0, atol=0.03)
    np.testing.assert_allclose(covariance, C0, atol=0.04)
    again, _ = sd.sample(jax.random.key(2), denoiser, x_1.shape, solver=solver, steps=100, start=x_1)
    np.testing.assert_array_equal(again, samples)  # all its randomness is the source's


@pytest.mark.parametrize(
    ("name", "solver"), [("linear", "ddim"), ("linear", "ddpm"), ("linear", "unipc2"), ("trigonometric", "heun")]
)
def test_with_noise_samples_follow_the_target_given_the_source(name, solver):
    path = PATHS[name](noise=0.7)
    # ddpm's variance is low by a share of order 1 / steps
    steps, count = (400, 5000) if solver == "ddpm" else (100, len(UNITS))
    x_1 = np.tile(np.array([1.2, -0.8], np.float32), (count, 1))
    denoiser = path.wrap(conditional(path), x_1)
    start = None if solver == "ddpm" else UNITS * float(denoiser.process.sigma(1.0))
    samples, _ = sd.sample(jax.random.key(1), denoiser, x_1.shape, solver=solver, steps=steps, start=start)
    samples = np.asarray(samples)
    mean, covariance = (samples.mean(0), np.cov(samples.T)) if solver == "ddpm" else law_of(samples)
    np.testing.assert_allclose(mean, M0 + K @ (x_1[0] - M1), atol=0.02)
    np.testing.assert_allclose(covariance, R, atol=0.02)


@pytest.mark.parametrize("name", PATHS)
def test_what_the_network_sees_is_the_interpolant(name):
    # Cov(x_t) of perturbed pairs, seen through a denoiser that answers with its input, against a^2 C0 + 2ab C01 + b^2 C1 + gamma^2
    path, seen = PATHS[name](noise=0.7), sd.FunctionDenoiser(lambda x, t, c: x, sd.GaussianProcess.rectified())
    x_0, x_1 = pairs(0, 40000)

    @jax.jit
    def see(x_0, x_1, t):
        denoiser = path.wrap(seen, x_1)
        x_t = denoiser(denoiser.process.perturb(jax.random.key(1), x_0, t)[0], t)
        return x_t, path.coefficients(t)

    for t in (0.0, 0.3, 0.8, 1.0):
        x_t, (a, b, gamma) = jax.tree.map(np.asarray, see(x_0, x_1, t))
        assert float(gamma) == pytest.approx(0.7 * float(b) * float(a) ** 0.5)
        variance = a**2 * C0 + a * b * (C01 + C01.T) + b**2 * C1 + gamma**2 * np.eye(2)
        np.testing.assert_allclose(x_t.mean(0), a * M0 + b * M1, atol=0.02)
        np.testing.assert_allclose(np.cov(x_t.T), variance, atol=0.03)


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("noise", [0.05, 1.0, 3.0])
def test_the_bridge_is_a_schedule_finite_and_invertible_to_both_ends(name, noise):
    path = PATHS[name](noise=noise)
    process = path.wrap(conditional(path), np.zeros((1, 2))).process

    @jax.jit
    def ask(t):
        return process.level(t), process.time(process.log_snr(t)), path.coefficients(t)

    t = np.linspace(0.0, 1.0, 201, dtype=np.float32)
    (alpha, sigma, log_snr), inverse, (a, _, gamma) = jax.tree.map(np.asarray, ask(t))
    assert log_snr[0] == np.inf and log_snr[-1] == -np.inf and np.all(np.diff(log_snr) < 0)
    np.testing.assert_allclose(alpha**2 + sigma**2, 1.0, rtol=1e-5)
    np.testing.assert_allclose(inverse, t, atol=2e-6)
    np.testing.assert_allclose(alpha[:-1], a[:-1] / np.hypot(a, gamma)[:-1], rtol=1e-5)


def test_the_likelihood_is_that_of_the_target_given_its_source():
    path = sd.Interpolant.linear(noise=0.5)
    x_0, x_1 = pairs(0, 8)
    log_p = sd.log_prob(jax.random.key(0), path.wrap(conditional(path), x_1), x_0)
    offset = x_0 - M0 - (x_1 - M1) @ K.T
    exact = scipy.stats.multivariate_normal(np.zeros(2), R).logpdf(offset)
    np.testing.assert_allclose(log_p, exact, atol=5e-3)
    with pytest.raises(ValueError, match="nobody knows"):
        without = sd.Interpolant.linear()
        sd.log_prob(jax.random.key(0), without.wrap(unconditional(without), x_1), x_0)


def test_trees_keep_their_structure_and_other_conditions():
    path = sd.Interpolant.trigonometric(noise=0.5)
    x_1 = {"a": jnp.ones((3, 2)), "b": {"c": jnp.zeros((3, 1, 4))}}

    def function(x_t, t, cond):
        assert set(cond) == {"now", "embedding"}
        return jax.tree.map(lambda now, x: now + 0.1 * x, cond["now"], x_t)

    denoiser = path.wrap(sd.FunctionDenoiser(function, path.process()), x_1, key="now")
    samples, _ = sd.sample(jax.random.key(0), denoiser, x_1_shapes(x_1), cond={"embedding": jnp.ones((3, 2))}, steps=4)
    assert jax.tree.map(jnp.shape, samples) == jax.tree.map(jnp.shape, x_1)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(samples))
    assert denoiser.calls == sd.Interpolant.linear().wrap(denoiser.denoiser, x_1).calls == 1


def x_1_shapes(x):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), x)


class Small(eqx.Module):
    inside: jax.Array
    out: jax.Array

    def __call__(self, x, noise_level, cond=None):
        level = jnp.broadcast_to(jnp.asarray(noise_level), x.shape[:1])[:, None]
        given = jnp.zeros_like(x) if cond is None else cond["concat"]
        return jnp.tanh(jnp.concatenate([x, given, level, jnp.ones_like(level)], 1) @ self.inside) @ self.out


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_objective_trains_on_pairs_as_on_anything_else(noise):
    path, (x_0, x_1) = sd.Interpolant.linear(noise=noise), pairs(0, 512)
    keys = jax.random.split(jax.random.key(1))
    network = Small(0.3 * jax.random.normal(keys[0], (6, 32)), 0.1 * jax.random.normal(keys[1], (32, 2)))
    denoiser = sd.NetworkDenoiser(network, path.process())
    optimiser, objective = optax.adam(1e-2), sd.Objective(times="uniform", weighting="min-snr")

    def loss(network, key):
        return objective(path.wrap(eqx.tree_at(lambda d: d.network, denoiser, network), x_1), key, x_0).mean()

    @jax.jit
    def step(carry, key):
        network, state = carry
        value, slope = jax.value_and_grad(loss)(network, key)
        change, state = optimiser.update(slope, state)
        return (optax.apply_updates(network, change), state), value

    _, losses = jax.lax.scan(step, (network, optimiser.init(network)), jax.random.split(jax.random.key(2), 200))
    assert bool(jnp.all(jnp.isfinite(losses))) and losses[-40:].mean() < 0.7 * losses[:10].mean()


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match="noise = -1"):
        sd.Interpolant.linear(noise=-1.0)
