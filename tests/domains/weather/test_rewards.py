import jax.numpy as jnp
import numpy as np
import pytest

from domains.weather.transform import NO_ECHO, encode


def test_rewards_are_those_of_the_future_frames(domain):
    x = np.full((2, 32, 32, 16), NO_ECHO, np.float32)
    x[1, ..., 4:] = encode(np.float32(23.0103))  # 1 mm/h
    rain = domain.rewards["rain"].function(jnp.asarray(x))
    assert rain[0] < 0.01 and rain[1] == pytest.approx(1.0, rel=1e-4)
    x[1, 3:5, 3:5, -1] = x[1, 9, 9, -1] = 40.0
    assert domain.rewards["last cells"].function(jnp.asarray(x)).tolist() == [0.0, 2.0]
    x[..., :4] = 60.0
    assert domain.rewards["rain"].function(jnp.asarray(x))[0] < 0.01
