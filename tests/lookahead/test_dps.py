import jax
import jax.numpy as jnp
import numpy as np
from lookahead.common import OBS, A, Y, at_once, points

import sciddm as sd


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


def test_dps_by_default_takes_the_length_that_the_likelihood_gives_it(denoiser):
    x_t, t = points(), 0.6
    guided = sd.lookahead.dps(denoiser, OBS)
    answer = jax.jit(lambda x: guided.evaluate(x, t))(x_t)
    plain, jacobian = jax.jit(lambda x: (denoiser(x, t), jax.vmap(jax.jacrev(lambda one: denoiser(one[None], t)[0]))(x)))(x_t)
    alpha, sigma = float(denoiser.process.alpha(t)), float(denoiser.process.sigma(t))
    for i, (x0_hat, C) in enumerate(zip(np.asarray(plain, float), sigma**2 / alpha * np.asarray(jacobian, float), strict=True)):
        r = Y - A @ x0_hat
        w = A.T @ r
        within = (w @ C @ w) / (w @ w * sigma**2 / alpha**2)
        k = 0.1 + 0.9 * np.clip(max(alpha**2 / (alpha**2 + sigma**2), within), 0, 1)
        expected = x0_hat + C @ w * (r @ r) / (0.25 * r @ r + k * w @ C @ w)
        np.testing.assert_allclose(answer.x0_hat[i], expected, rtol=1e-4, atol=1e-5)
    assert answer.kick is None and guided.sampling.solver == "ddpm"  # a shift of x0_hat, which any solver takes


def test_dps_is_finite_where_all_fits_or_the_value_is_exact_and_moves_nothing_by_a_covariance_that_is_none(denoiser):
    x_t = points()
    fitting = sd.lookahead.Observation(A, denoiser(x_t, 0.3) @ A.T, 0.5)
    np.testing.assert_allclose(sd.lookahead.dps(denoiser, fitting)(x_t, 0.3), denoiser(x_t, 0.3), atol=1e-5)
    exact = sd.lookahead.dps(denoiser, sd.lookahead.Observation(A, Y, 0.0))
    assert all(np.isfinite(exact(x_t, t)).all() for t in (1.0, 0.5, 1e-4, 0.0))
    wrong = sd.FunctionDenoiser(lambda x, t, cond: -x, denoiser.process)  # whose covariance would be negative
    np.testing.assert_array_equal(sd.lookahead.dps(wrong, OBS)(x_t, 0.9), -x_t)


def test_measurements_of_dps_in_other_units_draw_alike(denoiser):
    def of(unit):
        operator = lambda x: {"a": x[:, :1], "b": unit * x[:, 1:]}  # noqa: E731
        value = {"a": jnp.array([0.4]), "b": unit * jnp.array([0.2, -0.3])}
        guided = sd.lookahead.dps(denoiser, sd.lookahead.Observation(operator, value, {"a": 0.1, "b": 0.1 * unit}))
        return guided(points(), 0.4)

    np.testing.assert_allclose(of(100.0), of(1.0), rtol=1e-3, atol=1e-4)
