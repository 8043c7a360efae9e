"""Networks for fields: frames are channels, any size is padded and cropped, and without bands fine noise does not pass."""

import jax
import numpy as np
import pytest
from flax import nnx
from networks.common import check_condition, filled, normal, run

from domains.fields.network import FieldSpaceTime, FieldUNet
from sciddm.networks import split

SMALL = {
    FieldUNet: {"channels": (8, 16), "features": 16, "width": 4},
    FieldSpaceTime: {"dim": 16, "depth": 1, "heads": 2, "patch": 2, "features": 16, "width": 4},
}
BOTH = pytest.mark.parametrize("kind", SMALL)


def new(kind, variables=2, **options):
    return kind(variables, **SMALL[kind] | options, rngs=nnx.Rngs(0))


def make(kind, variables=2, **options):
    """A small network whose zero-initialised layers are filled, so that every path counts."""
    return filled(new(kind, variables, **options), 0.1)


@BOTH
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("space", [(1,), (3, 50), (8, 1), (5, 6, 7)], ids=str)
def test_fields_of_any_size_with_frames_and_without_go_through(kind, space, periodic):
    for frames in (0, 3) if kind is FieldUNet else (1, 3):
        network = split(new(kind, space=len(space), frames=frames, concat_channels=1, embedding_features=3, periodic=periodic))
        x = np.zeros((2, *(frames,) * bool(frames), *space, 2), np.float32)
        cond = {"concat": np.zeros((2, *space, 1), np.float32), "embedding": np.zeros((2, 3), np.float32)}
        assert jax.eval_shape(network, x, 0.1, cond).shape == x.shape


@BOTH
def test_a_patch_wider_than_the_field_has_finite_answers_and_every_value_counts(kind):
    network, x = make(kind, space=2, frames=2, patch=4, periodic=(False, True)), normal(1, 2, 2, 3, 10, 2)
    slope = jax.jit(jax.grad(lambda x: (network(x, 0.1) ** 2).sum()))(x)
    assert np.isfinite(slope).all() and np.abs(slope).min() > 0


@BOTH
def test_a_fresh_network_answers_zero(kind):
    np.testing.assert_array_equal(run(split(new(kind, space=2, frames=2)), normal(1, 2, 2, 6, 8, 2), 0.5), 0.0)


def test_frames_are_channels_of_the_same_network():
    x = normal(1, 3, 3, 8, 8, 2)
    as_channels = np.moveaxis(x, 1, -2).reshape(3, 8, 8, 6)
    expected = run(make(FieldUNet, 6, space=2), as_channels, 0.1).reshape(3, 8, 8, 3, 2)
    found = run(make(FieldUNet, 2, space=2, frames=3), x, 0.1)
    np.testing.assert_allclose(np.moveaxis(found, 1, -2), expected, rtol=1e-5, atol=1e-6)


@BOTH
def test_only_where_the_axis_is_periodic_a_roll_of_the_field_rolls_the_answer(kind):
    # Attention of one layer sees places by their embedding; before it, patches and bands know of no place.
    filling = filled if kind is FieldUNet else _without_attention
    network, x = filling(new(kind, space=2, frames=1, periodic=(False, True)), 0.1), normal(1, 3, 1, 8, 8, 2)
    here = run(network, x, 0.1)
    moved = [np.abs(run(network, np.roll(x, 4, axis), 0.1) - np.roll(here, 4, axis)).max() for axis in (2, 3)]
    assert moved[0] > 1e-3 and moved[1] < 1e-4


def _without_attention(module, scale):
    fresh, full = split(module), filled(module, scale)
    return fresh.replace(fresh.params | {"bands": full.params["bands"]})


def test_without_bands_an_answer_has_no_more_dimensions_a_patch_than_the_network_has_channels():
    # 12 values a patch out of 4 channels: of white noise in them at least 8 / 12 is lost, whatever was learned.
    x, dimensions = normal(1, 3, 16, 16, 3), {}
    for bands in (False, True):
        network = make(FieldUNet, 3, space=2, channels=(4,), heads=2, bands=bands)
        out = run(network, x, -1.0).reshape(3, 8, 2, 8, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 12)
        values = np.linalg.svd(out - out.mean(0), compute_uv=False)
        dimensions[bands] = int((values > 1e-4 * values[0]).sum())
    assert dimensions == {False: 4, True: 12}


@BOTH
def test_one_level_for_all_is_that_level_for_each_in_every_shape_and_samples_are_independent(kind):
    network, x = make(kind, space=1, frames=2), normal(1, 3, 2, 6, 2)
    shared, level = run(network, x, 0.3), np.full(3, 0.3, np.float32)
    for same in (level, level[:, None, None, None]):
        np.testing.assert_allclose(run(network, x, same), shared, rtol=1e-4, atol=1e-5)
    others = run(network, np.concatenate([x[:1], -x[1:]]), np.float32([0.3, 1.0, -1.0]))
    np.testing.assert_allclose(others[0], shared[0], rtol=1e-4, atol=1e-5)
    assert np.abs(others[1:] + shared[1:]).max() > 1e-3


def test_a_level_a_frame_counts_for_its_frame_before_attention_and_for_all_of_them_behind():
    level, x = np.full((3, 2, 1, 1), 0.3, np.float32), normal(1, 3, 2, 6, 2)
    other = level.copy()
    other[:, 1] = 1.0
    module = new(FieldSpaceTime, space=1, frames=2)
    moved = {}
    for name, network in (("bands", _without_attention(module, 0.1)), ("all", filled(module, 0.1))):
        np.testing.assert_allclose(run(network, x, level), run(network, x, np.float32(0.3)), rtol=1e-4, atol=1e-5)
        moved[name] = np.abs(run(network, x, other) - run(network, x, level)).max((0, 2, 3))
    assert moved["bands"][0] < 1e-6 < 1e-3 < moved["bands"][1] and moved["all"].min() > 1e-5


@BOTH
@pytest.mark.parametrize("cond", [{"concat": normal(5, 3, 5, 7, 2)}, {"embedding": normal(6, 3, 4)}], ids=lambda c: next(iter(c)))
def test_conditions_count_and_keep_zero_is_unconditional(kind, cond):
    check_condition(make(kind, space=2, frames=2, concat_channels=2, embedding_features=4), normal(1, 3, 2, 5, 7, 2), cond)


@BOTH
def test_shapes_that_do_not_fit_are_refused_in_words(kind):
    network = new(kind, space=2, frames=3, concat_channels=2, embedding_features=4)
    x = np.zeros((2, 3, 5, 7, 2), np.float32)
    for wrong in (x[:, :2], x[:, 0], x[..., :1], x[..., None]):
        with pytest.raises(ValueError, match=r"expected \(B, 3, size, size, 2\)"):
            network(wrong, 0.1)
    with pytest.raises(ValueError, match=r'cond\["concat"\] of shape \(2, 5, 6, 2\): expected \(2, 5, 7, 2\)'):
        network(x, 0.1, {"concat": x[:, 0, :, :6]})
    with pytest.raises(ValueError, match=r'cond\["embedding"\] of shape \(2, 5\): expected \(2, 4\)'):
        network(x, 0.1, {"embedding": x[:, 0, :, 0, 0]})
    with pytest.raises(ValueError, match=r"cond has \['past'\]: this network takes \['concat', 'embedding', 'keep'\]"):
        network(x, 0.1, {"past": x})
    with pytest.raises(ValueError, match=r"noise_level of shape \(3,\): expected \(\) or \(2,\)"):
        network(x, np.zeros(3, np.float32))
    for options, message in (
        ({"space": 4}, "space = 4: expected 1 to 3"), ({"periodic": (True,)}, "one for each of 2 axes"), ({"patch": 0}, "patch = 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            new(kind, **{"space": 2, "frames": 3} | options)


def test_frames_and_levels_of_frames_are_refused_where_there_can_be_none():
    with pytest.raises(ValueError, match="frames = 0: attention over time needs frames"):
        new(FieldSpaceTime, space=2, frames=0)
    with pytest.raises(ValueError, match="one for all or one a sample"):
        new(FieldUNet, space=1, frames=2)(np.zeros((3, 2, 6, 2), np.float32), np.zeros((3, 2, 1, 1), np.float32))
