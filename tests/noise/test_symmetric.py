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
    eps = sd.Symmetric().sample(jax.random.key(0), (200, 200, 1))[..., 0]
    np.testing.assert_array_equal(eps, eps.T)
    np.testing.assert_array_equal(np.diag(eps), 0.0)
    pairs = np.asarray(eps)[np.triu_indices(200, 1)]
    assert abs(pairs.mean()) < 3 / np.sqrt(len(pairs)) and abs(pairs.var() - 1) < 3 * np.sqrt(2 / len(pairs))


def test_padding_draws_the_same_numbers_and_weighs_the_same():
    key, mask = jax.random.key(0), jnp.array([1, 1, 1, 0, 0])
    alone, padded = sd.Symmetric().sample(key, (3, 3, 2)), sd.Symmetric(mask).sample(key, (5, 5, 2))
    np.testing.assert_array_equal(padded[:3, :3], alone)
    assert not np.any(padded[3:]) and not np.any(padded[:, 3:])
    rubbish = padded.at[3:].set(jnp.nan)
    np.testing.assert_allclose(sd.Symmetric(mask).log_prob(rubbish), sd.Symmetric().log_prob(alone), rtol=1e-6)


def test_a_mask_a_sample_is_each_samples_own():
    masks, keys = jnp.array([[1, 1, 1], [0, 1, 1]]), jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(jax.random.key(0), (2, 3, 3, 1))
    together = sd.Symmetric(masks)
    for i, mask in enumerate(masks):
        law = sd.Symmetric(mask)
        np.testing.assert_allclose(together.each("project", x)[i], law.project(x[i]))
        np.testing.assert_allclose(together.sample_batch(keys, x)[i], law.sample(keys[i], x[i]))
    np.testing.assert_array_equal(together.each("dimension", x), [3, 1])


def test_a_mask_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"symmetric mask of shape \(2,\): expected \(3,\)"):
        sd.Symmetric(jnp.ones(2)).project(jnp.zeros((3, 3, 1)))
