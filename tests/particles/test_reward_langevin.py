import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from noise_chains import CHAINS, assert_law, quadratic

import sciddm as sd
from sciddm.particles.reward_langevin import reward_langevin


def test_a_linear_generator_under_a_quadratic_reward_has_the_posterior():
    # x_0 = M z + b is N(b, M M^T), and the reward an observation of it; two leaves, so that particles are pytrees.
    matrix, offset = np.array([[1.0, 0.0], [0.8, 0.4]]), np.array([0.5, -1.0])
    observed, precision = np.array([2.0, 0.0]), np.array([1.0, 3.0])
    process = sd.GaussianProcess.ve(0.01, 50.0)

    def one_step(x_t, t, cond):
        z = jnp.stack([x_t["a"], x_t["b"]], axis=-1) / process.sigma(t)
        x_0 = z @ jnp.asarray(matrix.T, z.dtype) + jnp.asarray(offset, z.dtype)
        return {"a": x_0[:, 0], "b": x_0[:, 1]}

    def reward(x_0, t):
        return quadratic(observed, precision)(jnp.stack([x_0["a"], x_0["b"]], axis=-1))

    like = {"a": jax.ShapeDtypeStruct((), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.float32)}
    denoiser = sd.FunctionDenoiser(one_step, process)
    result = eqx.filter_jit(reward_langevin)(
        jax.random.key(0), denoiser, reward, like, num_particles=4 * CHAINS, chains=CHAINS, moves=40, burn_in=40
    )
    x_0 = np.stack([result.particles["a"], result.particles["b"]], axis=-1)
    assert x_0.shape == (4 * CHAINS, 2)
    covariance = np.linalg.inv(np.linalg.inv(matrix @ matrix.T) + np.diag(precision))
    prior_precision = np.linalg.inv(matrix @ matrix.T)
    assert_law(
        x_0.reshape(CHAINS, 4, 2).swapaxes(0, 1),
        covariance @ (prior_precision @ offset + precision * observed),
        covariance,
    )
    assert result.info["network_calls"] == CHAINS * (1 + 40 + 40) + 4 * CHAINS
    noise = result.info["noise"]
    z = np.stack([noise["a"], noise["b"]], axis=-1)
    np.testing.assert_allclose(z @ matrix.T + offset, x_0, rtol=1e-4, atol=1e-5)


def test_particles_of_a_generator_of_ones_own():
    denoiser = sd.oracle.GaussianMixture([1.0], [[0.0]], 1.0).denoiser(sd.GaussianProcess.vp())
    result = eqx.filter_jit(reward_langevin)(
        jax.random.key(0), denoiser, lambda x_0, t: 0.3 * x_0[:, 0], (1,), num_particles=CHAINS, moves=10, burn_in=30,
        generator=lambda z: 3.0 * z, langevin=False,
    )  # fmt: skip
    # N(0, 9) under a reward of slope 0.3 is N(2.7, 9)
    assert_law(np.asarray(result.particles)[None], np.array([2.7]), np.array([[9.0]]))
    assert result.info["network_calls"] == CHAINS * 41 + CHAINS
    with pytest.raises(ValueError, match="10 particles from 4 chains"):
        reward_langevin(
            jax.random.key(0), denoiser, lambda x_0, t: x_0[:, 0], (1,), num_particles=10, chains=4, moves=10, burn_in=0
        )
