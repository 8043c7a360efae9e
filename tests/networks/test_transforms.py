"""Networks under the transformations that steering and mixed precision put them through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from networks.common import filled, normal, run

from sciddm.networks import UNet, conv


def make():
    """A small U-Net whose zero-initialised layers are filled."""
    return filled(UNet(2, channels=(16,), blocks=1, features=32, attention_levels=(0,), rngs=nnx.Rngs(0)), 0.1)


def field():
    return normal(1, 2, 8, 8, 2)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("grid", [(7,), (5, 4), (3, 4, 5)], ids=["1d", "2d", "3d"])
def test_canonical_gradient_is_exact_in_double_precision(x64, grid, periodic):
    rng = np.random.default_rng(len(grid))
    x, kernel = rng.normal(size=(2, *grid, 3)), rng.normal(size=(5,) + (3,) * (len(grid) - 1) + (3, 4))
    dy = rng.normal(size=(2, *grid, 4))

    def pull(canonical):
        return jax.vjp(lambda a, k: conv(a, k, periodic=periodic, canonical=canonical), x, kernel)[1](dy)

    for ours, lax in zip(*jax.jit(lambda: (pull(True), pull(False)))(), strict=True):
        assert ours.dtype == jnp.float64
        np.testing.assert_allclose(ours, lax, rtol=1e-12, atol=1e-12)


def test_canonical_false_keeps_the_forward_mode():
    x, kernel = field(), normal(2, 3, 3, 2, 2)
    out, tangent = jax.jit(lambda x: jax.jvp(lambda a: conv(a, kernel, canonical=False), (x,), (x,)))(x)
    np.testing.assert_allclose(tangent, out, rtol=1e-5, atol=1e-6)  # linear in x


def test_vjp_inside_a_scan_equals_the_same_steps_outside():
    network, x = make(), field()

    def step(y, _):
        return y - 0.1 * jax.vjp(lambda z: network(z, 0.1), y)[1](y)[0], None

    scanned = jax.jit(lambda y: jax.lax.scan(step, y, length=2)[0])(x)
    once = jax.jit(lambda y: step(y, None)[0])
    np.testing.assert_allclose(scanned, once(once(x)), rtol=1e-3, atol=1e-4)


def test_bfloat16_stays_bfloat16_and_agrees_to_its_precision():
    network, x = make(), field()
    half, full = run(network, x.astype(jnp.bfloat16), 0.1), run(network, x, 0.1)
    assert half.dtype == jnp.bfloat16
    # Independent roundings of 2^-8 each, in some forty operations, add up like their square root.
    error = np.linalg.norm(half.astype(np.float32) - full) / np.linalg.norm(full)
    assert error < np.sqrt(40) * 2.0**-8


def test_gradients_of_parameters_are_float32_under_bfloat16_inputs():
    network, x = make(), field()
    slopes = jax.jit(jax.grad(lambda n: jnp.sum(n(x.astype(jnp.bfloat16), 0.1).astype(jnp.float32) ** 2)))(network)
    assert all(leaf.dtype == jnp.float32 and np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


def test_replaced_parameters_are_the_ones_that_count():
    network, x = make(), field()
    doubled = network.replace(network.params | {"head": jax.tree.map(lambda leaf: 2 * np.asarray(leaf), network.params["head"])})
    np.testing.assert_allclose(run(doubled, x, 0.1), 2 * run(network, x, 0.1), rtol=1e-4, atol=1e-5)
