"""What every solver of ours is: a diffrax solver of the reverse process that asks a denoiser instead of a vector field."""

import abc
from typing import Any, ClassVar

import diffrax
import jax
import jax.numpy as jnp

from sciddm.answer import Answer
from sciddm.denoiser import Denoiser, velocity_from
from sciddm.keys import fold
from sciddm.process import Level
from sciddm.spread import Spread
from sciddm.transition import GaussianTransition, Transition


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
        """The denoiser's `Answer`. Raises: TypeError and ValueError where it is none, or x0_hat is not like x_t."""
        answer = self.denoiser.evaluate(x_t, t, self.cond)
        if not isinstance(answer, Answer):
            raise TypeError(
                f"{type(self.denoiser).__name__}.evaluate gives a {type(answer).__name__}; expected an Answer, such as answer.to(x0_hat)"
            )
        shapes, expected = (jax.tree.map(jnp.shape, tree) for tree in (answer.x0_hat, x_t))
        if shapes != expected:
            raise ValueError(
                f"{type(self.denoiser).__name__}.evaluate gives x0_hat of shapes {shapes}; expected those of x_t, {expected}"
            )
        return answer

    def noise(self, like, draw: int = 0):
        """This step's eps, like a batch of x; `draw` counts the independent ones within a step."""
        keys = fold(self.keys, jnp.uint32(2**31 + draw)) if draw else self.keys
        return self.denoiser.process.noise.sample_batch(keys, like)

    def gaussian(self, mean, std) -> GaussianTransition:
        """N(mean, std^2 Sigma) of the process's noise law."""
        return GaussianTransition(mean, std, self.denoiser.process.noise)

    def vf(self, t, y, args):
        return velocity_from(self.denoiser.process, y, self.evaluate(y, t).unmoved("a vector field").x0_hat, t)

    def contr(self, t0, t1, **kwargs):
        return t1 - t0

    def prod(self, vf, control):
        return jax.tree.map(lambda v: control * v, vf)


def _interpolate(*, t0, t1, y0, y1, answer):
    return diffrax.LocalLinearInterpolation(t0=t0, t1=t1, y0=y0, y1=y1)


class AbstractDenoiserSolver(diffrax.AbstractSolver):
    """A solver of the reverse process. A new one implements `advance`, and `memory` if it is a multistep method."""

    term_structure: ClassVar = DenoiserTerm
    interpolation_cls: ClassVar = staticmethod(_interpolate)

    @abc.abstractmethod
    def advance(self, term: DenoiserTerm, t, s, x_t, memory):
        """One step from t to s < t, both scalars: x_s, the new memory, and the denoiser's `Answer` at x_t."""

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
        y1, memory, answer = self.advance(terms, t0, t1, y0, solver_state)
        return y1, None, {"y0": y0, "y1": y1, "answer": answer}, memory, diffrax.RESULTS.successful


class AncestralSolver(AbstractDenoiserSolver):
    """A solver whose step is a Gaussian around x0_hat, so that particle methods can weigh its paths. A new one implements `transition`;
    it draws noise, unless its `draws_noise` says that the standard deviation is 0."""

    @abc.abstractmethod
    def transition(self, term: DenoiserTerm, t, s, x_t, x0_hat) -> Transition:
        """The law of x_s given x_t: N(mean, std^2 Sigma), Sigma the noise law's covariance, by `term.gaussian`.

        One that has a `spread` takes it as a sixth argument, and gives N(mean, std^2 Sigma + share^2 Cov[x_0 | x_t]).
        """

    def spread(self, term: DenoiserTerm, t, x_t) -> tuple[Spread, ...]:
        """(Cov[x_0 | x_t],) if `transition` takes it, at the cost of backward passes; else ()."""
        return ()

    def asks_at(self, process, t):
        """The time that the denoiser is told at t."""
        return t

    def order(self, terms):
        return 1

    def draws_noise(self):
        return True

    def advance(self, term, t, s, x_t, memory):
        at = self.asks_at(term.denoiser.process, t)
        answer = term.evaluate(x_t, at)
        step = self.transition(term, t, s, x_t, answer.x0_hat, *self.spread(term, at, x_t))
        return step.sample(term.keys) if self.draws_noise() else step.mean, memory, answer
