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


def facts(law, key, x):
    return law.sample(key, x), law.log_prob(x), law.project(x + 1.0), law.dimension(x), law.precision(x)


@jax.jit
def alone(mask, key, x):
    return facts(sd.ZeroCentreOfMass(mask), key, x)


def test_padding_stays_zero_and_changes_nothing():
    key, x = jax.random.key(0), np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    rubbish = np.concatenate([x, np.full((2, 3), np.nan, np.float32)])
    asked = alone(np.array([1, 1, 1, 1, 0, 0]), key, rubbish), alone(None, key, x)
    padded, plain = jax.tree.map(np.asarray, asked)
    for fact, expected in zip(padded, plain, strict=True):
        np.testing.assert_allclose(fact[:4] if fact.ndim else fact, expected, atol=1e-5)
        assert fact.ndim == 0 or np.all(fact[4:] == 0.0)
    assert float(plain[3]) == 9.0


def test_a_mask_a_sample_is_each_samples_own():
    masks = jnp.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])
    x = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(1), 3)
    law = sd.ZeroCentreOfMass(masks)

    @jax.jit
    def together(keys, x):
        methods = (
            law.each("log_prob", x),
            law.each("project", x + 1.0),
            law.each("dimension", x),
            law.each("precision", x),
        )
        return law.sample_batch(keys, x), *methods

    result = jax.tree.map(np.asarray, together(keys, x))
    np.testing.assert_array_equal(result[3], [9.0, 3.0, 6.0])
    for i, mask in enumerate(masks):
        for fact, expected in zip(result, alone(mask, keys[i], x[i]), strict=True):
            np.testing.assert_allclose(fact[i], expected, atol=1e-5)


def test_a_mask_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"mask of shape \(3,\)"):
        sd.ZeroCentreOfMass(jnp.ones(3)).project(jnp.ones((4, 3)))
    with pytest.raises(ValueError, match="through noise.each"):
        sd.ZeroCentreOfMass(jnp.ones((2, 4))).project(jnp.ones((4, 3)))
