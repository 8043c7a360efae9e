"""What the tests of guides share: one observation of three entries, one of a scalar Gaussian, and single programs that ask a guide."""

import equinox as eqx
import jax
import numpy as np
from gaussian_posterior import gaussian_denoiser

import sciddm as sd

A = np.array([[1.0, 0.5, 0.0], [0.0, -1.0, 2.0]])
Y = np.array([0.7, -0.4])
T = 0.6
OBS = sd.lookahead.Observation(A, Y, 0.5)
V, TAU, SEEN = 0.5, 0.2, 1.0  # variances of a Gaussian prior and of the noise, and what is seen


def points(n=4):
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def rms(x):
    return np.sqrt(np.mean(x**2, -1, keepdims=True))


def at_once(*functions):
    """What each makes of x_t, in numpy, by one program."""
    return lambda x_t: [np.asarray(value) for value in jax.jit(lambda x: [f(x) for f in functions])(x_t)]


def asked(*guides):
    return at_once(*(lambda x, guide=guide: guide(x, T) for guide in guides))


@eqx.filter_jit
def ask(denoiser, x_t, t):
    """x0_hat of any denoiser, by one program."""
    return denoiser(x_t, t)


def identity(x):
    return x


def scalar(name="edm"):
    """Prior N(0, V), y = x + N(0, TAU), SEEN: the posterior is N(V SEEN / (V + TAU), V TAU / (V + TAU))."""
    process = getattr(sd.GaussianProcess, name)()
    return process, gaussian_denoiser(process, V), sd.lookahead.Observation(identity, np.array([SEEN]), np.sqrt(TAU))


def law_of_the_end(guided, **options):
    """Mean and covariance of x_0 by a solver without noise, exact where the guide is linear in x_t: from 0 and from one unit of each."""
    spread = float(guided.process.sigma(1.0))
    start = spread * np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
    ends, info = sd.sample(jax.random.key(0), guided, (4, 3), start=start, **options)
    ends = np.asarray(ends, float)
    return ends[0], (ends[1:] - ends[0]).T @ (ends[1:] - ends[0]), info
