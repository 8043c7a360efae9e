"""Sounds written to files as they came: same container, rate, channels and width, untouched samples bit for bit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from domains.audio.sound import BLOCK, EXTRA, LOSSY, Sound
from sciddm.data.made import at_once
from sciddm.data.reading import need
from sciddm.errors import UserError
from sciddm.given import say

# The container that a suffix means, in words of libsndfile.
CONTAINERS = {
    ".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG", ".mp3": "MP3", ".aiff": "AIFF", ".aif": "AIFF",
    ".au": "AU", ".snd": "AU", ".caf": "CAF", ".w64": "W64", ".rf64": "RF64",
}  # fmt: skip
PACKED = {".ogg": "VORBIS", ".oga": "VORBIS", ".opus": "OPUS", ".mp3": "MPEG_LAYER_III"}  # with a loss
PCM = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32}
WIDER = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
EIGHT = ("PCM_U8", "PCM_S8")  # of one width, which differ in where zero is
# What holds every sample of another kind.
HOLDS = {"DOUBLE": ("DOUBLE",), "FLOAT": ("FLOAT", "DOUBLE"), "ULAW": WIDER, "ALAW": WIDER}
DECODED_TO_FLOAT = ("MPEG", "VORBIS", "OPUS")  # the others with a loss to 16 bits
MOST = 2**32 - 2**16  # bytes of a WAV, whose header counts with 32 bits


def write_sound(sound: Sound, path) -> None:
    """Write at `path`, whose suffix is the container (`CONTAINERS`), with the sound's own rate, channels and width of samples.

    Where the container has no such width, the nearest wider one that it has, which is said. Samples off the grid are rounded to it.
    Raises: UserError of another suffix, of what the container can't hold, a path that is taken or can't be written.
    """
    path = Path(path).expanduser()
    format, subtype = kept_as(sound, path)
    with at_once(path) as partial:
        _write(sound, partial, path, format, subtype)


def write_answers(sounds: Sequence[Sound], path, changed=None, seed: int = 0) -> list[Path]:
    """Write answers of one file: the first at `path`, the others beside it as NAME-2.wav, NAME-3.wav; all of them or none.

    changed: (n, channels) bool, samples that are new, which get dither; all where None. Raises: as `write_sound`.
    """
    path = Path(path).expanduser()
    paths = [path, *(path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, len(sounds) + 1))]
    format, subtype = kept_as(sounds[0], path)
    if taken := next((each for each in paths if each.exists()), None):
        raise UserError(f"{taken}: is there already; delete it or give another name")
    with at_once(path) as partial:
        for i, (sound, each) in enumerate(zip(sounds, paths, strict=True)):
            samples, beyond = _on_grid(sound.samples, subtype, True if changed is None else changed, seed + i)
            _say_beyond(beyond, f"{each.name}: ")
            _write(sound, partial.with_name(each.name), each, format, subtype, samples)
    return paths


def quantised(samples: np.ndarray, subtype: str, changed=None, seed: int = 0) -> np.ndarray:
    """samples (n, channels), full scale 1, on the grid of a PCM subtype: those that are `changed` with triangular dither of +-1 step, the
    others rounded, which leaves those on the grid as they are. Of a subtype without an even grid, all as they are.

    changed: (n, channels) bool, all where None. Those beyond full scale are clipped there, and counted on stderr.
    """
    found, beyond = _on_grid(samples, subtype, True if changed is None else changed, seed)
    _say_beyond(beyond)
    return found


def kept_as(sound: Sound, path: Path) -> tuple[str, str]:
    """Container and subtype that a sound is written with at a path. Raises: UserError of a suffix that is none."""
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        raise UserError(f"{path}: format {path.suffix or '(none)'!r} can't be written; expected one of {', '.join(CONTAINERS)}")
    format = CONTAINERS[suffix]
    if suffix in PACKED:
        return format, PACKED[suffix]
    if format == "WAV" and sound.format == "WAVEX":  # which says what loudspeakers the channels are for
        format = "WAVEX"
    there = need("soundfile", path, EXTRA).available_subtypes(format)
    subtype = _subtype(sound, there)
    if len(sound.samples) * sound.channels * _bytes(subtype) > MOST and format in ("WAV", "WAVEX"):
        format = "RF64"
    if subtype != sound.subtype and not (subtype in EIGHT and sound.subtype in EIGHT):
        if sound.subtype.startswith(LOSSY):
            way = f"what is read of {sound.subtype} is written as {subtype}"
        elif _width(subtype) < _width(sound.subtype):
            way = f"{format} has no {sound.subtype}; written as {subtype}, the widest it has"
        else:
            way = f"{format} has no {sound.subtype}; written as {subtype}, which holds it"
        say(f"{path.name}: {way}")
    return format, subtype


def _subtype(sound, there):
    own = sound.subtype
    if own in there and not own.startswith((*LOSSY, "ALAC_32")):  # which the library writes wrong
        return own
    if own in EIGHT:
        holding = (*EIGHT, *WIDER)
    elif own in PCM:
        holding = [each for each in WIDER if _width(each) >= PCM[own] and each != "FLOAT" or (each == "FLOAT" and PCM[own] <= 24)]
    else:
        holding = HOLDS.get(own, HOLDS["FLOAT"] if own.startswith(DECODED_TO_FLOAT) else WIDER)
    return next((each for each in holding if each in there), next(each for each in reversed(WIDER) if each in there))


def _width(subtype):
    return PCM.get(subtype, {"FLOAT": 25, "ULAW": 14, "ALAW": 13}.get(subtype, 54))  # bits of full scale that are exact


def _bytes(subtype):
    return {"DOUBLE": 8, "FLOAT": 4, "ULAW": 1, "ALAW": 1}.get(subtype, -(-PCM.get(subtype, 32) // 8))


def _on_grid(samples, subtype, changed, seed):
    # (samples on the grid, how many were beyond full scale).
    if subtype not in PCM:
        limit = 1.0 if subtype in ("ULAW", "ALAW") else np.inf
        return samples, int((np.abs(samples) > limit).sum())
    scale = 2.0 ** (PCM[subtype] - 1)
    steps, beyond = samples * scale, int((np.abs(samples) > 1.0).sum())
    if changed is True or np.any(changed):
        rng = np.random.default_rng(seed)
        dither = rng.random(samples.shape) - rng.random(samples.shape)
        steps = steps + np.where(changed, dither, 0.0)
    return np.clip(np.rint(steps), -scale, scale - 1) / scale, beyond


def _say_beyond(count, where=""):
    if count:
        reach = "1 sample reaches" if count == 1 else f"{count} samples reach"
        say(f"{where}{reach} beyond full scale and {'is' if count == 1 else 'are'} clipped there")


def _write(sound, partial, path, format, subtype, samples=None):
    # `partial`, in the end at `path`, in blocks: encoders take memory for what they get at once.
    soundfile = need("soundfile", path, EXTRA)
    if samples is None:
        samples, beyond = _on_grid(sound.samples, subtype, np.False_, 0)
        _say_beyond(beyond, f"{path.name}: ")
    rate, channels = int(sound.rate), sound.channels
    try:
        with soundfile.SoundFile(str(partial), "w", rate, channels, subtype, format=format) as file:
            step = max(BLOCK // channels, 1)
            for start in range(0, len(samples), step):
                file.write(_exact(samples[start : start + step], subtype))
    except (soundfile.SoundFileError, RuntimeError, AssertionError) as error:
        said = (str(error).splitlines() or ["nothing more"])[0].partition(": ")[2] or "the disk may be full"
        raise UserError(
            f"{path}: {channels} channels at {rate} Hz can't be written as {format} {subtype} ({said.rstrip('.')}); "
            "give a name that ends in .wav, or another place"
        ) from error


def _exact(samples, subtype):
    # On the grid, as integers: of floats the library cuts bits off rather than round.
    if subtype in PCM:
        return np.rint(samples * 2.0**31).clip(-(2**31), 2**31 - 1).astype(np.int32)
    return np.ascontiguousarray(samples)
