import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from chain import LOUD, OBSERVATION, TAU, VARIANCE, Y, assert_means, end_variance, gaussian

from sciddm import particles
from sciddm.particles.psi import _seeds
from sciddm.particles.twists import Plain

STEPS = 8


def test_psi_begins_at_the_tilted_noise_and_ends_at_the_posterior():
    denoiser, count = gaussian(LOUD), 2000
    options = {"chains": 500, "burn_in": 20, "moves": 4, "step": 0.8, "steps": STEPS}

    def one(key):
        result = particles.psi(key, denoiser, OBSERVATION, (1,), num_particles=count, **options)
        x = result.mean(lambda x: jnp.concatenate([x, x**2], -1))
        return x, result.info["acceptance"], result.log_evidence

    moments, acceptance, evidence = eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=24)
    variance = 1.0 / (1.0 / end_variance(STEPS, LOUD) + 1.0 / TAU)
    mean = variance * Y / TAU
    assert_means(moments, [mean, variance + mean**2])
    assert np.all(np.isnan(evidence))  # the constant of the start is not known
    assert acceptance.shape == (24, 500) and 0.5 < float(acceptance.mean()) < 0.99
    # x_1 ~ N(0, sigma^2) N(y; shrink x_1, tau)
    t, sigma = jnp.asarray(1.0), 1.5
    like = jax.ShapeDtypeStruct((2000, 1), jnp.float32)
    start, _ = _seeds(
        jax.random.key(1), denoiser, Plain(OBSERVATION), None, like, t, 2000, 30, 1, jnp.asarray(0.8), True
    )
    start = np.asarray(start)
    shrink = VARIANCE / (VARIANCE + sigma**2)
    precision = 1.0 / sigma**2 + shrink**2 / TAU
    mean = shrink * Y / TAU / precision
    assert_means(np.stack([start[:, 0], (start[:, 0] - mean) ** 2], -1), [mean, 1.0 / precision])


def test_psi_takes_every_kept_state_equally_often_and_accepts_every_move_where_nothing_is_rewarded():
    def nothing(x, t):
        return jnp.zeros(x.shape[0])

    like = jax.ShapeDtypeStruct((3, 1), jnp.float32)
    start, acceptance = _seeds(
        jax.random.key(1), gaussian(), Plain(nothing), None, like, jnp.asarray(1.0), 24, 2, 4, jnp.asarray(0.5), True
    )
    _, times = np.unique(np.asarray(start), return_counts=True)
    np.testing.assert_array_equal(times, [2] * 12)
    np.testing.assert_array_equal(acceptance, 1.0)
