"""The motion that the network is given is the motion there is, and what is missing counts for nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from domains.weather import motion
from domains.weather.network import Nowcaster
from sciddm.networks import split


def blobs(flow, count=4, size=64, seed=0):
    """(1, size, size, count) smooth waves that move by flow (y, x) pixels a frame, exactly."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-0.35, 0.35, (30, 2))
    phases, heights = rng.uniform(0, 2 * np.pi, 30), rng.uniform(0.3, 1.0, 30)
    y, x = np.mgrid[:size, :size]
    frames = [
        sum(h * np.cos(k[0] * (y - flow[0] * t) + k[1] * (x - flow[1] * t) + p) for k, p, h in zip(waves, phases, heights, strict=True))
        for t in range(count)
    ]  # fmt: skip
    return jnp.asarray(np.stack(frames, -1)[None], jnp.float32)


@pytest.mark.parametrize("flow", [(0.0, 0.0), (1.3, -0.7), (-2.1, 1.9)])
def test_a_steady_motion_is_found(flow):
    frames = blobs(flow)
    found = np.asarray(motion.estimate(frames, jnp.ones_like(frames)))[0]
    assert np.abs(found - np.asarray(flow)).mean() < 0.06 and np.abs(found - np.asarray(flow)).max() < 0.6


def test_missing_pixels_do_not_change_the_motion():
    frames, there = blobs((1.0, 0.5)), np.ones((1, 64, 64, 4), np.float32)
    there[:, 20:40, 10:50, 1:3] = 0.0
    there = jnp.asarray(there)
    # whatever stands in the hole
    one, other = (motion.estimate(jnp.where(there > 0, frames, fill), there) for fill in (0.0, 7.0))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.abs(np.asarray(one)[0] - [1.0, 0.5]).mean() < 0.12


def test_extrapolation_follows_the_motion_and_leaves_out_what_comes_from_outside():
    frames = blobs((1.0, -2.0), count=4 + 6)
    flow = jnp.broadcast_to(jnp.asarray([1.0, -2.0]), (1, 64, 64, 2))
    fields = jnp.stack([frames[..., 3], jnp.ones_like(frames[..., 3])], -1)
    carried = np.asarray(motion.extrapolate(fields, flow, 6))
    np.testing.assert_allclose(carried[0, 8:, :48, :, 0], np.asarray(frames)[0, 8:, :48, 4:], atol=1e-3)
    # after six frames what is above row 6 or right of column 51 is unknown
    assert (
        carried[0, 7:, :51, 5, 1].min() > 0.99
        and np.abs(carried[0, :5, :, 5]).max() == 0
        and np.abs(carried[0, :, 53:, 5]).max() == 0
    )


def test_a_rotation_is_followed_along_its_circles():
    # x -> rotated by 3 degrees a frame about the centre, at second order in the step
    y, x = np.mgrid[:64, :64] - 31.5
    angle = np.deg2rad(3.0)
    flow = jnp.asarray(np.stack([angle * x, -angle * y], -1)[None], jnp.float32)
    field = np.exp(-((y - 12.0) ** 2 + x**2) / 30.0)
    c, s = np.cos(10 * angle), np.sin(10 * angle)
    turned = np.exp(-(((c * y - s * x) - 12.0) ** 2 + (c * x + s * y) ** 2) / 30.0)
    fields = jnp.asarray(field, jnp.float32)[None, ..., None]
    carried = np.asarray(motion.extrapolate(fields, flow, 10))[0, ..., 9, 0]
    inside = np.hypot(y, x) < 28
    assert np.abs(carried - turned)[inside].max() < 0.05


def test_network_sees_the_last_frame_carried_along_and_is_unconditional_without_the_past():
    network = Nowcaster(8, past=4, channels=(8, 8), patch=2, features=16, rngs=nnx.Rngs(0))
    frames = blobs((1.0, 1.0), count=8, size=32)
    concat = jnp.concatenate([frames[..., :4], jnp.ones_like(frames[..., :4])], -1)
    carried = np.asarray(jax.jit(network.carried)(concat))
    assert carried.shape == (1, 32, 32, 8)
    there = carried[..., 4:] > 0.99
    error = np.abs(carried[..., :4] - np.asarray(frames)[..., 4:])[there].mean()
    persistence = np.abs(np.asarray(frames)[..., 3:4] - np.asarray(frames)[..., 4:])[there].mean()
    assert error < 0.25 * persistence

    net = split(network)
    params = jax.tree.map(lambda p: p + 0.02 * jax.random.normal(jax.random.key(1), p.shape), net.params)
    apply = jax.jit(lambda cond: net.replace(params)(frames, jnp.zeros(1), cond))
    dropped = apply({"concat": concat, "keep": jnp.zeros(1)})
    np.testing.assert_allclose(apply(None), dropped, atol=1e-5)
    assert np.abs(apply({"concat": concat}) - dropped).max() > 1e-3
