"""A sound as it is in a file: read by what is in it, resampled, cut."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sciddm.data.reading import check_regular, index_of, need
from sciddm.errors import UserError, of_system
from sciddm.given import say
from sciddm.memory import check_memory

EXTRA = "audio"
MOST_CHANNELS, LOWEST_RATE, HIGHEST_RATE = 64, 100, 1_000_000
BLOCK = 2**18  # values that are read at once
# Written again they are no longer the same samples.
LOSSY = ("MPEG", "VORBIS", "OPUS", "GSM", "G72", "NMS", "VOX", "IMA", "MS_ADPCM")
# Of what no reader of sounds knows, but ffmpeg does: (where, bytes, name).
OTHERS = (
    (4, b"ftyp", "MPEG-4 (m4a, mp4)"), (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"), (0, b"\x30\x26\xb2\x75", "Windows Media"),
    (0, b"\xff\xf1", "AAC"), (0, b"\xff\xf9", "AAC"), (0, b"#!AMR", "AMR"), (0, b"MAC ", "Monkey's Audio"), (0, b"wvpk", "WavPack"),
)  # fmt: skip
# How many bytes of samples a header promises, where they are not there.
CUT_OFF = re.compile(r"^\s*(?:data|SSND|Data Size)\s*:\s*(\d+)\s*\(should be (\d+)\)", re.MULTILINE)
UNKNOWN = 0x7FFF0000  # bytes; a header says as many or more if its writer didn't know
OGG_END = 60  # s
ENDLESS = 2**60  # samples, of a stream whose length isn't said


@dataclass(frozen=True, eq=False)
class Sound:
    """samples: (n, channels) float64, full scale is 1; rate: samples a second; subtype, format: how the file keeps them, in words of
    libsndfile; source: its path; lossy: whether samples are lost by writing it so again."""

    samples: np.ndarray
    rate: int
    subtype: str = "PCM_16"
    format: str = "WAV"
    source: str = ""
    lossy: bool = False

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def channels(self) -> int:
        return self.samples.shape[1]

    def mono(self) -> np.ndarray:
        """(n,) mean over channels."""
        return self.samples.mean(1)

    def resampled(self, rate: int) -> "Sound":
        """At another rate: round(n rate / self.rate) samples, without delay."""
        return replace(self, samples=resample(self.samples, self.rate, rate, self.source), rate=rate)

    def part(self, start: float | None = None, stop: float | None = None) -> "Sound":
        """From `start` to `stop` in seconds, by default the first and last sample. Raises: UserError if that is outside of the sound."""
        first, last = places(self.source or "sound", start, stop, len(self.samples), self.rate)
        return replace(self, samples=self.samples[first:last])


def resample(samples, old: int, new: int, source="") -> np.ndarray:
    """(round(n new / old), ...) of samples (n,) or (n, channels) float32 or float64, by a linear phase that keeps 91 % of the band."""
    if old == new:
        return samples
    soxr = need("soxr", source or "sound", EXTRA)
    found = soxr.resample(np.ascontiguousarray(samples), old, new, quality="VHQ")
    return found[: round(len(samples) * new / old)]  # it rounds a half up


def places(source, start, stop, count: int, rate: float) -> tuple[int, int]:
    """Samples [first, last) of seconds [start, stop), None for an end. Raises: UserError if there are none, or not within `count`."""
    first = 0 if start is None else round(start * rate)
    last = count if stop is None else round(stop * rate)
    if not 0 <= first < last <= count:
        said = f"{(0.0 if start is None else start):g} to {(count / rate if stop is None else stop):g} s"
        raise UserError(f"{source}: there is no part from {said}; expected some of 0 to {count / rate:.3f} s")
    return first, last


def read_sound(file, start: float | None = None, stop: float | None = None) -> Sound:
    """The sound in a file of any kind that libsndfile reads (wav, flac, ogg, opus, mp3, aiff, au, caf, ...), by its content.

    A file that breaks off is read as far as it goes, which is said on stderr. Args: start, stop: seconds of the part to read.
    Raises: UserError of what is no sound, has fewer than 2 samples, NaN or infinite ones, more than 64 channels, or an absurd rate.
    """
    file = Path(file).expanduser()
    with opened(file) as found:
        rate, channels, frames = found.samplerate, found.channels, found.frames
        known = frames < ENDLESS
        whole = not known or (start is None and stop is None)
        first, last = (0, frames) if whole else places(file, start, stop, frames, rate)
        if known:
            check_memory(16.0 * (last - first) * channels, f"{file}: {(last - first) / rate:.0f} s", "cut it into shorter files")
        samples, broken = _read(found, first, last)
        promised = _promised(found.extra_info, frames)
        sound = Sound(samples, rate, found.subtype, found.format, str(file), found.subtype.startswith(LOSSY))
    check_length(file, len(samples), broken)
    end = first + len(samples)
    if broken or (known and end < last):
        _say_broken(file, end / rate, f" of {last / rate:.3f}" if known else "", broken)
    elif promised is not None and last == frames:
        _say_broken(file, end / rate, f" of {promised / rate:.3f}")
    check_samples(file, samples, rate, first)
    return sound if known else sound.part(start, stop)


def opened(file: Path):
    """A `soundfile.SoundFile` of a file, to be closed. Raises: UserError of what is no sound, or an absurd one."""
    if not file.exists():
        raise UserError(f"{file}: no such file; expected a sound")
    check_regular(file)
    if file.is_dir():
        raise UserError(f"{file}: is a folder; expected a sound, such as {file / 'name.wav'}")
    soundfile = need("soundfile", file, EXTRA)
    try:
        with file.open("rb") as bytes_of:
            head = bytes_of.read(12)
    except OSError as error:
        raise UserError(of_system(error, file)) from error
    if not head:
        raise UserError(f"{file}: is empty; expected a sound, copy it again")
    try:
        found = soundfile.SoundFile(str(file))
    except (soundfile.SoundFileError, TypeError, RuntimeError) as error:  # TypeError: .raw, which has no header
        raise UserError(f"{file}: {_no_sound(file, head)}") from error
    try:
        if found.channels > MOST_CHANNELS:
            raise UserError(f"{file}: has {found.channels} channels; expected {MOST_CHANNELS} at most, write some of them to a file")
        if not LOWEST_RATE <= found.samplerate <= HIGHEST_RATE:
            raise UserError(
                f"{file}: has {found.samplerate} samples a second; expected {LOWEST_RATE} to {HIGHEST_RATE:,}, is its header right?"
            )
    except UserError:
        found.close()
        raise
    return found


def seek(found, first: int) -> None:
    """Go to sample `first` of an open file."""
    near, step = first, max(BLOCK // found.channels, 1)
    if found.format == "OGG":  # lands elsewhere near the end, and needs a start (libsndfile issues 643 and 885)
        near = max(min(first - found.samplerate, found.frames - OGG_END * found.samplerate), 0)
    if near:
        found.seek(near)
    while near < first and (count := len(found.read(min(step, first - near), dtype="float32"))):
        near += count


def check_length(file, count: int, broken="") -> None:
    """That there are 2 samples. Raises: UserError."""
    if count < 2:
        said = "is too short, 1 sample" if count else f"has no samples{f' ({broken})' if broken else ''}"
        way_out = "copy it again"
        if not count and file.suffix.lower() == ".wav" and file.stat().st_size > 1000:  # as a recorder that was switched off leaves it
            names = shlex.quote(str(file)), shlex.quote(f"{file.with_suffix('')}-whole.wav")
            way_out = f"if its header was never finished, write it by: sox --ignore-length {' '.join(names)}"
        raise UserError(f"{file}: {said}; expected a sound, {way_out}")


def check_samples(file, samples: np.ndarray, rate: float, start: int = 0) -> None:
    """That samples (n, channels), the first of which is number `start`, are finite. Raises: UserError that says where they are not."""
    bad = ~np.isfinite(samples)
    if bad.any():
        at, channel = index_of(bad)
        channels = f" of channel {channel}" if samples.shape[1] > 1 else ""
        raise UserError(
            f"{file}: sample {start + at}{channels}, at {(start + at) / rate:.4f} s, is {samples[at, channel]} ({bad.sum()} such samples); "
            "expected finite numbers, write 0 there and say where by gaps"
        )


def _say_broken(file, end, whole, reason=""):
    reason = f" ({reason})" if reason else ""
    say(f"{file}: breaks off after {end:.3f}{whole} s{reason}; what is there is read, copy it again to have the rest")


def _read(found, first: int, last: int) -> tuple[np.ndarray, str]:
    # As many of the samples [first, last) as can be read, and what the library says if it fails.
    parts, broken = [np.empty((0, found.channels))], ""
    seek(found, first)
    while first < last and not broken:
        part = np.full((min(max(BLOCK // found.channels, 1), last - first), found.channels), np.nan)
        try:
            count = len(found.read(out=part))
        except RuntimeError as error:  # what came before the fault is there
            broken = str(error).removeprefix("Error : ").rstrip(".")
            count = len(part) - int(np.isnan(part[::-1, 0]).cumprod().sum())
        parts.append(part[:count])
        first += count
        if not count:
            break
    return (parts[1] if len(parts) == 2 else np.concatenate(parts)), broken if last < ENDLESS else ""


def _promised(header: str, frames: int) -> float | None:
    # How many samples a channel the header says, if that is more than there are.
    said = CUT_OFF.search(header)
    if not said or not frames:
        return None
    promised, there = int(said[1]), int(said[2])
    return frames * promised / there if there < promised < UNKNOWN and frames * promised // there > frames else None


def _no_sound(file, head):
    for place, mark, name in OTHERS:
        if head[place : place + len(mark)] == mark:
            return f"is {name}, which can't be read; write it as a WAV by: ffmpeg -i {shlex.quote(str(file))} {shlex.quote(f'{file}.wav')}"
    return "is not a sound file, whatever its name; expected wav, flac, ogg, opus, mp3, aiff, au, caf or another that libsndfile reads"
