"""Several measurements are one: the exact posterior of all, whatever units each is in; a likelihood to a power."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm import lookahead
from sciddm.lookahead import Observation, operators

COVARIANCE = np.array([[1.0, 0.7, 0.3], [0.7, 1.0, 0.5], [0.3, 0.5, 1.0]])
PRIOR = sd.oracle.GaussianMixture([1.0], jnp.zeros((1, 3)), COVARIANCE)
PROCESS = sd.GaussianProcess.vp()
FIRST, SECOND = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 1.0]])
BIG = 1e6  # the second is in millionths of the unit of the first


def both():
    return Observation(FIRST, [0.5, -1.0], [0.2, 0.4]), Observation(BIG * SECOND, [0.8 * BIG], 0.3 * BIG)


def exact():
    return PRIOR.posterior(jnp.asarray(np.vstack([FIRST, SECOND])), jnp.array([0.5, -1.0, 0.8]), jnp.array([0.2, 0.4, 0.3]))


@pytest.mark.parametrize("t", [0.2, 0.6, 0.95])
def test_measurements_in_units_a_million_apart_meet_the_exact_posterior_in_as_many_iterations_as_values(t):
    x_t = jax.random.normal(jax.random.key(0), (5, 3))
    guided = lookahead.mmps(PRIOR.denoiser(PROCESS), lookahead.join(both()), iterations=3)
    expected = exact().denoiser(PROCESS)(x_t, t)
    np.testing.assert_allclose(guided(x_t, t), expected, atol=2e-4)
    np.testing.assert_allclose(
        lookahead.mmps(PRIOR.denoiser(PROCESS), lookahead.join(both()[::-1]), iterations=3)(x_t, t), expected, atol=2e-4
    )


def test_one_alone_is_itself_and_none_is_refused():
    one = both()[0]
    assert lookahead.join([one]) is one
    with pytest.raises(ValueError, match="no observation"):
        lookahead.join([])


def test_log_likelihoods_add_up_and_what_is_missing_counts_for_nothing():
    x = np.array([[0.2, 1.0, -0.5], [-0.4, 2.0, 0.1]], np.float32)
    missing = Observation(operators.Points(jnp.array([0, 2])), [0.3, np.nan], 0.1)
    of_pairs = Observation(lambda x: {"sum": x.sum(1), "first": x[:, 0]}, {"sum": 1.0, "first": 0.1}, lookahead.Laplace(0.5))
    parts = [*both(), missing, of_pairs]
    np.testing.assert_allclose(lookahead.join(parts)(x), sum(one(x) for one in parts), rtol=1e-5)
    drawn = lookahead.join(parts).simulate(jax.random.key(1), x)
    assert np.isnan(drawn[2][:, 1]).all() and np.isfinite(drawn[2][:, 0]).all() and np.isfinite(drawn[3]["sum"]).all()


def test_a_likelihood_to_a_power_is_that_power_and_other_laws_have_none():
    x, one = np.array([[0.2, 1.0, -0.5], [-0.4, 2.0, 0.1]], np.float32), both()[0]
    gap = lambda observation: np.diff(np.asarray(observation(x)))  # noqa: E731
    np.testing.assert_allclose(gap(one.tempered(0.25)), 0.25 * gap(one), rtol=1e-5)
    assert one.tempered(1) is one
    with pytest.raises(ValueError, match="Laplace noise has none"):
        Observation(lambda x: x[:, 0], 1.0, lookahead.Laplace(1.0)).tempered(2.0)
    with pytest.raises(ValueError, match="above 0"):
        one.tempered(0.0)
