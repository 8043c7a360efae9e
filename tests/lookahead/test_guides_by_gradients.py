"""Methods that step along a gradient: each is held against its published formula, taken by autodiff or by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussian_posterior import gaussian_denoiser, levels

import sciddm as sd
from sciddm.denoiser import linearize
from sciddm.lookahead.gradients import descend, gain, misfit, squared_operator_norm

A, Y, T = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]]), np.array([0.7, -0.4]), 0.6
OBS = sd.lookahead.Observation(A, Y, 0.5)
NORM2 = np.linalg.norm(A, 2) ** 2


@pytest.fixture
def denoiser(mixture):
    return mixture.denoiser(sd.GaussianProcess.vp())


def points(n=4):
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def rms(x):
    return np.sqrt(np.mean(x**2, -1, keepdims=True))


def at_once(*functions):
    """What each makes of x_t, in numpy, by one program."""
    return lambda x_t: [np.asarray(value) for value in jax.jit(lambda x: [f(x) for f in functions])(x_t)]


def asked(*guides):
    return at_once(*(lambda x, guide=guide: guide(x, T) for guide in guides))


def test_dps_is_a_ddpm_step_and_a_step_down_the_residual_s_norm(denoiser):
    x_t, t, s = points(), 0.6, 0.55
    guided = sd.lookahead.dps(denoiser, OBS, scale=0.3)
    options = {"solver": "ddpm", "grid": [t, s], "start": x_t}
    plain, _ = sd.sample(jax.random.key(1), denoiser, (4, 3), **options)
    kicked, info = sd.sample(jax.random.key(1), guided, (4, 3), **options)

    def square(x):
        return jnp.sum((Y - denoiser(x, t) @ A.T) ** 2, -1)

    squares, gradient = at_once(square, jax.grad(lambda x: square(x).sum()))(x_t)
    expected = np.asarray(plain) - 0.3 / np.sqrt(squares)[:, None] * gradient
    np.testing.assert_allclose(kicked, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(info["residual"][0], np.sqrt(squares / 2), rtol=1e-5)
    assert guided.sampling.solver == "ddpm" and guided.sampling.steps == 1000


def test_lgd_with_many_draws_is_pigdm_of_a_unit_prior():
    process = sd.GaussianProcess.rectified()  # alpha^2 + sigma^2 is not 1
    denoiser, obs = gaussian_denoiser(process, 0.5, np.array([0.3, 0.0, -0.2])), sd.lookahead.Observation(A, Y, 1.0)
    x0_hat, exact, many, plug_in = asked(
        denoiser, sd.lookahead.pigdm(denoiser, obs, prior_variance=1.0), sd.lookahead.lgd(denoiser, obs, samples=300000),
        sd.lookahead.steer(denoiser, obs),
    )(points())  # fmt: skip
    exact, many, plug_in = (guided - x0_hat for guided in (exact, many, plug_in))
    np.testing.assert_allclose(many, exact, atol=0.05 * np.abs(exact).max())
    # the plug-in leaves the spread of x_0 out and is far off
    assert np.abs(plug_in - exact).max() > 0.5 * np.abs(exact).max()


def test_freedom_goes_steer_s_way_by_a_share_of_the_denoising(denoiser):
    x_t = points()
    freedom, steer = sd.lookahead.freedom(denoiser, OBS, scale=0.2), sd.lookahead.steer(denoiser, OBS)
    x0_hat, shift, direction = asked(denoiser, freedom, steer)(x_t)
    shift, direction, alpha = shift - x0_hat, direction - x0_hat, float(denoiser.process.alpha(T))
    np.testing.assert_allclose(rms(shift), 0.2 * rms(x_t / alpha - x0_hat), rtol=1e-4)
    np.testing.assert_allclose(shift / rms(shift), direction / rms(direction), rtol=1e-4, atol=1e-5)
    grid = sd.lookahead.freedom(denoiser, OBS).sampling.grid
    assert (grid.repeats, grid.window) == (3, (0.3, 0.7))


def test_universal_is_the_plug_in_and_a_descent_from_the_expected_output(denoiser):
    forward, steer, backward, descended = at_once(
        lambda x: sd.lookahead.universal(denoiser, OBS, scale=0.5, backward_steps=0)(x, T),
        lambda x: sd.lookahead.steer(denoiser, OBS, scale=0.5)(x, T),
        lambda x: sd.lookahead.universal(denoiser, OBS, scale=0.0, backward_steps=2, backward_rate=0.7)(x, T),
        lambda x: descend(misfit(OBS), denoiser(x, T), T, 2, 0.7),
    )(points())
    np.testing.assert_allclose(forward, steer, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(backward, descended, rtol=1e-4, atol=1e-5)
    assert sd.lookahead.universal(denoiser, OBS, repeats=4).sampling.grid.repeats == 4


def test_tfg_without_smoothing_is_its_two_gradients(denoiser):
    x_t, t, s = points(), 0.6, 0.55
    guided = sd.lookahead.tfg(denoiser, OBS, rho=0.4, mu=0.3, std=0.0, iterations=2)
    options = {"solver": "ddim", "grid": [t, s], "start": x_t}
    plain, _ = sd.sample(jax.random.key(1), denoiser, (4, 3), **options)
    moved, _ = sd.sample(jax.random.key(1), guided, (4, 3), **options)
    potential, process = misfit(OBS), denoiser.process
    long = lambda x, t: -1e6 * jnp.sum(x, -1)  # noqa: E731
    gradient, x0_hat, descended, cut = at_once(
        jax.grad(lambda x: potential(denoiser(x, t), t).sum()),
        lambda x: denoiser(x, t),
        lambda x: descend(potential, denoiser(x, t), t, 2, 0.3),
        lambda x: linearize(sd.lookahead.tfg(denoiser, long, mu=0.0, clip=2.0), x, t)[0].kick.of_x_t,
    )(x_t)
    a_t, a_s = float(process.alpha(t)), float(process.alpha(s))
    expected = a_s / a_t * 0.4 * gradient + a_s * (descended - x0_hat)
    np.testing.assert_allclose(np.asarray(moved) - np.asarray(plain), expected, rtol=1e-3, atol=1e-5)
    # what is too long is cut to the clip
    np.testing.assert_allclose(np.linalg.norm(cut, axis=-1), 2.0, rtol=1e-4)


def test_mpgd_and_flowchef_are_linear_recursions_on_a_gaussian():
    # prior N(0, v), y = x + noise: mode-seeking steps of fixed length, neither the posterior's mean nor its variance
    v, y, steps = 0.5, 1.0, 40
    process = sd.GaussianProcess.vp()
    denoiser = gaussian_denoiser(process, v)
    obs = sd.lookahead.Observation(lambda x: x, np.array([y]), 0.1)
    _, a, sigma = levels(process, "t", steps)
    sigma[-1] = 0.0
    for method, scale in (("mpgd", 0.3), ("flowchef", 0.05)):
        guided = getattr(sd.lookahead, method)(denoiser, obs, scale=scale)
        start = np.array([[1.0], [-1.0]])
        ends, _ = sd.sample(
            jax.random.key(0), guided, (2, 1), solver="ddim", steps=steps, grid="t", start=np.float32(start)
        )
        x = start[:, 0]
        for i in range(steps):
            x0 = a[i] * v / (a[i] ** 2 * v + sigma[i] ** 2) * x
            guided_x0 = x0 + scale / a[i] * (y - x0) if method == "mpgd" else x0
            x = a[i + 1] * guided_x0 + sigma[i + 1] * (x - a[i] * guided_x0) / sigma[i]
            x = x + scale * (y - x0) if method == "flowchef" else x
        np.testing.assert_allclose(np.asarray(ends)[:, 0], x, rtol=2e-3)


def test_the_norm_of_an_operator_is_found_from_below():
    nothing = sd.lookahead.Observation(0.0 * A, Y, 1.0)
    found, of_nothing, value = at_once(
        lambda x: squared_operator_norm(OBS, x), lambda x: squared_operator_norm(nothing, x), lambda x: misfit(nothing)(x, T)
    )(points())
    np.testing.assert_allclose(found, NORM2, rtol=1e-3)
    assert np.all(of_nothing == 0.0) and np.all(np.isfinite(value))
    assert float(jax.jit(lambda t: gain(sd.GaussianProcess.cosine(), t))(1.0)) == 0.0
