import jax
import jax.numpy as jnp
import numpy as np

import sciddm as sd
from sciddm.solvers import DPMpp2S


def test_seeds2_draws_the_noise_of_both_halves_once():
    # x0_hat = 0: the step is pure noise of variance sigma_s^2 (1 - e^{-2 h}) beside what is kept of x_t, whatever the middle.
    process = sd.GaussianProcess.vp()
    denoiser = sd.FunctionDenoiser(lambda x, t, c: jnp.zeros_like(x), process)
    t, s = 0.7, 0.5
    start = jnp.full((20000, 1), 2.0)
    x, _ = sd.sample(jax.random.key(0), denoiser, start.shape, solver=DPMpp2S(eta=1.0), grid=[t, s], start=start)
    h = 0.5 * (process.log_snr(s) - process.log_snr(t))
    variance = process.sigma(s) ** 2 * (1 - jnp.exp(-2 * h))
    np.testing.assert_allclose(x.mean(), process.sigma(s) / process.sigma(t) * jnp.exp(-h) * 2.0, atol=0.02)
    np.testing.assert_allclose(x.var(), variance, rtol=0.03)
