"""Windows of a sequence and patches of a grid: overlapping boxes, each point of a view one point of the whole."""

import itertools

import jax.numpy as jnp
import numpy as np

from sciddm.lookahead.views.base import Views


def windows(length: int, window: int, stride: int, axis: int = 1, periodic: bool = False) -> Views:
    """Windows of one axis, starting every `stride` points; where that leaves a rest, the last one is flush with the end.

    Args: axis: in the batched array, 1 is the first after the batch; periodic: windows wrap around the end.
    Raises: ValueError unless 1 <= stride <= window <= length, or on an axis below 1.
    """
    return patches((length,), (window,), (stride,), (axis,), periodic)


def patches(shape, window, stride, axes=None, periodic=False) -> Views:
    """Windows of several axes at once: their tensor product, the last axis fastest.

    Args:
        shape: of those axes; window, stride: one for all of them, or one an axis.
        axes: in the batched array; None: the first ones after the batch; periodic: one for all of them, or one an axis.
    Raises: ValueError as `windows`, naming the axis.
    """
    shape = tuple(int(size) for size in shape)
    axes = tuple(range(1, len(shape) + 1)) if axes is None else tuple(axes)
    window, stride = (_each(value, shape, name) for value, name in ((window, "window"), (stride, "stride")))
    if len(axes) != len(shape) or len(set(axes)) < len(axes) or min(axes, default=0) < 1:
        raise ValueError(f"axes = {axes}: expected {len(shape)} different ones of the batched array, counted from 1")
    parts = []
    for one in zip(axes, shape, window, stride, _each(periodic, shape, "periodic"), strict=True):
        parts.append(_intervals(*one))
    common = {"shape": shape, "axes": axes}
    # Every choice of windows on some axes and overlaps on the others; starts of one size make one group.
    groups = []
    for kinds in itertools.product(*([(size, starts, sign) for size, starts, sign in part] for part in parts)):
        sizes, starts, signs = zip(*kinds, strict=True)
        groups.append((int(np.prod(signs)), _boxes(starts, sizes, **common)))
    central = np.ones((1, 1))
    for part, length in zip(parts, shape, strict=True):
        size, starts, _ = part[0]
        central = np.kron(central, _most_central(np.asarray(starts), size, length))
    whole = groups[0][1]
    return Views(whole.indices, view_shape=window, central=jnp.asarray(central), overlaps=tuple(groups[1:]), **common)


def _intervals(axis, length, window, stride, periodic):
    # [(size, starts, sign)]: the windows, then the overlaps of consecutive ones, by size
    if not 1 <= stride <= window <= length:
        raise ValueError(
            f"axis {axis}: window = {window}, stride = {stride}, expected 1 <= stride <= window <= length = {length}: "
            "a larger stride would leave gaps"
        )
    if periodic:
        starts = list(range(0, length, stride))
        following = [*starts[1:], starts[0] + length]
    else:
        starts = list(range(0, length - window + 1, stride))
        starts += [length - window] if starts[-1] != length - window else []
        following = starts[1:]
    overlaps = {}
    for start, after in zip(starts, following, strict=False):
        if start + window > after:
            overlaps.setdefault(start + window - after, []).append(after % length)
    return [(window, starts, 1), *((size, at, -1) for size, at in overlaps.items())]


def _boxes(starts, sizes, shape, axes):
    """Boxes of these sizes at every combination of starts, modulo the shape."""
    lines = [
        (np.asarray(start)[:, None] + np.arange(size)) % length
        for start, size, length in zip(starts, sizes, shape, strict=True)
    ]
    flat = np.zeros((1, 1), np.int64)
    for line, length in zip(lines, shape, strict=True):
        flat = (flat[:, None, :, None] * length + line[None, :, None, :]).reshape(
            flat.shape[0] * line.shape[0], flat.shape[1] * line.shape[1]
        )
    return Views(jnp.asarray(flat[..., None], jnp.int32), view_shape=tuple(sizes), shape=shape, axes=axes)


def _most_central(starts, size, length):
    """(V, size): 1 where no other window has the point farther from its edges."""
    depth = np.minimum(np.arange(size), size - 1 - np.arange(size))
    at = (starts[:, None] + np.arange(size)) % length
    best = np.zeros(length, int)
    np.maximum.at(best, at, np.broadcast_to(depth, at.shape))
    return (depth == best[at]).astype(float)


def _each(value, shape, name):
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * len(shape)
    if len(values) != len(shape):
        raise ValueError(f"{name} = {value}: expected one for all axes, or one for each of {len(shape)}")
    return values
