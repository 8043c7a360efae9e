"""Minutes of sound from a model of a second: windows that agree, beside windows that are cut or faded into each other."""

from dataclasses import replace
from itertools import cycle
from pathlib import Path

import jax
import numpy as np

from domains.audio import metrics, scores
from domains.audio.brought import Brought, sort_out
from domains.audio.damage import Damage
from domains.audio.mdct import imdct, mdct
from domains.audio.restore import Restore
from domains.audio.said import SAID, said_in
from sciddm.errors import UserError
from sciddm.tasks import Generate, Problem, need

SEAM = 0.016  # s on either side of where one window ends


class Long(Restore):
    """A sound of `seconds`, made of nothing, or one that goes on from a beginning. Others: of `Restore`."""

    kinds, asks = (), ""

    def __init__(self, domain, *, seconds: float = 60.0, **restore):
        super().__init__(domain, **restore)
        self.seconds, self.length = seconds, max(-(-round(seconds * domain.rate) // domain.bins), domain.frames)

    @classmethod
    def check(cls, config, options):
        least = config.data.frames * config.data.bins / config.data.rate
        need(options, "seconds", least <= options["seconds"] <= 3600, f"{least:.3g}, what the network hears at once, to 3600 s")
        super().check(config, options)

    def examples(self):
        """One of held-out sounds, one after the other."""
        domain, count = self.domain, self.length * self.domain.bins
        files, parts = domain.collections[1], []
        for i in cycle(range(len(files))):
            parts.append(domain.sound("test", i, 0, files.frames(i)))
            if sum(map(len, parts)) >= count:
                break
        return [{"x": mdct(np.concatenate(parts)[:count], domain.bins)[..., None].astype(np.float32)}]

    @property
    def stride(self) -> int:
        """Frames from one window to the next."""
        return max(int(self.window[0] * (1 - self.overlap)), 1)

    def problem(self, key, example):
        return Problem(truth=example, extras={"seams": self.seams(len(example))})

    @property
    def takes(self):
        return f"nothing, or a sound that goes on: {self.seconds:g} s in all, by --config.tasks.long.seconds for others"

    def problem_given(self, key, given):
        if not given:
            truth = np.full((self.length, self.domain.bins, 1), np.nan, np.float32)
            return Problem(truth=truth, extras={"seams": self.seams(self.length)})
        sound, said = sort_out(given, self.takes)
        if said:
            raise UserError(f"--given {next(iter(said))}: restore the sound first, by another task; here expected {self.takes}")
        more = round(self.seconds * sound.rate) - len(sound.samples)
        if more <= 0:
            raise UserError(f"{sound.source}: is {sound.seconds:.2f} s long; make more of it by --config.tasks.long.seconds")
        longer = replace(sound, samples=np.pad(sound.samples, [(0, more), (0, 0)]))
        gap = np.zeros(longer.samples.shape, bool)
        gap[-more:] = True
        return self.asked(Brought(longer, gap, np.zeros(gap.shape), title=f"{Path(sound.source).name} goes on after {sound.seconds:.2f} s"))

    def write_given(self, problem, folder):
        return []  # an example knows nothing

    def seams(self, frames: int) -> np.ndarray:
        """Samples at which a window begins or ends within `frames`."""
        firsts = [*range(0, frames - self.window[0] + 1, self.stride), frames - self.window[0]]
        edges = {edge for first in firsts for edge in (first, first + self.window[0])} - {0, frames}
        return np.array(sorted(edges)) * self.domain.bins

    def controls(self, model, key, problem, members):
        """`hard cut`: windows of the model one after the other; `cross-fade`: those of the same overlap, faded with equal power."""
        size, step = self.domain.samples, self.stride * self.domain.bins
        total = len(problem.truth) * self.domain.bins
        count = max(-(-total // size), -(-(total - size) // step) + 1)
        pieces = imdct(np.asarray(model.draw(jax.random.fold_in(key, 2), members * count))[..., 0]).reshape(members, count, size)
        cut = pieces.reshape(members, -1)[:, :total]
        faded = np.zeros((members, (count - 1) * step + size))
        rise = np.sin(0.5 * np.pi * np.minimum((np.arange(size) + 0.5) / max(size - step, 1), 1.0))
        for i in range(count):
            shape = (rise if i else 1.0) * (rise[::-1] if i < count - 1 else 1.0)
            faded[:, i * step : i * step + size] += shape * pieces[:, i]
        as_x = lambda waves: mdct(waves, self.domain.bins)[..., None].astype(np.float32)  # noqa: E731
        return {"hard cut": as_x(cut), "cross-fade": as_x(faded[:, :total])}

    def metrics(self, samples, problem):
        """What held-out sounds are like, and how much a spectrum changes from frame to frame at seams, over elsewhere: 1 of no seam."""
        waves, rate = imdct(np.asarray(samples, np.float64)[..., 0]), self.domain.rate
        truth = imdct(np.asarray(problem.truth, np.float64)[..., 0])[None]
        hop = round(SEAM * rate)
        level = metrics.decibels(waves, 2 * hop, hop)
        change = np.sqrt(((level[:, 1:] - level[:, :-1]) ** 2).mean(-1)).mean(0)
        middle = (np.arange(len(change)) + 1.5) * hop  # between two frames
        near = np.abs(middle[:, None] - problem.extras["seams"]).min(1, initial=np.inf) <= hop
        found = {"change at seams / elsewhere": float(change[near].mean() / change[~near].mean()) if near.any() else 1.0}
        return found | scores.of_many(waves, truth, rate)

    def baseline(self, problem):
        return {}

    def plot(self, samples, problem, answers):
        from domains.audio import plots

        waves = imdct(np.asarray(samples, np.float64)[..., 0])
        return plots.gallery(waves[:4], self.domain.rate, columns=1)

    def page(self, samples, problem, about):
        return self.domain.page(self.to_native(samples, problem), about)


class Sounds(Generate):
    """Sounds of the length that the network hears, out of nothing, scored beside held-out ones."""

    given_names = SAID

    @property
    def takes(self):
        asks = self.domain.said.asks
        what = f"nothing, or {asks}" if asks else "nothing: sounds are made of noise alone"
        return f"{what}; --task long goes on with a sound of yours"

    def problem_given(self, key, given):
        if not given:
            return Problem()
        said = said_in(given)
        if len(said) < len(given):
            return super().problem_given(key, given)
        domain = self.domain
        cond = Damage.of_all(domain.samples).condition(domain.std, domain.rate, domain.said.given(said))
        title = ", ".join(f"{name} {value}" for name, value in said.items())
        return Problem(cond={key: leaf[None] for key, leaf in cond.items()}, extras={"title": title})

    def write_given(self, problem, folder):
        return []

    def page(self, samples, problem, about):
        return self.domain.page(self.domain.to_native(samples), about)
