"""One reverse step: fresh draws, the solver's step, the kick that guides report, the corrections. Every loop over times calls it."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp

from sciddm.denoiser import Denoiser, Draws
from sciddm.keys import fold
from sciddm.solvers.base import DenoiserTerm


class Correction(eqx.Module):
    """What happens to the path between two steps and is no vector field: projections, Langevin moves, replaced entries."""

    @abc.abstractmethod
    def __call__(self, term: DenoiserTerm, s, x_s):
        """x_s after the correction, and a dict of (B,) arrays for `info`. `term` carries denoiser, cond and this step's keys."""

    def network_calls(self, steps: int) -> int:
        """Evaluations of the denoiser that it adds to `steps` steps to the data."""
        return 0


def reverse_step(
    denoiser: Denoiser, advance: Callable, keys, t, s, x_t, *, cond=None, corrections=(), remaining=jnp.inf
):
    """x_s, what `advance` remembers, and all that is reported, from t to s < t.

    Args:
        advance: term -> (x_s, memory, Answer): of a solver `by(solver, t, s, x_t, memory)`, of particles their proposal.
        keys: (B,), of this step alone; corrections: `Correction`s, in turn; remaining: see `DenoiserTerm`.
    """
    term = DenoiserTerm(Draws.refresh(denoiser.given(cond), keys), cond, keys, remaining)
    x_s, memory, answer = advance(term)
    report = dict(answer.report)
    if answer.kick is not None:
        x_s, length = answer.kick.move(x_t, x_s, term.level(t), term.level(s))
        report = {"guidance_norm": length} | report
    for place, correction in enumerate(corrections):
        x_s, more = correction(DenoiserTerm(term.denoiser, cond, fold(keys, place + 1)), s, x_s)
        report |= more
    return x_s, memory, report


def by(solver, t, s, x_t, memory) -> Callable:
    """The step of one of our solvers, as `reverse_step` takes it."""
    return lambda term: solver.advance(term, t, s, x_t, memory)
