import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd


def test_masked_white_noise_holds_the_contract(holds_the_contract):
    law = sd.Masked({"a": jnp.array([[1], [0], [1]]), "b": jnp.array([0, 1])})
    sigma = holds_the_contract(law, {"a": jnp.zeros((3, 2)), "b": jnp.zeros(2)})
    np.testing.assert_array_equal(sigma, np.diag([1, 1, 0, 0, 1, 1, 0, 1]))


def test_masked_coloured_noise_is_the_fields_own_law_where_it_is_there(holds_the_contract):
    field = sd.SpectralField.power_law((4, 5), 3.0, 2.0, nugget=0.02)
    mask = jnp.ones((4, 5, 1)).at[1:3, 2:4].set(0.0)
    sigma = holds_the_contract(sd.Masked(mask, field), jnp.zeros((4, 5, 1)), draws=5000)
    full = jax.jit(jax.vmap(lambda row: field.covariance(row.reshape(4, 5, 1)).ravel()))(jnp.eye(20))
    keep = np.ravel(mask)
    np.testing.assert_allclose(sigma, keep[:, None] * np.asarray(full) * keep, atol=1e-12)


def test_padding_stays_zero_and_changes_nothing():
    padded = sd.Masked(jnp.array([1, 1, 1, 0])[:, None])

    @jax.jit
    def ask(key):
        eps = padded.sample(key, (4, 2))
        rubbish = eps.at[3].set(jnp.nan)
        log_prob, projected = padded.log_prob(rubbish), padded.project(rubbish)
        return eps, sd.White().sample(key, (3, 2)), log_prob, sd.White().log_prob(eps[:3]), projected

    eps, alone, log_prob, alone_log_prob, projected = jax.tree.map(np.asarray, ask(jax.random.key(0)))
    np.testing.assert_array_equal(eps[3], 0.0)
    np.testing.assert_array_equal(eps[:3], alone)
    np.testing.assert_allclose(log_prob, alone_log_prob, rtol=1e-6)
    np.testing.assert_array_equal(projected, eps)
    assert float(padded.dimension((4, 2))) == 6.0


def test_a_mask_a_sample_is_each_samples_own_and_a_shared_one_everyones():
    masks = jnp.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]])[..., None]
    field = sd.SpectralField.power_law((4,), 2.0, 1.0)
    x = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(sd.Masked(masks).each("dimension", x), [8.0, 4.0, 6.0])
    np.testing.assert_array_equal(sd.Masked(masks[1]).each("dimension", x), [4.0, 4.0, 4.0])
    names = ("log_prob", "covariance", "precision")
    alone = jax.jit(lambda mask, row: [getattr(sd.Masked(mask, field), name)(row) for name in names])
    expected = [alone(mask, row) for mask, row in zip(masks, x, strict=True)]
    together = jax.jit(lambda v: [sd.Masked(masks, field).each(name, v) for name in names])(x)
    for ours, rows in zip(together, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(ours, np.stack(rows), rtol=1e-4, atol=1e-5)


def test_masks_of_the_wrong_rank_and_singular_inner_laws_are_refused():
    with pytest.raises(ValueError, match="as many axes"):
        sd.Masked(jnp.ones(4)).project(jnp.ones((4, 2)))
    for inner in (sd.ZeroCentreOfMass(), sd.Spherical(jnp.ones(2), (4, 8), nugget=0.0)):
        with pytest.raises(ValueError, match="full rank"):
            sd.Masked(jnp.ones((4, 1)), inner)
