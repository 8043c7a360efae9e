"""Spectral noise: a stationary Gaussian random field, diagonal in Fourier or cosine space.

    Sigma = F^-1 diag(S) F,   F the discrete Fourier transform (periodic) or the orthonormal DCT-II (reflecting edges)

S > 0 has mean 1, so that the pointwise variance, tr Sigma / N, is 1: at every point of a periodic field, on average over the
points of a reflecting one. Sigma has full rank and log det Sigma = sum log S is exact. One product with Sigma, its inverse
or its root is a forward and a backward transform.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.arithmetic import as_structs
from sciddm.noise.coloured import Coloured, check_grid, on_leaves


class SpectralField(Coloured):
    """Every leaf of x is (..., *spatial, C), with 1 to 3 spatial axes; channels and leading axes are independent fields.

    Args:
        spectrum: S, of the spatial shape: relative power at the frequencies `frequencies(shape, periodic)`; scaled here to mean 1.
        periodic: Fourier space; False: cosine space, where the field's slope across every edge is zero.
    Raises: ValueError if S is not positive and finite, has not 1 to 3 axes, or S(k) != S(-k) where periodic.
    """

    spectrum: jax.Array
    periodic: bool = eqx.field(static=True)

    def __init__(self, spectrum, *, periodic: bool = True):
        power = np.asarray(spectrum, np.float64)
        if not 1 <= power.ndim <= 3:
            raise ValueError(f"spectrum of shape {power.shape}: expected 1 to 3 spatial axes")
        if not (np.all(np.isfinite(power)) and np.all(power > 0)):
            raise ValueError(
                "spectrum: expected positive, finite power at every frequency; a nugget or a correlation length helps"
            )
        if periodic and not np.allclose(power, np.roll(np.flip(power), 1, tuple(range(power.ndim)))):
            raise ValueError("spectrum of a real periodic field: expected S(k) = S(-k)")
        self.spectrum = jnp.asarray(power / power.mean(), jnp.result_type(float))
        self.periodic = periodic

    @classmethod
    def isotropic(cls, power: Callable, shape, *, periodic: bool = True, spacing=1.0, nugget: float = 0.0):
        """S from a function of the wavenumber.

        Args: power: |k| -> relative power, |k| in radians per unit length, 0 included; shape: of the grid; spacing: of the grid
            points, a scalar or one an axis; nugget: share of the variance, in [0, 1], that is white.
        """
        spectrum = np.asarray(power(frequencies(shape, periodic, spacing)), np.float64)
        return cls((1.0 - nugget) * spectrum / spectrum.mean() + nugget, periodic=periodic)

    @classmethod
    def power_law(cls, shape, slope: float, length: float, *, nugget=0.0, periodic: bool = True, spacing=1.0):
        """S(k) = (1 + (k length)^2)^(-slope/2): white on scales above `length`, falling as k^-slope below it (Matern's family).

        Args: slope: e.g. 5/3 + d - 1 for a Kolmogorov energy spectrum in d dimensions; length: in the units of spacing.
        """
        return cls.isotropic(
            lambda k: (1.0 + (k * length) ** 2) ** (-0.5 * slope),
            shape, periodic=periodic, spacing=spacing, nugget=nugget,
        )  # fmt: skip

    @property
    def full_rank(self) -> bool:
        return True

    def project(self, x):
        return x

    def dimension(self, like):
        sizes = [np.prod(leaf.shape) for leaf in jax.tree.leaves(as_structs(like))]
        return jnp.asarray(sum(sizes), jnp.result_type(float))

    def log_determinant(self, like):
        return jnp.sum(jnp.log(self.spectrum)) * (self.dimension(like) / self.spectrum.size)

    def power(self, x, exponent):
        return on_leaves(lambda leaf: self._filter(leaf, self.spectrum**exponent), x)

    def _filter(self, x, gain):
        grid = self.spectrum.shape
        check_grid(self, x, grid)
        axes, gain = tuple(range(x.ndim - 1 - len(grid), x.ndim - 1)), gain[..., None].astype(x.dtype)
        if self.periodic:
            half = gain[..., : grid[-1] // 2 + 1, :]
            return jnp.fft.irfftn(half * jnp.fft.rfftn(x, axes=axes), s=grid, axes=axes)
        for axis in axes:
            x = jax.scipy.fft.dct(x, norm="ortho", axis=axis)
        x = gain * x
        for axis in axes:
            x = jax.scipy.fft.idct(x, norm="ortho", axis=axis)
        return x


def frequencies(shape, periodic: bool = True, spacing=1.0):
    """|k| of each coefficient, in radians per unit length: 2 pi j / (n spacing) in Fourier space, pi j / (n spacing) in cosine space."""
    shape = (shape,) if np.ndim(shape) == 0 else tuple(shape)
    steps = np.broadcast_to(spacing, (len(shape),))
    axes = [
        2 * np.pi * np.fft.fftfreq(n, step) if periodic else np.pi * np.arange(n) / (n * step)
        for n, step in zip(shape, steps, strict=True)
    ]
    return np.sqrt(sum(k**2 for k in np.meshgrid(*axes, indexing="ij")))
