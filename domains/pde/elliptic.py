"""Steady equations on the unit square with u = 0 on the boundary: finite volumes on a cell-centred grid.

    Darcy       -div(a grad u) = 1
    Poisson     Laplace u = a
    Helmholtz   Laplace u + k^2 u = a,  k = 1

Point (i, j) is the centre of cell (i, j), half a cell inside; fluxes use the harmonic mean of a, and the boundary face is
half a cell away. Each equation has its solver and its residual with the very same stencil. The residuals are written for
numpy and jax arrays alike, so that they also guide samples.
"""

import numpy as np
import scipy


def _face_coefficients(a, axis: int):
    """Coefficients on the size + 1 faces across `axis` (-2 or -1).

    Harmonic means inside, 2 a on the two boundary faces, which are half as far.
    """
    lower, upper = _cut(a, axis, slice(None, -1)), _cut(a, axis, slice(1, None))
    inside = 2.0 * lower * upper / (lower + upper)
    xp = _namespace(a)
    return xp.concatenate([2.0 * _cut(a, axis, slice(0, 1)), inside, 2.0 * _cut(a, axis, slice(-1, None))], axis=axis)


def _divergence(a, u):
    """div(a grad u) at cell centres, per unit area. a, u: (..., size, size), or a None for 1."""
    xp, size = _namespace(u, a), u.shape[-1]
    total = 0.0
    for axis in (-2, -1):
        rim = xp.zeros_like(_cut(u, axis, slice(0, 1)))
        jump = xp.concatenate(
            [_cut(u, axis, slice(0, 1)), xp.diff(u, axis=axis), -_cut(u, axis, slice(-1, None))], axis=axis
        )
        if a is None:
            edge = xp.concatenate([rim + 2.0, xp.ones_like(_cut(u, axis, slice(1, None))), rim + 2.0], axis=axis)
        else:
            edge = _face_coefficients(a, axis)
        total = total + xp.diff(edge * jump, axis=axis)
    return total * size**2


def darcy_residual(a, u):
    """-div(a grad u) - 1. a, u: (..., size, size)."""
    return -_divergence(a, u) - 1.0


def poisson_residual(a, u):
    """Laplace u - a. a, u: (..., size, size)."""
    return _divergence(None, u) - a


def helmholtz_residual(a, u):
    """Laplace u + u - a, for k = 1. a, u: (..., size, size)."""
    return _divergence(None, u) + u - a


def darcy_solve(a: np.ndarray) -> np.ndarray:
    """u of -div(a grad u) = 1 by banded Cholesky factorisation. a: (size, size), positive. Returns (size, size)."""
    size = a.shape[0]
    across, along = _face_coefficients(a, -2), _face_coefficients(a, -1)
    banded = np.zeros((size + 1, size * size))
    banded[0] = (across[:-1] + across[1:] + along[:, :-1] + along[:, 1:]).ravel()
    right = along[:, 1:].copy()
    right[:, -1] = 0.0  # the boundary face couples to no cell
    banded[1] = -right.ravel()
    banded[size, : size * (size - 1)] = -across[1:-1].ravel()
    load = np.full(size * size, 1.0 / size**2)
    return scipy.linalg.solveh_banded(banded, load, lower=True, overwrite_ab=True, check_finite=False).reshape(a.shape)


def poisson_solve(a: np.ndarray) -> np.ndarray:
    """u of Laplace u = a by sine transforms. a: (..., size, size)."""
    return _spectral_solve(a, 0.0)


def helmholtz_solve(a: np.ndarray) -> np.ndarray:
    """u of Laplace u + u = a by sine transforms. a: (..., size, size)."""
    return _spectral_solve(a, 1.0)


def _spectral_solve(a, k2: float):
    # DST-II diagonalises the cell-centred stencil with u = 0 half a cell outside: eigenvalues -(2 size sin(pi k / 2 size))^2.
    size = a.shape[-1]
    eigenvalue = -((2.0 * size * np.sin(np.pi * np.arange(1, size + 1) / (2.0 * size))) ** 2)
    coefficients = scipy.fft.dstn(a, type=2, axes=(-2, -1))
    return scipy.fft.idstn(coefficients / (eigenvalue[:, None] + eigenvalue[None, :] + k2), type=2, axes=(-2, -1))


def _cut(x, axis: int, part: slice):
    return x[..., part, :] if axis == -2 else x[..., part]


def _namespace(*arrays):
    if all(x is None or isinstance(x, np.ndarray) for x in arrays):
        return np
    import jax.numpy as jnp  # only where a jax array came in: the solvers themselves never load jax

    return jnp
