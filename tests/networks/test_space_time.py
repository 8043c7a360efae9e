import numpy as np
import pytest
from flax import nnx
from networks.common import filled, normal, run

from sciddm.networks import SpaceTime


def test_space_time_takes_a_noise_level_a_frame_and_keeps_frames_of_a_batch_apart():
    sizes = {"dim": 16, "depth": 2, "heads": 2, "patch": 4, "features": 16}
    net = filled(SpaceTime(6, **sizes, concat_channels=4, rngs=nnx.Rngs(0)), 0.1)
    x, cond, level = normal(2, 3, 8, 12, 6), {"concat": normal(3, 3, 8, 12, 4)}, np.float32([0.1, 0.4, -0.3])
    out = run(net, x, level, cond)
    assert out.shape == x.shape
    # one level for all frames is the same as that level for each
    per_frame = np.tile(level[:, None, None, None], (1, 1, 1, 6))
    np.testing.assert_allclose(run(net, x, per_frame, cond), out, atol=1e-5)
    per_frame[..., 2] += 1.0
    assert np.abs(run(net, x, per_frame, cond) - out).max() > 1e-3
    # sample i does not depend on the others
    np.testing.assert_allclose(run(net, x[1:2], level[1:2], {"concat": cond["concat"][1:2]}), out[1:2], atol=1e-5)
    with pytest.raises(ValueError, match="multiples of 4"):
        net(x[:, :6], level, None)


def test_space_time_attends_over_space_and_over_time():
    net = filled(SpaceTime(4, dim=16, depth=1, heads=2, patch=2, features=16, rngs=nnx.Rngs(0)), 0.1)
    x = normal(2, 1, 8, 8, 4)
    touched = x.copy()
    touched[0, 0, 0, 1] += 1.0
    moved = np.abs(run(net, touched, np.zeros(1, np.float32)) - run(net, x, np.zeros(1, np.float32)))[0]
    assert moved[6:, 6:, 1].max() > 1e-5  # another place of the same frame
    assert moved[:2, :2, 3].max() > 1e-5  # another frame of the same place
