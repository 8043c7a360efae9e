"""What one does with a damaged sound: fill its gaps, undo clipping, give back the band that it lost, take away noise; several at once."""

import numpy as np

from domains.audio import janssen, metrics, spectral
from domains.audio.brought import Brought, find_side
from domains.audio.levels import active
from domains.audio.restore import Damaged
from sciddm.tasks import need


class Inpaint(Damaged):
    """Gaps filled. count, seconds: of the gaps of an example; others: of `Restore`."""

    kinds, asks = ("gaps",), "its gaps as a text file of `start end` in seconds, such as Audacity's labels, or runs of exact zeros in it"

    def __init__(self, domain, *, count: int = 5, seconds: float = 0.06, **restore):
        super().__init__(domain, **restore)
        self.count, self.seconds = count, seconds

    @classmethod
    def check(cls, config, options):
        need(options, "count", options["count"] >= 1, "at least 1")
        need(options, "seconds", 0 < options["seconds"] <= 0.5, "0 to 0.5 s")
        super().check(config, options)

    def hurt(self, rng, wave):
        """Gaps one in each part of the clip, at sounds: not where a gap would hide nothing but silence."""
        length, loud = round(self.seconds * self.domain.rate), active(wave, self.domain.rate)
        gap, parts = np.zeros(len(wave), bool), np.array_split(np.arange(len(wave)), self.count)
        for part in parts:
            length = min(length, len(part) // 2)
            firsts = part[length // 4 : len(part) - length - length // 4 : max(len(part) // 200, 1)]
            full = [first for first in firsts if loud[first : first + length].mean() > 0.9]
            first = rng.choice(full if len(full) else firsts)
            gap[first : first + length] = True
        return Brought(self.as_sound(np.where(gap, 0.0, wave)), gap[:, None], np.zeros((len(wave), 1)))

    def where(self, problem):
        return problem.extras["brought"].gap[:, 0]

    def answers(self, problem):
        """`linear` interpolation, and autoregression by `Janssen` and by `extrapolation` from either side."""
        methods = {"linear": janssen.linear, "Janssen": janssen.fill_gaps, "extrapolation": janssen.extrapolated}
        return {name: fill(self.heard(problem), self.where(problem)) for name, fill in methods.items()}


class Declip(Damaged):
    """Clipping undone. level: of an example's, a share of its peak; others: of `Restore`."""

    kinds, asks = ("clip",), "which is clipped; its level is found, or clip=LEVEL"

    def __init__(self, domain, *, level: float = 0.15, **restore):
        super().__init__(domain, **restore)
        self.level = level

    @classmethod
    def check(cls, config, options):
        need(options, "level", 0 < options["level"] < 1, "a share of the peak, 0 to 1")
        super().check(config, options)

    def hurt(self, rng, wave):
        level = self.level * np.abs(wave).max()
        sound = self.as_sound(np.clip(wave, -level, level))
        return Brought(sound, np.zeros(sound.samples.shape, bool), find_side(sound, level))

    def answers(self, problem):
        """`A-SPADE`."""
        return {"A-SPADE": self.classical(problem)}


class Bandwidth(Damaged):
    """The band above a cut-off given back. cutoff: Hz, of an example's; others: of `Restore`."""

    kinds, asks = ("cutoff",), "of a low rate, or with nothing above some frequency, which is found, or cutoff=HZ"

    def __init__(self, domain, *, cutoff: float = 2000.0, **restore):
        super().__init__(domain, **restore)
        self.cutoff = cutoff

    @classmethod
    def check(cls, config, options):
        half = config.data.rate / 2
        need(options, "cutoff", 0 < options["cutoff"] < half, f"0 to {half:g} Hz, half the model's rate")
        super().check(config, options)

    def hurt(self, rng, wave):
        sound = self.as_sound(spectral.low_pass(wave, self.domain.rate, self.cutoff))
        return Brought(sound, np.zeros(sound.samples.shape, bool), np.zeros(sound.samples.shape), cutoff=self.cutoff)

    def metrics(self, samples, problem):
        low = lambda wave: spectral.low_pass(wave, self.domain.rate, 0.95 * self.cutoff)  # noqa: E731
        members, truth = self.waves(samples), self.waves(problem.truth)
        below = {"SI-SDR below the cut-off [dB]": float(np.mean([metrics.si_sdr(low(one), low(truth)) for one in members]))}
        return super().metrics(samples, problem) | below

    def answers(self, problem):
        """`sinc` interpolation: the low band as it is, which is what is given."""
        return {"sinc": self.heard(problem)}


class Denoise(Damaged):
    """White noise taken away. snr: dB, of an example; others: of `Restore`."""

    kinds, asks = ("noise",), "with noise in it, whose level is estimated, or noise=LEVEL"

    def __init__(self, domain, *, snr: float = 5.0, **restore):
        super().__init__(domain, **restore)
        self.snr = snr

    @classmethod
    def check(cls, config, options):
        need(options, "snr", -10 <= options["snr"] <= 60, "-10 to 60 dB")
        super().check(config, options)

    def hurt(self, rng, wave):
        noise = float(np.sqrt(np.mean(wave**2)) * 10 ** (-self.snr / 20))
        sound = self.as_sound(wave + noise * rng.standard_normal(len(wave)))
        return Brought(sound, np.zeros(sound.samples.shape, bool), np.zeros(sound.samples.shape), noise=noise)

    def answers(self, problem):
        """`Wiener` filter and `spectral subtraction`, both told the level of the noise."""
        noise = problem.extras["segments"].part.noise
        subtracted = spectral.spectral_subtraction(self.heard(problem), noise, rate=self.domain.rate)
        return {"Wiener": self.classical(problem), "spectral subtraction": subtracted}
