"""Melodies to train on, made once for each index and kept in memory: what `Collection` gives of files."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from domains.audio.levels import REFERENCE, active_level
from domains.audio.notes import notes
from sciddm.errors import UserError

COUNT, SECONDS = 60, 8.0  # 8 minutes in all
SOFTER = 0.3  # log10: melodies are up to twice as loud or as soft as the reference


@dataclass(frozen=True, eq=False)
class MadeNotes:
    """seeds: of the melodies; rate: Hz. Their levels are random, for beside another sound notes are as loud as they are."""

    rate: int
    seeds: tuple[int, ...] = tuple(range(COUNT))
    _made: dict = field(default_factory=dict, repr=False)

    def __len__(self):
        return len(self.seeds)

    @property
    def seconds(self) -> float:
        return SECONDS * len(self)

    @property
    def paths(self) -> list[Path]:
        """Names, of no files."""
        return [Path(f"notes-{seed}") for seed in self.seeds]

    def frames(self, i: int) -> int:
        """Samples of melody i."""
        return round(SECONDS * self.rate)

    def read(self, i: int, start: int, count: int) -> np.ndarray:
        """(count,) float32 of melody i from sample `start`, zeros after its end."""
        if start < 0 or count < 0:
            raise ValueError(f"start {start}, count {count}: expected 0 or more")
        seed = self.seeds[i]
        if seed not in self._made:
            made = notes([seed, 0], SECONDS, self.rate)
            loudness = 10 ** np.random.default_rng([seed, 1]).uniform(-SOFTER, SOFTER)
            self._made[seed] = made * np.float32(loudness * REFERENCE / active_level(made, self.rate))
        found = self._made[seed][start : start + count]
        return np.pad(found, (0, count - len(found)))

    def level(self, i: int) -> float:
        """The reference, whatever the melody's own, so that all are left as loud as they are made."""
        return REFERENCE

    def split(self, held_out: float) -> tuple["MadeNotes", "MadeNotes"]:
        """(train, test). held_out: how many melodies of the test, or below 1 their share. Raises: UserError where none is left."""
        count = max(round(held_out * len(self)) if held_out < 1 else int(held_out), 1)
        if count >= len(self):
            raise UserError(f"config.data.held_out = {held_out:g}: there are {len(self)} melodies; expected fewer, or a share below 1")
        return replace(self, seeds=self.seeds[:-count]), replace(self, seeds=self.seeds[-count:])
