"""Gaussian data N(0, VARIANCE), an observation of them, and what a chain of ancestral steps samples: not quite N(0, VARIANCE), at any
number of steps."""

import functools

import equinox as eqx
import numpy as np
from gaussian_posterior import gaussian_denoiser, levels

import sciddm as sd

VARIANCE = 0.7
PROCESS = sd.GaussianProcess.vp()
EXACT = sd.solvers.DDPM(prior_variance=VARIANCE)  # for these data the kernel is exact at any number of steps
LOUD = sd.GaussianProcess.edm(sigma_max=1.5)  # x_1 knows a good deal of x_0, so that where particles begin matters
Y, TAU = 1.3, 0.4  # what is measured of the one coordinate, and its variance
OBSERVATION = sd.lookahead.Observation(np.array([[1.0]]), np.array([Y]), np.sqrt(TAU))


def gaussian(process=PROCESS):
    """The exact denoiser of N(0, VARIANCE I) in any dimension."""
    return gaussian_denoiser(process, VARIANCE)


@functools.cache
def end_variance(steps, process=PROCESS):
    """Variance of x_0 under ddpm on the log-SNR grid, the last step having the spread sigma / sqrt(alpha^2 + sigma^2)."""
    _, alpha, sigma = levels(process, "logsnr", steps)
    variance = sigma[0] ** 2
    for n in range(steps):
        shrink = alpha[n] * VARIANCE / (alpha[n] ** 2 * VARIANCE + sigma[n] ** 2)
        if n == steps - 1:
            return shrink**2 * variance + sigma[n] ** 2 / (alpha[n] ** 2 + sigma[n] ** 2)
        share = (alpha[n] * sigma[n + 1] / (alpha[n + 1] * sigma[n])) ** 2
        keep = share * alpha[n + 1] / alpha[n] + alpha[n + 1] * (1.0 - share) * shrink
        variance = keep**2 * variance + sigma[n + 1] ** 2 * (1.0 - share)


def log_normal(y, variance):
    return -0.5 * (y**2 / variance + np.log(2.0 * np.pi * variance))


@eqx.filter_jit
def populated(key, method, denoiser, potential, shape, **options):
    """A population and its mean, by one program."""
    result = method(key, denoiser, potential, shape, **options)
    return result, result.mean()


def assert_means(values, expected):
    """Each row of values is an independent estimate of expected, without bias: within 3 standard errors."""
    values = np.asarray(values, float)
    error = values.std(0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(values.mean(0) - expected) < 3.0 * error), (values.mean(0), expected, error)
