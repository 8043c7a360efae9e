import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sciddm.networks import DiT, Network, split
from sciddm.networks.dit import positions

run = jax.jit(Network.__call__)

COND = {
    "concat": jax.random.normal(jax.random.key(5), (3, 8, 8, 2)),
    "embedding": jax.random.normal(jax.random.key(6), (3, 6)),
    "tokens": jax.random.normal(jax.random.key(7), (3, 4, 5)),
}


def make(ndim=2, **options):
    """A small transformer whose zero-initialised layers are filled, so that every path counts."""
    network = split(DiT(3, ndim=ndim, dim=16, depth=2, heads=2, features=16, rngs=nnx.Rngs(0), **options))
    leaves, structure = jax.tree.flatten(network.params)
    rng = np.random.default_rng(1)
    filled = [leaf + 0.2 * rng.standard_normal(leaf.shape).astype(np.float32) for leaf in leaves]
    return network.replace(structure.unflatten(filled))


def field(ndim=2):
    return jax.random.normal(jax.random.key(2), (3, *(8, 8, 4)[:ndim], 3))


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_output_is_like_x_in_one_two_and_three_dimensions(ndim):
    out = run(make(ndim), field(ndim), jnp.array([-1.0, 0.0, 2.0]))
    assert out.shape == field(ndim).shape and bool(jnp.all(jnp.isfinite(out)))


def test_a_fresh_network_answers_zero_and_its_blocks_are_the_identity():
    module = DiT(3, dim=16, depth=2, token_features=5, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(run(split(module), field(), 0.5, {"tokens": COND["tokens"]}), 0.0)
    h = jax.random.normal(jax.random.key(0), (2, 4, 16))
    np.testing.assert_array_equal(module.blocks[0](h, jnp.ones((2, 128)), jnp.ones((2, 3, 5))), h)


def test_one_noise_level_for_all_equals_one_each_and_samples_are_independent():
    network = make()
    shared = run(network, field(), 0.3)
    np.testing.assert_allclose(run(network, field(), jnp.full((3,), 0.3)), shared, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(network, field()[:1], 0.3), shared[:1], rtol=1e-4, atol=1e-5)
    assert float(jnp.abs(run(network, field(), 1.3) - shared).max()) > 1e-3


@pytest.mark.parametrize("kind", COND)
def test_every_kind_of_condition_counts_and_keep_zero_is_unconditional(kind):
    network = make(concat_channels=2, embedding_features=6, token_features=5)
    cond = {kind: COND[kind]}
    given, null = run(network, field(), 0.2, cond), run(network, field(), 0.2)
    assert float(jnp.abs(given - null).max()) > 1e-3
    mixed = run(network, field(), 0.2, cond | {"keep": jnp.array([1.0, 0.0, 1.0])})
    np.testing.assert_allclose(mixed[1], null[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mixed[0], given[0], rtol=1e-4, atol=1e-5)


def test_every_patch_sees_every_other_and_knows_where_it_is():
    network, x = make(), field()
    touched = run(network, x.at[:, 0, 0, 0].add(1.0), 0.1) - run(network, x, 0.1)
    assert float(jnp.abs(touched).min(axis=(0, 3)).min()) > 0
    rolled = lambda y: jnp.roll(y, 2, 1)  # noqa: E731  one patch
    assert float(jnp.abs(run(network, rolled(x), 0.1) - rolled(run(network, x, 0.1))).max()) > 1e-3


@pytest.mark.parametrize("grid", [(9,), (3, 4), (2, 3, 4)])
def test_positions_of_all_points_differ_and_have_one_length(grid):
    table = np.asarray(positions(grid, 24))
    distances = np.linalg.norm(table[:, None] - table[None], axis=-1)
    assert (distances + np.eye(len(table)) > 0.1).all()
    np.testing.assert_allclose((table**2).sum(1), 12.0, rtol=1e-5)  # sin^2 + cos^2 in each pair


def test_wrong_grids_conditions_and_sizes_are_refused():
    with pytest.raises(ValueError, match="multiple of 2"):
        run(make(), jnp.zeros((1, 8, 7, 3)), 0.0)
    with pytest.raises(ValueError, match=r"cond has \['token'\]: this network takes \['keep', 'tokens'\]"):
        run(make(token_features=5), field(), 0.1, {"token": COND["tokens"]})
    with pytest.raises(ValueError, match="heads that divide dim"):
        DiT(3, dim=16, heads=3, rngs=nnx.Rngs(0))
