"""An orthonormal time-frequency transform: the modified discrete cosine transform of a signal of finite length.

    around every border between two blocks of M samples, j = 0 .. M/2 - 1 away from it, left u_j and right v_j are turned,
        u'_j = h_j u_j - l_j v_j,   v'_j = h_j v_j + l_j u_j,   h_j, l_j = sin, cos of pi/4 + pi (j + 1/2) / (2 M)
    and every block goes through the orthonormal DCT-IV,
        X_k = sqrt(2/M) sum_n x'_n cos(pi/M (n + 1/2) (k + 1/2))     (Princen & Bradley 1986, doi 10.1109/TASSP.1986.1164954, sine window)

As many coefficients as samples and a turn of the space: white noise stays white, so that densities and posteriors of coefficients are
those of the signal, which a redundant transform (STFT) does not give. At the two ends of the signal nothing is turned. The sine transform
`mdst` has the other signs and the phase that the cosines lack: both together are a local spectrum. Of numpy arrays or traced ones.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy


def mdct(signal, bins: int):
    """(..., frames * bins) -> (..., frames, bins), orthonormal. Raises: ValueError where bins don't divide the samples, or are odd."""
    return _blocks(_turn(_cut(signal, bins), 1.0), "cos")


def mdst(signal, bins: int):
    """(..., frames * bins) -> (..., frames, bins), the sine transform, orthonormal too."""
    return _blocks(_turn(_cut(signal, bins), -1.0), "sin")


def imdct(coefficients):
    """(..., frames, bins) -> (..., frames * bins), the inverse and the transpose of `mdct`."""
    blocks = _turn(_blocks(coefficients, "cos"), -1.0)
    return blocks.reshape(*blocks.shape[:-2], -1)


def sines_of(coefficients):
    """`mdst` of the signal whose `mdct` is given, (..., frames, bins)."""
    return mdst(imdct(coefficients), coefficients.shape[-1])


def _cut(signal, bins):
    if bins < 2 or bins % 2 or signal.shape[-1] % bins:
        raise ValueError(f"a signal of {signal.shape[-1]} samples and {bins} bins: expected an even number that divides the samples")
    return signal.reshape(*signal.shape[:-1], -1, bins)


def _turn(blocks, sign: float):
    # Around every border, by the angle of `_window` or, where sign is -1, by the opposite one, which is the inverse.
    xp, half = _numpy(blocks), blocks.shape[-1] // 2
    high, low = (table.astype(blocks.dtype) for table in _window(blocks.shape[-1]))
    first, second = blocks[..., :half], blocks[..., half:]
    left, right = second[..., :-1, ::-1], first[..., 1:, :]  # seen from the border outwards
    turned_left, turned_right = high * left - sign * low * right, high * right + sign * low * left
    second = xp.concatenate([turned_left[..., ::-1], second[..., -1:, :]], -2)
    first = xp.concatenate([first[..., :1, :], turned_right], -2)
    return xp.concatenate([first, second], -1)


def _blocks(blocks, kind):
    if _numpy(blocks) is np:  # threads of a matrix product would stand in the way of a training that goes on beside
        return getattr(scipy.fft, {"cos": "dct", "sin": "dst"}[kind])(blocks, 4, norm="ortho")
    return blocks @ _basis(blocks.shape[-1], kind).astype(blocks.dtype)


def _numpy(x):
    return jnp if isinstance(x, jax.Array) else np


@functools.cache
def _window(bins):
    angle = np.pi / 4 + np.pi * (np.arange(bins // 2) + 0.5) / (2 * bins)
    return np.sin(angle), np.cos(angle)


@functools.cache
def _basis(bins, kind):
    # of an even number of bins DCT-IV and DST-IV are symmetric, and their own inverses
    halves = np.arange(bins) + 0.5
    return getattr(np, kind)(np.pi / bins * np.outer(halves, halves)) * np.sqrt(2 / bins)
