"""Where does the rain go? A motion field from the last frames and what it carries forward, as fixed functions inside the network.

Optical flow by weighted least squares in Gaussian windows (Lucas & Kanade 1981), refined by warping, drawn towards the motion of the
whole frame where a window sees little; extrapolation along its trajectories (Germann & Zawadzki 2002). On missing pixels nothing counts.
"""

import jax
import jax.numpy as jnp
import numpy as np

from sciddm.networks.bands import blur

SMOOTHING = 0.5  # coarse pixels, of two: rain decays below it from frame to frame
WINDOW = 7.0  # coarse pixels, standard deviation of the window that shares a motion
ITERATIONS = 3
PRIOR = 0.3  # weight of the whole frame's motion, in windows of average contrast


def estimate(frames, there):
    """Steady motion (B, H, W, 2), (y, x) pixels a frame, of frames (B, H, W, T), T >= 2; there: mask like frames, 1 = seen.

    Found on a grid twice as coarse: rain below four pixels does not last from frame to frame. In float32, whatever the frames are in: it
    is small differences that say where the rain goes, and places have more than the eight bits of bfloat16.
    """
    frames, there = frames.astype(jnp.float32), there.astype(jnp.float32)
    seen = blur(_coarser(there), SMOOTHING)
    smooth = blur(_coarser(frames * there), SMOOTHING) / jnp.maximum(seen, 1e-3)
    before, after = smooth[..., :-1], smooth[..., 1:]
    weight = (seen[..., :-1] > 0.9) * (seen[..., 1:] > 0.9) * 1.0

    def improve(flow, _):
        # Both frames move half-way towards each other, so that neither is blurred more than the other.
        first, inside = _warp(before, -0.5 * flow)
        second, also = _warp(after, 0.5 * flow)
        # Held, or XLA on CPU looks every pixel up again for each of its uses below.
        first, second = jax.lax.optimization_barrier((first, second))
        counts = weight * (inside * also)[..., None]
        slope_y, slope_x = _gradient(0.5 * (first + second))
        change = second - first
        products = [slope_y * slope_y, slope_y * slope_x, slope_x * slope_x, -slope_y * change, -slope_x * change]
        sums = jax.lax.optimization_barrier(jnp.stack([jnp.sum(counts * product, -1) for product in products], -1))
        sums = blur(sums, WINDOW) + PRIOR * jnp.mean(sums, (1, 2), keepdims=True)
        determinant = sums[..., 0] * sums[..., 2] - sums[..., 1] ** 2 + 1e-6 * (1e-6 + sums[..., 0] + sums[..., 2]) ** 2
        step_y = (sums[..., 2] * sums[..., 3] - sums[..., 1] * sums[..., 4]) / determinant
        step_x = (sums[..., 0] * sums[..., 4] - sums[..., 1] * sums[..., 3]) / determinant
        return blur(flow + jnp.clip(jnp.stack([step_y, step_x], -1), -1.0, 1.0), 0.3 * WINDOW), None

    flow, _ = jax.lax.scan(improve, jnp.zeros((*smooth.shape[:3], 2), frames.dtype), None, length=ITERATIONS)
    return _finer(2.0 * flow)


def extrapolate(fields, flow, leads: int):
    """`fields` (B, H, W, C) carried along `flow` (B, H, W, 2) for 1 .. leads frames: (B, H, W, leads, C), 0 where they come from outside.

    Backward trajectories through the steady flow by the midpoint rule, on a grid twice as coarse; bilinear interpolation.
    """
    height, width = fields.shape[1:3]
    coarse = 0.5 * _coarser(flow)
    start = jnp.broadcast_to(_grid(*coarse.shape[1:3]), coarse.shape)

    def back(at, _):
        middle = jax.lax.optimization_barrier(at - 0.5 * _sample(coarse, at))
        at = at - _sample(coarse, middle)
        return at, at

    def carry(place):
        at = _grid(height, width) + _finer(2.0 * (place - start))
        inside = jnp.all((at >= -0.5) & (at <= jnp.asarray([height - 0.5, width - 0.5])), -1, keepdims=True)
        return _sample(fields, at) * inside

    _, places = jax.lax.scan(back, start, None, length=leads)
    return jnp.moveaxis(jax.lax.map(carry, places), 0, -2)


def _coarser(x):
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def _finer(x):
    return jax.image.resize(x, (x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3]), "linear")


def _grid(height, width):
    return jnp.asarray(np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1), jnp.float32)


def _warp(frames, shift):
    # frames (B, H, W, T) at grid + shift, and a mask (B, H, W) of where that lies inside
    height, width = frames.shape[1:3]
    at = _grid(height, width) + shift
    inside = jnp.all((at >= 0) & (at <= jnp.asarray([height - 1.0, width - 1.0])), -1)
    return _sample(frames, at), inside.astype(frames.dtype)


def _sample(frames, at):
    # Bilinear, the nearest pixel outside. frames (B, H, W, C), at (B, H, W, 2) -> (B, H, W, C)
    batch, height, width, channels = frames.shape
    y, x = jnp.clip(at[..., 0], 0.0, height - 1.0), jnp.clip(at[..., 1], 0.0, width - 1.0)
    y0, x0 = jnp.minimum(jnp.floor(y), height - 2.0), jnp.minimum(jnp.floor(x), width - 2.0)
    fy, fx = (y - y0)[..., None], (x - x0)[..., None]
    corner = (y0 * width + x0).astype(jnp.int32).reshape(batch, -1)
    rows = frames.reshape(batch, height * width, channels)

    def take(offset):
        return jnp.take_along_axis(rows, (corner + offset)[..., None], axis=1).reshape(*at.shape[:-1], channels)

    top = take(0) * (1 - fx) + take(1) * fx
    bottom = take(width) * (1 - fx) + take(width + 1) * fx
    return top * (1 - fy) + bottom * fy


def _gradient(x):
    # Central differences, one-sided at the edges, over H and W.
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]), 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
