import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from networks.common import check_condition, filled, normal, run

from sciddm.networks import EGNN, split

POINTS, FEATURES = 5, 4


def make(**options):
    """A small network whose zero-initialised layers are filled, so that every path counts."""
    return filled(EGNN(FEATURES, hidden=16, layers=2, rngs=nnx.Rngs(0), **options))


def cloud(points=POINTS, batch=3):
    return {"positions": normal(2, batch, points, 3), "features": normal(3, batch, points, FEATURES)}


def with_positions(x, change):
    return x | {"positions": change(x["positions"])}


def assert_close(ours, expected, tolerance=1e-4):
    for name in expected:
        np.testing.assert_allclose(ours[name], expected[name], rtol=tolerance, atol=tolerance)


def orthogonal(determinant):
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q[:, 0] *= determinant * np.sign(np.linalg.det(q))
    return q.astype(np.float32)


def test_output_is_like_x_and_a_fresh_network_answers_zero():
    fresh = run(split(EGNN(FEATURES, hidden=16, layers=2, rngs=nnx.Rngs(0))), cloud(), np.float32([-1.0, 0.0, 2.0]))
    full = run(make(), cloud(), 0.3)
    for name, leaf in cloud().items():
        assert fresh[name].shape == leaf.shape and full[name].shape == leaf.shape
        np.testing.assert_array_equal(fresh[name], 0.0)
        assert np.abs(full[name]).mean() > 1e-2


@pytest.mark.parametrize("determinant", [1.0, -1.0], ids=["rotation", "reflection"])
def test_positions_turn_with_x_and_features_do_not(determinant):
    network, x, q = make(), cloud(), orthogonal(determinant)
    out = run(network, x, 0.3)
    assert_close(run(network, with_positions(x, lambda r: r @ q), 0.3), with_positions(out, lambda r: r @ q))


def test_the_answer_does_not_see_a_translation_and_has_zero_centre_of_mass():
    network, x = make(), cloud()
    out = run(network, x, 0.3)
    assert_close(run(network, with_positions(x, lambda r: r + np.float32([3.0, -2.0, 1.0])), 0.3), out)
    np.testing.assert_allclose(out["positions"].mean(1), 0.0, atol=1e-5)


def test_the_answer_follows_a_permutation():
    network, x, order = make(), cloud(), np.array([3, 0, 4, 2, 1])
    shuffle = lambda tree: jax.tree.map(lambda leaf: leaf[:, order], tree)  # noqa: E731
    assert_close(run(network, shuffle(x), 0.3), shuffle(run(network, x, 0.3)))


def test_padding_changes_nothing_and_is_answered_with_zero():
    network, x = make(), cloud()
    alone = run(network, x, 0.3)
    padded = jax.tree.map(lambda leaf: np.pad(leaf, ((0, 0), (0, 2), (0, 0)), constant_values=7.0), x)
    mask = np.pad(np.ones((3, POINTS), np.float32), ((0, 0), (0, 2)))
    out = run(network, padded, 0.3, {"mask": mask})
    assert_close(jax.tree.map(lambda leaf: leaf[:, :POINTS], out), alone, 1e-5)
    for leaf in jax.tree.leaves(out):
        np.testing.assert_array_equal(leaf[:, POINTS:], 0.0)


def test_every_point_sees_every_other_and_gradients_are_finite_where_two_coincide():
    network, x = make(), cloud()
    first = np.arange(POINTS)[None, :, None] == 0
    moved = with_positions(x, lambda r: r + np.float32(0.3) * first)
    out, other = run(network, x, 0.3), run(network, moved, 0.3)
    assert all(np.abs(other[name] - out[name]).max(-1).min() > 1e-5 for name in x)
    together = with_positions(x, lambda r: np.where(first, r[:, 1:2], r))
    slope = jax.jit(jax.grad(lambda y: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(network(y, 0.3)))))(together)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))


def test_one_noise_level_for_all_equals_one_each():
    network = make()
    shared = run(network, cloud(), 0.3)
    assert_close(run(network, cloud(), np.full(3, 0.3, np.float32)), shared, 1e-5)
    assert np.abs(run(network, cloud(), 1.3)["features"] - shared["features"]).max() > 1e-3


@pytest.mark.parametrize("kind", ["concat", "embedding"])
def test_conditions_count_and_keep_zero_is_unconditional(kind):
    network = make(concat_channels=2, embedding_features=6)
    given = {kind: normal(5, *{"concat": (3, POINTS, 2), "embedding": (3, 6)}[kind])}
    check_condition(network, cloud(), given, 1e-5)


def with_pairs(points=POINTS):
    """A cloud with symmetric features of its pairs, and such that are given."""
    pairs = normal(7, 3, points, points, 5)
    pairs = (pairs + pairs.swapaxes(1, 2)) * (1 - np.eye(points, dtype=np.float32))[None, :, :, None]
    return cloud(points) | {"pairs": pairs[..., :2]}, {"pairs": pairs[..., 2:]}


PAIRS = {"pair_features": 2, "pair_concat_channels": 3, "radial": 4}


@pytest.mark.parametrize("determinant", [1.0, -1.0], ids=["rotation", "reflection"])
def test_pairs_are_answered_symmetric_whatever_way_x_is_turned(determinant):
    network, (x, cond), q = make(**PAIRS), with_pairs(), orthogonal(determinant)
    out = run(network, x, 0.3, cond)
    turned = run(network, with_positions(x, lambda r: r @ q + 1.0), 0.3, cond)
    assert_close(turned, with_positions(out, lambda r: r @ q))
    np.testing.assert_allclose(out["pairs"], np.swapaxes(out["pairs"], 1, 2), atol=1e-6)
    np.testing.assert_array_equal(np.asarray(out["pairs"])[:, range(POINTS), range(POINTS)], 0.0)
    assert np.abs(out["pairs"]).max() > 1e-2


def test_the_answer_with_pairs_follows_a_permutation_and_sees_both_kinds_of_pair():
    network, (x, cond), order = make(**PAIRS), with_pairs(), np.array([3, 0, 4, 2, 1])

    def shuffle(tree):
        return {k: v[:, order][:, :, order] if k == "pairs" else v[:, order] for k, v in tree.items()}

    out = run(network, x, 0.3, cond)
    assert_close(run(network, shuffle(x), 0.3, shuffle(cond)), shuffle(out))
    for other in ((x | {"pairs": x["pairs"] * 0.5}, cond), (x, {"pairs": cond["pairs"] * 0.5})):
        assert np.abs(run(network, other[0], 0.3, other[1])["features"] - out["features"]).max() > 1e-4
    kept = run(network, x, 0.3, cond | {"keep": np.zeros(3, np.float32)})
    assert_close(kept, run(network, x, 0.3), 1e-5)
    shared = run(network, x, 0.3, {"pairs": cond["pairs"][:1]})  # one for all: the first sample's own
    np.testing.assert_allclose(shared["features"][0], out["features"][0], atol=1e-5)
    assert np.abs(shared["features"][1] - out["features"][1]).max() > 1e-4


def test_padding_of_pairs_changes_nothing_and_a_mask_is_shared():
    network, (x, cond) = make(**PAIRS), with_pairs()
    wide = lambda leaf, axes: np.pad(leaf, [(0, 2 * (a in axes)) for a in range(leaf.ndim)], constant_values=7.0)  # noqa: E731
    padded = {name: wide(leaf, (1, 2) if name == "pairs" else (1,)) for name, leaf in x.items()}
    given = {"pairs": wide(cond["pairs"], (1, 2)), "mask": np.pad(np.ones((1, POINTS), np.float32), ((0, 0), (0, 2)))}
    out, alone = run(network, padded, 0.3, given), run(network, x, 0.3, cond)
    np.testing.assert_allclose(out["pairs"][:, :POINTS, :POINTS], alone["pairs"], atol=1e-5)
    np.testing.assert_allclose(out["positions"][:, :POINTS], alone["positions"], atol=1e-5)
    assert not np.any(out["pairs"][:, POINTS:]) and not np.any(out["pairs"][:, :, POINTS:])


def test_conditions_that_the_network_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"cond has \['masks'\]: this network takes \['keep', 'mask'\]"):
        run(make(), cloud(), 0.1, {"masks": np.ones((3, POINTS), np.float32)})
