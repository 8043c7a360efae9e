"""Monotone functions of one variable that make skewed or bounded data nearer to Gaussian, with their Jacobians.

    y = T(x),   log p(x) = log p(y) - log |dx/dy|

A name with options, as the config gives it: "log", "log(offset=0.1)", "asinh(scale=2.0)", "logit(low=0.0, high=100.0)", "cbrt".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from sciddm.named import check_options, near, parse


@dataclass(frozen=True)
class Transform:
    """y = forward(x), x = inverse(y), log_slope(x) = log |dx/dy| at x; elementwise, of numpy or jax arrays.

    low, high: where x may lie, ends not included; is_identity: whether it does nothing.
    """

    forward: Callable
    inverse: Callable
    log_slope: Callable
    low: float = -math.inf
    high: float = math.inf
    is_identity: bool = False


def identity() -> Transform:
    """y = x."""
    return Transform(lambda x: x, lambda y: y, lambda x: 0.0 * x, is_identity=True)


def log(offset: float = 0.0) -> Transform:
    """y = log(x + offset), for positive and skewed data; offset, in the units of x, where zeros occur."""
    return Transform(
        lambda x: _of(x).log(x + offset),
        lambda y: _of(y).exp(y) - offset,
        lambda x: _of(x).log(x + offset),
        low=0.0 - offset,
    )


def asinh(scale: float = 1.0) -> Transform:
    """y = asinh(x / scale): linear below `scale`, in the units of x, and logarithmic above it, of both signs."""
    if not scale > 0:
        raise ValueError(f"scale = {scale!r}: expected a positive number")
    return Transform(
        lambda x: _of(x).arcsinh(x / scale),
        lambda y: scale * _of(y).sinh(y),
        lambda x: 0.5 * _of(x).log(x**2 + scale**2),
    )


def logit(low: float = 0.0, high: float = 1.0) -> Transform:
    """y = log((x - low) / (high - x)), for data between two bounds."""
    if not low < high:
        raise ValueError(f"low = {low!r}, high = {high!r}: expected low < high")
    width = high - low
    return Transform(
        lambda x: _of(x).log((x - low) / (high - x)), lambda y: low + width * _sigmoid(y),
        lambda x: _of(x).log((x - low) * (high - x) / width), low=low, high=high,
    )  # fmt: skip


def cbrt() -> Transform:
    """y = x^(1/3), for data of both signs with heavy tails; its slope is infinite at 0."""
    return Transform(
        lambda x: _of(x).cbrt(x), lambda y: y**3, lambda x: math.log(3) + 2 / 3 * _of(x).log(_of(x).abs(x))
    )


TRANSFORMS = {"identity": identity, "log": log, "asinh": asinh, "logit": logit, "cbrt": cbrt}


def transform(name: str) -> Transform:
    """The transform of a name with options. Raises: ValueError that names what is wrong, with the near match."""
    kind, options = parse(name)
    if kind not in TRANSFORMS:
        raise ValueError(f"{kind!r} is no transform; expected one of {sorted(TRANSFORMS)}{near(kind, TRANSFORMS)}")
    check_options(TRANSFORMS[kind], options)
    return TRANSFORMS[kind](**options)


def _of(x):
    return np if isinstance(x, (np.ndarray, np.floating)) else jnp


def _sigmoid(y):
    if _of(y) is np:
        half = np.tanh(0.5 * y)
        return 0.5 * (1.0 + half)
    return jax.nn.sigmoid(y)
