"""How far is a run, and how large a step does it take? Budgets in steps and in minutes of training steps, one after the other."""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

RESTART = 0.3  # of config.training.learning_rate, where a finished run goes on


@dataclass(frozen=True)
class Leg:
    """One budget of a run, from `step` and `seconds` of training on until `steps` or `minutes` in all (None: no such bound).

    peak: the share of config.training.learning_rate that it falls from; warm_from: the step from which that rate is warmed up to.
    """

    step: int = 0
    seconds: float = 0.0
    steps: int | None = None
    minutes: float | None = None
    peak: float = 1.0
    warm_from: int = 0

    def progress(self, step: int, seconds: float) -> float:
        """In [0, 1]; 1 is done. Deterministic for a budget in steps alone."""
        done = 0.0
        if self.steps:
            done = (step - self.step) / (self.steps - self.step) if self.steps > self.step else 1.0
        if self.minutes:
            left = 60.0 * self.minutes - self.seconds
            done = max(done, (seconds - self.seconds) / left if left > 0 else 1.0)
        return done

    def share(self, progress: float) -> float:
        """Of config.training.learning_rate, past the warm-up: a cosine from `peak` to zero."""
        return self.peak * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


class Budget:
    """The budget of config.training, and what it comes after.

    Args: elapsed: seconds of training steps so far; step: that the run goes on from; legs: `to_json` of a checkpoint.
    """

    def __init__(self, config, elapsed: float = 0.0, step: int = 0, legs: Sequence[dict] = ()):
        steps, minutes = config.training.steps, config.training.wall_minutes
        self._elapsed, self._since = elapsed, None
        self.legs, self.said = tuple(Leg(**leg) for leg in legs) or (Leg(steps=steps, minutes=minutes),), ""
        before = self.legs[-1]
        if (before.steps, before.minutes) != (steps, minutes):
            self.legs += (self._next(before, steps, minutes, step),)

    def _next(self, before: Leg, steps, minutes, step: int) -> Leg:
        done = before.progress(step, self._elapsed)
        if done >= 1.0:  # nothing is left of the rate: it is warmed up to anew
            after = Leg(step, self._elapsed, steps, minutes, RESTART, step)
            words = f"it warms up again, to {RESTART:g} of config.training.learning_rate, and falls to zero"
        else:
            after = Leg(step, self._elapsed, steps, minutes, before.share(done), before.warm_from)
            words = "it falls to zero from where it is"
        if after.progress(step, self._elapsed) < 1.0:
            self.said = f"going on from step {step} with another budget: the learning rate is not that of a run in one go; {words}"
        return after

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The time within counts."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._elapsed, self._since = self.elapsed(), None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The time within, inside of `running`, does not count: compiling, held-out losses, saving."""
        self._elapsed, self._since = self.elapsed(), None
        try:
            yield
        finally:
            self._since = time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training steps and of waiting for their data, those of earlier starts included."""
        return self._elapsed + (0.0 if self._since is None else time.monotonic() - self._since)

    def progress(self, step: int) -> float:
        """Of the last leg, in [0, 1]; 1 is done."""
        return self.legs[-1].progress(step, self.elapsed())

    def to_json(self) -> list[dict]:
        """For the checkpoint."""
        return [asdict(leg) for leg in self.legs]
