"""Weights to the power that the effective sample size allows, against two groups whose ESS is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciddm as sd
from sciddm.particles import reweighed


@pytest.mark.parametrize("nats", [5.0, 5000.0])
def test_members_are_weighed_by_the_power_that_leaves_the_least_share(nats):
    # half of them c nats worse: with r = e^(-b c), ESS / K = (1 + r)^2 / (2 + 2 r^2), which is .8 at r = 1/3
    x = jnp.arange(8.0)[:, None]
    result = reweighed(x, lambda x_0, t: 3e3 - nats * (x_0[:, 0] >= 4), least=0.8)
    np.testing.assert_allclose(result.info["power"], np.log(3.0) / nats, rtol=1e-4)
    np.testing.assert_allclose(result.ess, 0.8 * 8, rtol=1e-3)
    np.testing.assert_allclose(result.mean(lambda x: x[:, 0] >= 4), 0.25, rtol=1e-3)
    assert np.isnan(result.log_evidence)


def test_a_soft_potential_is_taken_whole_and_a_member_without_any_is_out_where_others_may_stay():
    x = jnp.arange(4.0)[:, None]
    soft = reweighed(x, sd.lookahead.Observation(lambda x_0: x_0, jnp.array([1.0]), 10.0))
    assert soft.info["power"] == 1.0
    np.testing.assert_allclose(
        soft.log_weights - soft.log_weights[1], -0.5 * np.array([1.0, 0.0, 1.0, 4.0]) / 100.0, atol=1e-6
    )
    lost = reweighed(x, lambda x_0, t: jnp.where(x_0[:, 0] > 2, -jnp.inf, 0.0))
    np.testing.assert_allclose(jax.nn.softmax(lost.log_weights), [1 / 3, 1 / 3, 1 / 3, 0.0], atol=1e-6)
    equal = reweighed(x, lambda x_0, t: jnp.where(x_0[:, 0] > 2, -jnp.inf, 0.0), least=1.0)
    np.testing.assert_array_equal(equal.log_weights, 0.0)


def test_shares_and_exact_observations_are_refused():
    with pytest.raises(ValueError, match="least = 0"):
        reweighed(jnp.zeros((2, 1)), lambda x_0, t: x_0[:, 0], least=0)
    with pytest.raises(ValueError, match="noise_std"):
        reweighed(jnp.zeros((2, 1)), sd.lookahead.Observation(lambda x_0: x_0, jnp.array([1.0]), 0.0))
