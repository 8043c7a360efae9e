"""What every solver of ours is: a diffrax solver of the reverse process that asks a denoiser instead of a vector field."""

import abc
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp

from sciddm.denoiser import Denoiser, velocity_from
from sciddm.process import Level, combine


class DenoiserTerm(diffrax.AbstractTerm):
    """A denoiser as a diffrax term: its vector field is the probability-flow velocity dx/dt, and exponential integrators
    find in it alpha and sigma at both ends of a step, and the noise of this step, keyed by sample."""

    denoiser: Denoiser
    cond: Any
    keys: jax.Array  # (B,), one a sample, of this step alone
    remaining: Any = jnp.inf  # steps after this one on a path that ends on the data; infinite on one that stops before

    def level(self, t) -> Level:
        """The process's level, with sigma = 0 at t = 0: sampling ends on the data, for VE and EDM too, whose law stops at sigma_min."""
        level, data = self.denoiser.process.level(t), jnp.asarray(t) <= 0
        return Level(level.alpha, jnp.where(data, 0.0, level.sigma), jnp.where(data, jnp.inf, level.log_snr))

    def evaluate(self, x_t, t):
        """x0_hat and the guides' report."""
        return self.denoiser.evaluate(x_t, t, self.cond)

    def noise(self, like, draw: int = 0):
        """This step's eps, like a batch of x; `draw` counts the independent ones within a step."""
        keys = fold(self.keys, jnp.uint32(2**31 + draw)) if draw else self.keys
        return self.denoiser.process.noise.sample_batch(keys, like)

    def vf(self, t, y, args):
        return velocity_from(self.denoiser.process, y, self.evaluate(y, t)[0], t)

    def contr(self, t0, t1, **kwargs):
        return t1 - t0

    def prod(self, vf, control):
        return jax.tree.map(lambda v: control * v, vf)


def _interpolate(*, t0, t1, y0, y1, report):
    return diffrax.LocalLinearInterpolation(t0=t0, t1=t1, y0=y0, y1=y1)


class AbstractDenoiserSolver(diffrax.AbstractSolver):
    """A solver of the reverse process. A new one implements `advance`, and `memory` if it is a multistep method."""

    term_structure: ClassVar = DenoiserTerm
    interpolation_cls: ClassVar = staticmethod(_interpolate)

    @abc.abstractmethod
    def advance(self, term: DenoiserTerm, t, s, x_t, memory):
        """One step from t to s < t, both scalars: x_s, the new memory, and the guides' report."""

    def memory(self, x) -> Any:
        """What the first step finds in `memory`; a pytree of arrays."""
        return ()

    def draws_noise(self) -> bool:
        """Whether it is stochastic; `order` is then that of the law."""
        return False

    def network_calls(self, steps: int) -> int | None:
        """Evaluations of the denoiser that `steps` steps to the data cost; None where the report's "evaluations" count them."""
        return steps

    def func(self, terms, t0, y0, args):
        return terms.vf(t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        return self.memory(y0)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        y1, memory, report = self.advance(terms, t0, t1, y0, solver_state)
        return y1, None, {"y0": y0, "y1": y1, "report": report}, memory, diffrax.RESULTS.successful


class AncestralSolver(AbstractDenoiserSolver):
    """A solver whose step is a Gaussian around x0_hat, so that particle methods can weigh its paths. A new one implements `kernel`."""

    @abc.abstractmethod
    def kernel(self, term: DenoiserTerm, t, s, x_t, x0_hat):
        """Mean like x_t and scalar std of x_s ~ N(mean, std^2 Sigma), Sigma the noise law's covariance."""

    def order(self, terms):
        return 1

    def advance(self, term, t, s, x_t, memory):
        x0_hat, report = term.evaluate(x_t, t)
        mean, std = self.kernel(term, t, s, x_t, x0_hat)
        return combine(1.0, mean, std, term.noise(x_t)) if self.draws_noise() else mean, memory, report


def fold(keys, data):
    """Each of (B,) keys folded with the same number."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, data)
