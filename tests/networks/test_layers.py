import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from networks.common import normal

from sciddm.networks.layers import Attention, GroupNorm, attend, depth_to_space, space_to_depth, times


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


def test_attention_is_a_softmax_of_scaled_products_also_where_they_are_large():
    query, key, value = (jax.random.normal(jax.random.key(i), (2, 5 + 2 * (i > 0), 6)) for i in range(3))

    def reference(query, key, value):
        heads = (y.reshape(*y.shape[:2], 2, 3) for y in (query, key, value))
        return jax.nn.dot_product_attention(*heads).reshape(query.shape)

    for scale in (1.0, 100.0):  # products up to 1e5, whose exponentials overflow
        found, expected = (
            jax.value_and_grad(lambda *x, f=f: jnp.square(f(*x)).sum(), (0, 1, 2))(scale * query, scale * key, value)
            for f in (lambda *x: attend(*x, heads=2), reference)
        )
        for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_narrowing_layer_has_the_gradient_of_the_plain_product_in_both_directions():
    rows, kernel, dy = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(7, 9), (9, 4), (7, 4)]))
    found, pullback = jax.vjp(times, rows, kernel)
    np.testing.assert_allclose(found, rows @ kernel, rtol=1e-5, atol=1e-6)
    for one, expected in zip(pullback(dy), (dy @ kernel.T, rows.T @ dy), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-5)
    tangent = jax.jvp(times, (rows, kernel), (2 * rows, kernel))[1]
    np.testing.assert_allclose(tangent, 3 * rows @ kernel, rtol=1e-5, atol=1e-5)
