import jax
import jax.numpy as jnp
import numpy as np
from lookahead.common import ask

import sciddm as sd


def test_renoise_keeps_its_share_of_the_noise_that_was_there(mixture):
    denoiser, count = mixture.denoiser(sd.GaussianProcess.rectified()), 20000
    x_t = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)

    def stepped(solver, start=x_t):
        return np.asarray(
            sd.sample(jax.random.key(1), denoiser, (count, 3), solver=solver, grid=[0.6, 0.5], start=start)[0]
        )

    def renoise(share):
        return sd.lookahead.Renoise(jnp.asarray(share))  # an array, for one program of all shares

    np.testing.assert_allclose(stepped(renoise(0.0)), stepped("ddim"), rtol=1e-5, atol=1e-5)
    flow, half = stepped(sd.lookahead.Renoise("flow")), stepped(renoise(0.5))
    np.testing.assert_allclose(flow, half, rtol=1e-5, atol=1e-6)  # alpha = sigma at 0.5
    many = stepped(renoise(1.0), np.ones((count, 3), np.float32))
    np.testing.assert_allclose(many.std(0), 0.5, rtol=0.03)
    expected = 0.5 * np.asarray(ask(denoiser, np.ones((1, 3), np.float32), 0.6))[0]
    np.testing.assert_allclose(many.mean(0), expected, atol=0.02)
