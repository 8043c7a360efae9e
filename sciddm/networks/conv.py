"""Convolutions whose gradient is as fast inside a scan as outside.

XLA on CPU has a fast path for a convolution in canonical order (batch first, channels last) and none for the transposed forms
that differentiation makes of it; inside `scan`, `while` and `cond` those are 17 to 60 times slower. So the backward pass is
written with canonical convolutions too, and is exact:

    input gradient   conv(dy, kernel flipped in space with its channel axes exchanged)
    kernel gradient  conv(x, dy) with batch and channel axes exchanged

Nor is there a fast path for three axes: there a convolution is one of planes for every point of the kernel's first axis, added up,
which is 3 to 10 times faster.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


def each_axis(periodic, ndim: int) -> tuple[bool, ...]:
    """Whether each of `ndim` spatial axes wraps around: periodic is one bool for all of them or one each.

    Raises: ValueError on another number of them.
    """
    each = (periodic,) * ndim if isinstance(periodic, (bool, np.bool_)) else tuple(periodic)
    if len(each) != ndim:
        raise ValueError(f"periodic = {periodic!r}: expected a bool, or one for each of {ndim} axes")
    return tuple(bool(one) for one in each)


def conv(x, kernel, *, periodic: bool | tuple[bool, ...] = False, canonical: bool | None = None):
    """Convolution of odd width and stride 1 that keeps the grid's size.

    Args:
        x: (B, *spatial, C_in), one to three spatial axes; kernel: (*width, C_in, C_out), every width odd.
        periodic: wrap around the edges instead of padding with zeros; one bool, or one for each spatial axis.
        canonical: the backward pass above, which has no forward mode; None takes it on CPU and plain `lax` elsewhere.
    Returns: (B, *spatial, C_out).
    Raises: ValueError on an even width, and on another number of bools than axes.
    """
    widths = kernel.shape[:-2]
    if any(width % 2 == 0 for width in widths):
        raise ValueError(f"kernel widths {widths}: expected odd ones, an even one has no centre")
    pads = tuple(width // 2 for width in widths)
    wraps = each_axis(periodic, len(pads))
    if any(wraps):
        around = [(p, p) if wrap else (0, 0) for p, wrap in zip(pads, wraps, strict=True)]
        x = jnp.pad(x, [(0, 0), *around, (0, 0)], mode="wrap")
        pads = tuple(0 if wrap else p for p, wrap in zip(pads, wraps, strict=True))
    if canonical is None:
        canonical = jax.default_backend() == "cpu"
    if not canonical:
        return _plain(x, kernel, pads)
    return _by_planes(x, kernel, pads) if len(pads) == 3 else _canonical(x, kernel, pads)


def _by_planes(x, kernel, pads):
    # (B, D, H, W, C): planes are a batch of B * D
    x = jnp.pad(x, [(0, 0), (pads[0], pads[0])] + [(0, 0)] * 3)
    depth = x.shape[1] - len(kernel) + 1
    planes = (x[:, i : i + depth].reshape(-1, *x.shape[2:]) for i in range(len(kernel)))
    found = sum(_canonical(plane, each, pads[1:]) for plane, each in zip(planes, kernel, strict=True))
    return found.reshape(x.shape[0], depth, *found.shape[1:])


def _plain(x, kernel, pads):
    axes = "DHW"[3 - len(pads) :]
    names = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    return jax.lax.conv_general_dilated(x, kernel, (1,) * len(pads), [(p, p) for p in pads], dimension_numbers=names)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _canonical(x, kernel, pads):
    return _plain(x, kernel, pads)


def _forward(x, kernel, pads):
    return _plain(x, kernel, pads), (x, kernel)


def _backward(pads, saved, dy):
    x, kernel = saved
    space = tuple(range(len(pads)))
    turned = jnp.flip(kernel, space).swapaxes(-1, -2)
    dx = _plain(dy, turned, tuple(width - 1 - p for width, p in zip(kernel.shape, pads, strict=False)))
    # C_in plays the batch and B the input channels: (C_in, *spatial, B) with dy as a kernel (*spatial, B, C_out).
    exchanged = _plain(x.swapaxes(0, -1), jnp.moveaxis(dy, 0, -2), pads)
    return dx, jnp.moveaxis(exchanged, 0, -2)


_canonical.defvjp(_forward, _backward)
