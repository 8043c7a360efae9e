"""What the tests of searches share: a reward, the chosen x of many runs, and the law of the largest of n normals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from chain import VARIANCE, gaussian

from sciddm import particles

LARGEST = {4: 1.0294, 10: 1.5388, 50: 2.2491}  # E max of as many standard normals


def first(x, t=None):
    """The reward: the first entry of x_0, whose law is that of the prior."""
    return x[:, 0]


def count_above(least, x, t):
    """A reward in whole numbers, 3 for each entry above `least`: it has no gradient."""
    return 3 * jnp.sum(x > least, axis=1)


def answers(method, count, denoiser=None, potential=first, **options):
    """The chosen x of `count` runs."""
    denoiser = gaussian() if denoiser is None else denoiser

    def one(key):
        return method(key, denoiser, potential, (1,), **options).best()[0]

    return np.asarray(eqx.filter_jit(particles.for_each)(jax.random.key(0), one, count=count))


def at(*times):
    """A grid of these times."""
    return lambda process, steps: np.array(times, np.float32)


def assert_best_of(n, values, std=np.sqrt(VARIANCE)):
    """Values are the largest of n draws of N(0, std^2): their mean, and E log Phi = -1/n, whence KL = log n - (n - 1) / n."""
    z = values / std
    for found, expected in ((z, LARGEST[n]), (scipy.stats.norm.logcdf(z), -1.0 / n)):
        assert abs(found.mean() - expected) < 3.0 * found.std(ddof=1) / np.sqrt(len(z)), (found.mean(), expected)
