import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sciddm.networks import SpaceTime, split


def test_space_time_takes_a_noise_level_a_frame_and_keeps_frames_of_a_batch_apart():
    net = split(SpaceTime(6, dim=16, depth=2, heads=2, patch=4, features=16, concat_channels=4, rngs=nnx.Rngs(0)))
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(1), p.shape), net.params)
    x = jax.random.normal(jax.random.key(2), (3, 8, 12, 6))
    cond = {"concat": jax.random.normal(jax.random.key(3), (3, 8, 12, 4))}
    apply = jax.jit(lambda x, level, cond: net.replace(params)(x, level, cond))
    level = jnp.asarray([0.1, 0.4, -0.3])
    out = apply(x, level, cond)
    assert out.shape == x.shape
    # one level for all frames is the same as that level for each
    per_frame = jnp.broadcast_to(level[:, None, None, None], (3, 1, 1, 6))
    np.testing.assert_allclose(apply(x, per_frame, cond), out, atol=1e-5)
    assert np.abs(apply(x, per_frame.at[..., 2].add(1.0), cond) - out).max() > 1e-3
    # sample i does not depend on the others
    np.testing.assert_allclose(apply(x[1:2], level[1:2], {"concat": cond["concat"][1:2]}), out[1:2], atol=1e-5)
    with pytest.raises(ValueError, match="multiples of 4"):
        net(x[:, :6], level, None)


def test_space_time_attends_over_space_and_over_time():
    net = split(SpaceTime(4, dim=16, depth=1, heads=2, patch=2, features=16, rngs=nnx.Rngs(0)))
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(1), p.shape), net.params)
    x = jax.random.normal(jax.random.key(2), (1, 8, 8, 4))
    apply = jax.jit(lambda x: net.replace(params)(x, jnp.zeros(1), None))
    moved = np.abs(apply(x.at[0, 0, 0, 1].add(1.0)) - apply(x))[0]
    assert moved[6:, 6:, 1].max() > 1e-5  # another place of the same frame
    assert moved[:2, :2, 3].max() > 1e-5  # another frame of the same place
