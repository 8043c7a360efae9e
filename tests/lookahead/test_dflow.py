import jax
import jax.numpy as jnp
import numpy as np
from lookahead.common import SEEN, TAU, V, scalar

import sciddm as sd
from sciddm.lookahead.dflow import minimise


def test_dflow_finds_the_most_probable_start_and_no_spread():
    _, denoiser, obs = scalar("vp")
    guided = sd.lookahead.dflow(denoiser, obs)
    samples, info = sd.sample(jax.random.key(0), guided, (5, 1))
    np.testing.assert_allclose(samples, V * SEEN / (V + TAU), rtol=1e-2)
    assert np.std(samples) < 1e-3
    assert info["residual"].shape == (1, 5)
    without, _ = sd.sample(jax.random.key(0), sd.lookahead.dflow(denoiser, obs, weight=0.0), (5, 1))
    np.testing.assert_allclose(without, SEEN, rtol=1e-2)  # the paper's loss alone fits the data


def test_minimise_finds_each_sample_s_own_minimum_whatever_the_others_do():
    centres = np.array([[1.0, 2.0], [-3.0, 0.5], [100.0, -40.0]])
    stiffness = np.array([[1.0, 1e3], [1.0, 1.0], [30.0, 0.1]])

    def valley(x, c, k):
        return 0.5 * jnp.sum(k * (x - c) ** 2, -1) + 0.01 * jnp.sum((x - c) ** 4, -1)

    @jax.jit
    def found(c, k):
        return minimise(lambda x: valley(x, c, k), jnp.zeros(c.shape), 60)[0]

    together = found(centres, stiffness)
    np.testing.assert_allclose(together, centres, rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(together[:1], found(centres[:1], stiffness[:1]), atol=1e-4)
