"""What an instrument sees: linear functions of a batch x_0. Any function does; these are the named ones."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def as_arrays(tree):
    """A pytree of jax arrays, a list or tuple of numbers, of any depth, being one of them."""

    def is_numbers(node):
        numbers = (bool, int, float, np.number)
        return isinstance(node, (list, tuple)) and all(isinstance(leaf, numbers) for leaf in jax.tree.leaves(node))

    return jax.tree.map(jnp.asarray, tree, is_leaf=is_numbers)


class Matrix(eqx.Module):
    """y = A vec(x_0). matrix: (m, d), d the number of entries of one x_0, leaves in order. Returns (B, m)."""

    matrix: jax.Array

    def __call__(self, x_0):
        rows = [leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(x_0)]
        return jnp.concatenate(rows, axis=1) @ self.matrix.T


class Points(eqx.Module):
    """The entries of x_0 at chosen places. indices: (m,), or (B, m) for each sample its own, into the flattened x_0 (leaves in
    order, as `Matrix`). Returns (B, m)."""

    indices: jax.Array = eqx.field(converter=as_arrays)

    def __call__(self, x_0):
        rows = jnp.concatenate([leaf.reshape(leaf.shape[0], -1) for leaf in jax.tree.leaves(x_0)], axis=1)
        indices = jnp.broadcast_to(self.indices, (rows.shape[0], self.indices.shape[-1]))
        return jnp.take_along_axis(rows, indices, axis=1)


class Mask(eqx.Module):
    """x_0 where mask is 1 and 0 elsewhere. mask: a pytree like one x_0, or a batch of them."""

    mask: Any = eqx.field(converter=as_arrays)

    def __call__(self, x_0):
        return jax.tree.map(lambda leaf, mask: leaf * mask, x_0, self.mask)


class Downsample(eqx.Module):
    """Block means over the spatial axes of arrays (B, *spatial, C). factor: of every spatial axis."""

    factor: int = eqx.field(static=True)

    def __call__(self, x_0):
        return jax.tree.map(self._leaf, x_0)

    def _leaf(self, x):
        batch, *spatial, channels = x.shape
        if any(n % self.factor for n in spatial):
            raise ValueError(f"spatial shape {tuple(spatial)} is not divisible by factor {self.factor}")
        split = [size for n in spatial for size in (n // self.factor, self.factor)]
        blocks = x.reshape(batch, *split, channels)
        return blocks.mean(axis=tuple(range(2, 2 + 2 * len(spatial), 2)))


class Blur(eqx.Module):
    """Convolution of each channel with a kernel over the spatial axes of arrays (B, *spatial, C): y_i = sum_j kernel_j x_{i - j}.

    By Fourier transform: one cost for any width, and as quick transposed (a convolution's transpose in a loop is slow on CPU).

    Args:
        kernel: an array with an axis for each spatial one, its centre at index n // 2; or a number, the standard deviation of a
            Gaussian kernel of sum 1, in grid points.
        periodic: whether x goes on around the edge; if not, it is 0 outside.
    Raises: ValueError if kernel and x differ in the number of spatial axes (at use).
    """

    kernel: jax.Array = eqx.field(converter=jnp.asarray)
    periodic: bool = eqx.field(static=True, default=True)

    def __call__(self, x_0):
        return jax.tree.map(self._leaf, x_0)

    def _leaf(self, x):
        spatial, axes = x.shape[1:-1], tuple(range(1, x.ndim - 1))
        if self.kernel.ndim not in (0, len(spatial)):
            raise ValueError(f"blur kernel of shape {self.kernel.shape} does not fit spatial shape {spatial}")
        widths = self.kernel.shape or spatial
        grid = spatial if self.periodic else tuple(n + width - 1 for n, width in zip(spatial, widths, strict=True))
        spectrum = jnp.fft.rfftn(self._on(grid, x.dtype))
        spread = jnp.fft.irfftn(jnp.fft.rfftn(x, grid, axes) * spectrum[..., None], grid, axes)
        return spread[(slice(None), *(slice(n) for n in spatial))]

    def _on(self, grid, dtype):
        # the kernel on the grid of the transform, its centre at the origin and its left half at the far end
        if self.kernel.ndim == 0:
            distances = (np.minimum(np.arange(n), n - np.arange(n)) for n in grid)
            lines = [jax.nn.softmax(-0.5 * (jnp.asarray(d, dtype) / self.kernel) ** 2) for d in distances]
            return jnp.prod(jnp.stack(jnp.meshgrid(*lines, indexing="ij")), 0)
        places = [(np.arange(k) - k // 2) % n for k, n in zip(self.kernel.shape, grid, strict=True)]
        return jnp.zeros(grid, dtype).at[np.ix_(*places)].add(self.kernel.astype(dtype))


class LineIntegrals(eqx.Module):
    """Integrals of fields (B, H, W, C) along parallel lines, the Radon transform of tomography. Returns (B, angles, offsets, C).

        y(angle, offset) = step sum_u x(centre + offset (cos, -sin) + u (sin, cos)),  places as (row, column), x bilinear, 0 outside

    At angle 0 the lines are the rows and the integrals their sums; the angle turns them towards the columns.

    Args:
        angles: (angles,) in radians; shape: (H, W).
        offsets: of the lines from the centre, in grid points; None: one apart, as many as the longer axis has points.
        step: between samples of a line, in grid points.
    Raises: ValueError if a field has another shape (at use).
    """

    indices: jax.Array  # (angles, offsets, K) into the flattened field
    weights: jax.Array  # (angles, offsets, K), 0 where a line meets fewer than K grid points
    shape: tuple = eqx.field(static=True)

    def __init__(self, angles, shape, offsets=None, step=0.5):
        longer = max(shape)
        offsets = np.arange(longer) - (longer - 1) / 2 if offsets is None else np.asarray(offsets, float)
        reach = np.ceil(np.hypot(*shape) / 2 + 1)
        along = np.arange(-reach, reach + step / 2, step)
        lines = [self._line(angle, offset, along, step, shape) for angle in np.asarray(angles) for offset in offsets]
        most = max(len(points) for points, _ in lines)
        padded = [[np.pad(part, (0, most - len(part))) for part in line] for line in lines]
        indices, weights = (
            np.stack(parts).reshape(len(angles), len(offsets), most) for parts in zip(*padded, strict=True)
        )
        self.indices, self.weights = jnp.asarray(indices, jnp.int32), jnp.asarray(weights, jnp.result_type(float))
        self.shape = tuple(shape)

    @staticmethod
    def _line(angle, offset, along, step, shape):
        # grid points that the line's samples touch, each once, and the sums of their bilinear weights
        row = (shape[0] - 1) / 2 + offset * np.cos(angle) + along * np.sin(angle)
        column = (shape[1] - 1) / 2 - offset * np.sin(angle) + along * np.cos(angle)
        total = np.zeros(shape)
        for i in (np.floor(row), np.floor(row) + 1):
            for j in (np.floor(column), np.floor(column) + 1):
                weight = step * (1 - np.abs(row - i)) * (1 - np.abs(column - j))
                inside = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
                np.add.at(total, (i[inside].astype(int), j[inside].astype(int)), weight[inside])
        points = np.flatnonzero(total)
        return points, total.ravel()[points]

    def __call__(self, x_0):
        batch, *shape, channels = x_0.shape
        if tuple(shape) != self.shape:
            raise ValueError(f"line integrals are of fields of shape {self.shape}, got {tuple(shape)}")
        rows = jnp.moveaxis(x_0.reshape(batch, -1, channels), 0, 1)  # (points, B, C)
        # angle by angle: what is gathered for all at once would be many times the field

        def one(line):
            indices, weights = line
            return jnp.einsum("okbc,ok->boc", rows[indices], weights.astype(rows.dtype))

        return jnp.moveaxis(jax.lax.map(one, (self.indices, self.weights)), 0, 1)


class Fourier(eqx.Module):
    """Sampled Fourier coefficients, orthonormal, of arrays (B, *spatial, C) over the spatial axes: magnetic resonance, interferometry.

    Returns (B, m, 2, C): real and imaginary part of the m coefficients where mask is 1, in its order. The coefficient of -k is the
    conjugate of that of k: a mask of both sees the same twice.

    Args: mask: an array of the spatial shape, frequencies as in `jnp.fft.fftn`.
    Raises: ValueError if x has another spatial shape (at use).
    """

    indices: jax.Array
    shape: tuple = eqx.field(static=True)

    def __init__(self, mask):
        self.indices, self.shape = jnp.asarray(np.flatnonzero(mask), jnp.int32), np.shape(mask)

    def __call__(self, x_0):
        batch, *shape, channels = x_0.shape
        if tuple(shape) != self.shape:
            raise ValueError(f"the Fourier mask has shape {self.shape}, x the spatial shape {tuple(shape)}")
        modes = jnp.fft.fftn(x_0, axes=range(1, x_0.ndim - 1), norm="ortho")
        seen = modes.reshape(batch, -1, channels)[:, self.indices]
        return jnp.stack([seen.real, seen.imag], axis=2)


class Compose(eqx.Module):
    """One operator after another, the first one first: Compose(Blur(1.5), Downsample(2))."""

    operators: tuple

    def __init__(self, *operators):
        self.operators = operators

    def __call__(self, x_0):
        for operator in self.operators:
            x_0 = operator(x_0)
        return x_0
