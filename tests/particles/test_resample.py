"""The laws of resampling, for every scheme: unbiased, never from the dead, and still where all are equal."""

import functools

import jax
import numpy as np
import pytest

from sciddm.particles.resample import RESAMPLERS, effective_sample_size, log_mean_exp, resolve

WEIGHTS = np.array([0.31, 0.02, 0.0, 0.17, 0.05, 0.22, 0.11, 0.12])
NAMES = sorted(RESAMPLERS)
ROWS = 4000  # problems of eight particles each: one program a scheme serves most tests


@functools.partial(jax.jit, static_argnames=("name", "count"))
def resampled(name, keys, log_weights, count=None):
    return jax.vmap(lambda key, row: RESAMPLERS[name](key, row, count))(keys, log_weights)


def ancestors(name, weights, count=None, log=np.log):
    """(ROWS, count or 8) of independent resamplings, by weights (8,) or one set a row."""
    with np.errstate(divide="ignore"):
        log_weights = log(np.broadcast_to(weights, (ROWS, 8))).astype(np.float32)
    return np.asarray(resampled(name, jax.random.split(jax.random.key(3), ROWS), log_weights, count))


def children(name, weights, **options):
    """(ROWS, 8) numbers of children."""
    return np.stack([np.bincount(row, minlength=8) for row in ancestors(name, weights, **options)])


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
    weights = np.random.default_rng(0).dirichlet(np.ones(8))
    spread = {name: children(name, weights).var(0).sum() for name in NAMES}
    multinomial = spread.pop("multinomial")
    assert max(spread.values()) < 0.6 * multinomial
    assert spread["systematic"] == pytest.approx(spread["ssp"], rel=0.05)  # both of one fraction: f (1 - f)
    assert spread["systematic"] < spread["stratified"] and spread["systematic"] < spread["residual"]


@pytest.mark.parametrize("count", [1, 8, 100_000])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"multinomial"}))
def test_equal_weights_keep_every_particle_exactly_once(name, count):
    if count == 8:
        np.testing.assert_array_equal(children(name, -3.7, log=np.asarray), 1)
    else:
        found = jax.jit(RESAMPLERS[name])(jax.random.key(1), np.full(count, -3.7, np.float32))
        np.testing.assert_array_equal(np.sort(found), np.arange(count))


@pytest.mark.parametrize("name", NAMES)
def test_the_dead_have_no_children(name):
    found = ancestors(name, [0.0, 0.3, np.nan, 0.7, 0.0, 0.0, np.nan, 0.0])
    assert set(found.ravel()) == {1, 3}
    one_alive = np.full(8, -np.inf)
    one_alive[6] = -1e4
    np.testing.assert_array_equal(ancestors(name, one_alive, log=np.asarray), 6)
    np.testing.assert_array_equal(ancestors(name, -np.inf, log=np.asarray), np.tile(np.arange(8), (ROWS, 1)))


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_problems_is_each_problem_by_itself(name):
    log_weights = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    keys = jax.random.split(jax.random.key(1), 3)
    batch = np.asarray(resampled(name, keys, log_weights))
    assert batch.dtype == np.int32
    alone = jax.jit(RESAMPLERS[name])
    for row, key, one in zip(batch, keys, log_weights, strict=True):
        np.testing.assert_array_equal(row, alone(key, one))


@pytest.mark.parametrize("name", ["systematic", "ssp"])
def test_any_weights_give_floor_or_ceil(name):
    rng = np.random.default_rng(0)
    log_weights = (rng.uniform(-60.0, 60.0, (ROWS, 8)) * rng.uniform(size=(ROWS, 1)) ** 3).astype(np.float32)
    weights = np.exp(log_weights.astype(float) - log_weights.max(1, keepdims=True))
    expected = 8 * weights / weights.sum(1, keepdims=True)
    found = ancestors(name, log_weights, log=np.asarray)
    drawn = np.stack([np.bincount(row, minlength=8) for row in found])
    assert np.all(np.diff(found) >= 0)
    assert np.all(drawn >= np.floor(expected - 1e-4)) and np.all(drawn <= np.ceil(expected + 1e-4))


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_thousand_particles_are_not_rounded(name):
    # In float32 positions i + u near 1e5 have steps of 0.008; the upper half of the particles would notice.
    count = 100_000
    weights = np.random.default_rng(0).uniform(0.5, 1.5, count).astype(np.float32)
    found = np.asarray(jax.jit(RESAMPLERS[name])(jax.random.key(2), np.log(weights)))
    drawn, expected = np.bincount(found, minlength=count), count * weights / weights.sum(dtype=float)
    assert drawn.sum() == count
    for half in (slice(0, count // 2), slice(count // 2, count)):
        heavy = expected[half] > 1.0
        seen, true = drawn[half][heavy].sum(), expected[half][heavy].sum()
        assert abs(seen - true) <= 4 * np.sqrt(true)
    if name in ("systematic", "ssp"):
        assert np.all(drawn >= np.floor(expected - 1e-4)) and np.all(drawn <= np.ceil(expected + 1e-4))


def test_effective_sample_size_and_log_mean_exp_at_their_ends():
    size, mean = (
        lambda values, function=jax.jit(f): float(function(np.asarray(values, np.float32)))
        for f in (effective_sample_size, log_mean_exp)
    )
    nobody, w = [-np.inf] * 5, np.array([0.2, 0.3, 0.1, 0.15, 0.25])
    assert size([7.3] * 5) == 5.0
    assert size([0.0, -np.inf, np.nan, -np.inf, np.nan]) == 1.0
    assert size(nobody) == 1.0
    np.testing.assert_allclose(size(np.log(w) + 300.0), 1.0 / np.sum(w**2), rtol=1e-4)
    np.testing.assert_allclose(mean(np.log(w) - 1000.0), np.log(w.mean()) - 1000.0, rtol=1e-6)
    assert mean(nobody) == -np.inf


def test_an_unknown_scheme_is_told_the_known_ones():
    assert resolve("ssp") is RESAMPLERS["ssp"] and resolve(RESAMPLERS["ssp"]) is RESAMPLERS["ssp"]
    with pytest.raises(ValueError, match="'systematicc' is none of .*'systematic'"):
        resolve("systematicc")
