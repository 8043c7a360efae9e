"""Gaussian random fields: the coefficients, sources and initial states of the equations. Field i depends on (seed, i) alone."""

import numpy as np
import scipy


def neumann_field(rng: np.random.Generator, size: int, *, alpha: float = 2.0, tau: float = 3.0) -> np.ndarray:
    """One field of covariance tau^(2 alpha - 2) (-Laplace + tau^2)^-alpha on the unit square with zero normal derivative.

    a(x) = sum_k c_k xi_k cos(pi k_1 x) cos(pi k_2 y) (normalised), c_k = tau^(alpha - 1) (pi^2 |k|^2 + tau^2)^(-alpha/2), k != 0
                                                                             (Li et al. 2021, appendix A.3, arXiv:2010.08895)
    Cell-centred grid. Returns (size, size), zero mean, dimensionless.
    """
    k = np.pi * np.arange(size)
    scale = tau ** (alpha - 1.0) * (k[:, None] ** 2 + k[None, :] ** 2 + tau**2) ** (-alpha / 2.0)
    scale[0, 0] = 0.0
    # Orthonormal cosines on the grid are size times smaller than those of unit norm on the square.
    return scipy.fft.idctn(size * scale * rng.standard_normal((size, size)), type=2, norm="ortho")


def periodic_field(rng: np.random.Generator, shape: tuple[int, ...], scale) -> np.ndarray:
    """One zero-mean field on the periodic unit interval or square: sum_k scale(|2 pi k|) xi_k e^(2 pi i k x).

    scale: standard deviation of a mode as a function of its angular wavenumber. Returns an array of `shape`.
    """
    axes = [2.0 * np.pi * scipy.fft.fftfreq(n, 1.0 / n) for n in shape]
    wavenumber = np.sqrt(sum(np.square(k) for k in np.meshgrid(*axes, indexing="ij")))
    amplitude = np.where(wavenumber > 0, scale(np.maximum(wavenumber, 1.0)), 0.0)
    white = scipy.fft.fftn(rng.standard_normal(shape), norm="ortho")  # Hermitian, unit variance a mode
    points = np.prod(shape)
    return np.real(scipy.fft.ifftn(amplitude * white, norm="ortho")) * np.sqrt(points)


def burgers_start(rng, size: int) -> np.ndarray:
    """N(0, 625 (-Laplace + 25)^-2) on the periodic interval (arXiv:2010.08895, section 5.1). Returns (size,)."""
    return periodic_field(rng, (size,), lambda k: 25.0 / (k**2 + 25.0))


def vorticity_start(rng, size: int) -> np.ndarray:
    """N(0, 2 * 7^3 (-Laplace + 49)^(-5/2)) on the periodic square. Returns (size, size).

    The amplitude is that of the published data's code; its paper (arXiv:2010.08895, section 5.3) prints 7^(3/2).
    """
    return periodic_field(rng, (size, size), lambda k: 2.0**0.5 * 7.0**1.5 * (k**2 + 49.0) ** -1.25)
