import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd


@pytest.mark.parametrize("mask", [None, [1, 0, 1, 1]])
def test_it_holds_the_contract_with_sigma_the_centring_projector(mask, holds_the_contract):
    real = np.ones(4) if mask is None else np.array(mask)
    law = sd.ZeroCentreOfMass(None if mask is None else jnp.array(mask))
    sigma = holds_the_contract(law, jnp.zeros((4, 3)))
    centring = np.diag(real) - np.outer(real, real) / real.sum()
    np.testing.assert_allclose(sigma, np.kron(centring, np.eye(3)), atol=1e-12)
    assert float(law.dimension((4, 3))) == 3 * (real.sum() - 1)


def test_padding_stays_zero_and_changes_nothing():
    padded, plain = sd.ZeroCentreOfMass(jnp.array([1, 1, 1, 1, 0, 0])), sd.ZeroCentreOfMass()
    key, few, many = jax.random.key(0), jnp.zeros((4, 3)), jnp.zeros((6, 3))
    eps = padded.sample(key, many)
    np.testing.assert_array_equal(eps[4:], 0.0)
    np.testing.assert_allclose(eps[:4], plain.sample(key, few), atol=1e-6)
    rubbish = jnp.concatenate([eps[:4], jnp.full((2, 3), jnp.nan)])
    np.testing.assert_allclose(padded.log_prob(rubbish), plain.log_prob(eps[:4]), rtol=1e-6)
    np.testing.assert_allclose(padded.project(rubbish + 1.0), eps, atol=1e-6)
    assert float(padded.dimension(many)) == float(plain.dimension(few)) == 9.0


def test_a_mask_a_sample_is_each_samples_own():
    masks = jnp.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
    law, x = sd.ZeroCentreOfMass(masks), jax.random.normal(jax.random.key(0), (3, 4, 3))
    np.testing.assert_array_equal(law.each("dimension", x), [9.0, 3.0, 6.0])
    alone = [sd.ZeroCentreOfMass(mask) for mask in masks]
    for name in ("log_prob", "project", "covariance", "precision"):
        expected = jnp.stack([getattr(one, name)(row) for one, row in zip(alone, x, strict=True)])
        np.testing.assert_allclose(law.each(name, x), expected, rtol=1e-6)
    keys = jax.random.split(jax.random.key(1), 3)
    expected = [one.sample(key, x[0]) for one, key in zip(alone, keys, strict=True)]
    np.testing.assert_allclose(law.sample_batch(keys, x), jnp.stack(expected), atol=1e-6)


def test_a_mask_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"mask of shape \(3,\)"):
        sd.ZeroCentreOfMass(jnp.ones(3)).project(jnp.ones((4, 3)))
    with pytest.raises(ValueError, match="through noise.each"):
        sd.ZeroCentreOfMass(jnp.ones((2, 4))).project(jnp.ones((4, 3)))
