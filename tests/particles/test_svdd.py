import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from best_of import answers, assert_best_of, at, first
from chain import EXACT, gaussian

import sciddm as sd
from sciddm import particles
from sciddm.particles.svdd import One


def test_one_step_of_svdd_is_best_of_n_draw_by_draw():
    # at alpha = 0 all starts are worth the same, and children are drawn with the keys of samples
    process = sd.GaussianProcess.cosine()
    options = {"num_particles": 10, "solver": EXACT, "steps": 1, "grid": at(1.0, 0.0)}
    ours, theirs = (
        answers(method, 300, gaussian(process), **options) for method in (particles.svdd, particles.best_of_n)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert_best_of(10, ours)


def test_the_choice_of_svdd_is_a_softmax_at_its_temperature():
    temperature, process = 0.4, sd.GaussianProcess.cosine()
    options = {"num_particles": 6, "solver": EXACT, "steps": 1, "grid": at(1.0, 0.0)}

    def one(key):
        result = particles.svdd(key, gaussian(process), first, (1,), temperature=temperature, **options)
        return result.particles[:, 0], result.best()[0]

    x, chosen = (np.asarray(v) for v in eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=3000))
    for assumed, fits in ((temperature, True), (2 * temperature, False), (0.5 * temperature, False)):
        gap = chosen - np.sum(x * scipy.special.softmax(x / assumed, axis=1), 1)
        assert (abs(gap.mean()) < 3.0 * gap.std(ddof=1) / np.sqrt(3000)) == fits
    weights = np.log(np.array([0.5, 0.3, 0.2], np.float32))

    @jax.jit
    def draws(key):
        warm = jax.lax.map(lambda key: One(2.0)(key, weights)[0], jax.random.split(key, 4000))
        return warm, One(0.0)(key, weights, 4)

    warm, cold = draws(jax.random.key(1))
    expected = np.sqrt([0.5, 0.3, 0.2]) / np.sqrt([0.5, 0.3, 0.2]).sum()
    np.testing.assert_allclose(np.bincount(warm, minlength=3) / 4000, expected, atol=0.025)
    np.testing.assert_array_equal(cold, [0, 0, 0, 0])


def test_code_chooses_at_every_other_step_and_the_best_output_goes_on():
    def reward(x, t):
        return -jnp.abs(x[:, 0] - 0.5)

    result = particles.svdd(jax.random.key(0), gaussian(), reward, (1,), num_particles=8, every=2, steps=6)
    np.testing.assert_array_equal(result.info["resampled"], [True, False] * 3)
    ancestors = np.asarray(result.info["ancestors"])
    np.testing.assert_array_equal(ancestors[1::2], np.tile(np.arange(8), (3, 1)))
    assert np.all(ancestors[::2] == ancestors[::2, :1])
    # siblings after a choice, others in between
    potential = np.asarray(result.info["potential"])
    assert np.all(potential[::2] == potential[::2, :1]) and np.all(np.ptp(potential[1::2], axis=1) > 0)
    assert np.argmax(result.log_weights) == np.argmin(np.abs(np.asarray(result.particles)[:, 0] - 0.5))
