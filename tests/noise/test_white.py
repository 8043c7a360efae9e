import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

import sciddm as sd


def test_white_noise_is_standard_normal_and_weighs_itself():
    like = {"a": jax.ShapeDtypeStruct((40, 3), jnp.float32), "b": jax.ShapeDtypeStruct((50,), jnp.float32)}
    draw = jax.jit(lambda key: (sd.White().sample(key, like), sd.White().sample(key, {"a": (40, 3), "b": (50,)})))
    eps, again = jax.tree.map(np.asarray, draw(jax.random.key(0)))
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(eps)])
    assert scipy.stats.kstest(flat, "norm").pvalue > 1e-3
    np.testing.assert_allclose(sd.White().log_prob(eps), scipy.stats.norm.logpdf(flat).sum(), rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, sd.White().project(eps), eps)
    jax.tree.map(np.testing.assert_array_equal, again, eps)


def test_sample_i_of_a_batch_depends_on_its_key_alone():
    keys = jax.random.split(jax.random.key(1), 5)
    many = sd.White().sample_batch(keys, jax.ShapeDtypeStruct((5, 7), jnp.float32))
    few = sd.White().sample_batch(keys[3:], jax.ShapeDtypeStruct((2, 7), jnp.float32))
    np.testing.assert_array_equal(many[3:], few)


def test_white_noise_asks_nothing_of_what_asks_it_for_sigma():
    x = {"a": np.random.default_rng(2).normal(size=(4, 3, 2)).astype(np.float32), "b": np.ones((4, 5), np.float32)}
    for name in ("project", "covariance", "precision"):
        assert str(jax.make_jaxpr(lambda v, name=name: sd.White().each(name, v))(x)).count("=") == 0
    np.testing.assert_array_equal(sd.White().each("dimension", x), np.full(4, 11.0))
    expected = scipy.stats.norm.logpdf(x["a"]).sum((1, 2)) + 5 * scipy.stats.norm.logpdf(1.0)
    np.testing.assert_allclose(sd.White().each("log_prob", x), expected, rtol=1e-5)


def test_white_noise_holds_the_contract_with_sigma_the_identity(holds_the_contract):
    sigma = holds_the_contract(sd.White(), {"a": jnp.zeros((2, 2)), "b": jnp.zeros(3)})
    np.testing.assert_array_equal(sigma, np.eye(7))
