import numpy as np
import pytest
from flax import nnx
from networks.common import normal, run
from networks.patches import COND, field, make

from sciddm.networks import DiT, split
from sciddm.networks.dit import positions


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_output_is_like_x_in_one_two_and_three_dimensions(ndim):
    out = run(make(ndim), field(ndim), np.float32([-1.0, 0.0, 2.0]))
    assert out.shape == field(ndim).shape and np.all(np.isfinite(out))


def test_a_fresh_network_answers_zero_and_its_blocks_are_the_identity():
    module = DiT(3, dim=16, depth=2, token_features=5, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(run(split(module), field(), 0.5, {"tokens": COND["tokens"]}), 0.0)
    h, block = normal(0, 2, 4, 16), nnx.jit(lambda module, *x: module.blocks[0](*x))
    np.testing.assert_array_equal(block(module, h, np.ones((2, 128), np.float32), np.ones((2, 3, 5), np.float32)), h)


def test_one_noise_level_for_all_equals_one_each_and_samples_are_independent():
    network, x = make(), field()
    shared = run(network, x, 0.3)
    np.testing.assert_allclose(run(network, x, np.full(3, 0.3, np.float32)), shared, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(network, x[:1], 0.3), shared[:1], rtol=1e-4, atol=1e-5)
    assert np.abs(run(network, x, 1.3) - shared).max() > 1e-3


def test_every_patch_sees_every_other_and_knows_where_it_is():
    network, x = make(), field()
    moved = x.copy()
    moved[:, 0, 0, 0] += 1.0
    touched = run(network, moved, 0.1) - run(network, x, 0.1)
    assert np.abs(touched).min(axis=(0, 3)).min() > 0
    rolled = lambda y: np.roll(y, 2, 1)  # noqa: E731  one patch
    assert np.abs(run(network, rolled(x), 0.1) - rolled(run(network, x, 0.1))).max() > 1e-3


@pytest.mark.parametrize("grid", [(9,), (3, 4), (2, 3, 4)])
def test_positions_of_all_points_differ_and_have_one_length(grid):
    table = np.asarray(positions(grid, 24))
    distances = np.linalg.norm(table[:, None] - table[None], axis=-1)
    assert (distances + np.eye(len(table)) > 0.1).all()
    np.testing.assert_allclose((table**2).sum(1), 12.0, rtol=1e-5)  # sin^2 + cos^2 in each pair


def test_wrong_grids_conditions_and_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of 2"):
        run(make(), np.zeros((1, 8, 7, 3), np.float32), 0.0)
    with pytest.raises(ValueError, match=r"cond has \['token'\]: this network takes \['keep', 'tokens'\]"):
        run(make(token_features=5), field(), 0.1, {"token": COND["tokens"]})
    with pytest.raises(ValueError, match="heads that divide dim"):
        DiT(3, dim=16, heads=3, rngs=nnx.Rngs(0))
