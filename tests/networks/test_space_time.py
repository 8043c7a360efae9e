import jax
import numpy as np
import pytest
from flax import nnx
from networks.common import check_condition, filled, normal, run

from sciddm.networks import SpaceTime, split
from sciddm.networks.dit import positions


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


@pytest.mark.parametrize("ndim", [1, 3])
def test_before_attention_a_value_reaches_the_variables_of_its_own_frame_and_patch_alone(ndim):
    # Fresh blocks are the identity: what is left is the way from patches to tokens and back.
    fresh = split(SpaceTime(3, variables=2, ndim=ndim, dim=24, depth=1, heads=2, patch=2, features=16, rngs=nnx.Rngs(0)))
    head = jax.tree.map(lambda leaf: normal(1, *leaf.shape), fresh.params["head"])
    net, x = fresh.replace(fresh.params | {"head": head}), normal(2, 1, *(4, 6, 2)[:ndim], 6)
    touched = x.copy()
    at = (0,) + (1,) * ndim
    touched[at + (3,)] += 1.0  # the second variable of the second frame
    moved = np.abs(run(net, touched, 0.1) - run(net, x, 0.1)) > 1e-6
    expected = np.zeros_like(moved)
    expected[(0,) + (slice(0, 2),) * ndim + (slice(2, 4),)] = True
    np.testing.assert_array_equal(moved, expected)


def test_an_embedding_conditions_all_frames_whether_their_levels_differ_or_not():
    options = {"dim": 16, "depth": 1, "heads": 2, "patch": 2, "features": 16, "embedding_features": 5}
    net, x = filled(SpaceTime(4, ndim=1, **options, rngs=nnx.Rngs(0)), 0.1), normal(2, 3, 6, 4)
    cond = {"embedding": normal(3, 3, 5)}
    given = check_condition(net, x, cond)
    np.testing.assert_allclose(run(net, x, np.full((3, 1, 4), 0.2, np.float32), cond), given, rtol=1e-4, atol=1e-5)


def test_ends_of_a_periodic_axis_are_neighbours_in_the_embedding_of_places():
    table = np.asarray(positions((6, 5), 32, (False, True))).reshape(6, 5, 32)
    apart = np.linalg.norm(np.roll(table, -1, 1) - table, axis=-1)
    np.testing.assert_allclose(apart, apart[0, 0], rtol=1e-5)
    steps = np.linalg.norm(np.roll(table, -1, 0) - table, axis=-1)[:, 0]
    assert steps[-1] > 1.5 * steps[0]
