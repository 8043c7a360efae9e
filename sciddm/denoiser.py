"""The one type that everything trains, steers and solves: denoiser(x_t, t, cond) -> E[x_0 | x_t, cond]."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from sciddm.answer import Answer
from sciddm.arithmetic import combine, expand
from sciddm.errors import Refusal
from sciddm.grids import Logistic
from sciddm.keys import sample_keys
from sciddm.process import GaussianProcess, Level


class SamplingDefaults(NamedTuple):
    """Solver, steps and grid of a method where the caller of `sd.sample` names none.

    corrections: the method's own, applied in any case; sampler: a name if its solver is the method itself and no other will do.
    """

    solver: Any = None
    steps: int | None = None
    grid: Any = None
    corrections: tuple = ()
    sampler: str | None = None

    def then(self, outer: "SamplingDefaults") -> "SamplingDefaults":
        """These defaults under those of a guide around, which go first."""
        chosen = [inner if over is None else over for inner, over in zip(self[:3], outer[:3], strict=True)]
        corrections = self.corrections + outer.corrections
        return SamplingDefaults(*chosen, corrections, outer.sampler or self.sampler)

    def refuse(self, who: str, otherwise: str) -> None:
        """For those who have no place for corrections, or for another solver. Raises: Refusal if there are any."""
        if self.sampler or self.corrections:
            brought = f"the sampler {self.sampler}" if self.sampler else "corrections"
            raise Refusal(f"the denoiser brings {brought} along, which {who}: {otherwise}")


def for_width(data_std) -> SamplingDefaults:
    """Solver and grid for data of this standard deviation in the noise law's units; none of one's own where it is 1."""
    if isinstance(data_std, (int, float)) and data_std == 1:
        return SamplingDefaults()
    from sciddm.solvers import UniPCSignal  # solvers are made of denoisers

    return SamplingDefaults(solver=UniPCSignal(data_std=data_std), grid=Logistic(data_std=data_std))


class Denoiser(eqx.Module):
    """E[x_0 | x_t, cond] of one process. A new denoiser or guide implements `evaluate`; score, eps and velocity follow by algebra."""

    process: eqx.AbstractVar[GaussianProcess]

    @abc.abstractmethod
    def evaluate(self, x_t, t, cond=None) -> Answer:
        """x0_hat like x_t, what guides report, such as `residual` and `guidance_norm`, and how they move x after the step."""

    @property
    def calls(self) -> int:
        """Network calls that one evaluation costs."""
        return 1

    @property
    def sampling(self) -> SamplingDefaults:
        """Its defaults for `sd.sample`."""
        return SamplingDefaults()

    def __call__(self, x_t, t, cond=None):
        """E[x_0 | x_t, cond]. x_t: pytree of (B, ...); t: (), (B,), or broadcastable to x_t. Returns a pytree like x_t.

        Raises: Refusal of a guide that moves x after the step besides, which x0_hat alone would leave out.
        """
        return self.given(cond).evaluate(x_t, t, cond).unmoved("a call for x0_hat alone").x0_hat

    def given(self, cond) -> "Denoiser":
        """Itself, and all it is made of, under the noise law of samples with this `cond`; see `Noise.given`."""

        def is_process(node):
            return isinstance(node, GaussianProcess)

        def put(node):
            return GaussianProcess(node.schedule, node.noise.given(cond)) if is_process(node) else node

        return jax.tree.map(put, self, is_leaf=is_process)

    def eps(self, x_t, t, cond=None):
        """E[eps | x_t] = (x_t - alpha x0_hat) / sigma; 0 where sigma = 0."""
        return eps_from(x_t, self(x_t, t, cond), self.process.level(t))

    def score(self, x_t, t, cond=None):
        """grad log p_t(x_t) = -Sigma^+ E[eps | x_t] / sigma (Tweedie), Sigma the covariance of the noise law."""
        sigma = self.process.sigma(t)
        whitened = self.process.noise.given(cond).each("precision", self.eps(x_t, t, cond))
        return jax.tree.map(lambda e: -e / expand(sigma, e), whitened)

    def velocity(self, x_t, t, cond=None):
        """dx_t/dt of the probability flow: alpha' x0_hat + sigma' eps_hat, finite at both ends."""
        return velocity_from(self.process, x_t, self(x_t, t, cond), t)


class Guide(Denoiser):
    """A denoiser around another one.

    A new guide implements `evaluate`, `extra_calls` if it asks the inner one more than once, and `defaults` if its method comes with
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
    def sampling(self) -> SamplingDefaults:
        return self.denoiser.sampling.then(self.defaults())

    def defaults(self) -> SamplingDefaults:
        """The guide's own defaults for `sd.sample`, before those of the denoiser inside."""
        return SamplingDefaults()


class ConditionedOn(Guide):
    """`denoiser` conditioned on `cond` whatever cond its caller gives: for methods that hand no conditions on."""

    cond: Any

    def evaluate(self, x_t, t, cond=None):
        return self.denoiser.evaluate(x_t, t, self.cond)


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
    sigma_data: standard deviation of the normalised data, a scalar or a pytree like x; grid: its own for sampling, see `own_grid`.
    """

    network: Any
    process: GaussianProcess
    prediction: str = eqx.field(static=True, default="edm")
    sigma_data: Any = 1.0
    grid: Logistic | None = None

    def __check_init__(self):
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction {self.prediction!r} is none of {sorted(PREDICTIONS)}")

    @property
    def sampling(self) -> SamplingDefaults:
        """Its own grid, where one was searched."""
        return SamplingDefaults(grid=self.grid)

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
        return Answer(self.given(cond).from_output(x_t, self.output(x_t, t, cond), t), {})


class FunctionDenoiser(Denoiser):
    """Any function (x_t, t, cond) -> x0_hat as a denoiser of `process`: exact answers, tests, models of other libraries.

    data_std: standard deviation of the data, by which the default solver and grid go. Raises: ValueError where it is no positive number.
    """

    function: Callable
    process: GaussianProcess
    data_std: Any = 1.0

    def __check_init__(self):
        if isinstance(self.data_std, (int, float, np.generic)) and not 0 < self.data_std < float("inf"):
            raise ValueError(f"data_std = {self.data_std}: expected the standard deviation of the data, a positive number")

    @property
    def sampling(self) -> SamplingDefaults:
        """The default solver and grid for such data."""
        return for_width(self.data_std)

    def evaluate(self, x_t, t, cond=None):
        return Answer(self.function(x_t, t, cond), {})


def denoise_with_vjp(denoiser: Denoiser, x_t, t, cond=None):
    """x0_hat and its vector-Jacobian product, so that all guides share one network call.

    vjp(u) = (d x0_hat / d x_t)^T u = (alpha / sigma^2) Sigma^+ Cov[x_0 | x_t] u for the exact denoiser of noise N(0, Sigma),
    so that Cov[x_0 | x_t] u = (sigma^2 / alpha) Sigma vjp(u), and a score correction g is the shift (sigma^2 / alpha) Sigma g.

    Args: x_t: pytree of (B, ...); t: (), (B,), or broadcastable to x_t.
    Returns: x0_hat like x_t; vjp: a function of u like x0_hat, giving a pytree like x_t.
    """
    answer, vjp = linearize(denoiser.given(cond), x_t, t, cond)
    return answer.unmoved("denoise_with_vjp").x0_hat, vjp


def linearize(denoiser: Denoiser, x_t, t, cond=None):
    """`denoise_with_vjp` with the whole answer in the place of x0_hat."""

    def look(x):
        answer = denoiser.evaluate(x, t, cond)
        return answer.x0_hat, answer

    _, vjp, answer = jax.vjp(look, x_t, has_aux=True)
    return answer, lambda u: vjp(u)[0]


def _like(value, x):
    """`value` as a pytree like x: itself if it is one, else repeated at every leaf."""
    if jax.tree.structure(value) == jax.tree.structure(x):
        return value
    return jax.tree.map(lambda _: value, x)
