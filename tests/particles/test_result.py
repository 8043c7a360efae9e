import jax
import jax.numpy as jnp
import numpy as np

from sciddm import particles


def test_a_result_draws_by_its_weights():
    result = particles.Result(jnp.arange(4.0)[:, None], jnp.log(jnp.array([0.1, 0.2, 0.3, 0.4])), jnp.zeros(()), {})

    @jax.jit
    def asked(key):
        draws = jax.lax.map(result.draw, jax.random.split(key, 4000))[:, 0]
        return draws, result.mean(), result.best()[0], result.resampled(key, 9), result.ess

    draws, mean, best, nine, ess = asked(jax.random.key(0))
    shares = np.bincount(np.asarray(draws, int), minlength=4) / 4000
    np.testing.assert_allclose(shares, [0.1, 0.2, 0.3, 0.4], atol=0.025)
    np.testing.assert_allclose(mean, 2.0, rtol=1e-6)
    assert best == 3.0 and nine.shape == (9, 1)
    np.testing.assert_allclose(ess, 1 / 0.3, rtol=1e-5)
