"""Is a run trained enough to be believed? By its steps, by the samples it saw, and by the slope of its own curve."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FEW_STEPS = 1000  # where no published run says how many it takes
FEW_SAMPLES = 10_000  # or one pass over the data, where that is less
ENOUGH = 0.7  # of the published run's steps
SLOPE = 0.05  # of the held-out loss, over the last doubling of steps


@dataclass(frozen=True)
class Verdict:
    """reasons: sentences, none where nothing speaks against the run; short: the first in a few words, for the corner of a picture; stopped:
    before its budget was spent."""

    reasons: tuple[str, ...] = ()
    short: str = ""
    stopped: bool = False

    @property
    def undertrained(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        if not self.reasons:
            return "trained: nothing speaks against it"
        longer = "`sciddm train` with a larger --config.training.wall_minutes or --config.training.steps"
        way = "The same `sciddm train`" if self.stopped else longer
        return f"undertrained: {'; '.join(self.reasons)}. {way} goes on"


def judge(meta: Mapping) -> Verdict:
    """What a checkpoint's metadata says of its run; nothing is said of what it does not hold."""
    if not meta:
        return Verdict()
    found = [*_by_steps(meta), *_by_budget(meta), *_by_slope(meta.get("held_out") or ())]
    if not found:
        return Verdict()
    return Verdict(tuple(reason for reason, _ in found), f"undertrained: {found[0][1]}", meta.get("progress", 1.0) < 1.0)


def _by_steps(meta):
    training, step = meta["config"]["training"], meta["step"]
    reference, seen = training.get("reference_steps"), step * training["batch_size"]
    if reference and step < ENOUGH * reference:
        yield f"{step:,} steps, the published figures took {reference:,}", f"{step:,} of {reference:,} steps"
    if not reference and step < FEW_STEPS:
        yield f"{step:,} steps, models take thousands", f"{step:,} steps"
    if seen < min(meta["samples"], FEW_SAMPLES):
        yield f"it saw {seen:,} of {meta['samples']:,} training samples", f"{seen:,} samples seen"


def _by_budget(meta):
    progress = meta.get("progress", 1.0)
    if progress < 1.0:
        yield f"it was stopped at {progress:.0%} of its budget, with the learning rate still high", f"stopped at {progress:.0%}"


def _by_slope(looks):
    fall = slope(looks)
    if fall is not None and fall > SLOPE:
        yield f"the held-out loss fell by {fall:.0%} over the last doubling of steps", "its held-out loss still falls"


def slope(looks) -> float | None:
    """By which share the held-out loss fell over the last doubling of steps; 0 where the samples' differences don't say so beyond two
    standard errors, None where there is no look near half of the steps."""
    looks = [look for look in looks if look["step"] > 0]  # a budget below one step ends with a look before it
    if len(looks) < 2:
        return None
    last = looks[-1]
    before = min(looks[:-1], key=lambda look: abs(np.log(2.0 * look["step"] / last["step"])))
    doublings = np.log2(last["step"] / before["step"])
    if not 0.5 < doublings < 2.0 or len(before["each"]) != len(last["each"]):
        return None
    differences = np.subtract(before["each"], last["each"])
    error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else 0.0
    if differences.mean() < 2.0 * error:
        return 0.0
    return float(1.0 - (last["loss"] / before["loss"]) ** (1.0 / doublings))
