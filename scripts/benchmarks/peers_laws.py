"""What our samplers and those of other libraries are measured on: laws with exact denoisers, exact samples and exact ends of the flow.

In y = x_t / alpha at r = sigma / alpha the probability flow is the same for every process, so one denoiser and one reference serve all
libraries, and all start from the same noise. Distances are in units of the law's standard deviation.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from laws import LAWS, of_unit_variance

import sciddm as sd

# of one seed: samples, those of them whose ends of the flow are known, and the lines of a distance
SAMPLES, PAIRED, DIRECTIONS = 2500, 1000, 100
CHUNK = 500  # of rows at a time, so that the responsibilities of many components stay in the caches


class Case:
    """One law, `seeds` sets of noise and exact samples, all (seeds * SAMPLES, d).

    denoiser: process -> our denoiser; into, back: between white coordinates (B, d), in which peers work, and x of our denoiser.
    """

    def __init__(self, law: sd.oracle.GaussianMixture, seeds: int, denoiser=None, into=None, back=None):
        self.law, self.seeds, self.std, d = law, seeds, float(law.std), law.means.shape[1]
        self.denoiser: Callable = denoiser or own_denoiser(law)
        self.into, self.back = into or (lambda z: z), back or (lambda x: x)
        self.noise = np.random.default_rng(3).standard_normal((seeds * SAMPLES, d)).astype(np.float32)
        lines = np.random.default_rng(0).normal(size=(DIRECTIONS, d))
        self.lines = (lines / np.linalg.norm(lines, axis=1, keepdims=True)).T.astype(np.float32)
        self.exact, *others = (
            self.sorted(np.asarray(law.sample(jax.random.key(9 + i), seeds * SAMPLES))) for i in range(2)
        )
        self.floor = self.difference(others[0])
        self.call, self.known = jax.jit(mean_given(law)), {}
        # the reference's own process: far wider than any other, so that all of them start and end within it
        process = sd.GaussianProcess.ve(1e-4 * self.std, 2e4 * self.std)
        self.reference = sd.FunctionDenoiser(lambda y, t, cond: self.call(y, process.sigma(t)), process)

    def x0_hat(self, y, r):
        """E[x_0 | x_0 + r eps = y]. y: (B, d) numpy; r: a float."""
        return np.asarray(self.call(y, np.float32(r)))

    def sorted(self, samples):
        """(seeds, DIRECTIONS, SAMPLES) projections on lines, sorted."""
        shape = (self.seeds, SAMPLES, DIRECTIONS)
        lines = (np.asarray(samples, np.float32) @ self.lines).reshape(shape).transpose(0, 2, 1)
        return np.sort(np.ascontiguousarray(lines), axis=-1)

    def difference(self, lines):
        return np.abs(lines - self.exact).mean((1, 2)) / self.std

    def distance(self, samples):
        """(seeds,) sliced Wasserstein-1 distances to exact samples."""
        return self.difference(self.sorted(samples))

    def first(self, samples):
        return np.asarray(samples).reshape(self.seeds, SAMPLES, -1)[:, :PAIRED].reshape(self.seeds * PAIRED, -1)

    def ends(self, y, r: float, steps: int = 250):
        """Where the flow through y at r ends, by many steps of a third order: (seeds * PAIRED, d)."""
        y = self.first(y)
        key = (f"{r:.3e}", f"{float(np.abs(y).mean()):.4e}", steps)
        if key not in self.known:
            levels = np.linspace(-2.0 * np.log(r), -2.0 * np.log(1e-3 * self.std), steps)
            times = np.append(np.asarray(self.reference.process.time(levels)), 0.0).clip(0.0, 1.0)
            self.known[key] = np.asarray(
                sd.sample(0, self.reference, y.shape, solver="dpmpp3m", grid=times, start=jnp.asarray(y))[0]
            )
        return self.known[key]

    def paired(self, samples, y, r: float):
        """(seeds,) root mean square distances, a coordinate, to the end of the flow from the same start."""
        squares = (self.first(samples) - self.ends(y, r)) ** 2
        return np.sqrt(squares.reshape(self.seeds, -1).mean(1)) / self.std


def mean_given(law: sd.oracle.GaussianMixture) -> Callable:
    """(y (B, d), r) -> E[x_0 | x_0 + r eps = y], B a multiple of CHUNK: the law's own denoiser, in chunks that fit the caches."""
    isotropic = isotropic_mean(law)
    one = (lambda y, r: isotropic(y, 1.0, r)) if isotropic else (lambda y, r: law.denoiser(Observed)(y, r))
    return lambda y, r: jax.lax.map(lambda part: one(part, r), y.reshape(-1, CHUNK, y.shape[-1])).reshape(y.shape)


def isotropic_mean(law: sd.oracle.GaussianMixture) -> Callable | None:
    """(x_t, alpha, sigma) -> E[x_0 | x_t] by products of matrices for many components of one width; None for other laws."""
    widths = np.asarray(law.variances)
    if len(law.means) < 100 or np.ptp(widths) > 1e-5 * widths.max():
        return None
    means, log_weights, variance = np.asarray(law.means), np.log(np.asarray(law.weights)), float(widths.mean())
    values = np.concatenate([means, np.ones((len(means), 1), np.float32)], 1)

    def mean(x, alpha, sigma):
        total = alpha**2 * variance + sigma**2
        logits = (alpha / total * x) @ means.T + (log_weights - 0.5 * alpha**2 / total * np.sum(means**2, -1))
        sums = jnp.exp(logits - logits.max(-1, keepdims=True)) @ values
        return (alpha * variance * x + sigma**2 * sums[:, :-1] / sums[:, -1:]) / total

    return mean


def own_denoiser(law: sd.oracle.GaussianMixture) -> Callable:
    """process -> the law's denoiser, in chunks where it has many components."""
    isotropic = isotropic_mean(law)
    if isotropic is None:
        return law.denoiser

    def denoiser(process):
        def function(x, t, cond):
            alpha, sigma = process.alpha(t), process.sigma(t)
            rows = CHUNK if len(x) % CHUNK == 0 else len(x)
            parts = jax.lax.map(lambda part: isotropic(part, alpha, sigma), x.reshape(-1, rows, x.shape[-1]))
            return parts.reshape(x.shape)

        return sd.FunctionDenoiser(function, process, data_std=law.std)

    return denoiser


class _Observed(sd.process.Schedule):
    # y = x_0 + r eps, with r in the place of the time

    def alpha(self, t):
        return jnp.ones_like(t)

    def sigma(self, t):
        return t

    def log_snr(self, t):
        return -2.0 * jnp.log(t)

    def time(self, log_snr):
        return jnp.exp(-0.5 * log_snr)


Observed = sd.GaussianProcess(_Observed(), sd.noise.White())


def point_set(seeds: int, shapes: int = 6, std: float = 0.15) -> Case:
    """Five points in space and two that a mask leaves out, around one of a few shapes, centred: our denoiser acts on (B, 7, 3).

    The peers, which know no such noise, are given the same law in orthonormal coordinates of its support, where the noise is white.
    """
    noise = sd.noise.ZeroCentreOfMass(jnp.array([1.0, 1, 1, 1, 1, 0, 0]))
    basis, inverse = sd.oracle.support_basis(noise, (7, 3))
    rng = np.random.default_rng(67)
    inside = of_unit_variance(rng.dirichlet(np.full(shapes, 5.0)), rng.normal(size=(shapes, basis.shape[1])), std**2)
    variances = np.asarray(inside.variances)
    law = sd.oracle.GaussianMixture(
        inside.weights, inside.means @ basis.T, np.einsum("dr,kr,er->kde", basis, variances, basis)
    )

    def denoiser(process):
        return law.denoiser(sd.GaussianProcess(process.schedule, noise), (7, 3))

    into = lambda z: (z @ basis.T.astype(np.float32)).reshape(-1, 7, 3)  # noqa: E731
    back = lambda x: np.asarray(x).reshape(-1, 21) @ inverse.T.astype(np.float32)  # noqa: E731
    return Case(inside, seeds, denoiser, into, back)


def case(name: str, seeds: int) -> Case:
    return point_set(seeds) if name == "point sets" else Case(LAWS[name](), seeds)


NAMES = (*LAWS, "point sets")
# The peers get these laws as they are, and divided by their standard deviation: the second is the law that is named here.
SCALED = {"A, 10 times as wide": "A, full covariances", "A, a tenth as wide": "A, full covariances"}
