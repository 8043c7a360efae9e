import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks.common import normal

from sciddm.networks import conv

GRIDS = {1: (12,), 2: (8, 6), 3: (6, 4, 5)}


def pair(ndim, width=3):
    x, kernel = normal(1, 3, *GRIDS[ndim], 4), normal(2, *(width,) * ndim, 4, 5)
    return x, kernel, normal(3, 3, *GRIDS[ndim], 5)


convolve = jax.jit(conv, static_argnames=("periodic", "canonical"))


@pytest.mark.parametrize("periodic", [False, True, (False, True, False)], ids=["edges", "periodic", "second axis"])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_canonical_gradient_equals_that_of_lax(ndim, periodic):
    x, kernel, weight = pair(ndim)
    periodic = periodic if isinstance(periodic, bool) else periodic[:ndim]

    @functools.partial(jax.jit, static_argnums=0)
    def ask(canonical, x, kernel):
        def loss(a, k):
            out = conv(a, k, periodic=periodic, canonical=canonical)
            return jnp.sum(weight * out**2), out

        return jax.grad(loss, (0, 1), has_aux=True)(x, kernel)

    (grads, out), (expected, lax_out) = (ask(canonical, x, kernel) for canonical in (True, False))
    np.testing.assert_allclose(out, lax_out, rtol=1e-5, atol=1e-5)
    for ours, lax in zip(grads, expected, strict=True):
        np.testing.assert_allclose(ours, lax, rtol=1e-4, atol=1e-3)


def test_canonical_gradient_is_right_for_wide_kernels_and_under_vmap():
    x, kernel, weight = pair(2, width=5)

    @functools.partial(jax.jit, static_argnums=0)
    def grad(canonical, kernel):
        return jax.grad(lambda k: jnp.sum(weight * conv(x, k, canonical=canonical)))(kernel)

    np.testing.assert_allclose(grad(True, kernel), grad(False, kernel), rtol=1e-4, atol=1e-3)
    each = jax.jit(jax.vmap(jax.grad(lambda one, w: jnp.sum(w * conv(one[None], kernel, canonical=True)[0]))))(x, weight)
    whole = jax.jit(jax.grad(lambda a: jnp.sum(weight * conv(a, kernel, canonical=False))))(x)
    np.testing.assert_allclose(each, whole, rtol=1e-4, atol=1e-3)


def test_zero_padding_is_a_plain_sum_at_a_corner():
    x, kernel, _ = pair(2)
    expected = sum(x[:, i, j] @ kernel[i + 1, j + 1] for i in (0, 1) for j in (0, 1))
    np.testing.assert_allclose(np.asarray(convolve(x, kernel))[:, 0, 0], expected, rtol=1e-4, atol=1e-5)


def test_periodic_convolution_commutes_with_a_roll():
    x, kernel, _ = pair(2)
    rolled = convolve(np.roll(x, (3, 2), (1, 2)), kernel, periodic=True)
    np.testing.assert_allclose(rolled, np.roll(convolve(x, kernel, periodic=True), (3, 2), (1, 2)), rtol=1e-4, atol=1e-5)


def test_a_convolution_commutes_with_a_roll_along_a_periodic_axis_alone():
    x, kernel, _ = pair(3)
    here = convolve(x, kernel, periodic=(False, True, False))
    for axis in (1, 2, 3):
        rolled = convolve(np.roll(x, 2, axis), kernel, periodic=(False, True, False))
        furthest = np.abs(rolled - np.roll(here, 2, axis)).max()
        assert furthest < 1e-5 if axis == 2 else furthest > 0.1


def test_an_axis_with_edges_beside_a_periodic_one_is_padded_with_zeros():
    x, kernel, _ = pair(2)
    by_hand = np.pad(np.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)]), [(0, 0), (0, 0), (1, 1), (0, 0)], mode="wrap")
    inside = convolve(by_hand, kernel)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(convolve(x, kernel, periodic=(False, True)), inside, rtol=1e-5, atol=1e-5)


def test_an_even_kernel_and_another_number_of_axes_are_refused():
    with pytest.raises(ValueError, match="odd"):
        conv(jnp.zeros((1, 4, 1)), jnp.zeros((2, 1, 1)))
    with pytest.raises(ValueError, match="one for each of 1 axes"):
        conv(jnp.zeros((1, 4, 1)), jnp.zeros((3, 1, 1)), periodic=(True, False))


def test_gradient_inside_a_scan_is_at_least_three_times_faster_than_lax():
    x = jax.random.normal(jax.random.key(0), (8, 32, 32, 16))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 16, 16))

    def in_scan(canonical):
        def step(k, _):
            return k - 1e-3 * jax.grad(lambda q: jnp.mean(conv(x, q, canonical=canonical) ** 2))(k), None

        return jax.jit(lambda k: jax.lax.scan(step, k, length=3)[0])

    seconds = {}
    for canonical in (True, False):
        run = in_scan(canonical)
        run(kernel).block_until_ready()
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run(kernel).block_until_ready()
            times.append(time.perf_counter() - start)
        seconds[canonical] = min(times)
    assert 3 * seconds[True] < seconds[False]
