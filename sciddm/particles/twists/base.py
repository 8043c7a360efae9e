"""What a twist is: a guess of how good x_t will turn out, h_t(x_t) ~ E[exp potential(x_0) | x_t], and the step that it proposes.

Particles are weighed by h_s / h_t along their path and by exp potential / h at its end, so that a wrong guess costs variance and
never the law: whatever h is, weighted particles and evidence are right.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from sciddm.arithmetic import batch_size
from sciddm.transition import Transition


class Look(NamedTuple):
    """One evaluation at x_t. x0_hat: the model's own, whose step is weighed; steered: where the proposal steps to, like it;
    log_h: (K,), nats; report: (K,) arrays for `info`; extras: of the twist's own `propose`, (K, ...); kick: of a proposal, or None;
    spread: what the solver measured besides, see `AncestralSolver.spread`."""

    x0_hat: Any
    steered: Any
    log_h: Any
    report: dict
    extras: Any = ()
    kick: Any = None
    spread: tuple = ()


class Twist(eqx.Module):
    """A new twist implements `look`; `memory` if h depends on the path so far; `propose` if its step is no shift of x0_hat;
    `final` if its law is no p(x_0) exp(potential)."""

    @abc.abstractmethod
    def look(self, denoiser, x_t, t, cond, index, memory) -> tuple[Look, Any]:
        """A `Look` and the new memory. x_t: pytree of (K, ...); t: scalar; index: of the step, from 0 at the noise."""

    def memory(self, count: int) -> Any:
        """What the first look finds; a pytree of (count, ...), carried along with the particles."""
        return ()

    def final(self, potential, x_0, memory):
        """(K,) the log weight that x_0 gets in the place of h, nats."""
        return potential(x_0, jnp.zeros(()))

    def propose(self, look: Look, model: Transition, proposal: Transition, keys, level):
        """x_s ~ q, and (K,) log p(x_s | x_t) - log q(x_s | x_t), nats.

        model, proposal: the model's step and that towards `look.steered`; keys: (K,), of this step; level: of the process at s.
        """
        return model.weighed(proposal, keys)


class Unknowing(Twist):
    """h = 1 until the end, and the model's own step: importance sampling, the bootstrap filter."""

    def look(self, denoiser, x_t, t, cond, index, memory):
        answer = denoiser.evaluate(x_t, t, cond)
        return Look(answer.x0_hat, answer.x0_hat, jnp.zeros(batch_size(x_t)), answer.report), memory
