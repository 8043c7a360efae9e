import jax
import jax.numpy as jnp
import numpy as np
from lookahead.common import OBS, at_once, points

import sciddm as sd
from sciddm.denoiser import linearize
from sciddm.lookahead.gradients import descend, misfit


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
