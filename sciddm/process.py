"""How data becomes noise: x_t = alpha(t) x_0 + sigma(t) eps, t from 0 (data) to 1 (noise)."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.arithmetic import batch_size, combine
from sciddm.keys import sample_keys
from sciddm.noise import Noise, White


class Level(NamedTuple):
    """The noise level at one time: x_t = alpha x_0 + sigma eps, log_snr = log(alpha^2 / sigma^2)."""

    alpha: jax.Array
    sigma: jax.Array
    log_snr: jax.Array


def posterior_kernel(x0_hat, x_t, level_t: Level, level_s: Level):
    """Mean and std of q(x_s | x_t, x_0 = x0_hat) between two levels; see `GaussianProcess.step_kernel`."""
    # (a_t/a_s)^2 (s_s/s_t)^2 is the ratio of the two signal-to-noise ratios: exact as a difference of logarithms, and
    # 0 where alpha_t or sigma_s is, so both end points are finite without a special case.
    log_ratio = level_t.log_snr - level_s.log_snr
    share = jnp.exp(log_ratio)
    keep = jnp.where(share > 0, share * level_s.alpha / jnp.where(level_t.alpha > 0, level_t.alpha, 1.0), 0.0)
    mean = combine(keep, x_t, level_s.alpha * -jnp.expm1(log_ratio), x0_hat)
    return mean, level_s.sigma * jnp.sqrt(-jnp.expm1(log_ratio))


PROCESSES = ("vp", "sub_vp", "cosine", "ve", "edm", "rectified")  # constructors of `GaussianProcess`


class Schedule(eqx.Module):
    """alpha and sigma as functions of t, and the exact inverse of their log signal-to-noise ratio."""

    @abc.abstractmethod
    def alpha(self, t): ...

    @abc.abstractmethod
    def sigma(self, t): ...

    @abc.abstractmethod
    def log_snr(self, t): ...

    @abc.abstractmethod
    def time(self, log_snr): ...


class LinearBeta(Schedule):
    """alpha = exp(-b/2), b(t) = beta_min t + (beta_max - beta_min) t^2 / 2; sigma^2 = 1 - e^-b, or sigma = 1 - e^-b (sub-VP)."""

    beta_min: float
    beta_max: float
    sub: bool = eqx.field(static=True)

    def _b(self, t):
        return t * (self.beta_min + 0.5 * (self.beta_max - self.beta_min) * t)

    def alpha(self, t):
        return jnp.exp(-0.5 * self._b(t))

    def sigma(self, t):
        variance = -jnp.expm1(-self._b(t))
        return variance if self.sub else jnp.sqrt(variance)

    def log_snr(self, t):
        b = self._b(t)
        log_variance = jnp.log(-jnp.expm1(-b))
        return -b - (2 * log_variance if self.sub else log_variance)

    def time(self, log_snr):
        if self.sub:
            # With q = e^{-b/2} and r = alpha/sigma: q = r (1 - q^2), hence q / r = 2 / (1 + sqrt(1 + 4 r^2)) and q^2 = 1 - q / r.
            b = -jnp.log1p(-2.0 / (1.0 + jnp.sqrt(1.0 + 4.0 * jnp.exp(log_snr))))
        else:
            b = jax.nn.softplus(-log_snr)
        slope = self.beta_max - self.beta_min
        return 2.0 * b / (self.beta_min + jnp.sqrt(self.beta_min**2 + 2.0 * slope * b))


class Cosine(Schedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""

    def alpha(self, t):
        return jnp.sin(0.5 * jnp.pi * (1.0 - t))  # 0 exactly at t = 1, where cos(float32(pi/2)) is negative

    def sigma(self, t):
        return jnp.sin(0.5 * jnp.pi * t)

    def log_snr(self, t):
        return 2.0 * (jnp.log(self.alpha(t)) - jnp.log(self.sigma(t)))

    def time(self, log_snr):
        return jnp.arctan(jnp.exp(-0.5 * log_snr)) * (2.0 / jnp.pi)


class Rectified(Schedule):
    """alpha = 1 - t, sigma = t: the straight path of rectified flow."""

    def alpha(self, t):
        return 1.0 - t

    def sigma(self, t):
        return t

    def log_snr(self, t):
        return 2.0 * (jnp.log1p(-t) - jnp.log(t))

    def time(self, log_snr):
        return jax.nn.sigmoid(-0.5 * log_snr)


class Exploding(Schedule):
    """alpha = 1; sigma(t) from sigma_min to sigma_max, geometric (rho = inf) or linear in sigma^(1/rho) (EDM)."""

    sigma_min: float
    sigma_max: float
    rho: float = eqx.field(static=True)

    def alpha(self, t):
        return jnp.ones_like(t)

    def sigma(self, t):
        return jnp.exp(-0.5 * self.log_snr(t))

    def log_snr(self, t):
        low, high = jnp.log(self.sigma_min), jnp.log(self.sigma_max)
        if self.rho == float("inf"):
            return -2.0 * (low + t * (high - low))
        low, high = jnp.exp(low / self.rho), jnp.exp(high / self.rho)
        return -2.0 * self.rho * jnp.log(low + t * (high - low))

    def time(self, log_snr):
        low, high, value = jnp.log(self.sigma_min), jnp.log(self.sigma_max), -0.5 * log_snr
        if self.rho == float("inf"):
            return (value - low) / (high - low)
        low, high, value = (jnp.exp(v / self.rho) for v in (low, high, value))
        return (value - low) / (high - low)


class GaussianProcess(eqx.Module):
    """x_t = alpha(t) x_0 + sigma(t) eps with eps from a noise law; drift and diffusion follow by autodiff.

    Every method takes t of any shape and is float32 safe at both ends: `log_snr` is +inf where sigma = 0, -inf where alpha = 0.
    """

    schedule: Schedule
    noise: Noise

    @classmethod
    def vp(cls, beta_min=0.1, beta_max=20.0, noise=None):
        """Variance preserving: alpha^2 = exp(-int beta), sigma^2 = 1 - alpha^2 (Song et al. 2021, eq. 33, arXiv:2011.13456)."""
        return cls(LinearBeta(beta_min, beta_max, False), noise or White())

    @classmethod
    def sub_vp(cls, beta_min=0.1, beta_max=20.0, noise=None):
        """Sub-VP: alpha^2 = exp(-int beta), sigma = 1 - alpha^2 (Song et al. 2021, eq. 35, arXiv:2011.13456)."""
        return cls(LinearBeta(beta_min, beta_max, True), noise or White())

    @classmethod
    def cosine(cls, noise=None):
        """alpha = cos(pi t/2), sigma = sin(pi t/2) (Nichol & Dhariwal 2021 without offset, arXiv:2102.09672)."""
        return cls(Cosine(), noise or White())

    @classmethod
    def ve(cls, sigma_min=0.01, sigma_max=100.0, noise=None):
        """Variance exploding: sigma = sigma_min (sigma_max/sigma_min)^t (Song et al. 2021, eq. 30, arXiv:2011.13456)."""
        return cls(Exploding(sigma_min, sigma_max, float("inf")), noise or White())

    @classmethod
    def edm(cls, sigma_min=0.002, sigma_max=80.0, rho=7.0, noise=None):
        """alpha = 1, sigma^(1/rho) linear in t (Karras et al. 2022, eq. 5, arXiv:2206.00364)."""
        return cls(Exploding(sigma_min, sigma_max, float(rho)), noise or White())

    @classmethod
    def rectified(cls, noise=None):
        """alpha = 1 - t, sigma = t (Liu et al. 2023, arXiv:2209.03003)."""
        return cls(Rectified(), noise or White())

    def alpha(self, t):
        """Signal coefficient."""
        return self.schedule.alpha(_float(t))

    def sigma(self, t):
        """Noise standard deviation."""
        return self.schedule.sigma(_float(t))

    def log_snr(self, t):
        """log(alpha^2 / sigma^2), decreasing in t."""
        return self.schedule.log_snr(_float(t))

    def time(self, log_snr):
        """The t at which `log_snr(t)` has this value: its exact inverse."""
        return self.schedule.time(_float(log_snr))

    def level(self, t) -> Level:
        """alpha, sigma and log_snr at t."""
        return Level(self.alpha(t), self.sigma(t), self.log_snr(t))

    def rates(self, t):
        """(alpha'(t), sigma'(t)), by autodiff."""
        t = _float(t)
        one = jnp.ones_like(t)
        return jax.jvp(self.schedule.alpha, (t,), (one,))[1], jax.jvp(self.schedule.sigma, (t,), (one,))[1]

    def drift(self, t):
        """f in dx = f x dt + g dw: f = alpha' / alpha. -inf where alpha = 0."""
        return self.rates(t)[0] / self.alpha(t)

    def diffusion2(self, t):
        """g^2 in dx = f x dt + g dw: g^2 = (sigma^2)' - 2 f sigma^2 = 2 sigma (sigma' - f sigma)."""
        alpha_rate, sigma_rate = self.rates(t)
        sigma = self.sigma(t)
        return 2.0 * sigma * (sigma_rate - alpha_rate / self.alpha(t) * sigma)

    def perturb(self, key, x_0, t):
        """Draw x_t ~ q(x_t | x_0).

        x_t = alpha x_0 + sigma eps

        Args: key: one key, folded by sample index, or (B,) keys; x_0: pytree of (B, ...); t: (), (B,), or broadcastable to x_0.
        Returns: x_t, eps, both like x_0.
        """
        eps = self.noise.sample_batch(sample_keys(key, batch_size(x_0)), x_0)
        return combine(self.alpha(t), x_0, self.sigma(t), eps), eps

    def step_kernel(self, x0_hat, x_t, t, s):
        """Mean and std of q(x_s | x_t, x_0 = x0_hat), s < t.

        mean = (a_t/a_s)(s_s/s_t)^2 x_t + a_s (1 - r) x0_hat,  std = s_s sqrt(1 - r),  r = (a_t/a_s)^2 (s_s/s_t)^2
                                                                                    (DDIM, eq. 7 at eta = 1, arXiv:2010.02502)
        Args: x0_hat, x_t: pytrees of (B, ...); t, s: (), (B,), or broadcastable to x_t.
        Returns: mean like x_t; std of the shape of t.
        Raises: ValueError if s >= t where both are concrete.
        """
        if (
            not isinstance(t, jax.core.Tracer)
            and not isinstance(s, jax.core.Tracer)
            and jnp.any(jnp.asarray(s) >= jnp.asarray(t))
        ):
            raise ValueError(f"step_kernel goes from t to an earlier s < t, got t = {t}, s = {s}")
        return posterior_kernel(x0_hat, x_t, self.level(t), self.level(s))


def _float(t):
    t = jnp.asarray(t)
    return t if jnp.issubdtype(t.dtype, jnp.floating) else t.astype(jnp.float32)
