import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from networks.common import check_condition, filled, normal, run

from sciddm.networks import PairTransformer, split
from sciddm.networks.pair_transformer import radial_functions

POINTS, FEATURES, PAIRS = 5, 4, 3


def new(pair_features=PAIRS, **options):
    sizes = {"dim": 16, "pair_dim": 8, "depth": 2, "heads": 2, "radial": 8}
    return PairTransformer(FEATURES, pair_features=pair_features, **sizes, **options, rngs=nnx.Rngs(0))


def make(**options):
    """A small network whose zero-initialised layers are filled, so that every path counts."""
    return filled(new(**options))


def symmetric(seed, *shape):
    pairs = normal(seed, *shape)
    return (pairs + pairs.swapaxes(1, 2)) * (1 - np.eye(shape[1], dtype=np.float32))[..., None]


def cloud(batch=3):
    return {
        "positions": normal(2, batch, POINTS, 3),
        "features": normal(3, batch, POINTS, FEATURES),
        "pairs": symmetric(4, batch, POINTS, POINTS, PAIRS),
    }


def with_positions(x, change):
    return x | {"positions": change(x["positions"])}


def assert_close(ours, expected, tolerance=1e-4):
    assert set(ours) == set(expected)
    for name in expected:
        np.testing.assert_allclose(ours[name], expected[name], rtol=tolerance, atol=tolerance)


def furthest(ours, expected):
    return {name: np.abs(ours[name] - expected[name]).max() for name in expected}


def shuffle(tree, order):
    axes = {"positions": (1,), "features": (1,), "pairs": (1, 2), "concat": (1,), "mask": (1,)}
    take = lambda leaf, name: leaf[:, order] if axes[name] == (1,) else leaf[:, order][:, :, order]  # noqa: E731
    return {name: take(leaf, name) for name, leaf in tree.items()}


def pad(tree, more, value):
    widths = {
        name: [(0, 0), (0, more)] + [(0, more if name == "pairs" else 0), (0, 0)][-leaf.ndim + 2 :]
        for name, leaf in tree.items()
    }
    return {name: np.pad(leaf, widths[name], constant_values=value) for name, leaf in tree.items()}


def test_output_is_like_x_and_a_fresh_network_answers_zero():
    fresh, full = run(split(new()), cloud(), np.float32([-1.0, 0.0, 2.0])), run(make(), cloud(), 0.3)
    assert set(fresh) == set(full) == set(cloud())
    for name, leaf in cloud().items():
        assert fresh[name].shape == leaf.shape and full[name].shape == leaf.shape
        np.testing.assert_array_equal(fresh[name], 0.0)
        assert np.abs(full[name]).mean() > 1e-2


def test_points_without_pairs_are_answered_without_and_the_two_are_not_mixed_up():
    points = {name: cloud()[name] for name in ("positions", "features")}
    assert set(run(make(pair_features=0), points, 0.3)) == set(points)
    with pytest.raises(ValueError, match=r"x has \['features', 'positions'\]: this network has pair_features = 3"):
        run(make(), points, 0.3)
    with pytest.raises(ValueError, match=r"x has .*'pairs'.*: this network has pair_features = 0"):
        run(make(pair_features=0), cloud(), 0.3)


def test_the_answer_follows_a_permutation():
    network, x, order = make(concat_channels=2, pair_concat_channels=2), cloud(), np.array([3, 0, 4, 2, 1])
    cond = {
        "concat": normal(5, 3, POINTS, 2),
        "pairs": symmetric(6, 3, POINTS, POINTS, 2),
        "mask": np.float32(np.arange(3 * POINTS).reshape(3, POINTS) != POINTS + 2),
    }
    assert_close(run(network, shuffle(x, order), 0.3, shuffle(cond, order)), shuffle(run(network, x, 0.3, cond), order))


def test_the_answer_does_not_see_a_translation_and_has_zero_centre_of_mass():
    network, x = make(), cloud()
    out = run(network, x, 0.3)
    assert_close(run(network, with_positions(x, lambda r: r + np.float32([3.0, -2.0, 1.0])), 0.3), out)
    np.testing.assert_allclose(out["positions"].mean(1), 0.0, atol=1e-5)


def test_the_answer_does_not_turn_with_x():
    network, x = make(), cloud()
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0].astype(np.float32)
    out, turned = run(network, x, 0.3), run(network, with_positions(x, lambda r: r @ turn), 0.3)
    # As good as nothing of the answer is kept by a turn: a user who doesn't augment by rotations is to know.
    off = furthest(turned, with_positions(out, lambda r: r @ turn))
    assert min(off.values()) > 1e-3 and off["positions"] > 0.1 * np.abs(out["positions"]).mean()


@pytest.mark.parametrize("masks", [3, 1], ids=["a mask each", "one for all"])
def test_padding_changes_nothing_and_is_answered_with_zero(masks):
    network, x = make(pair_concat_channels=2), cloud()
    cond = {"pairs": symmetric(6, 3, POINTS, POINTS, 2)}
    alone = run(network, x, 0.3, cond)
    mask = np.pad(np.ones((masks, POINTS), np.float32), ((0, 0), (0, 2)))
    out = run(network, pad(x, 2, 7.0), 0.3, pad(cond, 2, 5.0) | {"mask": mask})
    inner = {name: leaf[:, :POINTS, :POINTS] if name == "pairs" else leaf[:, :POINTS] for name, leaf in out.items()}
    assert_close(inner, alone, 1e-5)
    for leaf in out.values():
        np.testing.assert_array_equal(leaf[:, POINTS:], 0.0)
    np.testing.assert_array_equal(out["pairs"][:, :, POINTS:], 0.0)


def test_pairs_of_the_answer_are_symmetric_with_zero_diagonal_whatever_comes_in():
    lopsided = cloud() | {"pairs": normal(7, 3, POINTS, POINTS, PAIRS)}
    pairs = run(make(), lopsided, 0.3)["pairs"]
    np.testing.assert_array_equal(pairs, pairs.swapaxes(1, 2))
    np.testing.assert_array_equal(np.diagonal(pairs, axis1=1, axis2=2), 0.0)


def test_every_point_sees_every_other_and_the_features_of_pairs():
    network, x = make(), cloud()
    out = run(network, x, 0.3)
    first = np.float32(np.arange(POINTS) == 0)[:, None]
    bond = np.zeros((POINTS, POINTS, 1), np.float32)
    bond[[0, 1], [1, 0]] = 1.0
    moved = run(network, with_positions(x, lambda r: r + np.float32(0.3) * first), 0.3)
    bonded = run(network, x | {"pairs": x["pairs"] + bond}, 0.3)
    assert all(np.abs(moved[name] - out[name]).max(-1).min() > 1e-6 for name in ("positions", "features"))
    for name in ("positions", "features"):
        assert np.abs(bonded[name] - out[name]).max() > 1e-3
    # Two pairs that have no end in common meet through their nodes.
    assert np.abs(bonded["pairs"] - out["pairs"])[:, 3, 4].max() > 1e-5


def test_gradients_are_finite_where_two_points_coincide():
    network, x = make(), with_positions(cloud(), lambda r: r[:, [1, 1, 2, 3, 4]])
    loss = lambda network, y: sum(jnp.sum(leaf**2) for leaf in network(y, 0.3).values())  # noqa: E731
    slopes = jax.jit(jax.grad(lambda params, y: loss(network.replace(params), y), argnums=(0, 1)))(network.params, x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert np.abs(slopes[1]["positions"]).max() > 0


def test_radial_functions_tell_bonds_and_far_pairs_apart():
    distance = np.float32([0.0, 0.9, 1.0, 3.0, 6.0])[:, None]
    values = np.asarray(jax.jit(radial_functions, static_argnums=1)(distance**2, 16))
    assert values.shape == (5, 16) and (values <= 1).all()
    assert np.abs(values[1:] - values[:-1]).max(-1).min() > 0.1


def test_one_noise_level_for_all_equals_one_each():
    network = make()
    shared = run(network, cloud(), 0.3)
    assert_close(run(network, cloud(), np.full(3, 0.3, np.float32)), shared, 1e-5)
    assert min(furthest(run(network, cloud(), 1.3), shared).values()) > 1e-3


SHAPES = {"concat": (3, POINTS, 2), "embedding": (3, 6), "pairs": (3, POINTS, POINTS, 2)}


@pytest.mark.parametrize("kind", list(SHAPES))
def test_conditions_count_and_keep_zero_is_unconditional(kind):
    network = make(concat_channels=2, embedding_features=6, pair_concat_channels=2)
    check_condition(network, cloud(), {kind: normal(5, *SHAPES[kind])}, 1e-5)


@pytest.mark.parametrize("kind", list(SHAPES))
def test_a_condition_of_batch_one_is_shared(kind):
    network = make(concat_channels=2, embedding_features=6, pair_concat_channels=2)
    one = normal(5, 1, *SHAPES[kind][1:])
    shared = run(network, cloud(), 0.2, {kind: one})
    each = {kind: np.broadcast_to(one, SHAPES[kind]), "keep": np.ones(3, np.float32)}
    assert_close(shared, run(network, cloud(), 0.2, each), 1e-5)


def test_zero_pairs_are_those_that_are_not_given():
    network = make(concat_channels=2, embedding_features=6, pair_concat_channels=2)
    zero = {"pairs": np.zeros(SHAPES["pairs"], np.float32), "keep": np.ones(3, np.float32)}
    assert_close(run(network, cloud(), 0.2, zero), run(network, cloud(), 0.2), 1e-6)


def test_half_precision_stays():
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), cloud())
    out, full = run(make(), half, 0.3), run(make(), cloud(), 0.3)
    for name, leaf in out.items():
        assert leaf.dtype == jnp.bfloat16
        assert float(np.abs(leaf - full[name]).mean()) < 0.1 * np.abs(full[name]).mean()


def test_what_the_network_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"cond has \['pairs'\]: this network takes \['keep', 'mask'\]"):
        run(make(), cloud(), 0.1, {"pairs": np.ones((3, POINTS, POINTS, 2), np.float32)})
    with pytest.raises(ValueError, match="dim = 10, heads = 4: expected heads that divide dim"):
        PairTransformer(FEATURES, dim=10, rngs=nnx.Rngs(0))
