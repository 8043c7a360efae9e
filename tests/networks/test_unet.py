import jax
import numpy as np
import pytest
from flax import nnx
from networks.common import check_condition, filled, normal, run

from sciddm.networks import UNet, split

COND = {"concat": normal(5, 3, 16, 16, 2), "embedding": normal(6, 3, 6), "tokens": normal(7, 3, 4, 5)}
LEVELS = np.float32([-1.0, 0.0, 2.0])


def new(ndim=2, **options):
    return UNet(3, ndim=ndim, channels=(16, 32), blocks=1, features=32, rngs=nnx.Rngs(0), **options)


def make(ndim=2, **options):
    """A small U-Net whose zero-initialised layers are filled, so that every path counts."""
    return filled(new(ndim, **options), 0.1)


def field(ndim=2):
    return normal(2, 3, *(16, 16, 8)[:ndim], 3)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_output_is_like_x_in_one_two_and_three_dimensions(ndim):
    out = run(make(ndim, attention_levels=(1,)), field(ndim), LEVELS)
    assert out.shape == field(ndim).shape and np.all(np.isfinite(out))


def test_a_fresh_network_answers_zero():
    np.testing.assert_array_equal(run(split(new()), field(), 0.5), 0.0)


def test_one_noise_level_for_all_equals_one_each_and_samples_are_independent():
    network, x = make(attention_levels=(1,)), field()
    shared = np.asarray(run(network, x, 0.3))
    each = run(network, np.concatenate([x[:1], -x[1:]]), np.full(3, 0.3, np.float32))
    np.testing.assert_allclose(run(network, x, np.full(3, 0.3, np.float32)), shared, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(each[:1], shared[:1], rtol=1e-4, atol=1e-5)
    assert np.abs(run(network, x, 1.3) - shared).max() > 1e-3


def test_periodic_network_commutes_with_rolls_by_its_stride():
    roll = lambda x: np.roll(x, (4, 8), (1, 2))  # noqa: E731
    periodic, plain = ([run(make(periodic=p), x, 0.1) for x in (roll(field()), field())] for p in (True, False))
    np.testing.assert_allclose(periodic[0], roll(periodic[1]), rtol=1e-3, atol=1e-4)
    assert np.abs(plain[0] - roll(plain[1])).max() > 1e-3


def test_a_network_periodic_along_one_axis_commutes_with_rolls_along_it_alone():
    network, x = make(periodic=(False, True)), field()
    here = run(network, x, 0.1)
    moved = [np.abs(run(network, np.roll(x, 4, axis), 0.1) - np.roll(here, 4, axis)).max() for axis in (1, 2)]
    assert moved[0] > 1e-3 and moved[1] < 1e-4


@pytest.mark.parametrize("kind", COND)
def test_every_kind_of_condition_counts_and_keep_zero_is_unconditional(kind):
    check_condition(make(concat_channels=2, embedding_features=6, token_features=5), field(), {kind: COND[kind]})


def test_a_grid_that_does_not_divide_is_refused_with_the_divisor():
    with pytest.raises(ValueError, match="multiple of 4"):
        run(make(), np.zeros((1, 16, 18, 3), np.float32), 0.0)


def test_networks_of_one_config_share_one_compiled_program():
    traces = []

    @jax.jit
    def counted(network, x):
        traces.append(1)
        return network(x, 0.1)

    for seed in (0, 1):
        counted(split(UNet(3, channels=(16,), blocks=1, rngs=nnx.Rngs(seed))), field()[:1, :4, :4])
    assert len(traces) == 1


def test_the_demo_network_has_about_a_million_parameters():
    network = split(UNet(2, channels=(48, 96), blocks=1, patch=2, attention_levels=(1,), rngs=nnx.Rngs(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(network.params))
    assert 0.9e6 < count < 1.3e6


def test_conditions_and_levels_that_the_network_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"cond has \['token'\]: this network takes \['keep', 'tokens'\]"):
        run(make(token_features=5), field(), 0.1, {"token": COND["tokens"]})
    with pytest.raises(ValueError, match="levels counted from 0"):
        UNet(3, channels=(16, 32), attention_levels=(2,), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="at least one level"):
        UNet(3, channels=(), rngs=nnx.Rngs(0))
