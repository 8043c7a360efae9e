import jax
import jax.numpy as jnp
import numpy as np
from chain import PROCESS, VARIANCE, gaussian

from sciddm.particles.twists import Plain


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
