"""What can be wrong with a sound, as the network is conditioned on it, and drawn at random for its training."""

from dataclasses import dataclass

import numpy as np

from domains.audio.classical import restored
from domains.audio.levels import REFERENCE, active_level
from domains.audio.mdct import mdct, mdst
from domains.audio.spectral import low_pass

PLANES, CHANNELS, NUMBERS = 9, 13, 7  # of `condition`
LOUDEST = 30.0  # times a bin's standard deviation, of noise
LEAST, MOST = 0.004, 0.25  # seconds of the gaps that are drawn


@dataclass(frozen=True)
class Damage:
    """A sound, and what is wrong with it.

    heard: (samples,), whatever where nothing is known; gap: (samples,) bool, where nothing is known; clipped: (samples,) of -1, 0 and 1,
    where the sound lies beyond what is heard, and on which side; cutoff: Hz, nothing is heard above; noise: standard deviation of white
    noise in what is heard; guess: (samples,) the sound by the classical methods, found where it is asked for. None of a
    kind of damage that is not there.
    """

    heard: np.ndarray
    gap: np.ndarray | None = None
    clipped: np.ndarray | None = None
    cutoff: float | None = None
    noise: float | None = None
    guess: np.ndarray | None = None

    @classmethod
    def of_all(cls, samples: int) -> "Damage":
        """Nothing is known of a sound."""
        return cls(np.zeros(samples), np.ones(samples, bool))

    def times(self, gain: float) -> "Damage":
        """The same of a sound that is so many times as loud, or turned over."""
        scaled = lambda x: None if x is None else x * gain  # noqa: E731
        side, noise = (None if x is None else x * f for x, f in ((self.clipped, np.sign(gain)), (self.noise, abs(gain))))
        return Damage(self.heard * gain, self.gap, side, self.cutoff, noise, scaled(self.guess))

    def first_guess(self, rate: float) -> np.ndarray:
        """(samples,) the sound by the classical methods, quickly."""
        gap = np.zeros(len(self.heard), bool) if self.gap is None else self.gap
        side = np.zeros(len(self.heard)) if self.clipped is None else self.clipped
        return restored(self.heard, gap, side, self.noise, rate, quick=True)

    def condition(self, std, rate: float, said=()) -> dict[str, np.ndarray]:
        """What the network is conditioned on: "concat" (frames, bins, 1, CHANNELS) and "numbers" (frames, 1, 1, NUMBERS + K), float32.

        Channels: coefficients of what is heard, by cosines and by sines, normalised to unit variance with its noise; those of `clipped`;
        which share of a frame's first and second half is no gap; which bins are heard as they were; the noise over `std`; a first guess by
        the classical methods, by cosines and by sines, over `std`: these are PLANES. Then what is put back, with samples of a block in the
        place of bins: what is heard over the reference level; 1 where it is the sound; `clipped`, both 0 of a sound that was filtered or
        has noise; and `std` over the reference level.

        Numbers, the same in all frames: which of the kinds of damage are there, the level of clipping, the cut-off, the noise, and `said`.

        Args: std: (bins,) standard deviation of coefficients of a whole sound; rate: Hz; said: (K,) of what sounds, see `Said.numbers`.
        """
        bins = len(std)
        gap = np.zeros(len(self.heard), bool) if self.gap is None else self.gap
        clipped = np.zeros(len(self.heard)) if self.clipped is None else self.clipped
        heard, scale = np.where(gap, 0.0, self.heard), np.sqrt(std**2 + (self.noise or 0.0) ** 2)
        guess = self.first_guess(rate) if self.guess is None else self.guess
        there = (~gap).reshape(-1, 2, bins // 2).mean(2)
        frames, half = len(there), rate / 2
        band = np.arange(bins) + 1.5 < (bins + 1 if self.cutoff is None else 0.95 * bins * self.cutoff / half)
        band = band & (self.clipped is None)  # of a clipped sound no bin is
        everywhere = lambda row: np.broadcast_to(row, (frames, bins))  # noqa: E731
        channels = [
            mdct(heard, bins) / scale, mdst(heard, bins) / scale, mdct(clipped, bins), everywhere(there[:, :1]), everywhere(there[:, 1:]),
            everywhere(band), everywhere(np.minimum((self.noise or 0.0) / std, LOUDEST)), mdct(guess, bins) / std, mdst(guess, bins) / std,
        ]  # fmt: skip
        certain = self.cutoff is None and self.noise is None
        blocks = lambda samples: samples.reshape(frames, bins)  # noqa: E731
        channels += [
            blocks(heard) / REFERENCE, blocks(certain * ~gap * (clipped == 0)), blocks(certain * ~gap * clipped),
            everywhere(std / REFERENCE),
        ]  # fmt: skip
        numbers = [
            self.gap is not None, self.clipped is not None, self.cutoff is not None, self.noise is not None,
            0.0 if self.clipped is None else np.log(max(np.abs(self.heard).max(), 1e-6) / REFERENCE),
            0.0 if self.cutoff is None else 2.0 * self.cutoff / half - 1.0,
            0.0 if self.noise is None else np.log10(self.noise / REFERENCE),
        ]  # fmt: skip
        numbers = np.broadcast_to(np.asarray([*numbers, *said], np.float32), (frames, 1, 1, NUMBERS + len(said)))
        return {"concat": np.stack(channels, -1)[:, :, None].astype(np.float32), "numbers": numbers}


def draw(rng: np.random.Generator, sound: np.ndarray, rate: float) -> Damage:
    """What is heard of a sound with damage of one kind, in one case of five of two: gaps, clipping, a low-pass, noise."""
    kinds = rng.permutation(4)[: 1 + (rng.random() < 0.2)]
    heard, gap, clipped, cutoff, noise = sound, None, None, None, None
    if 2 in kinds:
        cutoff = rate / 2 * rng.uniform(0.2, 0.85)
        heard = low_pass(heard, rate, cutoff)
    if 3 in kinds:
        noise = REFERENCE * 10.0 ** rng.uniform(-2.0, 0.25)
        heard = heard + noise * rng.standard_normal(len(heard))
    if 1 in kinds:
        level = np.abs(heard).max() * 10.0 ** rng.uniform(-0.95, -0.1)
        clipped = np.sign(heard) * (np.abs(heard) > level)
        heard = np.clip(heard, -level, level)
    if 0 in kinds:
        gap = gaps(rng, len(heard), rate)
    return Damage(heard, gap, clipped, cutoff, noise)


def levelled(sound: np.ndarray, hurt: Damage, rate: float) -> tuple[np.ndarray, Damage]:
    """Both times what brings the first guess of a clipped sound to the level that the sound had, for what is clipped is quieter: a sound
    that a user brings has its level from that guess."""
    level = active_level(hurt.guess, rate) if hurt.clipped is not None else 0.0
    gain = active_level(sound, rate) / level if level > 0 else 1.0
    return sound * gain, hurt.times(gain)


def gaps(rng: np.random.Generator, samples: int, rate: float) -> np.ndarray:
    """(samples,) bool: one to three gaps of `LEAST` to `MOST` seconds, anywhere, or in one case of ten all from or up to some sample."""
    if rng.random() < 0.1:
        border = rng.integers(0, samples)
        return (np.arange(samples) < border) == (rng.random() < 0.5)
    hidden = np.zeros(samples, bool)
    for _ in range(rng.integers(1, 4)):
        length = int(rate * np.exp(rng.uniform(np.log(LEAST), np.log(MOST))))
        first = rng.integers(-length // 2, samples - length // 2)
        hidden[max(first, 0) : first + length] = True
    return hidden
