"""What a user brings to be restored: a sound of any rate and channels, and what is wrong with it, said or found."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from domains.audio import labels
from domains.audio.labels import runs
from domains.audio.said import SAID, said_in
from domains.audio.sound import Sound, read_sound, resample
from sciddm.data.reading import kind_of
from sciddm.errors import UserError
from sciddm.given import Thing, refuse, say

NAMES = ("gaps", "clip", "cutoff", "noise", *SAID)
TABLES = (".txt", ".csv", ".tsv", ".lab", ".dat")
FILTERED = 0.9  # of half a file's rate that is below the model's: what is above is its converter's slope


@dataclass(frozen=True)
class Brought:
    """sound: as in the file; gap: (n, channels) bool, where nothing is known; side: (n, channels) of -1, 0 and 1, beyond which side of the
    sound a clipped sample lies; cutoff: Hz above which nothing is heard, noise: standard deviation of white noise in full scale, both None
    where there is none; title: in words; said: what sounds, by name."""

    sound: Sound
    gap: np.ndarray
    side: np.ndarray
    cutoff: float | None = None
    noise: float | None = None
    title: str = ""
    said: dict = field(default_factory=dict)

    @property
    def marks(self) -> list[tuple[float, float]]:
        """Seconds of the gaps."""
        return [(first / self.sound.rate, stop / self.sound.rate) for first, stop in runs(self.gap.any(1))]


def read_given(given: Sequence[Thing], kinds: Sequence[str], rate: float, takes: str) -> Brought:
    """What was brought. kinds: damages that are looked for where nothing is said of them; rate: Hz, of the model.

    Raises: UserError naming what is wrong, and where no damage of these kinds is found.
    """
    sound, said = sort_out(given, takes)
    said = {kind: "auto" for kind in kinds} | said
    gap, side, words = np.zeros(sound.samples.shape, bool), np.zeros(sound.samples.shape), []
    if "gaps" in said:
        gap[:] = find_gaps(sound, said["gaps"])[:, None]
        count = len(runs(gap[:, 0]))
        words.append(f"{count} gap{'' if count == 1 else 's'}, {gap[:, 0].sum() / sound.rate:.3f} s in all")
    if "clip" in said:
        side = find_side(sound, said["clip"]) * ~gap
        level = np.abs(sound.samples[side != 0]).max()
        words.append(f"{(side != 0).mean():.1%} of samples clipped at {level:.3g} of full scale")
    cutoff = find_cutoff(sound, said.get("cutoff"), rate)
    if cutoff is not None:
        words.append(f"nothing above {cutoff:.0f} Hz")
    noise = find_noise(sound, said.get("noise"), rate)
    if noise is not None:
        words.append(words_of_noise(noise, sound, rate))
    title = f"{Path(sound.source).name}: {', '.join(words)}"
    say_read(title, sound, rate, "the classical method beside which it stands")
    return Brought(sound, gap, side, cutoff, noise, title, {name: value for name, value in said.items() if name in SAID})


def sort_out(given: Sequence[Thing], takes: str) -> tuple[Sound, dict]:
    """(the sound, name -> what is said of a damage). A text or table without a name is of gaps. Raises: UserError."""
    sounds, said = [], said_in(given)
    for thing in (one for one in given if not one.name):
        if thing.path is not None and kind_of(thing.path) in TABLES:
            if "gaps" in said:
                raise UserError(f"--given {thing}: gaps are given twice; give one file of them")
            said["gaps"] = thing.path
        elif thing.path is not None:
            sounds.append(read_sound(thing.path))
        elif isinstance(thing.value, Sound):
            sounds.append(thing.value)
        else:
            refuse(thing, takes, NAMES)
    if len(sounds) != 1:
        raise UserError(f"--given has {len(sounds)} sounds; expected one: {takes}")
    if not np.abs(sounds[0].samples).max() > 1e-6:
        raise UserError(f"{sounds[0].source}: is silent; expected a sound")
    return sounds[0], said


def find_gaps(sound: Sound, said) -> np.ndarray:
    """(n,) bool. said: a file or text of gaps, or auto for runs of zeros. Raises: UserError where there is none."""
    found = np.zeros(len(sound.samples), bool)
    if _auto(said):
        places = labels.zero_runs(sound.samples, sound.rate)
        if not places:
            such = f"{0.4 * sound.seconds:.2f}-{0.5 * sound.seconds:.2f}"
            raise UserError(f"{sound.source}: has no runs of zeros between sounds; say where its gaps are, such as --given gaps='{such}'")
    else:
        gaps = labels.read_gaps(said)
        labels.check_gaps(gaps, sound)
        places = [(round(start * sound.rate), max(round(stop * sound.rate), round(start * sound.rate) + 1)) for start, stop in gaps]
    for first, stop in places:
        found[first:stop] = True
    return found


def find_side(sound: Sound, said) -> np.ndarray:
    """(n, channels) of -1, 0 and 1. said: the level in full scale, or auto. Raises: UserError where nothing is clipped."""
    if _auto(said):
        low, high = labels.clip_level(sound.samples)
        if low is None and high is None:
            such = f"{0.8 * np.abs(sound.samples).max():.2g}"  # which is below the loudest
            raise UserError(f"{sound.source}: does not look clipped; say at which level, such as --given clip={such}")
    else:
        high = level_of("clip", said)
        low = -high
    inside = 1 - labels.EXTREME
    side = (np.zeros(sound.samples.shape) if high is None else 1.0 * (sound.samples >= high * inside)) - (
        0.0 if low is None else 1.0 * (sound.samples <= low * inside)
    )
    if not side.any():
        most = np.abs(sound.samples).max()
        raise UserError(f"{sound.source}: no sample reaches clip={said}, the loudest is {most:.3g} of full scale; give a level below")
    return side


def find_cutoff(sound: Sound, said, rate: float) -> float | None:
    """Hz, None where the model hears no more than is there. said: Hz, auto, or None where nothing is said. Raises: UserError."""
    half = FILTERED * sound.rate / 2 if sound.rate < rate else None  # a file of a low rate has lost its band in any case
    if said is None:
        return half
    if _auto(said):
        found = labels.cutoff(sound.samples, sound.rate)
        found = half if found is None else found
        if found is None or found >= 0.95 * rate / 2:
            raise UserError(f"{sound.source}: lacks no band below {rate / 2:g} Hz, which the model hears; give one by --given cutoff=2000")
        return found
    found = number_of("cutoff", said, "Hz")
    if not 100 <= found < 0.95 * rate / 2:
        raise UserError(f"--given cutoff={said}: expected 100 to {0.95 * rate / 2:g} Hz; the model hears up to {rate / 2:g} Hz")
    return found if half is None else min(found, half)


def find_noise(sound: Sound, said, rate: float) -> float | None:
    """Standard deviation of white noise at the model's rate, full scale; None where nothing is said. Raises: UserError."""
    if said is None:
        return None
    if _auto(said):
        found = labels.noise_level(resample(sound.samples, sound.rate, min(rate, sound.rate)), min(rate, sound.rate))
        if not found > 1e-6:
            raise UserError(f"{sound.source}: no noise is found in it; give its level by --given noise='-50 dB'")
        return found
    return level_of("noise", said) * min(rate / sound.rate, 1.0) ** 0.5  # of white noise as much as the model hears of it


def say_read(title: str, sound: Sound, rate: float, method: str) -> None:
    """What was read, and which method has what is above half the model's rate."""
    channels = "1 channel" if sound.channels == 1 else f"{sound.channels} channels"
    say(f"{title}; {sound.rate} Hz, {channels}, {sound.seconds:.2f} s")
    if sound.rate > rate:
        say(f"the model hears up to {rate / 2:g} Hz; what is above comes of {method}")


def words_of_noise(noise: float, sound: Sound, rate: float) -> str:
    """noise: as of `find_noise`; said as of the whole band of the file, as a user says it."""
    return f"noise at {20 * np.log10(noise * max(sound.rate / rate, 1.0) ** 0.5):.1f} dB of full scale"


def level_of(name: str, said) -> float:
    """Full scale from 0.3 or "-10 dB". Raises: UserError."""
    text = str(said).strip().lower()
    if text.endswith("db"):
        found = 10 ** (number_of(name, text.removesuffix("db"), "dB of full scale, such as '-20 dB'") / 20)
    else:
        found = number_of(name, text, "a share of full scale such as 0.1, or dB such as '-20 dB'")
    if not 0 < found <= 1:
        raise UserError(f"--given {name}={said}: expected above 0 and up to full scale, 1 or '0 dB'; or auto to have it found")
    return found


def number_of(name: str, said, unit: str) -> float:
    """A finite number. Raises: UserError."""
    try:
        found = float(str(said).lower().removesuffix("hz"))
        if np.isfinite(found):
            return found
    except ValueError:
        pass
    raise UserError(f"--given {name}={said}: is no number; expected {unit}, or auto to have it found")


def _auto(said) -> bool:
    return isinstance(said, str) and said.strip().lower() == "auto"
