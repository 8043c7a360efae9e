import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd


@pytest.mark.parametrize("mask", [None, [1, 0, 1]])
def test_it_holds_the_contract_with_sigma_twice_the_projector(mask, holds_the_contract):
    real = np.ones(3) if mask is None else np.array(mask)
    law = sd.Symmetric(None if mask is None else jnp.array(mask))
    sigma = holds_the_contract(law, jnp.zeros((3, 3, 2)))
    expected = np.zeros((3, 3, 3, 3))  # E[eps_ij eps_kl] = [{i, j} = {k, l}] of two different points that are there
    for i, j in ((0, 1), (0, 2), (1, 2)):
        for a, b in ((i, j), (j, i)):
            expected[a, b, i, j] = expected[a, b, j, i] = real[i] * real[j]
    np.testing.assert_allclose(sigma, np.kron(expected.reshape(9, 9), np.eye(2)), atol=1e-12)
    assert float(law.dimension((3, 3, 2))) == 2 * real.sum() * (real.sum() - 1) / 2


def test_a_draw_is_one_standard_normal_number_a_pair():
    eps = np.asarray(jax.jit(lambda key: sd.Symmetric().sample(key, (200, 200, 1)))(jax.random.key(0)))[..., 0]
    np.testing.assert_array_equal(eps, eps.T)
    np.testing.assert_array_equal(np.diag(eps), 0.0)
    pairs = eps[np.triu_indices(200, 1)]
    assert abs(pairs.mean()) < 3 / np.sqrt(len(pairs)) and abs(pairs.var() - 1) < 3 * np.sqrt(2 / len(pairs))


def test_padding_draws_the_same_numbers_and_weighs_the_same():
    key, mask = jax.random.key(0), jnp.array([1, 1, 1, 0, 0])

    @jax.jit
    def ask(key):
        alone, padded = sd.Symmetric().sample(key, (3, 3, 2)), sd.Symmetric(mask).sample(key, (5, 5, 2))
        log_prob = sd.Symmetric(mask).log_prob(padded.at[3:].set(jnp.nan))
        return alone, padded, log_prob, sd.Symmetric().log_prob(alone)

    alone, padded, log_prob, alone_log_prob = jax.tree.map(np.asarray, ask(key))
    np.testing.assert_array_equal(padded[:3, :3], alone)
    assert not np.any(padded[3:]) and not np.any(padded[:, 3:])
    np.testing.assert_allclose(log_prob, alone_log_prob, rtol=1e-6)


def test_a_mask_a_sample_is_each_samples_own():
    masks, keys = jnp.array([[1, 1, 1], [0, 1, 1]]), jax.random.split(jax.random.key(1), 2)
    x, law = np.random.default_rng(0).normal(size=(2, 3, 3, 1)).astype(np.float32), sd.Symmetric(masks)
    together = jax.jit(lambda keys, x: (law.each("project", x), law.sample_batch(keys, x), law.each("dimension", x)))
    projected, draws, dimensions = jax.tree.map(np.asarray, together(keys, x))
    alone = jax.jit(lambda mask, key, x: (sd.Symmetric(mask).project(x), sd.Symmetric(mask).sample(key, x)))
    for i, mask in enumerate(masks):
        expected = alone(mask, keys[i], x[i])
        np.testing.assert_allclose(projected[i], expected[0])
        np.testing.assert_allclose(draws[i], expected[1])
    np.testing.assert_array_equal(dimensions, [3, 1])


def test_a_mask_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"symmetric mask of shape \(2,\): expected \(3,\)"):
        sd.Symmetric(jnp.ones(2)).project(jnp.zeros((3, 3, 1)))
