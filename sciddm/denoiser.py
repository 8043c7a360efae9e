"""The one type that everything trains, steers and solves: denoiser(x_t, t, cond) -> E[x_0 | x_t, cond]."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from sciddm.noise import Noise
from sciddm.process import GaussianProcess, Level, combine, expand, root_mean_square, sample_keys


class Sampling(NamedTuple):
    """How a guide wants to be sampled where the caller of `sd.sample` does not say.

    corrections: it brings along, in any case; sampler: a name if its solver is the method itself and no other will do;
    kicks: whether it moves x_s between fixed steps (`Kick`), which adaptive and diffrax solvers don't have.
    """

    solver: Any = None
    steps: int | None = None
    grid: Any = None
    corrections: tuple = ()
    sampler: str | None = None
    kicks: bool = False

    def then(self, outer: "Sampling") -> "Sampling":
        """These wishes, and those of a guide around: its word goes first."""
        chosen = [mine if theirs is None else theirs for mine, theirs in zip(self[:3], outer[:3], strict=True)]
        corrections = self.corrections + outer.corrections
        return Sampling(*chosen, corrections, outer.sampler or self.sampler, self.kicks or outer.kicks)


class Denoiser(eqx.Module):
    """E[x_0 | x_t, cond] of one process. A new denoiser or guide implements `evaluate`; score, eps and velocity follow by algebra."""

    process: eqx.AbstractVar[GaussianProcess]

    @abc.abstractmethod
    def evaluate(self, x_t, t, cond=None):
        """x0_hat like x_t, and a dict of (B,) arrays that guides report: `residual`, `guidance_norm`, ..., or a `Kick` as `kick`."""

    @property
    def calls(self) -> int:
        """Network calls that one evaluation costs."""
        return 1

    @property
    def sampling(self) -> Sampling:
        """How it wants to be sampled."""
        return Sampling()

    def __call__(self, x_t, t, cond=None):
        """E[x_0 | x_t, cond]. x_t: pytree of (B, ...); t: (), (B,), or broadcastable to x_t. Returns a pytree like x_t."""
        return self.evaluate(x_t, t, cond)[0]

    def eps(self, x_t, t, cond=None):
        """E[eps | x_t] = (x_t - alpha x0_hat) / sigma; 0 where sigma = 0."""
        return eps_from(x_t, self(x_t, t, cond), self.process.level(t))

    def score(self, x_t, t, cond=None):
        """grad log p_t(x_t) = -Sigma^+ E[eps | x_t] / sigma (Tweedie), Sigma the covariance of the noise law."""
        sigma = self.process.sigma(t)
        whitened = self.process.noise.each("precision", self.eps(x_t, t, cond))
        return jax.tree.map(lambda e: -e / expand(sigma, e), whitened)

    def velocity(self, x_t, t, cond=None):
        """dx_t/dt of the probability flow: alpha' x0_hat + sigma' eps_hat, finite at both ends."""
        return velocity_from(self.process, x_t, self(x_t, t, cond), t)


class Guide(Denoiser):
    """A denoiser around another one.

    A new guide implements `evaluate`, `extra_calls` if it asks the inner one more than once, and `asks` if its method comes with
    a solver, a grid or corrections of its own. One that draws random numbers holds a `Draws`.
    """

    denoiser: Denoiser

    @property
    def process(self) -> GaussianProcess:
        return self.denoiser.process

    @property
    def calls(self) -> int:
        return self.denoiser.calls + self.extra_calls()

    def extra_calls(self) -> int:
        """Network calls beyond those of one evaluation of the inner denoiser; backward passes don't count."""
        return 0

    @property
    def sampling(self) -> Sampling:
        return self.denoiser.sampling.then(self.asks())

    def asks(self) -> Sampling:
        """What this guide asks of the sampler."""
        return Sampling()


class Told(Guide):
    """`denoiser` that is told `cond` whatever its caller says: for methods that don't hand conditions on."""

    told: Any

    def evaluate(self, x_t, t, cond=None):
        return self.denoiser.evaluate(x_t, t, self.told)


class Draws(eqx.Module):
    """The randomness of a guide: the sampler puts each step's keys in its place, one a sample; outside of it they are always the same.

    Held over the evaluations of one step, so that a guide is a smooth function of x_t within it.
    """

    keys: Any = None

    def __call__(self, count: int):
        """(count,) keys, one a sample."""
        return sample_keys(jax.random.key(0), count) if self.keys is None else self.keys

    @staticmethod
    def refresh(denoiser: Denoiser, keys) -> Denoiser:
        """`denoiser` with (B,) keys of one step in all of its draws, each of them with keys of its own."""
        places = iter(range(2**30, 2**31))

        def put(node):
            return Draws(jax.vmap(jax.random.fold_in, (0, None))(keys, next(places))) if is_draws(node) else node

        def is_draws(node):
            return isinstance(node, Draws)

        return jax.tree.map(put, denoiser, is_leaf=is_draws)


class Kick(eqx.Module):
    """How far a guide moves x_s after the step that asked it, whatever the solver: x_s + kick + (alpha_s/alpha_t) of_x_t + alpha_s of_x_0.

    A guide reports it as "kick". For methods that are published as moves of x_s and are no shift of x0_hat.
    """

    of_x_s: Any = None
    of_x_t: Any = None
    of_x_0: Any = None

    def move(self, x_t, x_s, level_t: Level, level_s: Level):
        """x_s after the kick, and (B,) its length over that of the step, x_s - (alpha_s/alpha_t) x_t."""
        ratio = jnp.where(level_t.alpha > 0, level_s.alpha / jnp.where(level_t.alpha > 0, level_t.alpha, 1.0), 0.0)
        moved = x_s
        for share, shift in ((1.0, self.of_x_s), (ratio, self.of_x_t), (level_s.alpha, self.of_x_0)):
            moved = moved if shift is None else combine(1.0, moved, share, shift)
        length = root_mean_square(combine(1.0, moved, -1.0, x_s))
        step = root_mean_square(combine(1.0, x_s, -ratio, x_t))
        return moved, jnp.where(step > 0, length / jnp.where(step > 0, step, 1.0), 0.0)

    @staticmethod
    def add(report: dict, kick: "Kick") -> dict:
        """`report` with this kick on top of what an inner guide reported."""
        inner = report.get("kick", Kick())
        parts = [
            mine if theirs is None else theirs if mine is None else combine(1.0, mine, 1.0, theirs)
            for mine, theirs in ((kick.of_x_s, inner.of_x_s), (kick.of_x_t, inner.of_x_t), (kick.of_x_0, inner.of_x_0))
        ]
        return report | {"kick": Kick(*parts)}


def eps_from(x_t, x0_hat, level: Level):
    """(x_t - alpha x0_hat) / sigma, and 0 where sigma = 0."""
    inverse = jnp.where(level.sigma > 0, 1.0 / jnp.where(level.sigma > 0, level.sigma, 1.0), 0.0)
    return combine(inverse, x_t, -level.alpha * inverse, x0_hat)


def velocity_from(process: GaussianProcess, x_t, x0_hat, t):
    """alpha' x0_hat + sigma' eps_hat."""
    alpha_rate, sigma_rate = process.rates(t)
    return combine(alpha_rate, x0_hat, sigma_rate, eps_from(x_t, x0_hat, process.level(t)))


def _edm_row(process, t, sigma_data):
    alpha, sigma = process.alpha(t), process.sigma(t)
    scale = sigma_data * jnp.sqrt(alpha**2 * sigma_data**2 + sigma**2)
    return sigma / scale, -alpha * sigma_data**2 / scale


# What a network may predict: target = a x_0 + b eps. One row a target; everything else is its inverse. "score" is -eps / sigma,
# the score itself under white noise.
PREDICTIONS: dict[str, Callable] = {
    "x0": lambda process, t, sigma_data: (jnp.ones_like(process.alpha(t)), jnp.zeros_like(process.alpha(t))),
    "eps": lambda process, t, sigma_data: (jnp.zeros_like(process.alpha(t)), jnp.ones_like(process.alpha(t))),
    "v": lambda process, t, sigma_data: (-process.sigma(t), process.alpha(t)),
    "velocity": lambda process, t, sigma_data: process.rates(t),
    "score": lambda process, t, sigma_data: (jnp.zeros_like(process.alpha(t)), -1.0 / process.sigma(t)),
    "edm": _edm_row,
}


def target(process: GaussianProcess, prediction: str, x_0, eps, t, sigma_data=1.0):
    """What the network should output: a x_0 + b eps with the row of `PREDICTIONS`. Shapes of x_0."""

    def leaf(clean, noise, sd):
        a, b = PREDICTIONS[prediction](process, t, sd)
        return combine(a, clean, b, noise)

    return jax.tree.map(leaf, x_0, eps, _like(sigma_data, x_0))


def x0_coefficients(process: GaussianProcess, prediction: str, t, sigma_data=1.0):
    """(c_skip, c_out) of x0_hat = c_skip x_t + c_out output: Cramer's rule on [x_t; output] = [[alpha, sigma], [a, b]] [x_0; eps].

    "edm" gives c_skip = alpha sd^2 / n, c_out = sigma sd / sqrt(n), n = alpha^2 sd^2 + sigma^2 (Karras et al. 2022, table 1,
    generalised to alpha, arXiv:2206.00364), finite at both ends; eps and score have no x_0 in them where alpha = 0.
    """
    if prediction == "x0":
        one = jnp.ones_like(process.alpha(t))
        return jnp.zeros_like(one), one
    a, b = PREDICTIONS[prediction](process, t, sigma_data)
    alpha, sigma = process.alpha(t), process.sigma(t)
    determinant = alpha * b - sigma * a
    return b / determinant, -sigma / determinant


class NetworkDenoiser(Denoiser):
    """A network behind its preconditioning: x0_hat = c_skip x_t + c_out network(c_in x_t, c_noise, cond).

    c_in = 1 / sqrt(alpha^2 sigma_data^2 + sigma^2); c_noise = -clip(log_snr, -20, 20) / 8, which is ln(sigma)/4 for alpha = 1.

    network: callable pytree (x, noise_level, cond) -> like x; prediction: a key of `PREDICTIONS`;
    sigma_data: standard deviation of the normalised data, a scalar or a pytree like x.
    """

    network: Any
    process: GaussianProcess
    prediction: str = eqx.field(static=True, default="edm")
    sigma_data: Any = 1.0

    def __check_init__(self):
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction {self.prediction!r} is none of {sorted(PREDICTIONS)}")

    def output(self, x_t, t, cond=None):
        """The network's raw output on its preconditioned input: its estimate of `target`."""
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)

        def leaf(x, sd):
            return x * expand(jax.lax.rsqrt(alpha**2 * sd**2 + sigma**2), x).astype(x.dtype)

        scaled = jax.tree.map(leaf, x_t, _like(self.sigma_data, x_t))
        return self.network(scaled, -jnp.clip(self.process.log_snr(t), -20.0, 20.0) / 8.0, cond)

    def from_output(self, x_t, output, t):
        """x0_hat from the network's raw output, in the support of the noise law, where the data live."""

        def leaf(x, out, sd):
            c_skip, c_out = x0_coefficients(self.process, self.prediction, t, sd)
            return combine(c_skip, x, c_out, out)

        x0_hat = jax.tree.map(leaf, x_t, output, _like(self.sigma_data, x_t))
        return self.process.noise.each("project", x0_hat)

    def evaluate(self, x_t, t, cond=None):
        return self.from_output(x_t, self.output(x_t, t, cond), t), {}


class FunctionDenoiser(Denoiser):
    """Any function (x_t, t, cond) -> x0_hat as a denoiser of `process`: exact answers, tests, models of other libraries."""

    function: Callable
    process: GaussianProcess

    def evaluate(self, x_t, t, cond=None):
        return self.function(x_t, t, cond), {}


def with_noise(denoiser: Denoiser, noise: Noise | None) -> Denoiser:
    """`denoiser`, and all it is made of, under another noise law, that of samples with a mask of their own; None: as it is."""
    if noise is None:
        return denoiser

    def is_process(node):
        return isinstance(node, GaussianProcess)

    def put(node):
        return GaussianProcess(node.schedule, noise) if is_process(node) else node

    return jax.tree.map(put, denoiser, is_leaf=is_process)


def denoise_with_vjp(denoiser: Denoiser, x_t, t, cond=None):
    """x0_hat and its vector-Jacobian product, so that all guides share one network call.

    vjp(u) = (d x0_hat / d x_t)^T u = (alpha / sigma^2) Sigma^+ Cov[x_0 | x_t] u for the exact denoiser of noise N(0, Sigma),
    so that Cov[x_0 | x_t] u = (sigma^2 / alpha) Sigma vjp(u), and a score correction g is the shift (sigma^2 / alpha) Sigma g.

    Args: x_t: pytree of (B, ...); t: (), (B,), or broadcastable to x_t.
    Returns: x0_hat like x_t; vjp: a function of u like x0_hat, giving a pytree like x_t.
    """
    x0_hat, vjp, _ = linearize(denoiser, x_t, t, cond)
    return x0_hat, vjp


def linearize(denoiser: Denoiser, x_t, t, cond=None):
    """`denoise_with_vjp`, with the denoiser's report as a third value."""
    x0_hat, vjp, report = jax.vjp(lambda x: denoiser.evaluate(x, t, cond), x_t, has_aux=True)
    return x0_hat, lambda u: vjp(u)[0], report


def _like(value, x):
    """`value` as a pytree like x: itself if it is one, else repeated at every leaf."""
    if jax.tree.structure(value) == jax.tree.structure(x):
        return value
    return jax.tree.map(lambda _: value, x)
