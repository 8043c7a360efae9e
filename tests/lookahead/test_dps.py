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
