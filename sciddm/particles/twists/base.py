"""What a twist is: a guess of how good x_t will turn out, h_t(x_t) ~ E[exp potential(x_0) | x_t], and the step that it proposes.

Particles are weighed by h_s / h_t along their path and by exp potential / h at its end, so that a wrong guess costs variance and
never the law: whatever h is, weighted particles and evidence are right.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from sciddm.lookahead.conjugate_gradient import inner
from sciddm.process import batch_size, combine


class Look(NamedTuple):
    """One evaluation at x_t. x0_hat: the model's own, whose step is weighed; steered: where the proposal steps to, like it;
    log_h: (K,), nats; report: (K,) arrays for `info`; extras: what the twist's own `propose` needs, (K, ...)."""

    x0_hat: Any
    steered: Any
    log_h: Any
    report: dict
    extras: Any = ()


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

    def propose(self, noise, look: Look, mean, proposed, std, z, level):
        """x_s ~ q, and (K,) log p(x_s | x_t) - log q(x_s | x_t), nats.

        mean, proposed: of the model's step and of that towards `look.steered`; std: of both; noise: their law; z: fresh eps ~ N(0, Sigma);
        level: of the process at s.
        """
        return shifted_step(noise, mean, proposed, std, z)


def shifted_step(noise, mean, proposed, std, z):
    """x = proposed + std z, and log N(x; mean, std^2 Sigma) - log N(x; proposed, std^2 Sigma) = -|d|^2 / 2 - <d, z>, in the norm of
    Sigma^-1, d = (proposed - mean) / std: normalisation and dimension are those of both and cancel."""
    d = combine(1.0 / std, proposed, -1.0 / std, mean)
    whitened = noise.each("precision", d)
    return combine(1.0, proposed, std, z), -0.5 * inner(d, whitened) - inner(whitened, z)


class Unknowing(Twist):
    """h = 1 until the end, and the model's own step: importance sampling, the bootstrap filter."""

    def look(self, denoiser, x_t, t, cond, index, memory):
        x0_hat, report = denoiser.evaluate(x_t, t, cond)
        return Look(x0_hat, x0_hat, jnp.zeros(batch_size(x_t)), report), memory
