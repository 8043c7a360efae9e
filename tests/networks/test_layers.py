import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from sciddm.networks.layers import Attention, GroupNorm, depth_to_space, space_to_depth


def test_group_norm_is_flax_group_norm():
    x = 3.0 + 2.0 * jax.random.normal(jax.random.key(0), (4, 6, 5, 32))
    ours, flax = (
        GroupNorm(32, group_size=8),
        nnx.GroupNorm(32, group_size=8, num_groups=None, epsilon=1e-5, rngs=nnx.Rngs(0)),
    )
    scale, bias = jax.random.normal(jax.random.key(1), (2, 32))
    for module in (ours, flax):
        module.scale[...], module.bias[...] = scale, bias
    np.testing.assert_allclose(ours(x), flax(x), rtol=1e-4, atol=1e-4)


def test_space_to_depth_is_invertible_and_keeps_blocks_together():
    for shape in ((2, 8, 3), (2, 4, 6, 3), (2, 4, 2, 6, 3)):
        x = jnp.arange(np.prod(shape), dtype=jnp.float32).reshape(shape)
        np.testing.assert_array_equal(depth_to_space(space_to_depth(x, 2), 2), x)
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(space_to_depth(x, 2)[0, 0, 0], [0, 1, 4, 5])


def test_attention_starts_as_the_identity_and_sees_all_points_or_tokens():
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 16))
    tokens = jax.random.normal(jax.random.key(1), (2, 5, 7))
    for layer, extra in (
        (Attention(16, 2, rngs=nnx.Rngs(0)), ()),
        (Attention(16, 2, token_features=7, rngs=nnx.Rngs(0)), (tokens,)),
    ):
        np.testing.assert_array_equal(layer(x, *extra), x)
        layer.out.kernel[...] = jax.random.normal(jax.random.key(2), (16, 16))
        shuffled = [a[:, ::-1] for a in extra]
        if extra:  # the order of tokens does not matter
            np.testing.assert_allclose(layer(x, *shuffled), layer(x, *extra), rtol=1e-4, atol=1e-5)
        else:  # nor does that of points
            np.testing.assert_allclose(layer(x[:, ::-1])[:, ::-1], layer(x), rtol=1e-4, atol=1e-5)
