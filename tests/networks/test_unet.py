import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sciddm.networks import Network, UNet, split

run = jax.jit(Network.__call__)

COND = {
    "concat": jax.random.normal(jax.random.key(5), (3, 16, 16, 2)),
    "embedding": jax.random.normal(jax.random.key(6), (3, 6)),
    "tokens": jax.random.normal(jax.random.key(7), (3, 4, 5)),
}


def make(ndim=2, **options):
    """A small U-Net whose zero-initialised layers are filled, so that every path counts."""
    network = split(UNet(3, ndim=ndim, channels=(16, 32), blocks=1, features=32, rngs=nnx.Rngs(0), **options))
    leaves, structure = jax.tree.flatten(network.params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    filled = [leaf + 0.1 * jax.random.normal(key, leaf.shape) for key, leaf in zip(keys, leaves, strict=True)]
    return network.replace(structure.unflatten(filled))


def field(ndim=2, batch=3):
    return jax.random.normal(jax.random.key(2), (batch, *(16, 16, 8)[:ndim], 3))


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_output_is_like_x_in_one_two_and_three_dimensions(ndim):
    network = make(ndim, attention_levels=(1,))
    out = run(network, field(ndim), jnp.array([-1.0, 0.0, 2.0]))
    assert out.shape == field(ndim).shape and bool(jnp.all(jnp.isfinite(out)))


def test_a_fresh_network_answers_zero():
    network = split(UNet(3, channels=(16, 32), rngs=nnx.Rngs(0)))
    np.testing.assert_array_equal(run(network, field(), 0.5), 0.0)


def test_one_noise_level_for_all_equals_one_each_and_samples_are_independent():
    network = make(attention_levels=(1,))
    shared = run(network, field(), 0.3)
    np.testing.assert_allclose(run(network, field(), jnp.full((3,), 0.3)), shared, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(network, field()[:1], 0.3), shared[:1], rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(run(network, field(), 1.3) - shared).max()) > 1e-3


def test_periodic_network_commutes_with_rolls_by_its_stride():
    network = make(periodic=True)
    roll = lambda x: jnp.roll(x, (4, 8), (1, 2))  # noqa: E731
    np.testing.assert_allclose(run(network, roll(field()), 0.1), roll(run(network, field(), 0.1)), rtol=1e-3, atol=1e-4)
    assert float(jnp.abs(run(make(), roll(field()), 0.1) - roll(run(make(), field(), 0.1))).max()) > 1e-3


@pytest.mark.parametrize("kind", COND)
def test_every_kind_of_condition_counts_and_keep_zero_is_unconditional(kind):
    network = make(concat_channels=2, embedding_features=6, token_features=5)
    cond = {kind: COND[kind]}
    given, null = run(network, field(), 0.2, cond), run(network, field(), 0.2)
    assert float(jnp.abs(given - null).max()) > 1e-3
    mixed = run(network, field(), 0.2, cond | {"keep": jnp.array([1.0, 0.0, 1.0])})
    np.testing.assert_allclose(mixed[1], null[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mixed[0], given[0], rtol=1e-4, atol=1e-5)


def test_a_grid_that_does_not_divide_is_refused_with_the_divisor():
    with pytest.raises(ValueError, match="multiple of 4"):
        run(make(), jnp.zeros((1, 16, 18, 3)), 0.0)


def test_networks_of_one_config_share_one_compiled_program():
    traces = []

    @jax.jit
    def counted(network, x):
        traces.append(1)
        return network(x, 0.1)

    for seed in (0, 1):
        counted(split(UNet(3, channels=(16, 32), blocks=1, rngs=nnx.Rngs(seed))), field())
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
