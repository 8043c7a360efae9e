"""A reward as a potential."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_domain import exact_model

from sciddm.domain import Reward, reward_potential
from sciddm.errors import UserError


@pytest.fixture
def model(tmp_path):
    return exact_model(tmp_path)


def test_the_potential_is_the_reward_in_spreads_of_the_data_times_the_strength(model):
    z = jax.random.normal(jax.random.key(0), (5, 2))
    x, spread = 1.0 + 2.0 * z, model.domain.points[:, 0].std()
    potential = reward_potential(model.domain, "right", 3.0)
    np.testing.assert_allclose(potential(z, 0.3), 3.0 * x[:, 0] / spread, rtol=1e-5)
    np.testing.assert_allclose(reward_potential(model.domain, "up", -1.0)(z), -x[:, 1] / 0.5, rtol=1e-5)
    traced = []

    @eqx.filter_jit
    def twice(potential, z):
        traced.append(1)
        return 2.0 * potential(z, 0.0)

    for strength in (1.0, 2.0):
        twice(reward_potential(model.domain, "right", strength), z)
    assert len(traced) == 1
    model.domain.rewards = {
        "steps": Reward(lambda x: jax.lax.while_loop(lambda v: jnp.any(v > 9), lambda v: v - 1, x)[:, 0], "1", "steps",
                        scale=1.0, differentiable=False),
        "flat": Reward(lambda x: 0.0 * x[:, 0], "1", "steps"),
    }  # fmt: skip
    gradient = jax.grad(lambda z: reward_potential(model.domain, "steps")(z, 0.0).sum())(z)
    np.testing.assert_array_equal(gradient, np.zeros((5, 2)))
    with pytest.raises(UserError, match="give it a scale, in 1"):
        reward_potential(model.domain, "flat")
    for strength in (0.0, np.nan):
        with pytest.raises(UserError, match="finite number other than 0"):
            reward_potential(model.domain, "steps", strength)
