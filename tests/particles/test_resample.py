"""The laws of resampling, for every scheme: unbiased, never from the dead, and still where all are equal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sciddm.particles.resample import RESAMPLERS, effective_sample_size, log_mean_exp, resolve

WEIGHTS = np.array([0.31, 0.02, 0.0, 0.17, 0.05, 0.22, 0.11, 0.12])
NAMES = sorted(RESAMPLERS)


def children(name, weights, repeats=4000, count=None):
    """(repeats, K) numbers of children of independent resamplings."""
    log_weights = jnp.log(jnp.asarray(weights, jnp.float32))
    keys = jax.random.split(jax.random.key(3), repeats)
    ancestors = jax.jit(jax.vmap(lambda key: RESAMPLERS[name](key, log_weights, count)))(keys)
    return np.stack([np.bincount(row, minlength=len(weights)) for row in np.asarray(ancestors)])


@pytest.mark.parametrize("count", [None, 5, 21])
@pytest.mark.parametrize("name", NAMES)
def test_the_mean_number_of_children_is_count_times_the_weight(name, count):
    drawn = children(name, WEIGHTS, count=count)
    expected = (count or len(WEIGHTS)) * WEIGHTS
    error = np.maximum(drawn.std(0), 1e-2) / np.sqrt(len(drawn))  # no less than one odd draw in ten thousand
    assert np.all(np.abs(drawn.mean(0) - expected) <= 3.0 * error), (drawn.mean(0) - expected) / error
    np.testing.assert_array_equal(drawn.sum(1), count or len(WEIGHTS))


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_children_lies_where_the_scheme_says(name):
    drawn, expected = children(name, WEIGHTS), len(WEIGHTS) * WEIGHTS
    if name in ("systematic", "ssp"):
        assert np.all(drawn >= np.floor(expected)) and np.all(drawn <= np.ceil(expected))
    if name == "residual":
        assert np.all(drawn >= np.floor(expected))
    if name == "stratified":
        assert np.all(np.abs(drawn - expected) < 2)
    if name == "multinomial":
        share = len(WEIGHTS) * WEIGHTS * (1 - WEIGHTS)
        np.testing.assert_allclose(drawn.var(0), share, rtol=0.1, atol=1e-6)


def test_no_scheme_varies_more_than_the_multinomial():
    weights = np.random.default_rng(0).dirichlet(np.ones(20))
    spread = {name: children(name, weights, 1000).var(0).sum() for name in NAMES}
    multinomial = spread.pop("multinomial")
    assert max(spread.values()) < 0.6 * multinomial
    assert spread["systematic"] == pytest.approx(spread["ssp"], rel=0.05)  # both of one fraction: f (1 - f)
    assert spread["systematic"] < spread["stratified"] and spread["systematic"] < spread["residual"]


@pytest.mark.parametrize("count", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"multinomial"}))
def test_equal_weights_keep_every_particle_exactly_once(name, count):
    ancestors = jax.jit(RESAMPLERS[name])(jax.random.key(1), jnp.full(count, -3.7, jnp.float32))
    np.testing.assert_array_equal(np.sort(ancestors), np.arange(count))


@pytest.mark.parametrize("name", NAMES)
def test_the_dead_have_no_children(name):
    resample = jax.jit(jax.vmap(RESAMPLERS[name]))
    log_weights = jnp.log(jnp.broadcast_to(jnp.asarray([0.0, 0.3, np.nan, 0.7, 0.0]), (50, 5)))
    ancestors = resample(jax.random.split(jax.random.key(0), 50), log_weights)
    assert set(np.asarray(ancestors).ravel()) == {1, 3}
    keys = jax.random.split(jax.random.key(0), 1)
    one_hot = jnp.full((1, 1000), -jnp.inf).at[0, 617].set(-1e4)
    np.testing.assert_array_equal(resample(keys, one_hot), 617)
    np.testing.assert_array_equal(resample(keys, jnp.full((1, 6), -jnp.inf))[0], np.arange(6))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_problems_is_each_problem_by_itself(name):
    log_weights = jax.random.normal(jax.random.key(0), (3, 9))
    keys = jax.random.split(jax.random.key(1), 3)
    batch = jax.jit(jax.vmap(RESAMPLERS[name]))(keys, log_weights)
    assert batch.dtype == jnp.int32
    alone = jax.jit(RESAMPLERS[name])
    for row, key, one in zip(batch, keys, log_weights, strict=True):
        np.testing.assert_array_equal(row, alone(key, one))


@pytest.mark.parametrize("name", ["systematic", "ssp"])
def test_any_weights_give_floor_or_ceil(name):
    rng = np.random.default_rng(0)
    log_weights = (rng.uniform(-60.0, 60.0, (300, 12)) * rng.uniform(size=(300, 1)) ** 3).astype(np.float32)
    weights = np.exp(log_weights.astype(float) - log_weights.max(1, keepdims=True))
    expected = 12 * weights / weights.sum(1, keepdims=True)
    keys = jax.random.split(jax.random.key(0), 300)
    ancestors = np.asarray(jax.jit(jax.vmap(RESAMPLERS[name]))(keys, jnp.asarray(log_weights)))
    drawn = np.stack([np.bincount(row, minlength=12) for row in ancestors])
    assert np.all(np.diff(ancestors) >= 0)
    assert np.all(drawn >= np.floor(expected - 1e-4)) and np.all(drawn <= np.ceil(expected + 1e-4))


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_thousand_particles_are_not_rounded(name):
    # In float32 positions i + u near 1e5 have steps of 0.008; the upper half of the particles would notice.
    count = 100_000
    weights = np.random.default_rng(0).uniform(0.5, 1.5, count).astype(np.float32)
    ancestors = np.asarray(jax.jit(RESAMPLERS[name])(jax.random.key(2), jnp.log(weights)))
    drawn, expected = np.bincount(ancestors, minlength=count), count * weights / weights.sum(dtype=float)
    assert drawn.sum() == count
    for half in (slice(0, count // 2), slice(count // 2, count)):
        heavy = expected[half] > 1.0
        seen, true = drawn[half][heavy].sum(), expected[half][heavy].sum()
        assert abs(seen - true) <= 4 * np.sqrt(true)
    if name in ("systematic", "ssp"):
        assert np.all(drawn >= np.floor(expected - 1e-4)) and np.all(drawn <= np.ceil(expected + 1e-4))


def test_effective_sample_size_and_log_mean_exp_at_their_ends():
    assert float(effective_sample_size(jnp.full(100, 7.3))) == 100.0
    assert float(effective_sample_size(jnp.array([0.0, -jnp.inf, jnp.nan]))) == 1.0
    assert float(effective_sample_size(jnp.full(5, -jnp.inf))) == 1.0
    w = np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(effective_sample_size(jnp.log(w) + 300.0), 1.0 / np.sum(w**2), rtol=1e-4)
    np.testing.assert_allclose(log_mean_exp(jnp.log(w) - 1000.0), np.log(w.mean()) - 1000.0, rtol=1e-6)
    assert float(log_mean_exp(jnp.full(4, -jnp.inf))) == -np.inf


def test_an_unknown_scheme_is_told_the_known_ones():
    assert resolve("ssp") is RESAMPLERS["ssp"] and resolve(RESAMPLERS["ssp"]) is RESAMPLERS["ssp"]
    with pytest.raises(ValueError, match="'systematicc' is none of .*'systematic'"):
        resolve("systematicc")
