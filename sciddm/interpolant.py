"""Paired end points: from a source x_1 (now, a coarse field) at t = 1 to its target x_0 (the next frame, the fine field) at t = 0.

    x_t = a(t) x_0 + b(t) x_1 + gamma(t) eps            (Albergo et al. 2023, arXiv:2303.08797)

Without noise this is a Gaussian process whose noise is the source: the flow carries the source's law to the target's, and the
network does not see x_1. With noise, gamma = noise b sqrt(a), the network sees x_1 and samples follow p(x_0 | x_1): what is
left of x_t is a Gaussian process in y,

    x_t = n(t) y_t + b(t) x_1,   y_t = (a / n) x_0 + (gamma / n) eps,   n = sqrt(a^2 + gamma^2)

so both are denoisers like any other, and every solver, guide, objective and likelihood takes them as they are. gamma falls
as 1 - s in s = 1 - t towards the target and is a Wiener process's sqrt(s) at the source (Chen et al. 2024, section 3,
arXiv:2403.13724, x_s with sigma_s W_s, sigma_s = noise (1 - s)).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import combine
from sciddm.denoiser import Denoiser
from sciddm.noise import Noise, White
from sciddm.process import Cosine, GaussianProcess, Rectified, Schedule


class Interpolant(eqx.Module):
    """The path between pairs: `path.alpha` is a, `path.sigma` is b, gamma = noise b sqrt(a). Use `linear` or `trigonometric`.

        path = sd.Interpolant.linear(noise=0.5)
        denoiser = sd.NetworkDenoiser(network, path.process())
        loss = sd.Objective()(path.wrap(denoiser, x_1), key, x_0)
        x_0, info = sd.sample(key, path.wrap(denoiser, x_1), x_1.shape)

    Raises: ValueError if noise is negative.
    """

    path: Schedule
    noise: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if not self.noise >= 0:
            raise ValueError(f"noise = {self.noise}: expected 0 or a positive standard deviation, in the units of x")

    @classmethod
    def linear(cls, noise: float = 0.0) -> "Interpolant":
        """a = 1 - t, b = t."""
        return cls(Rectified(), noise)

    @classmethod
    def trigonometric(cls, noise: float = 0.0) -> "Interpolant":
        """a = cos(pi t / 2), b = sin(pi t / 2): where x_0 and x_1 are independent, of the same variance at all times."""
        return cls(Cosine(), noise)

    def coefficients(self, t):
        """a, b, gamma at t."""
        t = jnp.asarray(t, jnp.result_type(float))
        a, b = self.path.alpha(t), self.path.sigma(t)
        return a, b, self.noise * b * jnp.sqrt(a)

    def process(self, noise: Noise | None = None) -> GaussianProcess:
        """The process to make the network's denoiser with: its preconditioning sees x_t = a x_0 + b (something of variance one).

        noise: the law of eps (None: White).
        """
        return GaussianProcess(self.path, noise or White())

    def wrap(self, denoiser: Denoiser, source, key: str = "concat") -> "Interpolated":
        """The denoiser of the pairs whose sources are `source`, to train with and to sample from.

        Args: denoiser: of x_t, made with `process()`; source: x_1, a pytree of (B, ...) like x_0; key: the entry of `cond` under
        which the network finds the source, where there is noise.
        """
        denoiser.sampling.refuse("are of another x", "wrap the plain denoiser, and put the guide around")
        if self.noise:
            process = GaussianProcess(Bridge(self.path, self.noise), denoiser.process.noise)
        else:
            process = GaussianProcess(self.path, PairedSource(source))
        return Interpolated(denoiser, process, self, source, key)


class Interpolated(Denoiser):
    """E[x_0 | x_t] without noise; E[x_0 | x_t, x_1] with noise, as a function of y_t. Made by `Interpolant.wrap`."""

    denoiser: Denoiser
    process: GaussianProcess
    interpolant: Interpolant
    source: Any
    key: str = eqx.field(static=True)

    @property
    def calls(self) -> int:
        return self.denoiser.calls

    @property
    def sigma_data(self):
        """The inner denoiser's, for the objective."""
        return self.denoiser.sigma_data

    def evaluate(self, x_t, t, cond=None):
        # Without noise the source must stay unknown: given x_1, the network could solve x_t for x_0, and the flow would take
        # all of p(x_0 | x_1) to one point.
        if not self.interpolant.noise:
            return self.denoiser.evaluate(x_t, t, cond)
        a, b, gamma = self.interpolant.coefficients(t)
        x_t = combine(jnp.hypot(a, gamma), x_t, b, self.source)
        answer = self.denoiser.evaluate(x_t, t, {**(cond or {}), self.key: self.source})
        return answer.unmoved("an interpolant, where x is another one,")


class Bridge(Schedule):
    """alpha = a / n, sigma = gamma / n, n^2 = a^2 + gamma^2 with gamma = noise b sqrt(a), a and b of `path`:

    alpha = sqrt(a / (a + noise^2 b^2)), sigma = noise b / sqrt(a + noise^2 b^2), log_snr = log a - 2 log(noise b)
    """

    path: Schedule
    noise: float = eqx.field(static=True)

    def _parts(self, t):
        a, b = self.path.alpha(t), self.noise * self.path.sigma(t)
        return a, b, jnp.sqrt(a + b**2)

    def alpha(self, t):
        a, _, norm = self._parts(t)
        return jnp.sqrt(a) / norm

    def sigma(self, t):
        _, b, norm = self._parts(t)
        return b / norm

    def log_snr(self, t):
        a, b, _ = self._parts(t)
        return jnp.log(a) - 2.0 * jnp.log(b)

    def time(self, log_snr):
        # a / b^2 = k. Linear, a = 1 - b: k b^2 + b = 1. Trigonometric, a^2 + b^2 = 1: k^2 b^4 + b^2 = 1, a^2 + a / k = 1.
        k = self.noise**2 * jnp.exp(log_snr)
        if isinstance(self.path, Rectified):
            return 2.0 / (1.0 + jnp.sqrt(1.0 + 4.0 * k))
        inverse = jnp.exp(-log_snr) / self.noise**2
        a = 2.0 / (inverse + jnp.hypot(inverse, 2.0))
        b = jnp.sqrt(2.0 / (1.0 + jnp.hypot(1.0, 2.0 * k)))
        return jnp.arctan2(b, a) * (2.0 / jnp.pi)


class PairedSource(Noise):
    """The "noise" that is there already, one a sample: the source of each pair. It is drawn, never weighed.

    source: pytree of (B, ...).
    """

    source: Any

    def per_sample(self, like):
        return True

    def sample(self, key, like):
        return jax.tree.map(lambda leaf, one: leaf.astype(one.dtype), self.source, like)

    def project(self, x):
        return x

    def log_prob(self, eps):
        raise ValueError(_UNKNOWN)

    def covariance(self, u):
        raise ValueError(_UNKNOWN)

    def precision(self, u):
        raise ValueError(_UNKNOWN)

    def dimension(self, like):
        raise ValueError(_UNKNOWN)


_UNKNOWN = (
    "an interpolant without noise starts from its sources, whose density and covariance nobody knows: no likelihood, no guides "
    "that need Sigma; use Interpolant.linear(noise=...) or .trigonometric(noise=...)"
)
