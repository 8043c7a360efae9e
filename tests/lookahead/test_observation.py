import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import sciddm as sd

A = jnp.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = jnp.array([0.7, -0.4])


def test_log_likelihood_is_normalised():
    obs = sd.lookahead.Observation(A, Y, jnp.array([0.3, 0.8]))
    x = jax.random.normal(jax.random.key(0), (6, 3))
    expected = scipy.stats.norm(Y, [0.3, 0.8]).logpdf(np.asarray(x @ A.T)).sum(1)
    np.testing.assert_allclose(obs.log_likelihood(x), expected, rtol=1e-4)
    each = sd.lookahead.Observation(lambda v: v[:, :2], x[:, :2], 1.0)
    np.testing.assert_allclose(each.log_likelihood(x), np.full(6, -np.log(2 * np.pi)), rtol=1e-5)


def test_a_value_that_does_not_fit_is_named():
    prior = sd.oracle.GaussianMixture([1.0], [[0.0, 0.0, 0.0]], 1.0).denoiser(sd.GaussianProcess.vp())
    with pytest.raises(ValueError, match="value of shape"):
        sd.lookahead.pigdm(prior, sd.lookahead.Observation(A, jnp.zeros(3), 0.1))(jnp.zeros((4, 3)), 0.5)
    with pytest.raises(ValueError, match="negative"):
        sd.lookahead.Observation(A, Y, -0.1)
