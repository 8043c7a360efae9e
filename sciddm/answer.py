"""What a denoiser answers: where the sample is expected to end, what guides report, and how they move x after the step."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from sciddm.arithmetic import combine, root_mean_square
from sciddm.errors import Refusal
from sciddm.process import Level


class Kick(eqx.Module):
    """How far a guide moves x_s after the step that asked it, by any solver: x_s + of_x_s + (alpha_s/alpha_t) of_x_t + alpha_s of_x_0.

    For methods that are published as moves of x_s and are no shift of x0_hat.
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

    def plus(self, other: "Kick | None", share=1.0) -> "Kick":
        """This move and `share` of another one."""

        def add(mine, theirs):
            if theirs is None:
                return mine
            return combine(share, theirs, 0.0, theirs) if mine is None else combine(1.0, mine, share, theirs)

        if other is None:
            return self
        return Kick(*(add(getattr(self, part), getattr(other, part)) for part in ("of_x_s", "of_x_t", "of_x_0")))


class Answer(NamedTuple):
    """x0_hat = E[x_0 | x_t], like x_t; report: (B,) arrays by name, which `sd.sample` gives back in `info`; kick: how x moves besides."""

    x0_hat: Any
    report: dict
    kick: Kick | None = None

    def to(self, x0_hat, report=None) -> "Answer":
        """Another x0_hat in the place of this one, with more to report."""
        return Answer(x0_hat, self.report | (report or {}), self.kick)

    def kicked(self, kick: Kick | None, report=None, share=1.0) -> "Answer":
        """With `share` of a kick on top of its own, and more to report."""
        whole = self.kick if kick is None else (self.kick or Kick()).plus(kick, share)
        return Answer(self.x0_hat, self.report | (report or {}), whole)

    def unmoved(self, who: str) -> "Answer":
        """Itself, for those who have no place for a kick.

        Raises: Refusal if there is one.
        """
        if self.kick is not None:
            raise Refusal(
                f"the guide moves x between fixed steps, which {who} does not pass on: take a solver of fixed steps in sd.sample, or a "
                "guide that shifts x0_hat, such as mmps"
            )
        return self
