"""Laws of data whose denoiser is known, none of which a default was tuned on: what samplers and particle methods are compared on.

All but the point sets are Gaussian mixtures, of mean 0 and of a mean variance of 1 unless they are scaled.
"""

import numpy as np
from mixtures import unit_mixture

import sciddm as sd


def full_covariances(seed: int = 0, dimension: int = 16, components: int = 10) -> sd.oracle.GaussianMixture:
    """Law A: Gaussians of full covariances, whose eigenvalues lie over two decades."""
    rng = np.random.default_rng([65, seed])
    means = rng.normal(size=(components, dimension))
    covariances = []
    for _ in range(components):
        axes, _ = np.linalg.qr(rng.normal(size=(dimension, dimension)))
        covariances.append((axes * 10.0 ** rng.uniform(-2.0, 0.0, dimension)) @ axes.T)
    return of_unit_variance(rng.dirichlet(np.full(components, 5.0)), means, np.array(covariances))


def heavy_tails(dimension: int = 8, degrees: float = 3.0, scales: int = 30) -> sd.oracle.GaussianMixture:
    """Law C: Student's t as Gaussians of one mean, the variances at the middle quantiles of degrees / chi^2."""
    from scipy.stats import chi2

    variances = degrees / chi2(degrees).ppf((np.arange(scales) + 0.5) / scales)
    return sd.oracle.GaussianMixture(np.ones(scales), np.zeros((scales, dimension)), variances / variances.mean())


def spectra(seed: int = 0, points: int = 64, slopes=(2.0, 2.5, 3.0, 3.5)) -> sd.oracle.GaussianMixture:
    """Law D: periodic fields around four fields of the same kind, with spectra k^-2 to k^-3.5."""
    rng = np.random.default_rng([68, seed])
    k = np.abs(np.fft.fftfreq(points, 1.0 / points))
    waves = np.fft.fft(np.eye(points), norm="ortho")
    covariances, means = [], []
    for slope in slopes:
        power = np.where(k > 0, np.maximum(k, 1.0) ** -slope, 0.0) + 1e-4
        covariance = (waves.conj().T @ (power[:, None] * waves)).real
        covariances.append(covariance / covariance[0, 0])
        means.append(rng.multivariate_normal(np.zeros(points), covariances[-1]))
    return of_unit_variance(np.ones(len(slopes)), np.array(means), np.array(covariances))


def uniform_cube(dimension: int = 4, cells: int = 24) -> sd.oracle.GaussianMixture:
    """Bounded data: nearly uniform in a cube, as a mixture over the cells of each of a few points on its diagonals."""
    rng = np.random.default_rng(66)
    means = rng.uniform(-1.0, 1.0, (40 * cells, dimension))
    return of_unit_variance(np.ones(len(means)), means, 0.05**2)


def ring(components: int = 24, radius: float = 1.4, std: float = 0.05) -> sd.oracle.GaussianMixture:
    """Narrow Gaussians on a circle."""
    angle = 2.0 * np.pi * np.arange(components) / components
    return sd.oracle.GaussianMixture(np.ones(components), radius * np.stack([np.cos(angle), np.sin(angle)], 1), std**2)


def scaled(law: sd.oracle.GaussianMixture, width: float) -> sd.oracle.GaussianMixture:
    """The law of `width` times its data."""
    return sd.oracle.GaussianMixture(law.weights, width * law.means, width**2 * law.covariances)


def of_unit_variance(weights, means, covariances) -> sd.oracle.GaussianMixture:
    """Centred, and scaled to a mean variance of 1 over the coordinates."""
    law = sd.oracle.GaussianMixture(weights, means, covariances)
    factor = 1.0 / float(law.std)
    return sd.oracle.GaussianMixture(
        weights, factor * (np.asarray(means) - np.asarray(law.mean)), factor**2 * np.asarray(law.covariances)
    )


LAWS = {
    "A, full covariances": full_covariances,
    "C, Student t": heavy_tails,
    "D, spectra": spectra,
    "isotropic, 16 dimensions": lambda: unit_mixture(1, 16, 10, 0.2),
    "isotropic, 4 dimensions": lambda: unit_mixture(7, 4, 6, 0.1),
    "bounded": uniform_cube,
    "ring": ring,
    "A, 10 times as wide": lambda: scaled(full_covariances(), 10.0),
    "A, a tenth as wide": lambda: scaled(full_covariances(), 0.1),
}
