"""Methods that step along a gradient: each is held against its published formula, taken by autodiff or by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.denoiser import linearize
from sciddm.lookahead.gradients import descend, gain, misfit, squared_norm

A, Y, T = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), jnp.array([0.7, -0.4]), 0.6
OBS = sd.lookahead.Observation(A, Y, 0.5)
NORM2 = float(np.linalg.norm(np.asarray(A), 2) ** 2)


@pytest.fixture
def denoiser(mixture):
    return mixture.denoiser(sd.GaussianProcess.vp())


def points(n=4):
    return jax.random.normal(jax.random.key(0), (n, 3))


def rms(x):
    return jnp.sqrt(jnp.mean(x**2, -1, keepdims=True))


def test_dps_is_a_ddpm_step_and_a_step_down_the_residual_s_norm(denoiser):
    x_t, t, s = points(), 0.6, 0.55
    guided = sd.lookahead.dps(denoiser, OBS, scale=0.3)
    options = {"solver": "ddpm", "grid": [t, s], "start": x_t}
    plain, _ = sd.sample(jax.random.key(1), denoiser, (4, 3), **options)
    kicked, info = sd.sample(jax.random.key(1), guided, (4, 3), **options)

    def square(x):
        return jnp.sum((Y - denoiser(x, t) @ A.T) ** 2, -1)

    gradient = jax.grad(lambda x: square(x).sum())(x_t)
    expected = plain - 0.3 / jnp.sqrt(square(x_t))[:, None] * gradient
    np.testing.assert_allclose(kicked, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info["residual"][0], jnp.sqrt(square(x_t) / 2), rtol=1e-5)
    assert guided.sampling.solver == "ddpm" and guided.sampling.steps == 1000


def test_lgd_with_many_draws_is_pigdm_of_a_unit_prior():
    prior = sd.oracle.GaussianMixture([1.0], [[0.3, 0.0, -0.2]], 0.5)
    process = sd.GaussianProcess.rectified()  # alpha^2 + sigma^2 is not 1
    denoiser, x_t = prior.denoiser(process), points()
    obs = sd.lookahead.Observation(A, Y, 1.0)
    exact = sd.lookahead.pigdm(denoiser, obs, prior_variance=1.0)(x_t, T) - denoiser(x_t, T)
    many = sd.lookahead.lgd(denoiser, obs, samples=300000)(x_t, T) - denoiser(x_t, T)
    np.testing.assert_allclose(many, exact, atol=0.05 * float(jnp.abs(exact).max()))
    # the plug-in leaves the spread of x_0 out and is far off
    plug_in = sd.lookahead.steer(denoiser, obs)(x_t, T) - denoiser(x_t, T)
    assert float(jnp.abs(plug_in - exact).max()) > 0.5 * float(jnp.abs(exact).max())


def test_freedom_goes_steer_s_way_by_a_share_of_the_denoising(denoiser):
    x_t = points()
    x0_hat, process = denoiser(x_t, T), denoiser.process
    shift = sd.lookahead.freedom(denoiser, OBS, scale=0.2)(x_t, T) - x0_hat
    direction = sd.lookahead.steer(denoiser, OBS)(x_t, T) - x0_hat
    np.testing.assert_allclose(rms(shift), 0.2 * rms(x_t / process.alpha(T) - x0_hat), rtol=1e-4)
    np.testing.assert_allclose(shift / rms(shift), direction / rms(direction), rtol=1e-4, atol=1e-5)
    grid = sd.lookahead.freedom(denoiser, OBS).sampling.grid
    assert (grid.repeats, grid.window) == (3, (0.3, 0.7))


def test_universal_is_the_plug_in_and_a_descent_from_the_expected_output(denoiser):
    x_t = points()
    x0_hat = denoiser(x_t, T)
    forward = sd.lookahead.universal(denoiser, OBS, scale=0.5, backward_steps=0)(x_t, T)
    np.testing.assert_allclose(forward, sd.lookahead.steer(denoiser, OBS, scale=0.5)(x_t, T), rtol=1e-4, atol=1e-5)
    backward = sd.lookahead.universal(denoiser, OBS, scale=0.0, backward_steps=2, backward_rate=0.7)(x_t, T)
    np.testing.assert_allclose(backward, descend(misfit(OBS), x0_hat, T, 2, 0.7), rtol=1e-4, atol=1e-5)
    assert sd.lookahead.universal(denoiser, OBS, repeats=4).sampling.grid.repeats == 4


def test_tfg_without_smoothing_is_its_two_gradients(denoiser):
    x_t, t, s = points(), 0.6, 0.55
    guided = sd.lookahead.tfg(denoiser, OBS, rho=0.4, mu=0.3, std=0.0, iterations=2)
    options = {"solver": "ddim", "grid": [t, s], "start": x_t}
    plain, _ = sd.sample(jax.random.key(1), denoiser, (4, 3), **options)
    moved, _ = sd.sample(jax.random.key(1), guided, (4, 3), **options)
    potential, process = misfit(OBS), denoiser.process
    delta_t = 0.4 * jax.grad(lambda x: potential(denoiser(x, t), t).sum())(x_t)
    x0_hat = denoiser(x_t, t)
    delta_0 = descend(potential, x0_hat, t, 2, 0.3) - x0_hat
    a_t, a_s = process.alpha(t), process.alpha(s)
    np.testing.assert_allclose(moved - plain, a_s / a_t * delta_t + a_s * delta_0, rtol=1e-3, atol=1e-5)
    # what is too long is cut to the clip
    long = lambda x, t: -1e6 * jnp.sum(x, -1)  # noqa: E731
    _, _, report = linearize(sd.lookahead.tfg(denoiser, long, mu=0.0, clip=2.0), x_t, t)
    np.testing.assert_allclose(jnp.linalg.norm(report["kick"].of_x_t, axis=-1), 2.0, rtol=1e-4)


def test_mpgd_and_flowchef_are_linear_recursions_on_a_gaussian():
    # prior N(0, v), y = x + noise: mode-seeking steps of fixed length, neither the posterior's mean nor its variance
    v, y, steps = 0.5, 1.0, 40
    process = sd.GaussianProcess.vp()
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0]], v).denoiser(process)
    obs = sd.lookahead.Observation(lambda x: x, jnp.array([y]), 0.1)
    times = np.asarray(sd.grids.resolve("t", process, steps))
    a, sigma = np.asarray(process.alpha(times), float), np.asarray(process.sigma(times), float)
    sigma[-1] = 0.0
    for method, scale in (("mpgd", 0.3), ("flowchef", 0.05)):
        guided = getattr(sd.lookahead, method)(denoiser, obs, scale=scale)
        start = np.array([[1.0], [-1.0]])
        ends, _ = sd.sample(
            jax.random.key(0), guided, (2, 1), solver="ddim", steps=steps, grid="t", start=jnp.asarray(start)
        )
        x = start[:, 0]
        for i in range(steps):
            x0 = a[i] * v / (a[i] ** 2 * v + sigma[i] ** 2) * x
            guided_x0 = x0 + scale / a[i] * (y - x0) if method == "mpgd" else x0
            x = a[i + 1] * guided_x0 + sigma[i + 1] * (x - a[i] * guided_x0) / sigma[i]
            x = x + scale * (y - x0) if method == "flowchef" else x
        np.testing.assert_allclose(np.asarray(ends)[:, 0], x, rtol=2e-3)


def test_the_norm_of_an_operator_is_found_from_below():
    found = squared_norm(OBS, points())
    np.testing.assert_allclose(found, NORM2, rtol=1e-3)
    assert np.all(np.asarray(squared_norm(sd.lookahead.Observation(0.0 * A, Y, 1.0), points())) == 0.0)
    assert np.all(np.isfinite(misfit(sd.lookahead.Observation(0.0 * A, Y, 1.0))(points(), T)))
    assert float(gain(sd.GaussianProcess.cosine(), 1.0)) == 0.0
