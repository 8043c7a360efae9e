import jax.numpy as jnp
import numpy as np
from flax import nnx
from networks.common import normal

from sciddm.networks.layers import Attention, GroupNorm, depth_to_space, space_to_depth


def test_group_norm_is_flax_group_norm():
    x = 3.0 + 2.0 * normal(0, 4, 6, 5, 32)
    ours, flax = (
        GroupNorm(32, group_size=8),
        nnx.GroupNorm(32, group_size=8, num_groups=None, epsilon=1e-5, rngs=nnx.Rngs(0)),
    )
    scale, bias = jnp.asarray(normal(1, 2, 32))
    for module in (ours, flax):
        module.scale[...], module.bias[...] = scale, bias
    apply = nnx.jit(lambda module, x: module(x))
    np.testing.assert_allclose(apply(ours, x), apply(flax, x), rtol=1e-4, atol=1e-4)


def test_space_to_depth_is_invertible_and_keeps_blocks_together():
    for shape in ((2, 8, 3), (2, 4, 6, 3), (2, 4, 2, 6, 3)):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        np.testing.assert_array_equal(depth_to_space(space_to_depth(x, 2), 2), x)
    x = np.arange(16.0, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(space_to_depth(x, 2)[0, 0, 0], [0, 1, 4, 5])


def test_attention_starts_as_the_identity_and_sees_all_points_or_tokens():
    x = normal(0, 2, 4, 4, 16)
    tokens = normal(1, 2, 5, 7)
    for layer, extra in (
        (Attention(16, 2, rngs=nnx.Rngs(0)), ()),
        (Attention(16, 2, token_features=7, rngs=nnx.Rngs(0)), (tokens,)),
    ):
        attend = nnx.jit(lambda layer, *x: layer(*x))
        np.testing.assert_array_equal(attend(layer, x, *extra), x)
        layer.out.kernel[...] = jnp.asarray(normal(2, 16, 16))
        shuffled = [a[:, ::-1] for a in extra]
        if extra:  # the order of tokens does not matter
            np.testing.assert_allclose(attend(layer, x, *shuffled), attend(layer, x, *extra), rtol=1e-4, atol=1e-5)
        else:  # nor does that of points
            np.testing.assert_allclose(np.asarray(attend(layer, x[:, ::-1]))[:, ::-1], attend(layer, x), rtol=1e-4, atol=1e-5)
